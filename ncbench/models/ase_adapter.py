"""Any ASE calculator as a force field: every diagnostic works with it, one structure at a time and without autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ncbench.errors import NcbenchError, UsageError
from ncbench.models.calculator_calls import Remembered, contained, evaluate
from ncbench.models.coordinates import is_somewhere, periodic_directions
from ncbench.models.factories import factory
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField, ModelCard
from ncbench.models.loading import refuse_options
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.types import ForceMode, ModelRequest


class ASEForceField(ForceField):
    """Wraps a calculator; forces are used as the calculator returns them."""

    def __init__(self, calculator: Any, card: ModelCard) -> None:
        self.calculator = calculator
        self.card = card
        self._remembered = Remembered()

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        return [self.one(atoms, stress=stress) for atoms in structures]

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _ASEField(structures, self)

    def one(self, atoms: Atoms, *, stress: bool = False) -> Evaluation:
        """A single evaluation; see :func:`ncbench.models.calculator_calls.evaluate`."""
        return evaluate(self.calculator, atoms, name=self.card.name, stress=stress, remembered=self._remembered)

    def ase_calculator(self) -> Any:
        """The calculator itself."""
        return self.calculator


class _ASEField(Field):
    def __init__(self, structures: Sequence[Atoms], owner: ASEForceField) -> None:
        super().__init__(structures, torch.device("cpu"))
        self.owner = owner
        self.periodic = periodic_directions(structures, self.device)

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        results = []
        somewhere = is_somewhere(positions, self.periodic).tolist()
        for atoms, at, known in zip(self.structures, positions.detach().cpu().numpy(), somewhere, strict=True):
            if not known:
                # Calculators differ for non-finite positions: some raise, and some find no neighbours and return finite numbers.
                results.append(Evaluation(float("nan"), np.full(at.shape, np.nan)))
                continue
            # Not in place: initial_positions() reads the bound structures.
            moved = atoms.copy()
            moved.arrays["positions"][:] = at
            result = self.owner.one(moved)
            if self.owner.card.has_energy and not np.isfinite(result.energy):
                # Forces with a non-finite energy are not a result: a run must not continue with them.
                result = Evaluation(float("nan"), np.full(at.shape, np.nan))
            results.append(result)
        return FieldOutput(
            torch.tensor([r.energy for r in results], dtype=torch.float64),
            torch.as_tensor(np.stack([r.forces for r in results]), dtype=torch.float64),
        )


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """Import the factory that ``row.source`` names and call it.

    The calculator's author declares how the forces are computed: by the mode typed after ``--model`` or with ``--mode``, the option
    ``mode``, or the calculator's attribute ``ncbench_force_mode``, in this order; without any the mode is unknown. Its precision is its
    attribute ``ncbench_dtype``, or else the ``dtype`` of the request, which changes nothing inside a calculator. A factory that returns a force
    field of ncbench has declared all of this on its card.

    Raises:
        UsageError: the module or the factory is not there, or returns neither an ASE calculator nor a force field.
    """
    spec = row.source
    refuse_options(request, ("mode",), spec)
    if request.device != "cpu":
        raise UsageError(f"{spec} chooses its own device.", hint="Leave --device out.")
    try:
        with contained(spec):
            calculator = factory(spec)()
    except NcbenchError:
        raise
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"The factory {spec} failed: {type(error).__name__}: {error}.") from error
    if isinstance(calculator, ForceField):
        return calculator
    if isinstance(calculator, type):
        raise UsageError(
            f"{spec} returned the class {calculator.__name__}, not a calculator.",
            hint=f"Return {calculator.__name__}().",
        )
    if not isinstance(calculator, BaseCalculator) and not hasattr(calculator, "get_forces"):
        raise UsageError(f"{spec} returned a {type(calculator).__name__}, which is not an ASE calculator.")
    typed = parsed.mode if parsed.mode is not ForceMode.UNKNOWN else None
    declared: Any = typed or dict(request.options).get("mode") or getattr(calculator, "ncbench_force_mode", "unknown")
    try:
        mode = ForceMode(declared)
    except ValueError:
        raise UsageError(
            f"'{declared}' is not a force mode of {spec}.", hint="Modes: conservative, direct, unknown."
        ) from None
    dtype = getattr(calculator, "ncbench_dtype", request.dtype or "float64")
    if request.dtype not in (None, dtype):
        raise UsageError(f"{spec} computes in {dtype}, not in {request.dtype}.", hint="Leave --dtype out.")
    return wrapped(calculator, parsed.label, mode, dtype, dict(request.options))


def wrapped(
    calculator: Any, name: str, mode: ForceMode, dtype: str, options: Mapping[str, str] | None = None
) -> ASEForceField:
    """A calculator as a force field, with energies and stresses if it declares them.

    Args:
        calculator: an ASE calculator.
        name: for the column ``model``.
        mode: how its forces are computed, as its author declares it.
        dtype: arithmetic inside the calculator, ``float32`` or ``float64``.
        options: recorded on the card.
    """
    card = ModelCard(
        name=name,
        family="ase",
        force_mode=mode,
        force_modes=(mode,),
        elements=None,
        cutoff_A=None,
        receptive_A=None,
        dtype=dtype,
        device="cpu",
        has_energy=_has_energy(calculator),
        has_stress="stress" in getattr(calculator, "implemented_properties", ()),
        options=dict(options or {}),
    )
    return ASEForceField(calculator, card)


def _has_energy(calculator: Any) -> bool:
    implemented = getattr(calculator, "implemented_properties", None)
    if implemented:
        return "energy" in implemented
    return hasattr(calculator, "get_potential_energy")
