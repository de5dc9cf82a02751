"""Thresholds for the uses of a model, and the comparison of a measured number with one at three standard errors.

Thresholds are effects that matter in a simulation:

- :data:`HEATING_POWER`: heating of 30 K in 100 ps at constant energy, a tenth of room temperature. Heat is shared between
  kinetic and potential energy, 3 k_B per atom in total (equipartition), so the power is 3 k_B · 30 K / 100 ps = 0.078 meV/atom/ps.
- :data:`EXCESS_K`: a mean temperature that is 5 K off under a thermostat: a liquid at 305 K is not the one at 300 K.
- :data:`LOCAL_POWER`: the power at which a thermostat that damps every momentum with the time constant τ = 100 fs is 5 K too hot.
  In the steady state it removes 3 k_B ΔT / τ per atom, so the power is 3 k_B · 5 K / 0.1 ps = 12.9 meV/atom/ps.
- :data:`SUCCESS`: nine of ten relaxations converge.

The error of a measured power is at least that of its fluctuations: the work of non-conservative forces is diffusive with variance
2 k_B T P t (fluctuation and dissipation, to second order in the forces), so a run of length t has at least
σ_P = sqrt(2 k_B T P / (N t)) for a power P per atom and N atoms. Against a threshold, P is the larger of value and threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from ncbench.diagnostics.nvt import langevin_rows
from ncbench.report.aggregate import preferred, ranks_of, repartitioned_masses
from ncbench.report.read import Results
from ncbench.statistics.cells import Cell
from ncbench.statistics.floors import power_error
from ncbench.statistics.intervals import CONFIDENCE, SIGMAS, half_width, rate_interval
from ncbench.units import KB, MEV

K_B = KB / MEV
"""meV/K."""
HEATING_K, HEATING_PS = 30.0, 100.0
HEATING_POWER = 3.0 * K_B * HEATING_K / HEATING_PS
"""meV/atom/ps."""
EXCESS_K = 5.0
LOCAL_TAU_PS = 0.1
LOCAL_POWER = 3.0 * K_B * EXCESS_K / LOCAL_TAU_PS
"""meV/atom/ps, of many atoms; of N with the centre of mass at rest it is that of :func:`heat_capacity`."""
SUCCESS = 90.0
"""Per cent."""
BOUND_PS = 0.1
"""Least length of runs whose power can be shown to be above a threshold though its error is not known: ten periods of the fastest vibrations, whose
exchange with the integrator's error averages out."""
ROOM_K = 300.0
"""Temperature for the noise of a power if it is not in the table."""
MOST_TRIALS = 10_000
MOST_TIMES = 100.0
"""Longest run that is proposed, in lengths of the run made: this one does not show what the value will be in longer ones."""

LIMITS: Mapping[str, float] = {
    "heating_power": HEATING_POWER,
    "local_power": LOCAL_POWER,
    "success": SUCCESS,
}
"""Thresholds by the names that limits of ``check`` accept instead of a number."""


class Answer(StrEnum):
    """Answer to whether a model is suited for a use."""

    YES = "yes"
    NO = "no"
    UNSURE = "cannot tell"
    UNKNOWN = "not measured"


def decide(value: float, error: float, threshold: float, *, dof: float = math.inf) -> tuple[Answer, str]:
    """Whether |value| is below the threshold. With a remark on the required run length if the error does not allow an answer.

    Args:
        value: the number.
        error: its standard error, in the same unit; not finite if it is not known.
        threshold: positive, in the same unit.
        dof: degrees of freedom of the error; the margin is widened by Student's t if they are few.
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
    if times > MOST_TIMES:
        return f"the error is about {_rounded_up(margin / gap)} times too large to tell"
    return f"a run about {_rounded_up(times)} times as long would tell if the value stays"


def _rounded_up(value: float) -> str:
    """One significant figure, rounded up: an estimate of an effort."""
    unit = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return f"{max(2.0, math.ceil(value / unit) * unit):,.0f}"


def decide_rate(successes: int, trials: int, percent: float = SUCCESS) -> tuple[Answer, str]:
    """Whether the success rate is at least ``percent``, by its interval at :data:`SIGMAS` standard errors."""
    if trials == 1:
        return Answer.UNSURE, "one trial is no rate"
    low, high = (100.0 * end for end in rate_limits(successes, trials))
    # The ends of the interval of 0 of n and n of n are rational: equality with the limit is not beyond it.
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
    low, high = rate_limits(round(rate * trials), trials)
    return 100.0 * high < percent or 100.0 * low > percent


def rate_limits(successes: int, trials: int) -> tuple[float, float]:
    """The interval of a rate at :data:`SIGMAS` standard errors."""
    return rate_interval(successes, trials, confidence=CONFIDENCE)


def heat_capacity(n_atoms: float) -> float:
    """3 k_B (N − 1)/N, meV/K for each of N atoms: harmonic equipartition with the centre of mass at rest."""
    return 3.0 * K_B * (1.0 - 1.0 / n_atoms if n_atoms > 1 else 1.0)


@dataclass(frozen=True)
class Power:
    """A measured power or energy drift, meV/atom/ps, and its run."""

    cell: Cell
    n_atoms: int
    length_ps: float
    """All structures and replicas together."""
    temperature_K: float
    how: str
    at_most_tau_fs: float = math.inf
    """Longest τ of white noise for which the power is an upper bound: with a longer one the system is hotter and heats more."""
    masses: str = ""
    """Repartitioned masses of the runs, as :func:`repartitioned_masses`."""
    single_ps: float = 0.0
    """Length of each run, ps; 0 where the power is not that of the forces alone, and the bound of short runs does not hold."""

    @property
    def known(self) -> bool:
        """Whether there is a value with an error."""
        return self.cell.value is not None and self.cell.error is not None and math.isfinite(self.cell.error)

    def noise(self, power: float) -> float:
        """Least standard error of a measurement of this ``power``, sqrt(2 k_B T P/(N t)), meV/atom/ps."""
        error = power_error(power, self.temperature_K, self.length_ps, self.n_atoms)
        # If the length of the run is not in the table, only its own error is used.
        return 0.0 if math.isnan(error) else error

    def decide(self, threshold: float, *, conservative: bool = False) -> tuple[Answer, str]:
        """Against a threshold. ``conservative``: there is no non-conservative power, and so no noise of it.

        In runs too short for a known error the work is smooth, and its fluctuation about P t is that of :meth:`noise` near equilibrium: this supports "no"
        (the power is above the threshold) from :data:`BOUND_PS` on, and never "yes". Three of them below the measured power, 1 of 4800
        windows of 0.1 to 2 ps of simulated modes was above the true power (``tests/report/test_short_powers.py`` repeats this with fewer). Far from
        equilibrium (modes heated by 20 to 80 %) the variance was up to 2.8 times larger, and 7 times where one pair of soft modes draws half of the power and is
        itself far from equilibrium (rows "few modes" of ``results/bench/coverage.md``): there the bound does not hold.
        """
        if not self.known:
            return Answer.UNSURE, self.cell.missing or "the error of the drift is not known"
        value, error = self.cell.value or 0.0, self.cell.error or 0.0
        noise = self.noise(max(abs(value), threshold))
        if self.cell.loose:
            if not conservative and value > 0.0 and noise > 0.0 and self.single_ps >= BOUND_PS:
                answer, _ = decide(value, max(error, noise), threshold)
                if answer is Answer.NO:
                    return Answer.NO, ""
            return Answer.UNSURE, "the run is too short for a known error"
        if not conservative:
            error = max(error, noise)
        return decide(value, error, threshold)


def measured_power(results: Results, table: str, model: str, mode: str, system: str | None, cell_: Cell) -> Power:
    """The cell with the data for its noise: atoms, length and temperature of the longest runs."""
    how = "at constant energy" if table == "nve-drift" else "under Langevin"
    rows = dynamics_rows(results, table, model, mode, system, "ok")
    tau_fs = math.inf
    if table == "nvt" and len(rows):
        rows = langevin_rows(rows)
        if "integrator" in rows and len(rows) and (rows["integrator"] == "mts").all():
            # Multiple time stepping is another dynamics, a remedy: it says nothing of the model's own forces.
            return Power(Cell(missing="nvt was run with multiple time stepping only"), 0, 0.0, ROOM_K, how)
        tau_fs = float(rows["tau_fs"].max()) if len(rows) else math.inf
        how += f" with τ = {tau_fs:g} fs" if math.isfinite(tau_fs) else ""
    if not len(rows):
        return Power(cell_, 0, 0.0, ROOM_K, how)
    length = rows["steps"] * rows["timestep_fs"] / 1000.0
    chosen = rows[length == length.max()]
    # Rows of one structure and seed are runs with different settings, such as τ.
    runs = chosen[["structure", "seed"]].drop_duplicates()
    temperature = chosen["target_K"] if "target_K" in chosen else chosen["temperature_mean_K"]
    kelvin = float(temperature.mean()) if temperature.notna().any() else ROOM_K
    length_ps = float(length.max()) * len(runs)
    masses = repartitioned_masses(chosen)
    return Power(cell_, int(chosen["n_atoms"].mean()), length_ps, kelvin, how, tau_fs, masses, float(length.max()))


def dynamics_rows(
    results: Results, table: str, model: str, mode: str, system: str | None, *statuses: str
) -> pd.DataFrame:
    """Rows of the preferred integrator with one of these statuses."""
    rows = preferred(results.rows(table, model, mode, system), ranks_of(table))
    return rows[rows["status"].isin(statuses)] if len(rows) else rows
