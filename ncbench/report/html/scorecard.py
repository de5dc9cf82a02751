"""What a model may be used for: a verdict a use, from numbers with errors, by rules that are printed with it.

No verdict from noise: where three standard errors span the threshold, the answer is "cannot tell", and how much longer the run would have to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from ncbench.report.columns import cell, columns
from ncbench.report.read import Results
from ncbench.statistics.cells import Cell, mean
from ncbench.statistics.format import with_error

SIGMAS = 3.0
K_B = 0.0861733
"""meV/K."""
TAU_PS = 0.1
"""Time constant of the local thermostat of the rule."""
EXCESS_K = 5.0
"""Excess temperature that is tolerated under a thermostat."""
HEATING_K = 30.0
"""Heating that is tolerated in 100 ps at constant energy, a tenth of room temperature."""
NVE_POWER = 3.0 * K_B * HEATING_K / 100.0
"""meV/atom/ps: that heating, shared between kinetic and potential energy (3 k_B an atom in all)."""
SUCCESS = 90.0
"""Per cent of relaxations that should converge."""


class Answer(StrEnum):
    """May it be used so?"""

    YES = "yes"
    NO = "no"
    UNSURE = "cannot tell"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Use:
    """A use of a model and the answer."""

    name: str
    answer: Answer
    evidence: str
    """The numbers, in a sentence."""
    rule: str


@dataclass(frozen=True)
class Card:
    """A model's scorecard."""

    model: str
    mode: str
    uses: tuple[Use, ...]
    cost: str
    """What a step costs, and against its other kind of forces."""

    @property
    def label(self) -> str:
        """``NAME:MODE``; a model that never loaded may have no mode."""
        return f"{self.model}:{self.mode}" if self.mode else self.model


RULES = {
    "constant energy (NVE)": f"no: it explodes, or gains more than {NVE_POWER:.2g} meV/atom/ps ({HEATING_K:g} K in 100 ps) by three standard errors. "
    "Yes: it gains less by three standard errors, or its forces are a gradient (λ at its floor) and no drift is found.",
    "local thermostat": f"no: the power drawn, P, holds the liquid more than {EXCESS_K:g} K too hot under white noise of τ = {1000 * TAU_PS:g} fs "
    "(ΔT = Pτ/3k_B) by three standard errors. Yes: less by three standard errors, or the forces are a gradient and no power is found.",
    "global thermostat (SVR)": f"no: an element's mean temperature is off by more than {EXCESS_K:g} K by three standard errors. Yes: all are within by three "
    "standard errors, or the forces are a gradient and no element is found off.",
    "relaxation": f"no: the 95 % interval of the rate of success lies below {SUCCESS:g} %. Yes: at least {SUCCESS:g} % converge and the interval begins above 80 %.",
}
"""By use, as printed."""


def scorecards(results: Results) -> list[Card]:
    """A card a model and force mode."""
    system = results.main_system()
    shown = {column.key: column for column in columns(results)}
    cards = []
    for model, mode in results.models():
        cells = {key: cell(results, column, model, mode, system) for key, column in shown.items()}
        exploded = _exploded(results, model, mode, system)
        gradient = cells["lambda"].significant is False
        uses = (
            _nve(cells, exploded, gradient),
            _local(results, model, mode, system, cells, gradient),
            _global(cells, gradient),
            _relaxation(results, model, mode),
        )
        cards.append(Card(model, mode, uses, _cost(results, model, mode, system)))
    return cards


def decide(value: float, error: float, threshold: float) -> tuple[Answer, str]:
    """Is |value| below the threshold? With a remark on how much longer the run must be where three errors do not settle it."""
    size, margin = abs(value), SIGMAS * error
    if not (math.isfinite(value) and math.isfinite(error)):
        return Answer.UNSURE, "the run is too short for an error"
    if size + margin < threshold:
        return Answer.YES, ""
    if size - margin > threshold:
        return Answer.NO, ""
    gap = abs(size - threshold)
    # Errors of means and of slopes driven by random work fall as the square root of the time, or faster.
    times = f"{math.ceil((margin / gap) ** 2):,}" if gap > 0.05 * threshold else "more than a hundred"
    return Answer.UNSURE, f"a run {times} times as long would tell"


def _nve(cells: dict[str, Cell], exploded: bool, gradient: bool) -> Use:
    name = "constant energy (NVE)"
    forces = f"λ {_lambda(cells['lambda'])}" if cells["lambda"].value is not None else ""
    if exploded:
        return Use(name, Answer.NO, "it explodes", RULES[name])
    drift = cells["energy_drift"]
    if drift.value is None or drift.error is None:
        answer = Answer.UNSURE if forces else Answer.UNKNOWN
        return Use(
            name, answer, "; ".join(filter(None, [forces, drift.missing or "the drift has no error"])), RULES[name]
        )
    answer, remark = decide(drift.value, drift.error, NVE_POWER)
    found = abs(drift.value) > SIGMAS * drift.error
    if answer is Answer.UNSURE and gradient and not found:
        answer, remark = Answer.YES, "a gradient, and no drift found"
    said = f"drift {drift} meV/atom/ps, {_kelvin(drift)}"
    return Use(name, answer, "; ".join(filter(None, [said, forces, remark])), RULES[name])


def _lambda(found: Cell) -> str:
    text = str(found)
    return text if text.startswith("≤") else f"= {text}"


def _kelvin(drift: Cell) -> str:
    """What the drift does to a temperature, shared between kinetic and potential energy."""
    assert drift.value is not None
    assert drift.error is not None
    value, error = drift.value / (3.0 * K_B), drift.error / (3.0 * K_B)
    if 100.0 * abs(value) > 1000.0:
        return f"{with_error(value, error)} K/ps"
    return f"{with_error(100.0 * value, 100.0 * error)} K in 100 ps"


def _local(results: Results, model: str, mode: str, system: str | None, cells: dict[str, Cell], gradient: bool) -> Use:
    """Power from the conserved quantity under a Langevin thermostat or from the drift at constant energy, whichever is sharper."""
    name = "local thermostat"
    powers = [(cells["power"], "under Langevin"), (cells["energy_drift"], "at constant energy")]
    known = [(c, how) for c, how in powers if c.value is not None and c.error is not None and math.isfinite(c.error)]
    if not known:
        return Use(name, Answer.UNKNOWN, cells["power"].missing or "no power was measured", RULES[name])
    power, how = min(known, key=lambda one: one[0].error or math.inf)
    assert power.value is not None
    assert power.error is not None
    factor = TAU_PS / (3.0 * K_B)
    answer, remark = decide(factor * power.value, factor * power.error, EXCESS_K)
    if answer is Answer.UNSURE and gradient and abs(power.value) <= SIGMAS * power.error:
        answer, remark = Answer.YES, "a gradient, and no power found"
    said = f"P = {power} meV/atom/ps ({how}), so ΔT = {with_error(factor * power.value, factor * power.error)} K"
    return Use(
        name, answer, "; ".join(filter(None, [said, _measured(results, model, mode, system), remark])), RULES[name]
    )


def _measured(results: Results, model: str, mode: str, system: str | None) -> str:
    """The excess that was measured under this thermostat, beside the one that the power predicts."""
    rows = results.rows("nvt", model, mode, system)
    if not len(rows):
        return ""
    rows = rows[(rows["thermostat"] == "langevin") & (rows["species"] == "all") & (rows["status"] == "ok")]
    rows = rows[np.isclose(rows["tau_fs"].astype(float), 1000.0 * TAU_PS)]
    if not len(rows):
        return ""
    errors = [float(x) for x in rows["temperature_K_se"]]
    value, error = mean([float(x) for x in rows["temperature_excess_K"]], errors)
    return f"measured {with_error(value, error)} K"


def _global(cells: dict[str, Cell], gradient: bool) -> Use:
    name = "global thermostat (SVR)"
    excess = {key.removeprefix("excess_"): found for key, found in cells.items() if key.startswith("excess_")}
    known = {species: found for species, found in excess.items() if found.value is not None and found.error is not None}
    if not known:
        missing = next((found.missing for found in excess.values() if found.missing), "nvt was not run")
        return Use(name, Answer.UNKNOWN, missing, RULES[name])
    answers = {
        s: decide(c.value or 0.0, (c.error or 0.0) * (2.0 if c.loose else 1.0), EXCESS_K) for s, c in known.items()
    }
    said = ", ".join(f"ΔT of {species} {found} K" for species, found in known.items())
    if any(answer is Answer.NO for answer, _ in answers.values()):
        return Use(name, Answer.NO, said, RULES[name])
    if all(answer is Answer.YES for answer, _ in answers.values()):
        return Use(name, Answer.YES, said, RULES[name])
    if gradient and not any(abs(c.value or 0.0) > SIGMAS * (c.error or 0.0) for c in known.values()):
        return Use(name, Answer.YES, f"{said}; a gradient, and no element found off", RULES[name])
    remark = next(remark for answer, remark in answers.values() if answer is Answer.UNSURE)
    return Use(name, Answer.UNSURE, f"{said}; {remark}", RULES[name])


def _relaxation(results: Results, model: str, mode: str) -> Use:
    """All sets together, L-BFGS where there is a choice."""
    name = "relaxation"
    rows = results.rows("relax", model, mode)
    rows = rows[rows["status"].isin(["ok", "exploded"])] if len(rows) else rows
    if not len(rows):
        return Use(name, Answer.UNKNOWN, "no relaxation was run", RULES[name])
    first = "lbfgs" if (rows["optimizer"] == "lbfgs").any() else str(rows["optimizer"].iloc[0])
    rows = rows[rows["optimizer"] == first]
    trials, successes = int(rows["n"].sum()), int(rows["n_success"].sum())
    if not trials:
        return Use(name, Answer.UNKNOWN, "no relaxation was started", RULES[name])
    low, high = (100.0 * end for end in wilson95(successes, trials))
    rate = 100.0 * successes / trials
    answer = Answer.NO if high < SUCCESS else Answer.YES if rate >= SUCCESS and low > 80.0 else Answer.UNSURE
    sets = ", ".join(f"{row['n_success']:.0f}/{row['n']:.0f} {row['set']}" for _, row in rows.iterrows())
    remark = "" if answer is not Answer.UNSURE else "; more relaxations would tell"
    return Use(
        name, answer, f"{sets}; {rate:.0f} % in all, 95 % interval {low:.0f} to {high:.0f} %{remark}", RULES[name]
    )


def wilson95(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    z = 1.96
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def _exploded(results: Results, model: str, mode: str, system: str | None) -> bool:
    frames = [results.rows(name, model, mode, system) for name in ("nve-drift", "nvt")]
    return any(bool((frame["status"] == "exploded").any()) for frame in frames if len(frame))


def _cost(results: Results, model: str, mode: str, system: str | None) -> str:
    mine = _milliseconds(results, model, mode, system)
    if mine is None:
        return "not timed"
    value, where = mine
    other = {"direct": "conservative", "conservative": "direct"}.get(mode, "")
    theirs = _milliseconds(results, model, other, system)
    ratio = f", {value / theirs[0]:.2g} of {other} forces" if theirs is not None and theirs[0] > 0 else ""
    return f"{value:.3g} ms a step ({where}){ratio}"


def _milliseconds(results: Results, model: str, mode: str, system: str | None) -> tuple[float, str] | None:
    rows = results.rows("timing", model, mode, system)
    rows = rows[(rows["status"] == "ok") & (rows["path"] == "adapter")] if len(rows) else rows
    if not len(rows):
        return None
    row: pd.Series[float] = rows.iloc[-1]
    return float(row["ms_per_step"]), f"{int(row['n_atoms'])} atoms, {row['device']}, {row['dtype']}"
