"""Remedies of unsafe dynamics, each tried by a run and judged at three standard errors before it is called verified."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from ncbench.assess.assess import Assessor, decide_all
from ncbench.assess.commands import command
from ncbench.assess.evidence import Step, Use, ladder
from ncbench.assess.forecast import GRADIENT_PS
from ncbench.assess.result import OPEN, PREDICTED, VERIFIED, Remedy
from ncbench.report.aggregate import preferred, ranks_of
from ncbench.report.cards import step_milliseconds
from ncbench.report.decide import EXCESS_K, LOCAL_TAU_PS, Answer, decide, heat_capacity
from ncbench.report.judge import NVE, judge
from ncbench.report.read import Results
from ncbench.statistics.format import duration, number, with_error
from ncbench.types import ForceMode

TRIAL_FS = (400.0, 3072.0)
"""Lengths of the runs that try a thermostat: powers have a known error, or a bound, from :data:`ncbench.statistics.heating.DRAWN_MEMORY_PS`."""
DAMPED = "no cost in time; diffusion and spectra are damped"
"""Cost of white noise."""
INSTEAD = "instead of NVE, "
"""A thermostatted run does not conserve the energy: where NVE is unsafe, it replaces that use."""
UNTRIED_NVE = "not tried at constant energy"
NVE_TRIAL_FS = 10_000.0
"""Length of the run that tries multiple time stepping at constant energy."""
MOST_TAUS = 5
"""Time constants that are tried, each 2 to 2.5 times shorter than the one before."""
STRIDES = (8, 4, 2)
"""M of multiple time stepping, from the cheapest: each is tried where the one before it heats too much."""
JUDGED_TAU_FS = 1000.0 * LOCAL_TAU_PS
"""Of the local thermostat that is judged, fs."""
SCATTER = 0.2
"""Distance of the quartiles of a measured cost, as a share of it, from which they are printed: on a busy machine a remedy may look cheaper than it is."""
STRIDE_TAU_FS = JUDGED_TAU_FS
"""White noise under which a stride is tried: the local thermostat that is judged. At constant energy even a small power of multiple time stepping feeds
itself until the liquid explodes (``pet-m`` with M = 8 after 2.5 ps), and a run that could show no heating at all would need some 30 ps."""


def thermostat(assessor: Assessor) -> Remedy | None:
    """The weakest white-noise thermostat that a run shows to hold the temperature, from the one that the measured power allows down.

    Where no run of :data:`TRIAL_FS` verifies one of the :data:`MOST_TAUS`, the first is ``predicted`` unless it was shown to be too weak; ``None`` where
    all were.
    """
    results, model, mode = assessor.results(), assessor.found.model, assessor.found.mode
    power = heating_power(results, model, mode)
    # The time constant at which white noise lets this power heat by the tolerated excess.
    tolerated = 1000.0 * heat_capacity(assessor.question.n_atoms) * EXCESS_K
    tau = rounded_down(tolerated / power) if power is not None and power > 0 else 0.0
    # Without a power, because every run exploded, the judged time constant comes first.
    if power is None and assessor.explosions:
        tau = JUDGED_TAU_FS
    exploded = exploded_tau_fs(results, model, mode)
    if exploded is not None:
        tau = min(tau, rounded_down(0.9 * exploded))
    harmonic = predicted_tau_fs(results, model, mode)
    if harmonic is not None:
        tau = min(tau, rounded_down(harmonic))
    predicted: Remedy | None = None
    for _ in range(MOST_TAUS):
        if tau <= 0.0:
            break
        what, price_text = _white_noise(assessor, tau), DAMPED
        answer, evidence = _tried(assessor, tau)
        if answer is Answer.YES:
            return Remedy(Use.LOCAL, what, price_text, VERIFIED, evidence, tau)
        if answer is Answer.UNKNOWN:
            source = "the prediction" if power is None else f"the measured power, {number(power)} meV/atom/ps"
            evidence = f"from {source}; no time left to try it"
        if predicted is None and answer is not Answer.NO:
            predicted = Remedy(Use.LOCAL, what, price_text, PREDICTED, evidence, tau, trial_command(assessor, tau))
        if answer is Answer.UNKNOWN:
            break
        tau = rounded_down(0.9 * tau)
    return predicted


def weakest_thermostat(assessor: Assessor, tried: Remedy) -> Remedy:
    """The local thermostat in place of a shorter or unverified one, if the judge found it to be safe after the shorter one was tried."""
    local = assessor.found.judgements.get(Use.LOCAL)
    longer = tried.tau_fs is None or (tried.status == VERIFIED and tried.tau_fs >= JUDGED_TAU_FS)
    if longer or local is None or local.answer is not Answer.YES:
        return tried
    what = _white_noise(assessor, JUDGED_TAU_FS)
    return Remedy(tried.use, what, DAMPED, VERIFIED, local.evidence, JUDGED_TAU_FS)


def _white_noise(assessor: Assessor, tau_fs: float) -> str:
    instead = INSTEAD if assessor.found.answer(Use.NVE) == "unsafe" else ""
    stronger = "stronger " if tau_fs < JUDGED_TAU_FS and assessor.found.answer(Use.LOCAL) == "unsafe" else ""
    return f"{instead}{stronger}white-noise Langevin thermostat with τ ≤ {tau_fs:g} fs"


def trial_command(assessor: Assessor, tau_fs: float, stride: int | None = None) -> str:
    """The longest run that tries a thermostat, with multiple time stepping of M = ``stride``."""
    split = () if stride is None else ("--mts", str(stride))
    run = ("--thermostat", f"langevin:{tau_fs:g}", *split, "--duration", f"{TRIAL_FS[-1]:g}")
    return command(assessor.question, assessor.means.folder, "nvt", *run)


def _tried(assessor: Assessor, tau_fs: float, stride: int | None = None) -> tuple[Answer, str]:
    """Whether the power under white noise of τ, with multiple time stepping of M = ``stride``, heats by less than
    :data:`~ncbench.report.decide.EXCESS_K`; unknown where no run fitted in the time.
    """
    answer, evidence = Answer.UNKNOWN, ""
    found = assessor.found
    for duration_fs in TRIAL_FS:
        settings = {"thermostats": (f"langevin:{tau_fs:g}",), "equilibration_fs": 50.0, "duration_fs": duration_fs}
        if stride is not None:
            settings |= {"equilibration_fs": 64.0, "mts": stride}
        step = assessor.own(Step("nvt", settings, assessor.question.seed, (), duration_fs))
        if not _affordable(assessor, step, stride):
            break
        assessor.do(step)
        rows = trials(assessor.results(), found.model, found.mode, tau_fs, stride)
        if not len(rows) or (rows["status"] == "exploded").any():
            return Answer.NO, "it explodes" if len(rows) else "there is no result"
        row = rows.iloc[int((rows["steps"] * rows["timestep_fs"]).to_numpy().argmax())]
        factor, known = tau_fs / 1000.0 / heat_capacity(float(row["n_atoms"])), bool(row["power_error_known"])
        excess = factor * float(row["power_meV_per_atom_per_ps"])
        error = factor * _error(row, "power_meV_per_atom_per_ps")
        answer, _ = decide(excess, error if known else math.nan, EXCESS_K)
        evidence = f"ΔT = Pτ/3k_B = {with_error(excess, error, known=known)} K at τ = {tau_fs:g} fs"
        # A longer run of what is close to the limit or beyond would find the same: a weaker remedy is tried instead.
        if answer in (Answer.YES, Answer.NO) or abs(excess) > 0.5 * EXCESS_K:
            return answer, evidence
    return answer, evidence


def _affordable(assessor: Assessor, step: Step, stride: int | None) -> bool:
    if stride is None:
        return assessor.affordable(step)
    # The measured cost of a step with both kinds of forces, over that of one with direct forces.
    ratio = ratio_cost(assessor.results(), assessor.found.model, assessor.found.mode, stride) or 2.0
    direct = replace(step, overrides={name: value for name, value in step.overrides.items() if name != "mts"})
    return assessor.finished(step) or ratio * assessor.expected(direct) <= assessor.clock.left()


def stepping(assessor: Assessor) -> Remedy | None:
    """Multiple time stepping with the largest M that a run shows to hold the temperature under the local thermostat; ``None`` where no M was tried."""
    question, found = assessor.question, assessor.found
    timed = Step("mts", {"strides": tuple(sorted(STRIDES)), "duration_fs": 16.0, "rounds": 3}, question.seed, ())
    timed = assessor.own(timed)
    if not assessor.affordable(timed):
        return None
    assessor.do(timed)
    best: Remedy | None = None
    for stride in STRIDES:
        answer, evidence = _tried(assessor, STRIDE_TAU_FS, stride)
        if answer is Answer.UNKNOWN:
            break
        if answer is Answer.NO:
            continue
        instead = INSTEAD if found.answer(Use.NVE) == "unsafe" else ""
        what = f"{instead}multiple time stepping, conservative forces every {stride} steps, with a white-noise thermostat of τ ≤ {STRIDE_TAU_FS:g} fs"
        status = VERIFIED if answer is Answer.YES else OPEN
        price_text = price(assessor.results(), found.model, found.mode, stride)
        untried = command(
            question, assessor.means.folder, "nve-drift", "--mts", str(stride), "--duration", f"{NVE_TRIAL_FS:g}"
        )
        next_run = untried if status == VERIFIED else trial_command(assessor, STRIDE_TAU_FS, stride)
        purpose = "to try it at constant energy" if status == VERIFIED else "to decide it"
        text = f"{evidence}; {UNTRIED_NVE}"
        best = Remedy(Use.LOCAL, what, price_text, status, text, command=next_run, purpose=purpose)
        if status == VERIFIED:
            break
    return best


def conservative(assessor: Assessor) -> Remedy:
    """The model's own conservative forces: verified if the judge finds them safe at constant energy,
    from existing results or a run in the remaining time.
    """
    question, found = assessor.question, assessor.found
    assert question.conservative is not None
    results = assessor.results()
    judged = judge(results, found.model, ForceMode.CONSERVATIVE, results.main_system())
    (nve,) = [one for one in judged if one.use == NVE]
    status, evidence, next_run = VERIFIED if nve.answer is Answer.YES else OPEN, [nve.evidence], ""
    if nve.answer not in (Answer.YES, Answer.NO):
        if assessor.clock.left() > 0:
            asked = replace(question, model=question.conservative, conservative=None, uses=(Use.NVE,))
            (other,) = decide_all([Assessor(asked, assessor.means, assessor.clock)])
            found.steps += [f"{other.label}: {step}" for step in other.steps]
            found.seconds += other.seconds
            status = VERIFIED if other.answer(Use.NVE) == "safe" else OPEN
            evidence = [one.evidence for one in other.judgements.values()] + list(other.outlook.values())
        else:
            evidence = [_untried_conservative(assessor)]
            next_run = command(question, assessor.means.folder, "assess", "--for", "nve", model=question.conservative)
    price_text = price(assessor.results(), found.model, found.mode, None)
    what = "the model's conservative forces"
    return Remedy(Use.NVE, what, price_text, status, "; ".join(evidence), command=next_run)


def _untried_conservative(assessor: Assessor) -> str:
    question, found = assessor.question, assessor.found
    run = next(
        step for step in ladder(Use.NVE, seed=question.seed, molecules=False) if step.length >= 1000.0 * GRADIENT_PS
    )
    ratio = ratio_cost(assessor.results(), found.model, found.mode, None) or 2.0
    seconds = ratio * assessor.expected(assessor.own(run))
    takes = f", about {duration(seconds)}" if seconds else ""
    return f"no time left to try them{takes}"


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


def exploded_tau_fs(results: Results, model: str, mode: str) -> float | None:
    """The shortest τ of white noise, fs, under which a run with one kind of forces exploded; ``None`` where none did. Longer ones hold less."""
    rows = results.rows("nvt", model, mode)
    if not len(rows):
        return None
    rows = rows[(rows["status"] == "exploded") & (rows["thermostat"] == "langevin") & (rows["integrator"] == "verlet")]
    return float(rows["tau_fs"].min()) if len(rows) else None


def ratio_cost(results: Results, model: str, mode: str, stride: int | None) -> float | None:
    """Time of a step over that of direct forces; ``stride=None``: of conservative forces alone. ``None`` where it was not measured."""
    rows = _timed_with_mts(results, model, mode, stride)
    if len(rows):
        return float(rows.iloc[-1]["ratio_cost"])
    return _timed_ratio(results, model, mode) if stride is None else None


def _timed_with_mts(results: Results, model: str, mode: str, stride: int | None) -> pd.DataFrame:
    """Rows of ``mts`` with the cost of this M; ``stride=None``: of conservative forces alone."""
    rows = results.rows("mts", model, mode)
    if not len(rows):
        return rows
    split = (rows["integrator"] == "mts") & (rows["stride"] == stride)
    chosen: pd.DataFrame = rows[
        (rows["integrator"] == "conservative" if stride is None else split) & rows["ratio_cost"].notna()
    ]
    return chosen


def _timed_ratio(results: Results, model: str, mode: str) -> float | None:
    """Time of a step with conservative forces over that in ``mode``, from ``timing``; ``None`` where not both were timed."""
    times = [step_milliseconds(results, model, one, results.main_system()) for one in (ForceMode.CONSERVATIVE, mode)]
    if times[0] is None or times[1] is None or not times[1] > 0.0:
        return None
    return times[0] / times[1]


def price(results: Results, model: str, mode: str, stride: int | None) -> str:
    """Cost of a step as text."""
    ratio = ratio_cost(results, model, mode, stride)
    if ratio is None:
        return "its cost was not measured"
    rows = _timed_with_mts(results, model, mode, stride)
    low, high = (float(rows.iloc[-1][f"ratio_cost_{end}"]) if len(rows) else ratio for end in ("low", "high"))
    ends = f" ({low:.2f} to {high:.2f})" if high - low > SCATTER * ratio else ""
    return f"{ratio:.2f}{ends} times a step with direct forces"


def trials(results: Results, model: str, mode: str, tau_fs: float, stride: int | None) -> pd.DataFrame:
    """Rows of all atoms under white noise of τ with M = ``stride``, or with one kind of forces alone; of runs that ended, by explosion too."""
    rows = results.rows("nvt", model, mode)
    if not len(rows):
        return rows
    split = (rows["integrator"] == "mts") & (rows["stride"] == stride)
    same = rows["integrator"] == "verlet" if stride is None else split
    tried = same & (rows["thermostat"] == "langevin") & (rows["tau_fs"] == tau_fs)
    known = (rows["status"] == "ok") & (rows["species"] == "all") & rows["power_meV_per_atom_per_ps"].notna()
    chosen: pd.DataFrame = rows[tried & (known | (rows["status"] == "exploded"))]
    return chosen


def _error(row: Any, column: str) -> float:
    value = row[f"{column}_se"]
    return math.nan if pd.isna(value) else float(value)


def rounded_down(value: float) -> float:
    """1, 2 or 5 times a power of ten; 0 below 1: no time step resolves a thermostat of less than 1 fs."""
    if value < 1.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= value)
