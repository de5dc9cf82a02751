"""Converts a model name, an ASE calculator, a module or a function to a force field."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import UsageError, with_article
from ncbench.models.ase_adapter import ASEForceField, wrapped
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import load_forcefield
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.types import ForceMode, ModelRequest

TorchForces = Callable[[torch.Tensor], torch.Tensor]
"""Positions [N, 3] → forces [N, 3], both in Å and eV/Å, by torch operations."""
DTYPES = ("float64", "float32", "float16", "bfloat16")
"""Dtypes of the positions that a callable may be given."""


def structures_of(atoms: Atoms | Sequence[Atoms]) -> list[Atoms]:
    """One structure or several, as a list. Raises UsageError for anything else, and for none."""
    structures = [atoms] if isinstance(atoms, Atoms) else atoms
    if not isinstance(structures, Sequence) or not all(isinstance(one, Atoms) for one in structures):
        raise UsageError(f"Structures are ase.Atoms or a sequence of them, not {with_article(type(atoms).__name__)}.")
    if not structures:
        raise UsageError("The structures are an empty list.")
    return list(structures)


def device_name(device: str | torch.device | None) -> str | None:
    """The name of a device. Raises UsageError for anything else."""
    if device is None:
        return None
    try:
        return str(torch.device(device))
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device = {device!r} is not a device: {str(error).splitlines()[0]}.") from error


def dtype_name(dtype: str | torch.dtype | None) -> str | None:
    """The name of a floating-point dtype. Raises UsageError for any other."""
    name = str(dtype).removeprefix("torch.") if dtype is not None else None
    if name is not None and name not in DTYPES:
        raise UsageError(f"dtype = {dtype!r} is none of {', '.join(DTYPES)}.")
    return name


def forcefield_of(
    model: object,
    atoms: Atoms,
    *,
    device: str | None,
    dtype: str | None,
    mode: ForceMode | None = None,
) -> ForceField:
    """The model as a force field.

    Args:
        model: a name as after ``--model``, an ASE calculator, a force field, or a callable from positions to forces by torch operations.
        atoms: the structure that a callable's forces belong to.
        device: of a model given by name, or of the positions that a callable is given.
        dtype: as ``device``.
        mode: where a calculator's forces come from. ``None`` takes a calculator's forces for what they are, without its energies: for
            Jacobians alone.

    Raises:
        UsageError: none of these, or a request that cannot be met.
    """
    if isinstance(model, type):
        raise UsageError(
            f"The model is the class {model.__name__}, not an object of it.", hint=f"Write {model.__name__}()."
        )
    if isinstance(model, ForceField):
        return model
    if isinstance(model, str):
        return load_forcefield(ModelRequest(spec=model, device=device or "cpu", dtype=dtype))
    if hasattr(model, "get_forces") and hasattr(model, "get_property"):
        name, arithmetic = type(model).__name__, getattr(model, "ncbench_dtype", "float64")
        if mode is not None:
            return wrapped(model, name, mode, arithmetic)
        return ASEForceField(model, _card(name, "ase", "cpu", arithmetic))
    if callable(model):
        return _CallableForceField(model, atoms, device, dtype)
    raise UsageError(
        f"A model is an ASE calculator, a model's name, a force field or a callable, not {with_article(type(model).__name__)}."
    )


def _card(name: str, family: str, device: str, dtype: str) -> ModelCard:
    return ModelCard(
        name=name,
        family=family,
        # Forces are used as returned, also those declared conservative.
        force_mode=ForceMode.DIRECT,
        force_modes=(ForceMode.DIRECT,),
        elements=None,
        cutoff_A=None,
        receptive_A=None,
        dtype=dtype,
        device=device,
        has_energy=False,
        differentiable=family == "callable",
    )


class _CallableForceField(TorchForceField):
    def __init__(self, function: TorchForces, atoms: Atoms, device: str | None, dtype: str | None) -> None:
        parameter = next(function.parameters(), None) if isinstance(function, torch.nn.Module) else None
        self.function, self.n_atoms = function, len(atoms)
        self.positions_dtype = (
            getattr(torch, dtype) if dtype else torch.float64 if parameter is None else parameter.dtype
        )
        where = device or ("cpu" if parameter is None else str(parameter.device))
        name = getattr(function, "__name__", type(function).__name__)
        # Half precision rounds no better than single, which is the coarsest the diagnostics know.
        arithmetic = "float64" if self.positions_dtype is torch.float64 else "float32"
        self.card = _card(name, "callable", where, arithmetic)

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _CallableField(structures, self)


class _CallableField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: _CallableForceField) -> None:
        super().__init__(structures, owner.card)
        self.owner = owner

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        forces = []
        for one in positions.to(self.owner.positions_dtype):
            # A model that differentiates its own energy needs grad mode in any case.
            with torch.enable_grad():
                forces_of_one = self.owner.function(one)
            if not isinstance(forces_of_one, torch.Tensor) or forces_of_one.shape != one.shape:
                got = (
                    tuple(forces_of_one.shape)
                    if isinstance(forces_of_one, torch.Tensor)
                    else type(forces_of_one).__name__
                )
                raise UsageError(f"{self.card.name} must return forces of shape {tuple(one.shape)}, not {got}.")
            forces.append(forces_of_one.to(torch.float64))
        return positions.new_full((self.n_replicas,), torch.nan), torch.stack(forces)


@contextmanager
def nothing_changed(model: object) -> Iterator[None]:
    """Restores random states, grad mode, default dtype and training flags of modules; gradients are enabled inside."""
    modules = [m for m in _modules(model) if m.training]
    dtype, python, numpy_state = torch.get_default_dtype(), random.getstate(), np.random.get_state()  # noqa: NPY002  # theirs
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.random.fork_rng(devices=devices):
            for module in modules:
                module.training = False
            yield
    finally:
        for module in modules:
            module.training = True
        torch.set_default_dtype(dtype)
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002  # as above


def _modules(model: object) -> list[torch.nn.Module]:
    """Every module in the model: itself, or what an object holds, or what a function or method refers to."""
    owner = getattr(model, "__self__", None)
    held = [part for one in (model, owner) for part in (one, *getattr(one, "__dict__", {}).values())]
    for function in (model, getattr(model, "__func__", None), getattr(model, "func", None)):
        held += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        named = getattr(getattr(function, "__code__", None), "co_names", ())
        held += [getattr(function, "__globals__", {}).get(name) for name in named]
        held += [getattr(function, "__self__", None), function, *getattr(function, "args", ())]
    modules = [part for part in held if isinstance(part, torch.nn.Module)]
    return list({id(m): m for part in modules for m in part.modules()}.values())
