"""relax: does geometry optimisation converge? (Bigi, Langer & Ceriotti 2025, Table 7 and Figure 7.)

Without an energy whose gradient the forces are, nothing says that following them ends anywhere. The paper's criterion of
success is the largest force on an atom below 1e-5 eV/Å for molecules, 1e-4 eV/Å for bulk, within 1000 steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ncbench.diagnostics.base import Budget, Case, Context, Diagnostic, Outcome
from ncbench.diagnostics.relaxation import OPTIMIZERS, Ending, displaced_start, pieces, relax
from ncbench.diagnostics.statistics import wilson_interval
from ncbench.errors import UnsupportedError, UsageError
from ncbench.forcefields.base import ForceField
from ncbench.results.schema import Column, Status, TableSchema

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
    """Relaxations a set and optimiser whose force is written step by step."""

    def __post_init__(self) -> None:
        if self.optimizer not in ("both", *OPTIMIZERS):
            raise UsageError(f"There is no optimizer '{self.optimizer}'.", hint="Choose lbfgs, fire or both.")
        for name in ("n", "max_steps", "fmax"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} = {value} is not a positive number.")
        if self.displacement_A is not None and not 0 <= self.displacement_A < np.inf:
            raise UsageError(f"displacement_A = {self.displacement_A} is not a length.")

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimisers to run."""
        return tuple(OPTIMIZERS) if self.optimizer == "both" else (self.optimizer,)


SCHEMA = TableSchema(
    "relax",
    1,
    (
        Column("set", "str", "", "the structures relaxed: a named system or a file"),
        Column("optimizer", "str", "", "lbfgs or fire, as in ASE"),
        Column("n", "int", "", "relaxations"),
        Column("n_success", "int", "", "of these, with the largest force below fmax within max_steps"),
        Column("success_percent", "float", "%", "100 n_success / n"),
        Column("success_percent_low", "float", "%", "lower end of the 95 % Wilson interval"),
        Column("success_percent_high", "float", "%", "upper end of it"),
        Column("steps_median", "float", "steps", "median over the successes; absent without any"),
        Column("fmax_eV_per_A", "float", "eV/Å", "the criterion: largest force on an atom"),
        Column("max_steps", "int", "steps", "steps after which a relaxation has failed; 1000 in the paper"),
        Column("displacement_A", "float", "Å", "Gaussian displacement of every coordinate at the start"),
        Column("n_not_converged", "int", "", "failures: force above fmax after max_steps"),
        Column("n_exploded", "int", "", "failures: forces not finite, or an atom over 50 Å from its start"),
        Column("n_fragmented", "int", "", "successes that ended in more pieces than the undisplaced molecule has"),
        Column("n_redrawn", "int", "", "displaced starts drawn again because two nuclei were within 0.25 Å"),
        Column("n_unsupported", "int", "", "structures left out: they hold elements the model does not know"),
        Column(
            "fmax_end_median_eV_per_A", "float", "eV/Å", "median over all relaxations of the largest force at the end"
        ),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)

RUNS = TableSchema(
    "relax-runs",
    1,
    (
        Column("set", "str", "", "the structures relaxed"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation; both optimisers have the same start under it"),
        Column("ending", "str", "", "converged, not-converged or exploded"),
        Column("converged", "bool", "", "a success"),
        Column("steps", "int", "steps", "steps taken"),
        Column("fmax_end_eV_per_A", "float", "eV/Å", "largest force at the end"),
        Column("energy_eV", "float", "eV", "energy at the end"),
        Column("fragmented", "bool", "", "more pieces than the undisplaced molecule; absent for periodic structures"),
        Column("redrawn", "int", "", "displaced starts drawn again"),
        Column("force_calls", "int", "", "force evaluations"),
        Column("seconds", "float", "s", "wall time"),
    ),
)

TRACE = TableSchema(
    "relax-trace",
    1,
    (
        Column("set", "str", "", "the structures relaxed"),
        Column("optimizer", "str", "", "lbfgs or fire"),
        Column("start", "int", "", "number of the relaxation"),
        Column("step", "int", "steps", "step; 0 is the start"),
        Column("force_max_eV_per_A", "float", "eV/Å", "largest force on an atom"),
    ),
)


@dataclass(frozen=True)
class _Set:
    """Structures relaxed under one criterion."""

    name: str
    cases: tuple[Case, ...]
    n_unsupported: int
    n: int
    displacement_A: float
    fmax: float
    max_steps: int
    periodic: bool


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: RelaxSettings, *, seed: int, context: Context
) -> Outcome:
    """Relax each set with each optimiser. Cases of one set share their name up to the ``#``.

    Relaxations finished before a kill are not repeated.

    Raises:
        UnsupportedError: the model knows the elements of none of a set's structures.
        UsageError: the displacement brings atoms on top of each other in every draw.
    """
    sets = list(_sets(forcefield, cases, settings))
    done: dict[str, Any] = context.checkpoint.load() or {}
    work = _Work(forcefield, settings, seed, context, done)
    context.progress.start(sum(group.n for group in sets) * len(settings.optimizers), "relaxations")
    outcome = Outcome(side={"runs": [], "trace": []})
    for group in sets:
        for optimizer in settings.optimizers:
            found = [work.one(group, optimizer, start) for start in range(group.n)]
            outcome.rows.append(_summary(group, optimizer, [record for record, _ in found]))
            outcome.side["runs"] += [RUNS.row(**record) for record, _ in found]
            for record, trace in found[: settings.traces]:
                outcome.side["trace"] += _trace_rows(record, trace)
    return outcome


def _sets(forcefield: ForceField, cases: Sequence[Case], settings: RelaxSettings) -> Iterator[_Set]:
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
        yield _Set(
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
    """Relaxations, each done once: ``done`` holds what a killed run had finished."""

    def __init__(
        self, forcefield: ForceField, settings: RelaxSettings, seed: int, context: Context, done: dict[str, Any]
    ) -> None:
        self.forcefield, self.settings, self.seed, self.context, self.done = forcefield, settings, seed, context, done
        self.finished = 0

    def one(self, group: _Set, optimizer: str, start: int) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """Record and force trace of relaxation ``start``."""
        key = f"{group.name}|{optimizer}|{start}"
        if key not in self.done:
            record, trace = self._relax(group, optimizer, start)
            self.done[key] = record
            self.done[f"{key}|trace"] = trace if start < self.settings.traces else trace[-1:]
            self.context.checkpoint.save(self.done)
        self.finished += 1
        self.context.progress.update(self.finished)
        return self.done[key], np.asarray(self.done[f"{key}|trace"])

    def _relax(self, group: _Set, optimizer: str, start: int) -> tuple[dict[str, Any], NDArray[np.float64]]:
        case = group.cases[start % len(group.cases)]
        # The optimiser is not in the seed: both begin at the same displaced structures.
        atoms, redrawn = displaced_start(case.atoms, group.displacement_A, np.random.default_rng([self.seed, start]))

        def report(step: int, fmax: float) -> None:
            done = self.finished + step / group.max_steps
            self.context.progress.update(done, f"{optimizer} step {step}, largest force {fmax:.1e} eV/Å")

        result = relax(self.forcefield, atoms, optimizer, fmax=group.fmax, max_steps=group.max_steps, report=report)
        finite = bool(np.isfinite(result.positions).all())
        ended = case.atoms.copy()
        ended.positions = result.positions
        record = {
            "set": group.name,
            "structure": case.name,
            "n_atoms": len(case.atoms),
            "status": Status.EXPLODED.value if result.ending is Ending.EXPLODED else Status.OK.value,
            "reason": "the forces led nowhere" if result.ending is Ending.EXPLODED else "",
            "optimizer": optimizer,
            "start": start,
            "ending": result.ending.value,
            "converged": result.ending is Ending.CONVERGED,
            "steps": result.steps,
            "fmax_end_eV_per_A": _known(result.fmax_trace[-1]),
            "energy_eV": _known(result.energy),
            "fragmented": None if group.periodic or not finite else pieces(ended) > pieces(case.atoms),
            "redrawn": redrawn,
            "force_calls": result.force_calls,
            "seconds": result.seconds,
        }
        return record, result.fmax_trace


def _summary(group: _Set, optimizer: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    successes = [record for record in records if record["converged"]]
    low, high = wilson_interval(len(successes), group.n)
    ends = [record["fmax_end_eV_per_A"] for record in records if record["fmax_end_eV_per_A"] is not None]
    sizes = {record["n_atoms"] for record in records}

    def count(ending: Ending) -> int:
        return sum(record["ending"] == ending for record in records)

    return SCHEMA.row(
        structure=group.cases[0].name if len(group.cases) == 1 else "all",
        n_atoms=sizes.pop() if len(sizes) == 1 else None,
        status=Status.OK,
        reason="",
        set=group.name,
        optimizer=optimizer,
        n=group.n,
        n_success=len(successes),
        success_percent=100.0 * len(successes) / group.n,
        success_percent_low=100.0 * low,
        success_percent_high=100.0 * high,
        steps_median=float(np.median([record["steps"] for record in successes])) if successes else None,
        fmax_eV_per_A=group.fmax,
        max_steps=group.max_steps,
        displacement_A=group.displacement_A,
        n_not_converged=count(Ending.NOT_CONVERGED),
        n_exploded=count(Ending.EXPLODED),
        n_fragmented=sum(bool(record["fragmented"]) for record in successes),
        n_redrawn=sum(record["redrawn"] for record in records),
        n_unsupported=group.n_unsupported,
        fmax_end_median_eV_per_A=float(np.median(ends)) if ends else None,
        force_calls=sum(record["force_calls"] for record in records),
        seconds=sum(record["seconds"] for record in records),
    )


def _trace_rows(record: dict[str, Any], trace: NDArray[np.float64]) -> list[dict[str, Any]]:
    common = {name: record[name] for name in ("set", "structure", "n_atoms", "optimizer", "start", "status", "reason")}
    return [
        TRACE.row(**common, step=step, force_max_eV_per_A=_known(value)) for step, value in enumerate(trace.tolist())
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


DIAGNOSTIC = Diagnostic(
    name="relax",
    version=1,
    summary="Success rate of geometry optimisation with ASE's L-BFGS and FIRE, by the paper's criterion.",
    settings=RelaxSettings,
    presets={budget: RelaxSettings(extent=budget) for budget in Budget},
    run=run,
    schema=SCHEMA,
    side_schemas={"runs": RUNS, "trace": TRACE},
    default_system="water-molecule",
    default_structures={Budget.SMOKE: 5, Budget.LAPTOP: 20, Budget.PAPER: 100},
)
