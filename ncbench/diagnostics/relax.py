"""relax: does geometry optimisation converge? (Bigi, Langer & Ceriotti 2025, Table 7 and Figure 7.)

Without an energy whose gradient the forces are, nothing says that following them ends anywhere. The paper's criterion of
success is the largest force on an atom below 1e-5 eV/Å for molecules, 1e-4 eV/Å for bulk, within 1000 steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.diagnostics.relax_tables import RUNS, SCHEMA, TRACE, RelaxSet, run_record, summary, trace_rows
from ncbench.errors import UnsupportedError, UsageError
from ncbench.models.interface import ForceField
from ncbench.relaxation.batch import OPTIMIZERS, Trail, relax_many
from ncbench.relaxation.path import PATH, path_rows, write_path
from ncbench.relaxation.relaxation import Relaxation, Start, displaced_start
from ncbench.statistics.cells import Cell, rate_cell
from ncbench.types import Budget, Case, Outcome

if TYPE_CHECKING:
    import pandas as pd

Optimizer = Literal["both", "lbfgs", "fire"]


@dataclass(frozen=True)
class Extent:
    """What a set of structures is given."""

    n: int
    max_steps: int


MOLECULES = {Budget.SMOKE: Extent(5, 1000), Budget.LAPTOP: Extent(20, 1000), Budget.PAPER: Extent(100, 1000)}
PERIODIC = {Budget.SMOKE: Extent(1, 100), Budget.LAPTOP: Extent(2, 1000), Budget.PAPER: Extent(100, 1000)}
"""Relaxations and steps a set, where the settings do not say. A step of a liquid costs some fifty times one of a molecule."""


@dataclass(frozen=True, kw_only=True)
class RelaxSettings:
    """How structures are relaxed. What is ``None`` follows from the set, molecules or periodic."""

    optimizer: Optimizer = "both"
    n: int | None = None
    """Relaxations a set and optimiser; ``None`` by ``extent``. Undisplaced structures are relaxed once each at most."""
    displacement_A: float | None = None
    """Gaussian displacement of every coordinate at the start; ``None``: 0.5 Å for molecules, none for periodic structures."""
    fmax: float | None = None
    """Largest force of a relaxed structure, eV/Å; ``None``: 1e-5 for molecules, 1e-4 for periodic structures."""
    max_steps: int | None = None
    """``None`` by ``extent``; 1000 in the paper."""
    extent: Budget = Budget.LAPTOP
    """What ``n`` and ``max_steps`` are where they are not given."""
    traces: int = 3
    """Relaxations a set and optimiser whose forces are written step by step, and with ``history`` the path as well."""
    history: bool = False
    """Write the forces of all relaxations step by step, and the configurations that the first ``traces`` passed."""
    batch: int | None = None
    """Structures in one model call; ``None``: all of a size on a GPU, some 128 atoms on a CPU."""

    def __post_init__(self) -> None:
        if self.optimizer not in ("both", *OPTIMIZERS):
            raise UsageError(f"There is no optimizer '{self.optimizer}'.", hint="Choose lbfgs, fire or both.")
        for name in ("n", "max_steps", "fmax", "batch"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} = {value} is not a positive number.")
        if self.displacement_A is not None and not 0 <= self.displacement_A < np.inf:
            raise UsageError(f"displacement_A = {self.displacement_A} is not a length.")

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimisers to run."""
        return tuple(OPTIMIZERS) if self.optimizer == "both" else (self.optimizer,)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: RelaxSettings, *, seed: int, context: Context
) -> Outcome:
    """Relax each set with each optimiser. Cases of one set share their name up to the ``#``.

    What was finished before a kill is not repeated, and what was under way goes on.

    Raises:
        UnsupportedError: the model knows the elements of none of a set's structures.
        UsageError: the displacement brings atoms on top of each other in every draw.
    """
    sets = list(_sets(forcefield, cases, settings))
    work = _Work(forcefield, settings, seed, context, context.checkpoint.load() or {})
    context.progress.start(sum(group.n for group in sets) * len(settings.optimizers), "relaxations")
    outcome = Outcome(side={"runs": [], "trace": [], "path": []})
    for group in sets:
        work.relax(group)
        for optimizer in settings.optimizers:
            work.rows(group, optimizer, outcome)
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
                # One frame in ten of a broad data set may hold an exotic element: no reason to learn nothing of the rest.
                continue
            known.append(case)
        if not known:
            forcefield.check([members[0].atoms])
        periodic = bool(known[0].atoms.pbc.any())
        extent = (PERIODIC if periodic else MOLECULES)[Budget(settings.extent)]
        displacement = settings.displacement_A
        if displacement is None:
            displacement = 0.0 if periodic else 0.5
        n = settings.n or extent.n
        yield RelaxSet(
            name=name,
            cases=tuple(known),
            n_unsupported=len(members) - len(known),
            n=n if displacement > 0 else min(n, len(known)),
            displacement_A=displacement,
            fmax=settings.fmax or (1e-4 if periodic else 1e-5),
            max_steps=settings.max_steps or extent.max_steps,
            periodic=periodic,
        )


class _Work:
    """Relaxations, each done once: ``done`` holds what a killed run had finished, and the trails of what it had under way."""

    def __init__(
        self, forcefield: ForceField, settings: RelaxSettings, seed: int, context: Context, done: dict[str, Any]
    ) -> None:
        self.forcefield, self.settings, self.seed, self.context, self.done = forcefield, settings, seed, context, done
        self.before = 0

    def relax(self, group: RelaxSet) -> None:
        """Relax what of a set is not done, with every optimiser."""
        tasks = [(optimizer, start) for optimizer in self.settings.optimizers for start in range(group.n)]
        open_tasks = [task for task in tasks if _key(group, *task) not in self.done]
        # The optimiser is not in the seed: both begin at the same displaced structures.
        begun = {
            start: displaced_start(
                group.case(start).atoms, group.displacement_A, np.random.default_rng([self.seed, start])
            )
            for start in sorted({start for _, start in open_tasks})
        }
        already = self.before + len(tasks) - len(open_tasks)
        for number, result in relax_many(
            self.forcefield,
            [Start(begun[start][0], optimizer) for optimizer, start in open_tasks],
            fmax=group.fmax,
            max_steps=group.max_steps,
            batch=self.settings.batch,
            keep_path=lambda number: self.settings.history and open_tasks[number][1] < self.settings.traces,
            report=lambda done, note: self.context.progress.update(already + done, note),
            trails=self._trails(group, open_tasks),
            save=lambda trails: self._save(group, open_tasks, trails),
        ):
            optimizer, start = open_tasks[number]
            self._keep(group, optimizer, start, begun[start][1], result)
        self.before += len(tasks)
        self.context.progress.update(self.before)

    def _keep(self, group: RelaxSet, optimizer: str, start: int, redrawn: int, result: Relaxation) -> None:
        key = _key(group, optimizer, start)
        self.done.pop(f"{key}|trail", None)
        whole = self.settings.history or start < self.settings.traces
        self.done[f"{key}|history"] = result.history if whole else result.history[-1:]
        if len(result.path):
            self.done[f"{key}|path"], self.done[f"{key}|path_steps"] = result.path, result.path_steps
            if self.context.files is not None:
                name = f"{group.name}-{optimizer}-{start}.xyz"
                self.done[f"{key}|file"] = write_path(
                    self.context.files, name, group.case(start).atoms, result.path_steps, result.path
                )
        self.done[key] = run_record(group, optimizer, start, redrawn, result)
        self.context.checkpoint.save(self.done)

    def _trails(self, group: RelaxSet, tasks: Sequence[tuple[str, int]]) -> dict[int, Trail]:
        """What a killed run had under way, by number among the tasks."""
        kept = {number: self.done.get(f"{_key(group, *task)}|trail") for number, task in enumerate(tasks)}
        return {
            number: Trail(np.asarray(one["forces"]), np.asarray(one["energies"]), float(one["seconds"]))
            for number, one in kept.items()
            if one is not None
        }

    def _save(self, group: RelaxSet, tasks: Sequence[tuple[str, int]], trails: Mapping[int, Trail]) -> None:
        for number, trail in trails.items():
            self.done[f"{_key(group, *tasks[number])}|trail"] = vars(trail)
        self.context.checkpoint.save(self.done)

    def rows(self, group: RelaxSet, optimizer: str, outcome: Outcome) -> None:
        """Add what came of a set and optimiser."""
        records = [self.done[_key(group, optimizer, start)] for start in range(group.n)]
        outcome.rows.append(summary(group, optimizer, records))
        outcome.side["runs"] += [RUNS.row(**record) for record in records]
        for start, record in enumerate(records):
            key = _key(group, optimizer, start)
            if self.settings.history or start < self.settings.traces:
                outcome.side["trace"] += trace_rows(record, np.asarray(self.done[f"{key}|history"]))
            if f"{key}|path" in self.done:
                steps, path = np.asarray(self.done[f"{key}|path_steps"]), np.asarray(self.done[f"{key}|path"])
                outcome.side["path"] += path_rows(
                    record, group.case(start).atoms, steps, path, self.done.get(f"{key}|file")
                )


def _key(group: RelaxSet, optimizer: str, start: int) -> str:
    return f"{group.name}|{optimizer}|{start}"


TYPICAL_STEPS = {"lbfgs": 120, "fire": 300}
"""Steps of a relaxation that converges."""


def cost(settings: RelaxSettings, n_atoms: int) -> float:
    """Steps of a typical relaxation with each optimiser."""
    most = settings.max_steps or 1000
    return float(sum(min(most, TYPICAL_STEPS[name]) for name in settings.optimizers))


SHOW = (
    Shown("set", "set"),
    Shown("optimizer", "optimizer"),
    Shown("n", "n"),
    Shown("success %", "success_percent"),
    Shown("low %", "success_percent_low"),
    Shown("high %", "success_percent_high"),
    Shown("steps", "steps_median"),
)

def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Rate of success over all sets."""
    return (Quantity("relax", "relaxed", "%", _success, all_systems=True),)


def _success(rows: pd.DataFrame) -> Cell:
    trials = int(rows["n"].sum())
    return rate_cell(int(rows["n_success"].sum()), trials) if trials else Cell(missing="no relaxation was started")


DIAGNOSTIC = Diagnostic(
    name="relax",
    rank=80,
    version=2,
    summary="Success rate of geometry optimisation with ASE's L-BFGS and FIRE, by the paper's criterion.",
    settings=RelaxSettings,
    presets={budget: RelaxSettings(extent=budget) for budget in Budget},
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    quantities=quantities,
    ranks={"optimizer": ("lbfgs", "fire")},
    conditions=("set", "optimizer", "n"),
    side_schemas={"runs": RUNS, "trace": TRACE, "path": PATH},
    default_system="water-molecule",
    default_structures={Budget.SMOKE: 5, Budget.LAPTOP: 20, Budget.PAPER: 100},
)
