"""Convergence of geometry optimisation (Bigi, Langer & Ceriotti 2025, Table 7 and Figure 7).

Optimisation with forces that are not the gradient of an energy need not converge. The paper's criterion of success is a largest
force on an atom below 1e-5 eV/Å for molecules and 1e-4 eV/Å for periodic structures, within 1000 steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from ncbench.diagnostics.base import Context, Diagnostic, Divisible, Quantity, Shown
from ncbench.errors import StructureWarning, UnsupportedError, UsageError
from ncbench.options import Option
from ncbench.relaxation.schemas import PATH, RUNS, SCHEMA, TRACE
from ncbench.statistics.cells import Cell, rate_cell
from ncbench.types import Budget, Case, Outcome

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.models.interface import ForceField
    from ncbench.relaxation.tables import RelaxSet

OPTIMIZERS = ("lbfgs", "fire")
"""ASE's L-BFGS and FIRE, in the order of summaries."""


@dataclass(frozen=True)
class Extent:
    """Number of relaxations of a set, and their largest number of steps."""

    n: int
    max_steps: int


MOLECULES = {Budget.SMOKE: Extent(5, 1000), Budget.LAPTOP: Extent(20, 1000), Budget.PAPER: Extent(100, 1000)}
PERIODIC = {Budget.SMOKE: Extent(1, 100), Budget.LAPTOP: Extent(2, 1000), Budget.PAPER: Extent(100, 1000)}
"""Defaults of ``n`` and ``max_steps``. A step of a liquid costs about fifty times a step of a molecule."""


@dataclass(frozen=True, kw_only=True)
class RelaxSettings:
    """How structures are relaxed. Defaults of ``None`` depend on whether the structures are periodic."""

    optimizer: Annotated[Literal["both", "lbfgs", "fire"], Option("Optimisers of ASE.", metavar="lbfgs|fire|both")] = (
        "both"
    )
    n: Annotated[int | None, Option("Number of relaxations per set and optimiser.", metavar="N", minimum=1)] = None
    """``None``: see ``extent``. Structures that are not displaced are relaxed once each."""
    displacement_A: Annotated[
        float | None,
        Option(
            "Standard deviation of the initial displacement of every coordinate, Å; by default 0.5 for molecules, else 0.",
            flag="--displacement",
            metavar="Å",
        ),
    ] = None
    """``None``: 0.5 Å for molecules, none for periodic structures."""
    fmax: Annotated[
        float | None,
        Option(
            "Largest force of a converged structure, eV/Å; by default 1e-5 for molecules, else 1e-4.", metavar="eV/Å"
        ),
    ] = None
    """``None``: 1e-5 for molecules, 1e-4 for periodic structures."""
    max_steps: Annotated[int | None, Option("Largest number of steps of a relaxation.", metavar="N", minimum=1)] = None
    """``None``: see ``extent``; 1000 in the paper."""
    extent: Budget = Budget.LAPTOP
    """Budget that sets ``n`` and ``max_steps`` where they are ``None``."""
    traces: Annotated[
        int,
        Option(
            "Number of relaxations whose forces are written at every step, and with --history their configurations.",
            metavar="N",
            minimum=0,
        ),
    ] = 3
    history: Annotated[
        bool,
        Option(
            "Write the forces of every relaxation at every step, and the configurations of the first --traces ones."
        ),
    ] = False
    batch: Annotated[
        int | None,
        Option(
            "Structures in one model call; by default all of equal size on a GPU, about 128 atoms on a CPU.",
            metavar="R",
            minimum=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.optimizer not in ("both", *OPTIMIZERS):
            raise UsageError(f"There is no optimizer '{self.optimizer}'.", hint="Choose lbfgs, fire or both.")
        for name in ("n", "max_steps", "fmax", "batch"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; it must be positive and finite.")
        if self.displacement_A is not None and not 0 <= self.displacement_A < math.inf:
            raise UsageError(f"displacement_A is {self.displacement_A}; it must be ≥ 0 and finite.")

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimisers to run."""
        return OPTIMIZERS if self.optimizer == "both" else (self.optimizer,)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: RelaxSettings, *, seed: int, context: Context
) -> Outcome:
    """Relax each set with each optimiser. Cases of one set share their name up to the ``#``.

    A resumed run does not repeat finished relaxations and continues unfinished ones.

    Raises:
        UnsupportedError: the model supports the elements of no structure of a set.
        UsageError: every draw of the displacement puts two nuclei within 0.25 Å.
    """
    from ncbench.relaxation.sets import Relaxations

    sets = list(_sets(forcefield, cases, settings))
    work = Relaxations(
        forcefield, settings, seed, progress=context.progress, checkpoint=context.checkpoint, files=context.files
    )
    context.progress.start(sum(group.n for group in sets) * len(settings.optimizers), "relaxations")
    outcome = Outcome(side={"runs": [], "trace": [], "path": []})
    for group in sets:
        work.relax(group)
        for optimizer in settings.optimizers:
            work.rows(group, optimizer, outcome)
        runs = [record for record in outcome.side["runs"] if record["set"] == group.name]
        if all(record["steps"] == 0 and record["converged"] for record in runs):
            warnings.warn(
                f"{group.name}: the largest force of every initial structure is below {group.fmax:g} eV/Å, so that no relaxation was run.",
                StructureWarning,
                stacklevel=2,
            )
    return outcome


def _sets(forcefield: ForceField, cases: Sequence[Case], settings: RelaxSettings) -> Iterator[RelaxSet]:
    names = list(dict.fromkeys(case.name.rsplit("#", 1)[0] for case in cases))
    for name in names:
        members = [case for case in cases if case.name.rsplit("#", 1)[0] == name]
        known = []
        for case in members:
            try:
                forcefield.check([case.atoms])
            except UnsupportedError:
                # A structure with an unsupported element is counted and left out; the others are relaxed.
                continue
            known.append(case)
        if not known:
            forcefield.check([members[0].atoms])
        kinds = {kind: [case for case in known if bool(case.atoms.pbc.any()) is kind] for kind in (False, True)}
        mixed = all(kinds.values())
        for periodic, alike in kinds.items():
            if alike:
                # Molecules and crystals of one file have their own thresholds and starts.
                label = f"{name} ({'periodic' if periodic else 'molecules'})" if mixed else name
                yield _set(label, alike, len(members) - len(known), settings, periodic=periodic)


def _set(name: str, known: Sequence[Case], n_unsupported: int, settings: RelaxSettings, *, periodic: bool) -> RelaxSet:
    from ncbench.relaxation.tables import RelaxSet

    extent = (PERIODIC if periodic else MOLECULES)[Budget(settings.extent)]
    displacement = settings.displacement_A
    if displacement is None:
        displacement = 0.0 if periodic else 0.5
    n = settings.n or extent.n
    return RelaxSet(
        name=name,
        cases=tuple(known),
        n_unsupported=n_unsupported,
        n=n if displacement > 0 else min(n, len(known)),
        displacement_A=displacement,
        fmax=settings.fmax or (1e-4 if periodic else 1e-5),
        max_steps=settings.max_steps or extent.max_steps,
        periodic=periodic,
    )


TYPICAL_STEPS = {"lbfgs": 120, "fire": 300}
"""Typical number of steps of a relaxation that converges."""


def cost(settings: RelaxSettings, n_atoms: int) -> float:
    """Steps of a typical relaxation with each optimiser."""
    max_steps = settings.max_steps or 1000
    return float(sum(min(max_steps, TYPICAL_STEPS[name]) for name in settings.optimizers))


def relaxations_at_once(settings: RelaxSettings, cases: Sequence[Case]) -> int:
    """Relaxations, which begin at the same time."""
    if settings.batch == 1:
        return 1
    periodic = any(case.atoms.pbc.any() for case in cases)
    displaced = settings.displacement_A > 0 if settings.displacement_A is not None else not periodic
    n = settings.n or (PERIODIC if periodic else MOLECULES)[Budget(settings.extent)].n
    # Displaced structures are used again until there are n.
    started = n if displaced else min(n, len(cases))
    return len(settings.optimizers) * started


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Rate of success over all sets."""
    return (Quantity("relax", "relaxed", "%", _success, better="high", all_systems=True),)


def _success(rows: pd.DataFrame) -> Cell:
    trials = int(rows["n"].sum())
    return rate_cell(int(rows["n_success"].sum()), trials) if trials else Cell(missing="no relaxation was started")


DIAGNOSTIC = Diagnostic(
    name="relax",
    rank=80,
    version=2,
    summary="Geometry optimisation: success rate (largest force below a threshold), with its 95 % interval.",
    help="Initial structures and thresholds are those of the paper (Table 7): molecules (water-molecule, qm9) are displaced by 0.5 Å "
    "and must reach 1e-5 eV/Å; periodic systems (water-dft, water64, mptrj) are not displaced and must reach 1e-4 eV/Å; in both cases "
    "within 1000 steps.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative --system water-molecule",
        "-m sevennet-0 --system qm9 --optimizer lbfgs --n 20",
        "-m pet-m:direct -m pet-m:conservative --system water64 --n 1 --history",
    ),
    settings=RelaxSettings,
    presets={budget: RelaxSettings(extent=budget) for budget in Budget},
    run=run,
    schema=SCHEMA,
    cost=cost,
    divisible=Divisible("forces", relaxations_at_once),
    show=(
        Shown("set", "set"),
        Shown("optimizer", "optimizer"),
        Shown("n", "n"),
        Shown("success %", "success_percent"),
        Shown("low %", "success_percent_low"),
        Shown("high %", "success_percent_high"),
        Shown("in pieces", "n_fragmented", optional=True),
        Shown("steps", "steps_median"),
    ),
    quantities=quantities,
    ranks={"optimizer": OPTIMIZERS},
    conditions=("set", "optimizer", "n"),
    side_schemas={"runs": RUNS, "trace": TRACE, "path": PATH},
    default_system="water-molecule",
    default_structures={Budget.SMOKE: 5, Budget.LAPTOP: 20, Budget.PAPER: 100},
)
