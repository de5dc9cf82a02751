"""Multiple time stepping: its cost and remaining drift (Bigi, Langer & Ceriotti 2025, Table 10 and App. I).

Fast forces are those of the force head, slow ones the conservative forces every M-th step (r-RESPA). There are constant-energy runs of each stride,
of fast forces alone and of slow forces alone. The three are timed alternately, so that changes of the machine's load affect all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.costs import DIRECT_COST
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UsageError
from ncbench.md.schemas import MASSES, NVE_SERIES
from ncbench.md.settings import MdSettings
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.types import Budget, Case, Interrupted, Outcome, Status

if TYPE_CHECKING:
    from ncbench.md.ensemble import EnsembleRun
    from ncbench.md.step_times import Stepping
    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class MtsSettings(MdSettings):
    """Strides, lengths and timing."""

    strides: Annotated[
        tuple[int, ...],
        Option("M: fast-force steps per slow-force evaluation, one run each.", metavar="M,M,…", comma=True),
    ] = (2, 4, 8, 16)
    rounds: Annotated[int, Option("Timed segments of each kind, measured alternately.", metavar="N")] = 5
    timed_steps: int = 16
    """Steps of the shortest timed segment; rounded up to whole outer steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strides or min(self.strides) < 1 or len(set(self.strides)) != len(self.strides):
            raise UsageError(f"strides {self.strides} must be different integers of at least 1.")
        for name in ("timed_steps", "rounds"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1.")


SCHEMA = TableSchema(
    "mts",
    3,
    (
        Column("integrator", "str", "", "direct, conservative, or mts"),
        Column("stride", "int", "", "M: fast-force steps per slow-force evaluation"),
        Column("timestep_fs", "float", "fs", "inner time step"),
        MASSES,
        Column("ms_per_step", "float", "ms", "wall time of an inner step, median"),
        Column("ms_per_step_low", "float", "ms", "shortest of the timed segments"),
        Column("ms_per_step_high", "float", "ms", "longest of them"),
        Column(
            "ratio_cost",
            "float",
            "",
            "time of a step over that of direct forces alone, median of ratios measured alternately",
        ),
        Column("ratio_cost_low", "float", "", "smallest of the ratios"),
        Column("ratio_cost_high", "float", "", "largest of them"),
        Column("ratio_two_calls", "float", "", "1 + F/M: expected if each kind of forces needs a call of its own"),
        Column("ratio_one_call", "float", "", "1 + (F − 1)/M: expected if one call gives both"),
        Column("both_in_one_call", "bool", "", "one call of this model gives both"),
        Column(
            "energy_drift_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of conservative potential + kinetic energy; for direct forces alone, with the energy of that mode",
        ),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("energy_drift_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("error_known", "bool", "", "if false, that error is a lower bound"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
        Column("threads", "int", "", "CPU threads of the model"),
    ),
)
SERIES = TableSchema("mts-series", 1, (SCHEMA.columns[0], SCHEMA.columns[1], *NVE_SERIES.columns))


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: MtsSettings, *, seed: int, context: Context
) -> Outcome:
    """Rows of each structure: fast forces alone, slow forces alone, and each M. Finished runs are not repeated; times are measured again.

    Raises:
        UnsupportedError: no reference was named, and the model has one force mode only.
    """
    import torch

    from ncbench.md.checkpoint import StagedCheckpoint
    from ncbench.md.ensemble import EnsembleInterrupted, Scheme, fast_and_slow, run_ensemble
    from ncbench.md.hydrogen_mass import masses_by_element, repartitioned_cases
    from ncbench.md.integrators import Dynamics
    from ncbench.md.run import steps_of
    from ncbench.md.step_times import Stepping, step_times

    fast, slow = fast_and_slow(forcefield, context.reference)
    kinds = [Stepping("direct", fast, Scheme()), Stepping("conservative", slow, Scheme())]
    kinds += [Stepping("mts", slow, Scheme(fast=fast, stride=m)) for m in settings.strides]
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"series": []})
    counts = [steps_of(settings.duration_fs, settings.timestep_fs * kind.stride) for kind in kinds]
    context.progress.start(sum(counts) * len(cases), "steps")
    refusals = Refusals(SCHEMA, len(cases))
    for index, case in enumerate(repartitioned_cases(cases, settings.hmr)):
        steps_before = sum(counts) * index
        try:
            times = step_times(case.atoms, kinds, settings, steps=settings.timed_steps, rounds=settings.rounds)
        except REFUSED as error:
            outcome.rows.append(refusals.row(case, error))
            continue
        for kind, n_steps, timed in zip(kinds, counts, times, strict=True):

            def report(step: int, note: str, before: int = steps_before, kind: Stepping = kind) -> None:
                context.progress.update(before + step, f"{kind.name} M = {kind.stride} {note}")

            row = {
                "structure": case.name,
                "n_atoms": len(case.atoms),
                "integrator": kind.name,
                "stride": kind.stride,
                "timestep_fs": settings.timestep_fs,
                "masses_u": masses_by_element(case.atoms, settings.hmr),
                "duration_fs": settings.duration_fs,
                "threads": torch.get_num_threads(),
                **timed,
            }
            try:
                ensemble = run_ensemble(
                    kind.model,
                    [case.atoms],
                    [index],
                    Dynamics(settings.timestep_fs * kind.stride),
                    replace(settings, sample_every=max(1, settings.sample_every // kind.stride)),
                    n_steps=n_steps,
                    seed=seed,
                    label="nve",
                    checkpoint=stages.stage(f"{index}.{kind.name}{kind.stride}"),
                    report=report,
                    scheme=kind.scheme,
                )
            except EnsembleInterrupted as stop:
                _add_row(outcome, row, stop.found[index][0], kind, settings)
                raise Interrupted(outcome) from None
            except REFUSED as error:
                outcome.rows.append(refusals.row(case, error))
                break
            steps_before += n_steps
            _add_row(outcome, row, ensemble, kind, settings)
    return outcome


def _add_row(
    outcome: Outcome, row: dict[str, Any], ensemble: EnsembleRun, kind: Stepping, settings: MtsSettings
) -> None:
    from ncbench.md.tables import series_rows

    outcome.rows.append(SCHEMA.row(**(row | _drift(ensemble, kind, settings))))
    where = {key: row[key] for key in ("structure", "n_atoms", "integrator", "stride", "timestep_fs")}
    outcome.side["series"] += series_rows(ensemble.series, 0, SERIES, where)


def _drift(ensemble: EnsembleRun, kind: Stepping, settings: MtsSettings) -> dict[str, Any]:
    from ncbench.md.ensemble import early_end, enough_samples, interrupted_at
    from ncbench.md.measured import heating, warming
    from ncbench.md.tables import number

    step_fs = settings.timestep_fs * kind.stride
    early = early_end(ensemble, 0, step_fs=step_fs, max_temperature_K=settings.max_temperature_K)
    if early:
        return early
    ended: dict[str, Any] = {"status": Status.OK, "reason": ""}
    if ensemble.stopped_fs is not None:
        reason = interrupted_at(ensemble)
        ended = {"duration_fs": ensemble.stopped_fs, "status": Status.INCOMPLETE, "reason": reason}
    if not enough_samples(ensemble, 0.0):
        return ended
    series = ensemble.series
    everything = series.times_fs >= 0.0
    energy, _ = heating(series, 0, everything, series.total)
    warmed = warming(series, 0, everything, energy)
    return {
        "energy_drift_meV_per_atom_per_ps": number(energy.value),
        "energy_drift_meV_per_atom_per_ps_se": number(energy.error),
        "energy_drift_dof": number(energy.dof),
        "error_known": energy.known,
        "drift_K_per_ps": number(warmed.value),
        "drift_K_per_ps_se": number(warmed.error),
        "temperature_mean_K": number(float(series.temperature[:, 0].mean())),
        **ended,
    }


def cost(settings: MtsSettings, n_atoms: int) -> float:
    """Steps with slow forces alone, with fast forces alone, and with each stride."""
    steps = settings.duration_fs / settings.timestep_fs + settings.rounds * settings.timed_steps
    return steps * (1.0 + DIRECT_COST + sum(DIRECT_COST + 1.0 / stride for stride in settings.strides))


DIAGNOSTIC = Diagnostic(
    name="mts",
    rank=60,
    version=4,
    summary="Multiple time stepping: fast direct forces corrected by conservative ones every M-th step; cost and remaining drift.",
    help="Times are measured alternately with those of direct and of conservative forces alone, and compared with the expected 1 + F/M and 1 + (F − 1)/M, "
    "where F is the cost of a conservative step over a direct one.",
    examples=("--model pet-m", "-m pet-m --strides 8 --duration 2000 --threads 2"),
    settings=MtsSettings,
    presets={
        Budget.SMOKE: MtsSettings(strides=(8,), duration_fs=40.0, rounds=3),
        Budget.LAPTOP: MtsSettings(duration_fs=500.0),
        Budget.PAPER: MtsSettings(duration_fs=50_000.0, sample_every=16, timed_steps=256, rounds=10),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("forces", "integrator"),
        Shown("M", "stride"),
        Shown("ms/step", "ms_per_step"),
        Shown("cost", "ratio_cost"),
        Shown("1 + (F−1)/M", "ratio_one_call"),
        Shown("1 + F/M", "ratio_two_calls"),
        Shown.measured("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", known="error_known"),
        Shown("⟨T⟩ K", "temperature_mean_K"),
    ),
    conditions=("timestep_fs", "duration_fs"),
    takes_reference=True,
    side_schemas={"series": SERIES},
)
