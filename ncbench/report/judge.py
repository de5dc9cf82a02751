"""What a model may be used for: the one set of rules and thresholds, and the one judge.

``summary``, ``report`` and the profiles of ``check`` ask here. An answer is yes or no only where :data:`SIGMAS` standard errors lie
between the number and its threshold. An error that is not known (no plateau, a run shorter than its noise) decides nothing.

Thresholds say what a user would notice in a simulation:

- :data:`HEATING_POWER`: heating of 30 K in 100 ps at constant energy, a tenth of room temperature. Heat is shared between
  kinetic and potential energy, 3 k_B an atom in all (equipartition), so the power is 3 k_B · 30 K / 100 ps = 0.078 meV/atom/ps.
- :data:`EXCESS_K`: a mean temperature that is 5 K off under a thermostat: a liquid at 305 K is not the one at 300 K.
- :data:`LOCAL_POWER`: the power at which a thermostat that damps every momentum with the time constant τ = 100 fs is 5 K too hot.
  In the steady state it takes away 3 k_B ΔT / τ an atom, so the power is 3 k_B · 5 K / 0.1 ps = 12.9 meV/atom/ps.
- :data:`SUCCESS`: nine of ten relaxations converge.

A measured power is no sharper than its own fluctuations: the work of non-conservative forces is diffusive with variance
2 k_B T P t (fluctuation and dissipation, to second order in the forces), so a run of length t has at least
σ_P = sqrt(2 k_B T P / (N t)) for a power P an atom of N atoms. Against a threshold, P is the larger of value and threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from ncbench.report.aggregate import cell, columns, preferred, ranks_of
from ncbench.report.read import Results
from ncbench.statistics.cells import Cell
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import SIGMAS, half_width, wilson_interval
from ncbench.units import KB, MEV

K_B = KB / MEV
"""meV/K."""
HEATING_K, HEATING_PS = 30.0, 100.0
HEATING_POWER = 3.0 * K_B * HEATING_K / HEATING_PS
"""meV/atom/ps."""
EXCESS_K = 5.0
LOCAL_TAU_PS = 0.1
LOCAL_POWER = 3.0 * K_B * EXCESS_K / LOCAL_TAU_PS
"""meV/atom/ps."""
SUCCESS = 90.0
"""Per cent."""
ROOM_K = 300.0
"""Temperature of the noise of a power where a table does not say."""
CONFIDENCE = math.erf(SIGMAS / math.sqrt(2.0))
"""Of an interval of :data:`SIGMAS` standard errors to either side, 99.73 %."""
MOST_TRIALS = 10_000

LIMITS: Mapping[str, float] = {
    "heating_power": HEATING_POWER,
    "local_power": LOCAL_POWER,
    "success": SUCCESS,
}
"""Thresholds by the names that limits of ``check`` may use in place of a number."""


class Answer(StrEnum):
    """May it be used so?"""

    YES = "yes"
    NO = "no"
    UNSURE = "cannot tell"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Judgement:
    """A use of a model and the answer."""

    use: str
    answer: Answer
    evidence: str
    """The numbers, in a sentence without its full stop."""
    rule: str

    @property
    def sentence(self) -> str:
        """The answer for a reader of plain text."""
        return f"{self.use[:1].upper()}{self.use[1:]}: {self.answer} ({self.evidence})."


FORCES, NVE, LOCAL, GLOBAL, RELAXATION = (
    "conservative forces", "constant energy (NVE)", "local thermostat", "global thermostat (SVR)", "relaxation",
)  # fmt: skip

RULES: Mapping[str, str] = {
    FORCES: f"no: λ is above its numerical floor, or the work round a closed path differs from zero, by {SIGMAS:g} standard errors. "
    f"Yes: the upper end of λ's interval is below three floors, for the structures that were measured.",
    NVE: f"no: a run explodes, or gains or loses more than {HEATING_POWER:.3f} meV/atom/ps ({HEATING_K:g} K in {HEATING_PS:g} ps) by {SIGMAS:g} standard "
    f"errors. Yes: less by {SIGMAS:g} standard errors; where the forces are a gradient and the energy has no jumps, the error of the drift is the "
    "measured one, otherwise not less than the noise of the tolerated power.",
    LOCAL: f"no: the power P heats the liquid by more than {EXCESS_K:g} K under white noise of τ = {1000 * LOCAL_TAU_PS:g} fs (ΔT = Pτ/3k_B, "
    f"P > {LOCAL_POWER:.1f} meV/atom/ps) by {SIGMAS:g} standard errors. Yes: less by {SIGMAS:g}.",
    GLOBAL: f"no: an element's mean temperature is off by more than {EXCESS_K:g} K by {SIGMAS:g} standard errors. Yes: all are within by {SIGMAS:g}. "
    "Means of too few correlation times have no known error and decide nothing.",
    RELAXATION: f"no: Wilson's interval of the rate of success at {SIGMAS:g} standard errors lies below {SUCCESS:g} %. Yes: it lies above.",
}
"""By use, as printed."""


def decide(value: float, error: float, threshold: float, *, dof: float = math.inf) -> tuple[Answer, str]:
    """Is |value| below the threshold? With a remark on how much longer the run must be where the error does not settle it.

    Args:
        value: the number.
        error: its standard error, in the same unit; not finite where it is not known.
        threshold: positive, in the same unit.
        dof: degrees of freedom of the error; few widen the margin as Student's t does.
    """
    size = abs(value)
    if math.isnan(size) or not math.isfinite(error):
        return Answer.UNSURE, "the error is not known: the run is too short"
    margin = SIGMAS * error if math.isinf(dof) else half_width(error, dof, confidence=CONFIDENCE)
    if size + margin < threshold:
        return Answer.YES, ""
    if size - margin > threshold:
        return Answer.NO, ""
    return Answer.UNSURE, _longer(margin, abs(size - threshold), threshold)


def _longer(margin: float, gap: float, threshold: float) -> str:
    # Errors of means and of slopes driven by random work fall as the square root of the time, or faster.
    if gap <= 0.05 * threshold:
        return "too close to the limit for a run of reasonable length"
    times = (margin / gap) ** 2
    return f"a run about {_rounded_up(times)} times as long would tell"


def _rounded_up(value: float) -> str:
    """One significant figure, rounded up: an estimate of an effort."""
    unit = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return f"{max(2.0, math.ceil(value / unit) * unit):,.0f}"


def decide_rate(successes: int, trials: int, percent: float = SUCCESS) -> tuple[Answer, str]:
    """Is the rate of success at least ``percent``? By Wilson's interval (J. Am. Stat. Assoc. 22, 209, 1927) at :data:`SIGMAS`."""
    low, high = (100.0 * end for end in wilson(successes, trials))
    # The end of the interval of 0 of n or n of n is a fraction of whole numbers: on the limit is not beyond it.
    if high < percent - 1e-9:
        return Answer.NO, ""
    if low > percent + 1e-9:
        return Answer.YES, ""
    rate = successes / trials
    needed = next((n for n in _sizes(trials) if _beyond(rate, n, percent)), None)
    remark = "too close to the limit" if needed is None else f"about {needed} relaxations would tell if the rate stays"
    return Answer.UNSURE, remark


def _sizes(trials: int) -> list[int]:
    sizes, n = [], float(max(trials, 10))
    while n <= MOST_TRIALS:
        sizes.append(10 * math.ceil(n / 10))
        n *= 1.1
    return sizes


def _beyond(rate: float, trials: int, percent: float) -> bool:
    low, high = wilson(round(rate * trials), trials)
    return 100.0 * high < percent or 100.0 * low > percent


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's interval of a rate at :data:`SIGMAS` standard errors."""
    return wilson_interval(successes, trials, confidence=CONFIDENCE)


@dataclass(frozen=True)
class Power:
    """A measured power or energy drift, meV/atom/ps, and the run it comes from."""

    cell: Cell
    n_atoms: int
    length_ps: float
    """All structures and replicas together."""
    temperature_K: float
    how: str

    @property
    def known(self) -> bool:
        """There is a value with an error."""
        return self.cell.value is not None and self.cell.error is not None and math.isfinite(self.cell.error)

    def noise(self, power: float) -> float:
        """Least standard error of a measurement of this ``power``, sqrt(2 k_B T P/(N t)), meV/atom/ps."""
        error = power_error(power, self.temperature_K, self.length_ps, self.n_atoms)
        # Where a table does not say how long the run was, its own error has to do.
        return 0.0 if math.isnan(error) else error

    def decide(self, threshold: float, *, conservative: bool = False) -> tuple[Answer, str]:
        """Against a threshold. ``conservative``: no non-conservative force draws power, so that there is no noise of it."""
        if not self.known:
            return Answer.UNSURE, self.cell.missing or "the error of the drift is not known"
        if self.cell.loose:
            return Answer.UNSURE, "the run is too short for a known error"
        value, error = self.cell.value or 0.0, self.cell.error or 0.0
        if not conservative:
            error = max(error, self.noise(max(abs(value), threshold)))
        return decide(value, error, threshold)


def judge(results: Results, model: str, mode: str, system: str | None) -> tuple[Judgement, ...]:
    """All uses of one model in one force mode, in the order of :data:`RULES`."""
    cells = {column.key: cell(results, column, model, mode, system) for column in columns(results)}
    drift = _power(results, "nve-drift", model, mode, system, cells.get("energy_drift", Cell()))
    langevin = _power(results, "nvt", model, mode, system, cells.get("power", Cell()))
    forces = judge_forces(cells.get("lambda", Cell()), cells.get("work", Cell()))
    gradient = forces.answer is Answer.YES
    relax = results.rows("relax", model, mode)
    return (
        forces,
        judge_nve(
            drift, gradient, _energy_jump(results, model, mode, system), _explosion(results, model, mode, system)
        ),
        judge_local([langevin, drift], gradient),
        judge_global(
            {key.removeprefix("excess_"): one for key, one in cells.items() if key.startswith("excess_")}, gradient
        ),
        judge_relaxation(relax),
    )


def judge_forces(asymmetry: Cell, work: Cell) -> Judgement:
    """λ and the work round a closed path. A work of zero alone proves no gradient: other paths may differ."""
    said = [f"λ {_bounded(asymmetry)}"] if asymmetry.value is not None else []
    said += [f"work round a closed path {work} meV"] if work.value is not None else []
    if not said:
        return Judgement(FORCES, Answer.UNKNOWN, "lambda and workloop were not run", RULES[FORCES])
    if asymmetry.significant or work.significant:
        return Judgement(FORCES, Answer.NO, ", ".join(said), RULES[FORCES])
    if asymmetry.significant is False:
        return Judgement(FORCES, Answer.YES, ", ".join(said), RULES[FORCES])
    remark = (
        "λ is neither above its floor nor shown to vanish"
        if asymmetry.value is not None
        else "one path alone does not show a gradient"
    )
    return Judgement(FORCES, Answer.UNSURE, ", ".join([*said, remark]), RULES[FORCES])


def judge_nve(drift: Power, gradient: bool, jump: tuple[bool | None, str], explosion: str) -> Judgement:
    """Dynamics at constant energy.

    Args:
        drift: of the total energy.
        gradient: the forces are the gradient of an energy.
        jump: whether the energy jumps (``None``: not measured), and the words for it.
        explosion: why a run ended, empty where none did.
    """
    if explosion:
        return Judgement(NVE, Answer.NO, f"it explodes: {explosion}", RULES[NVE])
    jumps, jump_text = jump
    said = [f"drift {drift.cell} meV/atom/ps{_kelvin(drift.cell)}"] if drift.known else []
    heating = "no heating by non-conservative forces" if gradient else ""
    if not drift.known:
        if not gradient:
            return Judgement(NVE, Answer.UNKNOWN, drift.cell.missing or "nve-drift was not run", RULES[NVE])
        open_points = f"not excluded: energy jumps ({jump_text}) and the integrator's error (no drift measured)"
        return Judgement(NVE, Answer.UNSURE, f"{heating}; {open_points}", RULES[NVE])
    answer, remark = drift.decide(HEATING_POWER, conservative=gradient and jumps is False)
    if answer is Answer.NO or not gradient:
        return Judgement(NVE, answer, "; ".join(filter(None, [*said, remark])), RULES[NVE])
    said += [heating]
    if answer is Answer.YES and jumps is False:
        return Judgement(NVE, Answer.YES, "; ".join([*said, jump_text]), RULES[NVE])
    left = [] if jumps is False else [f"energy jumps ({jump_text})"]
    left += [] if answer is Answer.YES else [f"the integrator's error and rare events ({remark})"]
    return Judgement(NVE, Answer.UNSURE, f"{'; '.join(said)}; not excluded: {' and '.join(left)}", RULES[NVE])


def judge_local(powers: list[Power], gradient: bool) -> Judgement:
    """A local thermostat, from the first power that settles it."""
    measured = [power for power in powers if power.known]
    if not measured:
        missing = next((power.cell.missing for power in powers if power.cell.missing), "no power was measured")
        return Judgement(LOCAL, Answer.UNKNOWN, missing, RULES[LOCAL])
    # The power under the thermostat itself before that at constant energy, which grows with the temperature.
    decided = [(power, *power.decide(LOCAL_POWER, conservative=gradient)) for power in measured]
    settled = [one for one in decided if one[1] is not Answer.UNSURE]
    power, answer, remark = (settled or decided)[0]
    factor = LOCAL_TAU_PS / (3.0 * K_B)
    excess = with_error(factor * (power.cell.value or 0.0), factor * (power.cell.error or 0.0))
    said = f"P = {power.cell} meV/atom/ps {power.how}, so ΔT = Pτ/3k_B = {excess} K"
    heating = "no heating by non-conservative forces" if gradient else ""
    return Judgement(LOCAL, answer, "; ".join(filter(None, [said, heating, remark])), RULES[LOCAL])


def judge_global(excess: Mapping[str, Cell], gradient: bool) -> Judgement:
    """A global thermostat, from the mean temperature of each element."""
    measured = {name: one for name, one in excess.items() if one.value is not None and one.error is not None}
    if not measured:
        missing = next((one.missing for one in excess.values() if one.missing), "nvt was not run")
        return Judgement(GLOBAL, Answer.UNKNOWN, missing, RULES[GLOBAL])
    said = ", ".join(f"ΔT of {name} {one} K" for name, one in measured.items())
    answers = [
        (Answer.UNSURE, "the run is too short for a known error")
        if one.loose
        else decide(one.value or 0.0, one.error or 0.0, EXCESS_K)
        for one in measured.values()
    ]
    if any(answer is Answer.NO for answer, _ in answers):
        return Judgement(GLOBAL, Answer.NO, said, RULES[GLOBAL])
    if len(measured) == len(excess) and all(answer is Answer.YES for answer, _ in answers):
        return Judgement(GLOBAL, Answer.YES, said, RULES[GLOBAL])
    remark = next((remark for answer, remark in answers if answer is Answer.UNSURE), "not every element has an error")
    heating = "; no heating by non-conservative forces" if gradient else ""
    return Judgement(GLOBAL, Answer.UNSURE, f"{said}{heating}; {remark}", RULES[GLOBAL])


def judge_relaxation(rows: pd.DataFrame) -> Judgement:
    """All sets together, by the preferred optimiser."""
    rows = rows[rows["status"].isin(["ok", "exploded"])] if len(rows) else rows
    rows = preferred(rows, ranks_of("relax"))
    trials = int(rows["n"].sum()) if len(rows) else 0
    if not trials:
        return Judgement(RELAXATION, Answer.UNKNOWN, "no relaxation was run", RULES[RELAXATION])
    successes = int(rows["n_success"].sum())
    answer, remark = decide_rate(successes, trials)
    low, high = (100.0 * end for end in wilson(successes, trials))
    sets = ", ".join(f"{row['n_success']:.0f} of {row['n']:.0f} {row['set']}" for _, row in rows.iterrows() if row["n"])
    said = f"converged: {sets}; rate between {low:.0f} and {high:.0f} % at {SIGMAS:g} standard errors"
    return Judgement(RELAXATION, answer, "; ".join(filter(None, [said, remark])), RULES[RELAXATION])


def _bounded(asymmetry: Cell) -> str:
    text = str(asymmetry)
    return text if text.startswith("≤") else f"= {text}"


def _kelvin(drift: Cell) -> str:
    """What the drift does to a temperature, shared between kinetic and potential energy; over 100 ps only where it stays small."""
    value, error = (drift.value or 0.0) / (3.0 * K_B), (drift.error or 0.0) / (3.0 * K_B)
    if drift.loose:
        return ""
    if HEATING_PS * (abs(value) + error) > ROOM_K:
        return f", {with_error(value, error)} K/ps"
    return f", {with_error(HEATING_PS * value, HEATING_PS * error)} K in {HEATING_PS:g} ps"


def _power(results: Results, table: str, model: str, mode: str, system: str | None, cell_: Cell) -> Power:
    """The cell with what its noise needs: atoms, length and temperature of the longest runs."""
    how = "at constant energy" if table == "nve-drift" else "under Langevin"
    rows = _dynamics(results, table, model, mode, system, "ok")
    if table == "nvt" and len(rows):
        rows = rows[(rows["thermostat"] == "langevin") & (rows["species"] == "all")]
    if not len(rows):
        return Power(cell_, 0, 0.0, ROOM_K, how)
    length = rows["steps"] * rows["timestep_fs"] / 1000.0
    chosen = rows[length == length.max()]
    # Rows of one structure and seed are one run at several settings, such as τ.
    runs = chosen[["structure", "seed"]].drop_duplicates()
    temperature = chosen["target_K"] if "target_K" in chosen else chosen["temperature_mean_K"]
    kelvin = float(temperature.mean()) if temperature.notna().any() else ROOM_K
    return Power(cell_, int(chosen["n_atoms"].mean()), float(length.max()) * len(runs), kelvin, how)


def _dynamics(results: Results, table: str, model: str, mode: str, system: str | None, *statuses: str) -> pd.DataFrame:
    rows = preferred(results.rows(table, model, mode, system), ranks_of(table))
    return rows[rows["status"].isin(statuses)] if len(rows) else rows


def _explosion(results: Results, model: str, mode: str, system: str | None) -> str:
    for table in ("nve-drift", "nvt"):
        rows = _dynamics(results, table, model, mode, system, "exploded")
        if len(rows):
            reason = rows["reason"].iloc[0]
            return str(reason) if isinstance(reason, str) and reason else f"{table} ended so"
    return ""


def _energy_jump(results: Results, model: str, mode: str, system: str | None) -> tuple[bool | None, str]:
    """Whether the energy jumps by more than three floors of rounding and quadrature, and the words for it."""
    rows = results.rows("consistency", model, mode, system)
    rows = rows[(rows["status"] == "ok") & rows["energy_jump_meV"].notna()] if len(rows) else rows
    if not len(rows):
        return None, "not measured: run consistency"
    jump, floor = rows["energy_jump_meV"], rows["energy_jump_floor_meV"].fillna(0.0)
    jumps = bool((jump > SIGMAS * floor).any())
    return jumps, f"largest step of the energy {float(jump.max()):.2g} meV, floor {float(floor.max()):.2g} meV"
