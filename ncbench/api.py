"""λ and predicted heating in a line of Python, for notebooks and training loops: no files, no settings objects, nothing left changed.

``from ncbench import lambda_of`` loads this module; importing ``ncbench`` alone loads no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import UnsupportedError, UsageError
from ncbench.jacobian.one_structure import measure_case
from ncbench.jacobian.settings import LambdaSettings, Method
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import load_forcefield
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.prediction.antisymmetry_loss import antisymmetry_loss
from ncbench.prediction.heating import Sensitivity, Thermostat, predict_with_sensitivity
from ncbench.prediction.quench import Quench, force_jacobian, quench
from ncbench.types import Case, ForceMode, ModelRequest, Status

__all__ = ["HeatingResult", "LambdaResult", "antisymmetry_loss", "lambda_of", "predict_heating"]

TorchForces = Callable[[torch.Tensor], torch.Tensor]
"""Positions [N, 3] → forces [N, 3], both in Å and eV/Å, by torch operations."""
DTYPES = ("float64", "float32", "float16", "bfloat16")
"""Of the positions that a callable is given."""

Resolved = Literal["nonzero", "gradient", "unresolved"]


@dataclass(frozen=True)
class LambdaResult:
    """λ of one structure. ``float(result)`` is its value."""

    value: float
    """λ = ‖(J − Jᵀ)/2‖/‖J‖: 0 for a gradient."""
    standard_error: float
    """Over probes (stochastic), numerical otherwise."""
    low: float
    high: float
    """95 % interval, asymmetric over probes."""
    floor: float
    """What rounding, and truncation of differences, would read of a gradient."""
    method: str
    """The method used."""
    probes: int
    """Random probes drawn; 0 for the other methods."""
    force_calls: int
    products: int
    """Jacobian products."""
    seconds: float
    resolved: Resolved
    """``nonzero``: above the floor by three standard errors; ``gradient``: upper end of the interval below three floors; else ``unresolved``."""
    note: str = ""
    """What the model could not do as it claimed, and what was done instead."""

    @property
    def above_floor(self) -> bool:
        """The forces are shown not to be a gradient."""
        return self.resolved == "nonzero"

    def __float__(self) -> float:
        return self.value


@overload
def lambda_of(
    calculator_or_model: object,
    atoms: Atoms,
    method: Method = ...,
    target_error: float | None = ...,
    *,
    probes: int = ...,
    seed: int = ...,
    step_A: float | None = ...,
    batch: int | None = ...,
    device: str | torch.device | None = ...,
    dtype: str | torch.dtype | None = ...,
) -> LambdaResult: ...


@overload
def lambda_of(
    calculator_or_model: object,
    atoms: Sequence[Atoms],
    method: Method = ...,
    target_error: float | None = ...,
    *,
    probes: int = ...,
    seed: int = ...,
    step_A: float | None = ...,
    batch: int | None = ...,
    device: str | torch.device | None = ...,
    dtype: str | torch.dtype | None = ...,
) -> list[LambdaResult]: ...


def lambda_of(
    calculator_or_model: object,
    atoms: Atoms | Sequence[Atoms],
    method: Method = "stochastic",
    target_error: float | None = 0.03,
    *,
    probes: int = 16,
    seed: int = 0,
    step_A: float | None = None,
    batch: int | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> LambdaResult | list[LambdaResult]:
    """λ, the antisymmetric share of the force Jacobian of one structure or of each of several (Bigi, Langer & Ceriotti 2025, Eq. 7).

    Random state, grad mode, default dtype, the train or eval mode of modules and gradients of parameters are as before when it returns.
    A module is measured in eval mode.

    Args:
        calculator_or_model: an ASE calculator; what ``--model`` takes, as a string; a loaded force field of ncbench; or any callable, a
            ``torch.nn.Module`` among them, from positions [N, 3] (Å) to forces [N, 3] (eV/Å) by torch operations, with species and
            cell bound into it (``lambda x: model(x, species, cell)``). Of the last, autograd must reach the positions.
        atoms: N atoms, or a sequence of structures; a list of results is returned for a sequence. A string names a model for them; a
            callable sees their positions alone.
        method: as ``--method``.
        target_error: relative standard error at which random probes stop; at most 16 × ``probes`` are drawn. ``None`` draws ``probes``.
        probes: random probes; at least 8 by Jacobian products, and 16 by differences, are drawn.
        seed: of the probes: the same seed gives the same number.
        step_A: central-difference step, Å, where differences are made; found for the model by default.
        batch: copies of the structure in one model call; fitted to the structure by default.
        device: of a model named by a string, or of the positions that a callable is given (by default where a module's parameters are).
        dtype: arithmetic of a named model, or dtype of the positions that a callable is given (by default that of a module's parameters,
            else float64); a name or a ``torch.dtype``.

    Raises:
        UsageError: none of the above; a request that cannot be met.
        NotDifferentiableError: method exact or coloured, and autograd does not reach the positions, or misses part of them.
        StructureError: a structure no model could evaluate: no atoms, not finite, atoms on top of each other.
        UnsupportedError: an element the model does not know; a Jacobian that is zero, not finite or not resolved, for which λ is not defined.
    """
    structures = _structures(atoms)
    settings = LambdaSettings(
        method=method, probes=probes, target_error=target_error, step_A=step_A, batch=batch, sibling_floor=False
    )
    with _nothing_changed(calculator_or_model):
        results = [
            _one(calculator_or_model, one, settings, np.random.default_rng(seed), _device(device), _dtype(dtype))
            for one in structures
        ]
    return results[0] if isinstance(atoms, Atoms) else results


def _one(
    model: object,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    device: str | None,
    dtype: str | None,
) -> LambdaResult:
    forcefield = _forcefield(model, atoms, device=device, dtype=dtype)
    row, _ = measure_case(forcefield, Case("atoms", atoms), settings, rng, _Silent())
    if row["status"] != Status.OK:
        raise UnsupportedError(f"{forcefield.card.label}: {row['reason']}")
    return LambdaResult(
        value=row["lambda"],
        standard_error=row["lambda_se"],
        low=row["lambda_low"],
        high=row["lambda_high"],
        floor=row["lambda_floor"],
        method=row["method"],
        probes=row["probes"] or 0,
        force_calls=row["force_calls"],
        products=row["products"],
        seconds=row["seconds"],
        resolved=row["resolved"],
        note=row["note"],
    )


def _structures(atoms: Atoms | Sequence[Atoms]) -> list[Atoms]:
    structures = [atoms] if isinstance(atoms, Atoms) else atoms
    if not isinstance(structures, Sequence) or not all(isinstance(one, Atoms) for one in structures):
        raise UsageError(f"lambda_of takes ase.Atoms or a sequence of them, not a {type(atoms).__name__}.")
    if not structures:
        raise UsageError("lambda_of was given an empty list of structures.")
    return list(structures)


def _device(device: str | torch.device | None) -> str | None:
    if device is None:
        return None
    try:
        return str(torch.device(device))
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device = {device!r} is not a device: {str(error).splitlines()[0]}.") from error


def _dtype(dtype: str | torch.dtype | None) -> str | None:
    name = str(dtype).removeprefix("torch.") if dtype is not None else None
    if name is not None and name not in DTYPES:
        raise UsageError(f"dtype = {dtype!r} is none of {', '.join(DTYPES)}.")
    return name


@dataclass(frozen=True)
class HeatingResult:
    """Predicted heating of one structure; see :mod:`ncbench.prediction`."""

    details: Sensitivity
    """Every number at every frequency floor, with the heating map; ``details.default`` is the prediction at the floor asked for."""
    quench: Quench
    """The minimum, and what led there."""

    @property
    def nve_power(self) -> dict[float, float]:
        """Time in fs → mean heating at constant energy over it, meV/atom/ps."""
        return self.details.default.nve_power

    @property
    def longest_stable_tau_fs(self) -> float | None:
        """Time constant of white noise above which the harmonic motion runs away, fs; ``None`` where there is none."""
        return self.details.default.longest_stable_tau_fs

    def power(self, thermostat: str) -> float | None:
        """Heat that the thermostat removes, meV/atom/ps; ``None`` for a runaway. Raises KeyError where it was not asked for."""
        return self.details.default.under(thermostat).power

    def temperature(self, thermostat: str, species: str = "all") -> float | None:
        """Kinetic temperature of all atoms or of an element, K; ``None`` for a runaway. Raises KeyError as :meth:`power`."""
        temperatures = self.details.default.under(thermostat).temperature_K
        return None if temperatures is None else temperatures[species]


def predict_heating(
    calculator_or_model: object,
    atoms: Atoms,
    *,
    reference: object | None = None,
    thermostats: Sequence[str] = ("langevin:10", "langevin:100", "langevin:1000", "gle"),
    temperature_K: float = 300.0,
    floor_per_cm: float = 50.0,
    quench_fmax: float = 0.02,
    quench_steps: int = 200,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
) -> HeatingResult:
    """Heating by the antisymmetric part of the force Jacobian at a minimum, without running the hot dynamics.

    Args:
        calculator_or_model: as for :func:`lambda_of`.
        atoms: N atoms, at least two.
        reference: a conservative model to quench with, given in the same ways; by default the model's own conservative forces, or its own.
        thermostats: ``langevin:TAU`` (τ in fs), ``gle``, ``gle:FILE``.
        temperature_K: of thermostats and starts, K.
        floor_per_cm: least frequency of a vibration, cm⁻¹.
        quench_fmax: largest force at which the quench ends, eV/Å.
        quench_steps: most steps of the quench; 0 takes the structure as it is.
        seed: of the checks of the Jacobian.
        device: as for :func:`lambda_of`.
        dtype: as for :func:`lambda_of`.

    Raises:
        UsageError: a thermostat that is not known or has no linear theory; a request that cannot be met.
        StructureError: a structure no model could evaluate.
        UnsupportedError: a single atom, an element the model does not know, a quench that diverges, forces that are not finite.
    """
    asked = [Thermostat.parse(text) for text in thermostats]
    with _nothing_changed(calculator_or_model):
        forcefield = _forcefield(calculator_or_model, atoms, device=device, dtype=dtype)
        partner = None if reference is None else _forcefield(reference, atoms, device=device, dtype=dtype)
        forcefield.check([atoms])
        rested = quench(forcefield, partner, atoms, fmax=quench_fmax, steps=quench_steps)
        jacobian = force_jacobian(forcefield, rested.atoms, rng=np.random.default_rng(seed))
    details = predict_with_sensitivity(
        jacobian.matrix,
        jacobian.noise,
        rested.atoms.get_masses(),
        rested.atoms.get_chemical_symbols(),
        temperature_K=temperature_K,
        thermostats=asked,
        floor_per_cm=floor_per_cm,
    )
    return HeatingResult(details, rested)


def _forcefield(model: object, atoms: Atoms, *, device: str | None, dtype: str | None) -> ForceField:
    if isinstance(model, ForceField):
        return model
    if isinstance(model, str):
        return load_forcefield(ModelRequest(spec=model, device=device or "cpu", dtype=dtype))
    if hasattr(model, "get_forces") and hasattr(model, "get_property"):
        return ASEForceField(
            model, _card(type(model).__name__, "ase", "cpu", getattr(model, "ncbench_dtype", "float64"))
        )
    if callable(model):
        return _CallableForceField(model, atoms, device, dtype)
    raise UsageError(
        f"lambda_of takes an ASE calculator, a model's name, a force field or a callable, not a {type(model).__name__}."
    )


def _card(name: str, family: str, device: str, dtype: str) -> ModelCard:
    return ModelCard(
        name=name,
        family=family,
        # Forces are taken as they come, whatever they claim to be.
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
                found = self.owner.function(one)
            if not isinstance(found, torch.Tensor) or found.shape != one.shape:
                got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
                raise UsageError(f"{self.card.name} must return forces of shape {tuple(one.shape)}, not {got}.")
            forces.append(found.to(torch.float64))
        return positions.new_full((self.n_replicas,), torch.nan), torch.stack(forces)


@contextmanager
def _nothing_changed(model: object) -> Iterator[None]:
    """Random states, grad mode, default dtype and the training flags of modules are put back; gradients can be made meanwhile."""
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
    found = [part for part in held if isinstance(part, torch.nn.Module)]
    return list({id(m): m for part in found for m in part.modules()}.values())


class _Silent:
    def start(self, total: float, unit: str) -> None:
        """Nobody watches."""

    def update(self, done: float, note: str = "") -> None:
        """Nobody watches."""
