"""mts: what multiple time stepping costs and what it saves (Bigi, Langer & Ceriotti 2025, Table 10 and App. I).

Direct forces alone, conservative ones alone, and direct steps corrected by the conservative forces every M-th: time a step, measured in
turns, beside 1 + F/M and 1 + (F − 1)/M with F the measured cost of conservative over direct; and the drift of the energy of each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.costs import DIRECT_COST
from ncbench.errors import UsageError
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import (
    EnsembleInterrupted,
    EnsembleRun,
    Scheme,
    check_settings,
    enough_samples,
    fast_and_right,
    interrupted_at,
    run_ensemble,
)
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import WARM_UP_CALLS, steps_of, warm_up
from ncbench.md.series import EnergySeries
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state, momenta_of
from ncbench.md.tables import NVE_SERIES, number, series_rows
from ncbench.models.interface import Field, ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.series import slope
from ncbench.types import Budget, Case, Interrupted, Outcome, Status
from ncbench.units import MEV


@dataclass(frozen=True, kw_only=True)
class MtsSettings:
    """Which strides, how long, and how long the clock runs."""

    strides: tuple[int, ...] = (2, 4, 8, 16)
    """M, one run each."""
    timestep_fs: float = 0.5
    """Of the direct forces, and of conservative dynamics without mts."""
    duration_fs: float = 1000.0
    temperature_K: float = 300.0
    redraw_momenta: bool = False
    sample_every: int = 2
    max_temperature_K: float = 1.0e4
    fix_com: bool = True
    timed_steps: int = 16
    """Steps of the shortest timed piece; rounded up to whole outer steps."""
    rounds: int = 5
    """Timed pieces of each kind, in turns."""

    def __post_init__(self) -> None:
        check_settings(self, duration_fs=self.duration_fs)
        if not self.strides or min(self.strides) < 1 or len(set(self.strides)) != len(self.strides):
            raise UsageError(f"strides {self.strides} are not different whole numbers from 1 up.")
        for name in ("timed_steps", "rounds"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, and 1 is the least.")


SCHEMA = TableSchema(
    "mts",
    1,
    (
        Column("integrator", "str", "", "direct, conservative, or mts"),
        Column("stride", "int", "", "M: direct steps to one evaluation of the conservative forces"),
        Column("timestep_fs", "float", "fs", "inner time step"),
        Column("ms_per_step", "float", "ms", "wall time of an inner step, median"),
        Column("ms_per_step_low", "float", "ms", "least of the timed pieces"),
        Column("ms_per_step_high", "float", "ms", "most of them"),
        Column(
            "ratio_cost",
            "float",
            "",
            "time of a step over that of direct forces alone, median of ratios taken in turns",
        ),
        Column("ratio_cost_low", "float", "", "least of the ratios"),
        Column("ratio_cost_high", "float", "", "most of them"),
        Column(
            "ratio_two_calls", "float", "", "1 + F/M: what it would be if each kind of forces needed a call of its own"
        ),
        Column("ratio_one_call", "float", "", "1 + (F − 1)/M: if one call gives both"),
        Column("both_in_one_call", "bool", "", "one call of this model gives both"),
        Column(
            "energy_drift_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of conservative + kinetic energy; direct: of the model's",
        ),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("exploded_at_fs", "float", "fs", "when it was found exploded"),
        Column("threads", "int", "", "threads of the processor the model may use"),
    ),
)
SERIES = TableSchema("mts-series", 1, (SCHEMA.columns[0], SCHEMA.columns[1], *NVE_SERIES.columns))


@dataclass(frozen=True)
class _Kind:
    """A way to make steps."""

    name: str
    model: ForceField
    scheme: Scheme

    @property
    def stride(self) -> int:
        return self.scheme.stride


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: MtsSettings, *, seed: int, context: Context
) -> Outcome:
    """Rows of each structure: direct, conservative, and each M. Finished runs are not repeated; what was timed is.

    Raises:
        UnsupportedError: no reference was named, and the model has one force mode only.
    """
    fast, right = fast_and_right(forcefield, context.reference)
    kinds = [_Kind("direct", fast, Scheme()), _Kind("conservative", right, Scheme())]
    kinds += [_Kind("mts", right, Scheme(fast=fast, stride=m)) for m in settings.strides]
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"series": []})
    counts = [steps_of(settings.duration_fs, settings.timestep_fs * kind.stride) for kind in kinds]
    context.progress.start(sum(counts) * len(cases), "steps")
    done = 0
    for index, case in enumerate(cases):
        timed = _timed(case, kinds, settings)
        for kind, n_steps in zip(kinds, counts, strict=True):

            def report(step: int, note: str, before: int = done, kind: _Kind = kind) -> None:
                context.progress.update(before + step, f"{kind.name} M = {kind.stride} {note}")

            here = replace(settings, sample_every=max(1, settings.sample_every // kind.stride))
            row = _row(case, kind, settings, timed[kind.name, kind.stride])
            try:
                ensemble = run_ensemble(
                    kind.model,
                    [case.atoms],
                    [index],
                    Dynamics(settings.timestep_fs * kind.stride),
                    here,
                    n_steps=n_steps,
                    seed=seed,
                    label="nve",
                    checkpoint=stages.stage(f"{index}.{kind.name}{kind.stride}"),
                    report=report,
                    scheme=kind.scheme,
                )
            except EnsembleInterrupted as stop:
                _report(outcome, row, stop.found[index][0], kind, settings)
                raise Interrupted(outcome) from None
            done += n_steps
            _report(outcome, row, ensemble, kind, settings)
    return outcome


def _report(outcome: Outcome, row: dict[str, Any], ensemble: EnsembleRun, kind: _Kind, settings: MtsSettings) -> None:
    outcome.rows.append(SCHEMA.row(**(row | _drift(ensemble, kind, settings))))
    where = {key: row[key] for key in ("structure", "n_atoms", "integrator", "stride", "timestep_fs")}
    outcome.side["series"] += series_rows(ensemble.series, 0, SERIES, where)


def _timed(case: Case, kinds: Sequence[_Kind], settings: MtsSettings) -> dict[tuple[str, int], dict[str, Any]]:
    """Milliseconds an inner step of each kind, and ratios to direct forces of the same round."""
    steppers = [_Stepper(case, kind, settings) for kind in kinds]
    found = [[stepper.milliseconds() for stepper in steppers] for _ in range(settings.rounds)]
    columns = list(zip(*found, strict=True))
    expense = statistics.median(b / a for a, b in zip(columns[0], columns[1], strict=True))
    shared = steppers[1].field.with_direct_forces(steppers[1].state.positions) is not None
    values = {}
    for kind, times in zip(kinds, columns, strict=True):
        ratios = [t / direct for t, direct in zip(times, columns[0], strict=True)]
        values[kind.name, kind.stride] = {
            "ms_per_step": statistics.median(times),
            "ms_per_step_low": min(times),
            "ms_per_step_high": max(times),
            "ratio_cost": statistics.median(ratios),
            "ratio_cost_low": min(ratios),
            "ratio_cost_high": max(ratios),
            "ratio_two_calls": 1.0 + expense / kind.stride if kind.name == "mts" else None,
            "ratio_one_call": 1.0 + (expense - 1.0) / kind.stride if kind.name == "mts" else None,
            "both_in_one_call": shared,
        }
    return values


class _Stepper:
    """Runs and times pieces of one trajectory that nobody keeps."""

    def __init__(self, case: Case, kind: _Kind, settings: MtsSettings) -> None:
        self.field: Field = kind.model.bind([case.atoms])
        self.particles = Particles.from_structures([case.atoms], fix_com=settings.fix_com, device=self.field.device)
        self.noise = NoiseSource(0, [0], device=self.field.device)
        self.dynamics = Dynamics(settings.timestep_fs * kind.stride, propagate=kind.scheme.propagator([case.atoms]))
        momenta = momenta_of([case.atoms], self.particles)
        if momenta is None:
            momenta = draw_momenta(
                self.particles, self.noise.initial_normals((len(case.atoms), 3)), settings.temperature_K
            )
        warm_up(self.field)
        self.state: MDState = initial_state(self.field, self.particles, momenta)
        self.outer = -(-settings.timed_steps // kind.stride)
        self.steps = self.outer * kind.stride
        for _ in range(WARM_UP_CALLS):
            self._advance()

    def milliseconds(self) -> float:
        """Time of an inner step over one piece."""
        self._wait()
        began = time.perf_counter()
        for _ in range(self.outer):
            self._advance()
        self._wait()
        return 1e3 * (time.perf_counter() - began) / self.steps

    def _advance(self) -> None:
        self.state = self.dynamics.step(self.state, self.field, self.particles, self.noise)

    def _wait(self) -> None:
        if self.field.device.type == "cuda":
            torch.cuda.synchronize(self.field.device)


def _row(case: Case, kind: _Kind, settings: MtsSettings, timed: dict[str, Any]) -> dict[str, Any]:
    return {
        "structure": case.name,
        "n_atoms": len(case.atoms),
        "integrator": kind.name,
        "stride": kind.stride,
        "timestep_fs": settings.timestep_fs,
        "duration_fs": settings.duration_fs,
        "threads": torch.get_num_threads(),
        **timed,
    }


def _drift(ensemble: EnsembleRun, kind: _Kind, settings: MtsSettings) -> dict[str, Any]:
    exploded = ensemble.result.exploded_fs(0, settings.timestep_fs * kind.stride)
    if exploded is not None:
        reason = f"not finite or above {settings.max_temperature_K:g} K after {exploded:g} fs"
        return {"exploded_at_fs": exploded, "status": Status.EXPLODED, "reason": reason}
    ended: dict[str, Any] = {"status": Status.OK, "reason": ""}
    if ensemble.stopped_fs is not None:
        reason = interrupted_at(ensemble)
        ended = {"duration_fs": ensemble.stopped_fs, "status": Status.INCOMPLETE, "reason": reason}
    if not enough_samples(ensemble, 0.0):
        return ended
    series: EnergySeries = ensemble.series
    times = series.times_fs / 1000.0
    energy = slope(times, series.total[:, 0] / (series.particles.n_atoms * MEV))
    heating = slope(times, series.temperature[:, 0])
    return {
        "energy_drift_meV_per_atom_per_ps": number(energy.value),
        "energy_drift_meV_per_atom_per_ps_se": number(energy.error),
        "drift_K_per_ps": number(heating.value),
        "drift_K_per_ps_se": number(heating.error),
        "temperature_mean_K": number(float(series.temperature[:, 0].mean())),
        **ended,
    }


def cost(settings: MtsSettings, n_atoms: int) -> float:
    """Steps with slow forces alone, with fast forces alone, and with each stride."""
    steps = settings.duration_fs / settings.timestep_fs + settings.rounds * settings.timed_steps
    return steps * (1.0 + DIRECT_COST + sum(DIRECT_COST + 1.0 / stride for stride in settings.strides))


SHOW = (
    Shown("forces", "integrator"),
    Shown("M", "stride"),
    Shown("ms/step", "ms_per_step"),
    Shown("cost", "ratio_cost"),
    Shown("1 + (F−1)/M", "ratio_one_call"),
    Shown("1 + F/M", "ratio_two_calls"),
    Shown("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"),
    Shown("⟨T⟩ K", "temperature_mean_K"),
)

DIAGNOSTIC = Diagnostic(
    name="mts",
    rank=60,
    version=1,
    summary="Multiple time stepping: cost of a step and drift for direct steps corrected every M-th, and for each force alone.",
    settings=MtsSettings,
    presets={
        Budget.SMOKE: MtsSettings(strides=(8,), duration_fs=40.0, rounds=3),
        Budget.LAPTOP: MtsSettings(duration_fs=500.0),
        Budget.PAPER: MtsSettings(duration_fs=50_000.0, sample_every=16, timed_steps=256, rounds=10),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    side_schemas={"series": SERIES},
)
