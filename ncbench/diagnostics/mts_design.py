"""Choice of M and Δt for multiple time stepping: from the spectrum of f_slow − f_fast along a short conservative run, tried in a scan of M.

Impulses every MΔt resonate with a vibration at half its period (:mod:`ncbench.md.resonance`). The run gives the highest frequency, the slow part κ of each
frequency, and with them a bound on the growth of every M. The scan runs each M from the same start and measures the drift of the energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import DIRECT_COST
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UsageError
from ncbench.md.schemas import DESIGN, DESIGN_SCAN, DESIGN_SPECTRUM
from ncbench.md.settings import MdSettings
from ncbench.options import Option
from ncbench.statistics.format import number as figure
from ncbench.types import Budget, Case, Interrupted, Outcome, Status

if TYPE_CHECKING:
    from ncbench.md.design import Design
    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class MtsDesignSettings(MdSettings):
    """The run for the spectrum, and the scan."""

    strides: Annotated[
        tuple[int, ...],
        Option(
            "M: fast-force steps per slow-force evaluation, one run each; 1 is slow forces alone.",
            metavar="M,M,…",
            comma=True,
        ),
    ] = (1, 2, 4, 6, 8, 10, 12)
    scan_fs: Annotated[float, Option("Length of each run of the scan, fs.", flag="--scan", metavar="FS")] = 250.0
    limit_meV_per_atom_per_ps: Annotated[
        float,
        Option(
            "Drift of the energy, of either sign, that a verified M excludes by three standard errors, meV/atom/ps. 1 heats by 4 K/ps.",
            flag="--limit",
            metavar="P",
        ),
    ] = 1.0
    rounds: Annotated[int, Option("Timed segments of each M, measured alternately.", metavar="N")] = 3
    timed_steps: int = 16
    """Steps of the shortest timed segment; rounded up to whole outer steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strides or min(self.strides) < 1 or len(set(self.strides)) != len(self.strides):
            raise UsageError(f"strides {self.strides} must be different integers of at least 1.")
        for name in ("timed_steps", "rounds", "scan_fs", "limit_meV_per_atom_per_ps"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be positive.")
        samples = self.duration_fs / (self.timestep_fs * self.sample_every)
        if samples < LEAST_SAMPLES:
            raise UsageError(
                f"{self.duration_fs:g} fs with a sample every {self.timestep_fs * self.sample_every:g} fs give {samples:.0f} samples; a spectrum needs {LEAST_SAMPLES}.",
                hint="Use a longer --duration.",
            )


LEAST_SAMPLES = 16
"""Of a spectrum with more than a few frequencies."""


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: MtsDesignSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure and M; the recommendation of each structure is in the side table ``design``.

    Raises:
        UnsupportedError: no reference was named, and the model has one force mode only.
    """
    from ncbench.md.checkpoint import StagedCheckpoint
    from ncbench.md.design import Design, StructureRuns
    from ncbench.md.ensemble import EnsembleInterrupted, Scheme, fast_and_slow
    from ncbench.md.hydrogen_mass import masses_by_element, repartitioned_cases
    from ncbench.md.run import steps_of
    from ncbench.md.step_times import Stepping, step_times

    fast, slow = fast_and_slow(forcefield, context.reference)
    kinds = [Stepping("fast", fast, Scheme()), Stepping("slow", slow, Scheme())]
    kinds += [Stepping("mts", slow, Scheme(fast=fast, stride=m)) for m in settings.strides if m > 1]
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"spectrum": [], "design": []})
    scans = [steps_of(settings.scan_fs, settings.timestep_fs * m) for m in settings.strides]
    first = steps_of(settings.duration_fs, settings.timestep_fs)
    context.progress.start((first + sum(scans)) * len(cases), "steps")
    done = 0
    refusals = Refusals(DESIGN_SCAN, len(cases))
    for index, case in enumerate(repartitioned_cases(cases, settings.hmr)):
        runs = StructureRuns(case.atoms, index, settings, seed, stages, context.progress, steps_before=done)
        done += first + sum(scans)
        where = {"structure": case.name, "n_atoms": len(case.atoms)}
        masses = masses_by_element(case.atoms, settings.hmr)
        common = {**where, "timestep_fs": settings.timestep_fs, "masses_u": masses}
        rows: list[dict[str, Any]] = []
        try:
            spectrum, failed = runs.conservative(fast, slow, first)
            if spectrum is None:
                outcome.rows += [DESIGN_SCAN.row(**common, stride=m, **failed) for m in settings.strides]
                continue
            times = step_times(case.atoms, kinds, settings, steps=settings.timed_steps, rounds=settings.rounds)
            # The fast forces alone are timed for the ratio only.
            by_stride = {kind.stride: (kind, timed) for kind, timed in zip(kinds[1:], times[1:], strict=True)}
            design = Design(spectrum, settings.timestep_fs, settings.limit_meV_per_atom_per_ps)
            for stride, n_steps in zip(settings.strides, scans, strict=True):
                kind, timed = by_stride[stride]
                values = runs.scan(kind, n_steps, settings.limit_meV_per_atom_per_ps)
                cost = {name: timed[name] for name in ("ms_per_step", "ratio_cost")}
                rows.append(common | cost | _predicted(design, stride) | values | _per_sample(cost, values, settings))
        except EnsembleInterrupted:
            raise Interrupted(outcome) from None
        except REFUSED as error:
            outcome.rows.append(refusals.row(case, error))
            continue
        outcome.rows += [DESIGN_SCAN.row(**row) for row in rows]
        outcome.side["spectrum"] += [DESIGN_SPECTRUM.row(**where, **one) for one in design.spectrum_rows()]
        outcome.side["design"].append(DESIGN.row(**common, **design.row(), **_recommended(rows, design)))
    return outcome


def _predicted(design: Design, stride: int) -> dict[str, Any]:
    return {
        "stride": stride,
        "outer_fs": stride * design.timestep_fs,
        "growth_bound_per_ps": design.growth_per_ps(stride),
        "below_resonance": stride <= design.stride,
    }


def _per_sample(cost: dict[str, Any], values: dict[str, Any], settings: MtsDesignSettings) -> dict[str, Any]:
    """Time for an independent sample of the temperature, 2τ_c of dynamics at this cost, where the run is long enough for τ_c."""
    if not values.get("correlation_known"):
        return {}
    return {
        "ms_per_independent_sample": cost["ms_per_step"] * 2.0 * values["correlation_time_fs"] / settings.timestep_fs
    }


def _recommended(rows: Sequence[dict[str, Any]], design: Design) -> dict[str, Any]:
    """The largest verified M of the scan: it and every smaller one tried stays below the limit. It lies below the first resonance too."""
    ordered = sorted(rows, key=lambda row: int(row["stride"]))
    drifting = [row["stride"] for row in ordered if row["verdict"] not in ("stable", "open")]
    not_stable = [row["stride"] for row in ordered if row["verdict"] != "stable" or not row["below_resonance"]]
    below = [row["stride"] for row in ordered if row["below_resonance"]]
    before = [stride for stride in below if not drifting or stride < drifting[0]]
    verified = [row["stride"] for row in ordered if not not_stable or row["stride"] < not_stable[0]]
    return {
        "stride_without_drift": before[-1] if before else None,
        "stride_first_drift": drifting[0] if drifting else None,
        "stride_verified": verified[-1] if verified else None,
        "status": Status.OK,
        "reason": "",
    }


def cost(settings: MtsDesignSettings, n_atoms: int) -> float:
    """The conservative run with fast forces at its samples, the scan, and the timing."""
    first = settings.duration_fs / settings.timestep_fs * (1.0 + DIRECT_COST / settings.sample_every)
    scan = settings.scan_fs / settings.timestep_fs + settings.rounds * settings.timed_steps
    per_step = sum(1.0 if m == 1 else DIRECT_COST + 1.0 / m for m in settings.strides)
    return first + scan * per_step


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """The recommendation of each structure."""
    del rows
    return [f"{_of_spectrum(row)} {_trial(row)}" for row in side("design")]


def _of_spectrum(row: Mapping[str, Any]) -> str:
    period, timestep = figure(row["shortest_period_fs"], 3), figure(row["timestep_longest_fs"], 2)
    at_run = _stride_text(row, row["timestep_fs"], row["stride_below_resonance"])
    recommended = _stride_text(row, row["timestep_recommended_fs"], row["stride_recommended"])
    used = (
        ""
        if row["timestep_fs"] <= row["timestep_longest_fs"]
        else f" These runs used {row['timestep_fs']:g} fs, which is longer: --timestep {row['timestep_recommended_fs']:g} scans M at the recommended Δt."
    )
    return (
        f"{label_of(row)}, {row['structure']}: highest frequency {figure(row['highest_per_cm'], 4)} cm⁻¹ (spectrum to {figure(row['resolution_per_cm'], 3)} cm⁻¹; period {period} fs), so Δt ≤ {timestep} fs and "
        f"MΔt < {figure(row['first_resonance_fs'], 3)} fs: at {row['timestep_fs']:g} fs {at_run}, "
        f"at {row['timestep_recommended_fs']:g} fs {recommended}.{used}"
    )


def _stride_text(row: Mapping[str, Any], timestep_fs: float, stride: float | None) -> str:
    """``M ≤ 6``; with the reason where the resonance alone would allow a larger M."""
    largest, below = _integer(stride), math.ceil(row["first_resonance_fs"] / timestep_fs - 1e-9) - 1
    if largest is None or largest >= below:
        return f"M ≤ {largest}"
    return f"M ≤ {largest} (M = {largest + 1} is below that too, and may grow within the resolution of the spectrum)"


def _trial(row: Mapping[str, Any]) -> str:
    verified, before, first = (_integer(row[f"stride_{name}"]) for name in ("verified", "without_drift", "first_drift"))
    drifts = "" if first is None else f" M = {first} drifts or explodes."
    if verified is not None:
        return f"Verified in the scan: M = {verified}, below the first resonance.{drifts}"
    if before is None:
        return f"In the scan the energy drifts with M = {first} already, so that a larger M is not tested."
    return (
        f"No M is verified: up to M = {before}, below the first resonance, the scan shows no drift, and is too short to exclude one of "
        f"{row['limit_meV_per_atom_per_ps']:g} meV/atom/ps; --scan lengthens it.{drifts}"
    )


def _integer(value: float | None) -> int | None:
    """An absent number is NaN in rows that were read from a table."""
    return None if value is None or math.isnan(value) else int(value)


DIAGNOSTIC = Diagnostic(
    name="mts-design",
    rank=61,
    version=3,
    summary="Choice of M and Δt for multiple time stepping, from the spectrum of slow minus fast forces and a scan of M.",
    help="The highest frequency of a short conservative run gives the first resonance, MΔt of half a period, and the longest Δt (frequency error 0.5 %). "
    "The spectrum of f_slow − f_fast bounds the growth for each M. The scan runs each M and measures the drift of the energy, its cost per step, and the cost of an "
    "independent sample of the temperature. With --hmr, all runs have the repartitioned masses.",
    examples=("--model pet-m", "-m pet-m --strides 1,2,4,8 --scan 1000", "-m pet-m --hmr 3 --timestep 1"),
    settings=MtsDesignSettings,
    presets={
        Budget.SMOKE: MtsDesignSettings(strides=(1, 4, 12), duration_fs=200.0, scan_fs=24.0, sample_every=2, rounds=1),
        Budget.LAPTOP: MtsDesignSettings(duration_fs=500.0),
        Budget.PAPER: MtsDesignSettings(
            duration_fs=5000.0, scan_fs=20_000.0, strides=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16)
        ),
    },
    run=run,
    schema=DESIGN_SCAN,
    side_schemas={"spectrum": DESIGN_SPECTRUM, "design": DESIGN},
    cost=cost,
    show=(
        Shown("M", "stride"),
        Shown("MΔt fs", "outer_fs"),
        Shown("below resonance", "below_resonance"),
        Shown("growth ≤ 1/ps", "growth_bound_per_ps"),
        Shown.measured("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", known="error_known"),
        Shown("scan", "verdict"),
        Shown("ms/step", "ms_per_step"),
        Shown("ms/sample", "ms_per_independent_sample"),
    ),
    remarks=remarks,
    conditions=("timestep_fs", "scan_fs"),
    takes_reference=True,
)
