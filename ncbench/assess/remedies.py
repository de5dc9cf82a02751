"""Remedies of unsafe dynamics, each tried by a run and judged at three standard errors before it is called verified."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from ncbench.assess.assess import Assessor, decide_all, drift_of
from ncbench.assess.evidence import Step, Use
from ncbench.assess.forecast import GRADIENT_PS, needed_ps
from ncbench.assess.result import OPEN, PREDICTED, VERIFIED, Remedy
from ncbench.report.aggregate import longest, preferred, ranks_of
from ncbench.report.decide import EXCESS_K, HEATING_POWER, K_B, LOCAL_POWER, LOCAL_TAU_PS, Answer, Power, decide
from ncbench.report.judge import NVE, judge
from ncbench.report.read import Results
from ncbench.statistics.cells import mean_cell
from ncbench.statistics.format import number, with_error
from ncbench.statistics.intervals import SIGMAS
from ncbench.types import ForceMode

TRIAL_FS = (400.0, 2500.0)
"""Lengths of the runs that try a thermostat: powers of no heating have a known error from 2 ps."""
MOST_TAUS = 5
"""Time constants that are tried, each 2 to 2.5 times shorter than the one before."""
STRIDES = (8, 4, 2)
"""M of multiple time stepping, from the cheapest: each is tried where the one before it heats too much."""
STRIDE_FS = (640.0, 1000.0 * GRADIENT_PS)
"""Lengths of the runs that try a stride: heating that is resolved has a known error early, where none is resolved it has one in the longer run."""
LEAST_TAU_FS = 1000.0 * LOCAL_TAU_PS
"""Multiple time stepping that needs a stronger thermostat than the local one that is judged is no improvement worth its price."""


def thermostat(assessor: Assessor, use: Use) -> Remedy | None:
    """The weakest white-noise thermostat that a run shows to hold the temperature, from the one that the measured power allows down.

    Where no run of :data:`TRIAL_FS` verifies one of the :data:`MOST_TAUS`, the first is ``predicted`` unless it was shown to be too weak; ``None`` where
    all were.
    """
    results, model, mode = assessor.results(), assessor.found.model, assessor.found.mode
    power = heating_power(results, model, mode)
    tau = rounded_down(_longest_tau_fs(power)) if power is not None and power > 0 else 0.0
    harmonic = predicted_tau_fs(results, model, mode)
    if harmonic is not None:
        tau = min(tau, rounded_down(harmonic))
    predicted: Remedy | None = None
    for _ in range(MOST_TAUS):
        if tau <= 0.0:
            break
        what, price_text = (
            f"white-noise Langevin thermostat with τ ≤ {tau:g} fs",
            "dynamics are damped; no cost in time",
        )
        answer, evidence = _tried(assessor, tau)
        if answer is Answer.YES:
            return Remedy(use, what, price_text, VERIFIED, evidence)
        if answer is Answer.UNKNOWN:
            evidence = f"from the measured power, {number(power)} meV/atom/ps; there was no time to try it"
        if predicted is None and answer is not Answer.NO:
            predicted = Remedy(use, what, price_text, PREDICTED, evidence)
        if answer is Answer.UNKNOWN:
            break
        tau = rounded_down(0.9 * tau)
    return predicted


def _tried(assessor: Assessor, tau_fs: float) -> tuple[Answer, str]:
    """Whether the power under white noise of τ heats by less than :data:`~ncbench.report.decide.EXCESS_K`; unknown where no run fitted in the time."""
    answer, evidence = Answer.UNKNOWN, ""
    for duration_fs in TRIAL_FS:
        settings = {"thermostats": (f"langevin:{tau_fs:g}",), "equilibration_fs": 50.0, "duration_fs": duration_fs}
        step = Step("nvt", settings, assessor.question.seed, (), duration_fs)
        if not assessor.affordable(step):
            break
        assessor.do(step)
        row = _longest_trial(assessor.results(), assessor.found.model, assessor.found.mode, tau_fs)
        if row is None:
            return Answer.NO, ""
        factor, known = tau_fs / 1000.0 / (3.0 * K_B), bool(row["power_error_known"])
        excess = factor * float(row["power_meV_per_atom_per_ps"])
        error = factor * _error(row, "power_meV_per_atom_per_ps")
        answer, _ = decide(excess, error if known else math.nan, EXCESS_K)
        evidence = f"ΔT = Pτ/3k_B = {with_error(excess, error, known=known)} K at τ = {tau_fs:g} fs"
        # A longer run of what is close to the limit or beyond would find the same: a shorter τ is tried instead.
        if answer in (Answer.YES, Answer.NO) or abs(excess) > 0.5 * EXCESS_K:
            break
    return answer, evidence


def stepping(assessor: Assessor) -> Remedy | None:
    """Multiple time stepping with the largest M that leaves little heating; ``None`` where no M was tried."""
    question, found = assessor.question, assessor.found
    timed = Step("mts", {"strides": tuple(sorted(STRIDES)), "duration_fs": 16.0, "rounds": 3}, question.seed, ())
    if not assessor.affordable(timed):
        return None
    assessor.do(timed)
    best: Remedy | None = None
    for stride in STRIDES:
        for length_fs in STRIDE_FS:
            remedy = _tried_stride(assessor, stride, length_fs)
            if remedy is not None and remedy.status == VERIFIED:
                return remedy
            best = remedy or best
            power = drift_with_stride(assessor.results(), found.model, found.mode, stride)
            if power is not None and interval(power)[0] > LOCAL_POWER:
                # Too hot already: a longer run would find the same.
                break
    return best


def _tried_stride(assessor: Assessor, stride: int, length_fs: float) -> Remedy | None:
    """What a run of a stride shows; ``None`` where it does not fit in the time, or has no drift."""
    question, found = assessor.question, assessor.found
    step = Step(
        "nve-drift", {"mts": stride, "duration_fs": length_fs, "sample_every": stride}, question.seed, (), length_fs
    )
    results = assessor.results()
    ratio = ratio_cost(results, found.model, found.mode, stride)
    steps = length_fs / _timestep_fs(results, found.model, found.mode)
    if not assessor.finished(step) and assessor.speed.steps_s(steps * (ratio or 2.0)) > assessor.clock.left():
        return None
    assessor.do(step)
    results = assessor.results()
    power = drift_with_stride(results, found.model, found.mode, stride)
    if power is None:
        return None
    direct = drift_of(results, found.model, found.mode)
    return judge_stride(power, direct, stride, price(results, found.model, found.mode, stride))


def judge_stride(power: Power, direct: Power, stride: int, price_text: str) -> Remedy:
    """What a drift with multiple time stepping verifies: constant energy, or a thermostat whose longest τ follows from the drift's upper end.

    Nothing of it is called verified unless the drift's error is known. The error is at least the noise of the tolerated power.

    Args:
        power: the drift with multiple time stepping.
        direct: the drift with direct forces alone.
        stride: M.
        price_text: of the remedy.
    """
    what = f"multiple time stepping, conservative forces every {stride} steps"
    drift = f"drift {power.cell} meV/atom/ps in {power.length_ps:g} ps at constant energy, limit {HEATING_POWER:.3f}"
    answer, _ = power.decide(HEATING_POWER)
    if answer is Answer.YES:
        return Remedy(Use.NVE, what, price_text, VERIFIED, drift)
    _, most = interval(power)
    if math.isnan(most):
        return Remedy(Use.NVE, what, price_text, OPEN, f"{drift}; the error is a lower bound and verifies nothing")
    least, _ = interval(direct)
    less = (
        f"heating at least {rounded_down(least / most):g} times less than with direct forces"
        if least >= 2.0 * most
        else ""
    )
    if answer is Answer.NO:
        alone = "at constant energy alone still unsafe"
    else:
        needed = needed_ps(0.0, power.n_atoms, temperature_K=power.temperature_K)
        alone = f"at constant energy alone open (needs {needed:.0f} ps or more)"
    tau = rounded_down(_longest_tau_fs(most))
    if tau < LEAST_TAU_FS:
        return Remedy(Use.NVE, what, price_text, OPEN, "; ".join(filter(None, [drift, less, alone])))
    excess = f"so ΔT = Pτ/3k_B ≤ {number(most * tau / 1000.0 / (3.0 * K_B), 1)} K at τ = {tau:g} fs"
    damped = f"{what}, with a white-noise thermostat of τ ≤ {tau:g} fs"
    return Remedy(Use.LOCAL, damped, price_text, VERIFIED, "; ".join(filter(None, [drift, excess, less, alone])))


def conservative(assessor: Assessor) -> Remedy:
    """The model's own conservative forces: verified where they are safe at constant energy by the judge, from what is known or a run in the time left."""
    question, found = assessor.question, assessor.found
    assert question.conservative is not None
    results = assessor.results()
    judged = judge(results, found.model, ForceMode.CONSERVATIVE, results.main_system())
    (nve,) = [one for one in judged if one.use == NVE]
    status, evidence = VERIFIED if nve.answer is Answer.YES else OPEN, [nve.evidence]
    if nve.answer not in (Answer.YES, Answer.NO):
        if assessor.clock.left() > 0:
            asked = replace(question, model=question.conservative, conservative=None, uses=(Use.NVE,))
            (other,) = decide_all([Assessor(asked, assessor.means, assessor.clock)])
            found.steps += [f"{other.label}: {step}" for step in other.steps]
            status = VERIFIED if other.answer(Use.NVE) == "safe" else OPEN
            evidence = [one.evidence for one in other.judgements.values()] + list(other.outlook.values())
        else:
            evidence = ["there was no time to try them"]
    price_text = price(assessor.results(), found.model, found.mode, None)
    return Remedy(Use.NVE, "the model's conservative forces", price_text, status, "; ".join(evidence))


def heating_power(results: Results, model: str, mode: str) -> float | None:
    """Heating power, meV/atom/ps, from which a thermostat is proposed: at constant energy, otherwise under the thermostat."""
    for table, column in (
        ("nve-drift", "energy_drift_meV_per_atom_per_ps"),
        ("nvt", "power_meV_per_atom_per_ps"),
    ):
        rows = preferred(results.rows(table, model, mode), ranks_of(table))
        good = rows[(rows["status"] == "ok") & rows[column].notna()] if len(rows) else rows
        if len(good):
            length = good["steps"] * good["timestep_fs"]
            return float(good[length == length.max()][column].mean())
    return None


def predicted_tau_fs(results: Results, model: str, mode: str) -> float | None:
    """The longest τ of white noise, fs, under which ``predict`` has a stationary state that is not too hot; ``None`` where it has none or was not run."""
    rows = results.rows("predict", model, mode)
    if not len(rows):
        return None
    good = (rows["thermostat"] == "langevin") & (rows["species"] == "all") & (rows["temperature_excess_K"] < EXCESS_K)
    rows = rows[(rows["status"] == "ok") & good.fillna(False)]
    return float(rows["tau_fs"].max()) if len(rows) else None


def drift_with_stride(results: Results, model: str, mode: str, stride: int) -> Power | None:
    """The drift at constant energy with multiple time stepping; ``None`` where no run has one."""
    rows = results.rows("nve-drift", model, mode)
    if not len(rows):
        return None
    rows = rows[(rows["integrator"] == "mts") & (rows["stride"] == stride) & (rows["status"] == "ok")]
    rows = longest(rows[rows["energy_drift_meV_per_atom_per_ps"].notna()]) if len(rows) else rows
    if not len(rows):
        return None
    drift = mean_cell(rows, "energy_drift_meV_per_atom_per_ps")
    known = bool(rows["plateau"].fillna(False).all())
    length_ps = float((rows["steps"] * rows["timestep_fs"]).sum()) / 1000.0
    kelvin = float(rows["temperature_mean_K"].mean())
    return Power(replace(drift, loose=not known), int(rows["n_atoms"].mean()), length_ps, kelvin, "at constant energy")


def ratio_cost(results: Results, model: str, mode: str, stride: int | None) -> float | None:
    """Time of a step over that of direct forces; ``stride=None``: of conservative forces alone. ``None`` where it was not measured."""
    rows = results.rows("mts", model, mode)
    if not len(rows):
        return None
    wanted = (
        rows["integrator"] == "conservative"
        if stride is None
        else (rows["integrator"] == "mts") & (rows["stride"] == stride)
    )
    rows = rows[wanted & rows["ratio_cost"].notna()]
    return float(rows.iloc[-1]["ratio_cost"]) if len(rows) else None


def price(results: Results, model: str, mode: str, stride: int | None) -> str:
    """What a step costs, for a reader."""
    ratio = ratio_cost(results, model, mode, stride)
    return f"{ratio:.2f} times a step with direct forces" if ratio is not None else "its cost was not measured"


def interval(power: Power) -> tuple[float, float]:
    """Size of a power, meV/atom/ps, at :data:`SIGMAS` standard errors, from below and above; NaN where its error is not known.

    The measured error and the noise of the power itself, of which the wider counts: the ends p of the noise solve (p − P)² = 9 · 2 k_B T p/(N t).
    """
    if not power.known or power.cell.loose:
        return math.nan, math.nan
    size, margin = abs(power.cell.value or 0.0), SIGMAS * (power.cell.error or 0.0)
    spread = (SIGMAS * power.noise(1.0)) ** 2
    half = math.sqrt(spread * size + spread**2 / 4.0)
    return max(0.0, min(size - margin, size + spread / 2.0 - half)), max(size + margin, size + spread / 2.0 + half)


def _longest_trial(results: Results, model: str, mode: str, tau_fs: float) -> pd.Series[Any] | None:
    rows = results.rows("nvt", model, mode)
    if not len(rows):
        return None
    tried = (rows["thermostat"] == "langevin") & (rows["species"] == "all") & (rows["tau_fs"] == tau_fs)
    rows = rows[tried & (rows["status"] == "ok") & rows["power_meV_per_atom_per_ps"].notna()]
    return rows.iloc[int((rows["steps"] * rows["timestep_fs"]).to_numpy().argmax())] if len(rows) else None


def _timestep_fs(results: Results, model: str, mode: str) -> float:
    rows = results.rows("mts", model, mode)
    return float(rows["timestep_fs"].iloc[0]) if len(rows) else 0.5


def _error(row: Any, column: str) -> float:
    value = row[f"{column}_se"]
    return math.nan if pd.isna(value) else float(value)


def _longest_tau_fs(power: float) -> float:
    """τ, fs, at which white noise lets a power of that many meV/atom/ps heat by :data:`EXCESS_K`."""
    return 3.0 * K_B * EXCESS_K / power * 1000.0


def rounded_down(value: float) -> float:
    """1, 2 or 5 times a power of ten; 0 below 1: no time step resolves a thermostat of less than 1 fs."""
    if value < 1.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= value)
