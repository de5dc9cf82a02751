"""Families that are used through their package's own ASE calculator.

The adapter of such a family is one function that constructs the calculator; :func:`load_packaged` does the rest. It determines the
precision, the unit of stress, and whether the weights match the installed version by evaluating small structures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.errors import MissingPackageError, NcbenchError, UsageError, WeightsError
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.calculator_calls import Remembered, contained, evaluate
from ncbench.models.interface import Evaluation, ForceField, ModelCard
from ncbench.models.loading import choose_mode, refuse_options, require_trust, sha256_of, versions
from ncbench.models.packaged_checks import precision_of, stress_factor, why_implausible
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.weights import not_to_be_had
from ncbench.types import ForceMode, ModelRequest


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a family's function makes a calculator of."""

    source: str
    """The package's key of the weights."""
    checkpoint: Path | None
    """The user's own weights, in the place of those."""
    device: str
    dtype: str | None
    """``float32`` or ``float64`` if requested."""
    options: dict[str, str]
    request: ModelRequest
    """All of what was typed, for functions of :mod:`ncbench.models.options`."""


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A calculator, and what its package knows of the model behind it."""

    calculator: Any
    elements: frozenset[int] | None = None
    """Atomic numbers; ``None`` where the package does not say."""
    cutoff_A: float | None = None
    layers: int | None = None
    """Exchanges of messages between neighbours."""
    checkpoint: Path | None = None
    """File of the weights."""
    vacuum_A: float = 0.0
    """Vacuum around structures that are not periodic, for packages that take periodic ones alone; none where 0. It must exceed the
    cutoff: then the periodic images of an isolated structure do not see each other."""
    options: dict[str, str] = field(default_factory=dict)
    """Options in force, for the card."""


Make = Callable[[Wanted], Packaged]


class PackagedForceField(ASEForceField):
    """A package's calculator, in eV and Å."""

    def __init__(self, packaged: Packaged, card: ModelCard, *, stress_factor: float) -> None:
        super().__init__(packaged.calculator, card)
        self._vacuum_A, self._stress_factor = packaged.vacuum_A, stress_factor

    def one(self, atoms: Atoms, *, stress: bool = False) -> Evaluation:
        """See :class:`ncbench.models.ase_adapter.ASEForceField`."""
        result = super().one(with_vacuum(atoms, self._vacuum_A), stress=stress)
        if result.stress is None:
            return result
        return replace(result, stress=result.stress * self._stress_factor)


def with_vacuum(atoms: Atoms, vacuum_A: float) -> Atoms:
    """``atoms`` as a structure that is periodic along all directions, with at least ``vacuum_A`` (Å) between images along those where
    it is not periodic; ``atoms`` itself where it is periodic, or ``vacuum_A`` is 0.
    """
    if not vacuum_A or atoms.pbc.all():
        return atoms
    boxed: Atoms = atoms.copy()
    cell = np.array(atoms.cell)
    for axis in np.flatnonzero(~atoms.pbc):
        cell[axis] = 0.0
    boxed.set_cell(cell)
    cell = np.array(boxed.cell.complete())
    for axis in np.flatnonzero(~atoms.pbc):
        # Vectors of missing directions are normal to the others.
        along = cell[axis] / np.linalg.norm(cell[axis])
        extent = float(np.ptp(atoms.positions @ along))
        # A multiple of 1 Å, so that the cell does not change in every step of a simulation.
        cell[axis] = along * (np.ceil(extent) + np.ceil(vacuum_A) + 1.0)
    boxed.set_cell(cell)
    boxed.pbc = True
    return boxed


def load_packaged(
    request: ModelRequest, parsed: ParsedSpec, row: ModelRow, *, make: Make, distributions: Sequence[str]
) -> ForceField:
    """A force field of the calculator that ``make`` returns; ``distributions`` are the packages whose versions the card records.

    Raises:
        UsageError: a mode, option or dtype that there is not.
        UntrustedCheckpointError: the user's own file, which is a pickle, without the user's word for it.
        MissingPackageError: a package that the calculator needs is not installed.
        WeightsError: the weights cannot be downloaded or read, or do not suit the installed version of the package.
    """
    refuse_options(request, row.options, parsed.label)
    mode = choose_mode(parsed, row.modes)
    own = None if request.checkpoint is None else Path(request.checkpoint)
    if own is not None:
        require_trust(own, request, row=row)
    wanted = Wanted(
        source=row.source,
        checkpoint=own,
        device=request.device,
        dtype=request.dtype,
        options=dict(request.options),
        request=request,
    )
    packaged = _made(wanted, row, make)
    known = versions(*distributions)

    remembered = Remembered()

    def call(atoms: Atoms, *, stress: bool = False) -> Evaluation:
        boxed = with_vacuum(atoms, packaged.vacuum_A)
        return evaluate(packaged.calculator, boxed, name=parsed.label, stress=stress, remembered=remembered)

    dtype = precision_of(packaged.calculator, call, packaged.elements)
    if request.dtype not in (None, dtype):
        raise UsageError(f"{parsed.label} computes in {dtype}, not in {request.dtype}.", hint="Leave --dtype out.")
    # A model of the user's own may be of one substance.
    if own is None and (why := why_implausible(call, packaged.elements)):
        raise WeightsError(
            f"The weights of {parsed.label} do not suit {', '.join(f'{name} {version}' for name, version in known.items())}: {why}.",
            hint="Install the version that they were made with.",
        )
    factor = stress_factor(call, packaged.elements, dtype) if mode is ForceMode.CONSERVATIVE else None
    reach = None if packaged.cutoff_A is None or packaged.layers is None else packaged.cutoff_A * packaged.layers
    card = ModelCard(
        name=parsed.label,
        family=row.family,
        force_mode=mode,
        force_modes=(mode,),
        elements=packaged.elements,
        cutoff_A=packaged.cutoff_A,
        receptive_A=None if reach is None else reach * (2 if mode is ForceMode.CONSERVATIVE else 1),
        dtype=dtype,
        device=request.device,
        has_stress=factor is not None,
        checkpoint="" if packaged.checkpoint is None else packaged.checkpoint.name,
        checkpoint_sha256="" if packaged.checkpoint is None else sha256_of(packaged.checkpoint),
        packages=known,
        precision={"weights": dtype},
        options={
            **dict(request.options),
            **packaged.options,
            **({} if factor in (None, 1.0) else {"stress": f"the calculator's times {factor:.6g}"}),
        },
        licence=row.licence,
        citation=row.citation,
    )
    return PackagedForceField(packaged, card, stress_factor=factor or 1.0)


def _made(wanted: Wanted, row: ModelRow, make: Make) -> Packaged:
    """The calculator, or a sentence in the place of what packages raise when they find, fetch or read their weights."""
    try:
        with contained(row.name):
            return make(wanted)
    except NcbenchError:
        raise
    except ImportError as error:
        raise MissingPackageError(f"{row.name} cannot be loaded: {error}.") from error
    except (ConnectionError, OSError) as error:
        raise not_to_be_had(
            row.name, error, url=row.url or f"the weights '{row.source}' of the package", trust=True
        ) from error
    except (
        AssertionError, AttributeError, EOFError, KeyError, NotImplementedError, RuntimeError, TypeError, UnpicklingError, ValueError,
    ) as error:  # fmt: skip
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        file = wanted.checkpoint.name if wanted.checkpoint is not None else wanted.source
        raise WeightsError(
            f"The package cannot load '{file}' as {row.name}: {type(error).__name__}: {first}"
        ) from error
