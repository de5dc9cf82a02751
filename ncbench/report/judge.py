"""The judge of the uses of a model, with all rules and thresholds.

``summary``, ``report`` and the profiles of ``check`` use it. An answer is yes or no only if :data:`SIGMAS` standard errors lie
between the number and its threshold. If the error is not known (no plateau, a run shorter than its noise), the answer is undecided.

Thresholds, and how a number is held against one, are in :mod:`ncbench.report.decide`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from ncbench.diagnostics.nvt import RELAXATIONS
from ncbench.report.aggregate import cell, columns, longest, preferred, ranks_of, repartitioned_masses
from ncbench.report.decide import (
    EXCESS_K,
    HEATING_K,
    HEATING_POWER,
    HEATING_PS,
    LOCAL_POWER,
    LOCAL_TAU_PS,
    ROOM_K,
    SUCCESS,
    Answer,
    Power,
    decide,
    decide_rate,
    dynamics_rows,
    heat_capacity,
    measured_power,
    rate_limits,
)
from ncbench.report.explosions import Explosion, constant_energy, constant_pressure, thermostatted
from ncbench.report.gradients import energy_jumps
from ncbench.report.predicted import power_texts
from ncbench.report.read import Results
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.floors import SPECIES_EXCHANGE_FS
from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import SIGMAS


@dataclass(frozen=True)
class Judgement:
    """A use of a model and the answer."""

    use: str
    answer: Answer
    evidence: str
    """The numbers, as a sentence without full stop."""
    rule: str

    @property
    def sentence(self) -> str:
        """The answer as plain text."""
        return f"{self.use[:1].upper()}{self.use[1:]}: {self.answer} ({self.evidence})."


FORCES, NVE, LOCAL, GLOBAL, PRESSURE, RELAXATION = (
    "conservative forces", "constant energy (NVE)", f"local thermostat (τ = {1000 * LOCAL_TAU_PS:g} fs)", "global thermostat (SVR)", "constant pressure", "relaxation",
)  # fmt: skip

LONG_ENOUGH = f"nvt of the same model and structures with --thermostat svr:10 and --duration {RELAXATIONS * SPECIES_EXCHANGE_FS:.0f} or longer"
"""The run under a global thermostat whose mean temperatures of elements have a known error."""

RULES: Mapping[str, str] = {
    FORCES: f"no: λ is above its numerical floor, or the work around a closed path differs from zero, by {SIGMAS:g} standard errors. "
    "Yes: the upper end of λ's interval is below three floors, and a tenth of the smallest λ of the paper's direct models, for the structures that were measured.",
    NVE: f"no: a run explodes by the work of its forces, or gains or loses more than {HEATING_POWER:.3f} meV/atom/ps ({HEATING_K:g} K in {HEATING_PS:g} ps) "
    f"by {SIGMAS:g} standard errors; an explosion of forces that are a gradient, or from a start that is not relaxed, decides nothing. Yes: less by "
    f"{SIGMAS:g} standard errors; where the forces are a gradient and the energy has no jumps, the error of the drift is the measured one, otherwise not "
    "less than the noise of the tolerated power.",
    LOCAL: f"no: the power P heats the system by more than {EXCESS_K:g} K under white noise of τ = {1000 * LOCAL_TAU_PS:g} fs (ΔT = Pτ/3k_B, "
    f"P > {LOCAL_POWER:.1f} meV/atom/ps; of N atoms k_B times (N − 1)/N) by {SIGMAS:g} standard errors. Yes: less by {SIGMAS:g}.",
    GLOBAL: f"no: an element's mean temperature is off by more than {EXCESS_K:g} K by {SIGMAS:g} standard errors. Yes: all are within by {SIGMAS:g}. "
    "Means of too few correlation times have no known error and decide nothing.",
    PRESSURE: f"no: a run at constant enthalpy (NPH) explodes, or its enthalpy drifts by more than {HEATING_POWER:.3f} meV/atom/ps by {SIGMAS:g} standard "
    f"errors. Yes: less by {SIGMAS:g}, the error being the measured one where the forces are a gradient and the stress is the energy's, otherwise not "
    "less than the noise of the tolerated power.",
    RELAXATION: f"no: the interval of the rate of success (Clopper-Pearson) at {SIGMAS:g} standard errors lies below {SUCCESS:g} %. Yes: it lies above.",
}
"""By use, as printed."""


def judge(results: Results, model: str, mode: str, system: str | None) -> tuple[Judgement, ...]:
    """All uses of one model in one force mode, in the order of :data:`RULES`."""
    cells = {column.key: cell(results, column, model, mode, system) for column in columns(results)}
    drift = measured_power(results, "nve-drift", model, mode, system, cells.get("energy_drift", Cell()))
    langevin = measured_power(results, "nvt", model, mode, system, cells.get("power", Cell()))
    structures = len(set(results.rows("lambda", model, mode, system).get("structure", ())))
    forces = judge_forces(cells.get("lambda", Cell()), cells.get("work", Cell()), structures)
    gradient = forces.answer is Answer.YES
    exploded = partial(thermostatted, results, model, mode, system, gradient=gradient)
    predict = dynamics_rows(results, "predict", model, mode, system, "ok")
    predicted = power_texts(predict, nve=NVE, local=LOCAL, tau_ps=LOCAL_TAU_PS)
    judgements = (
        forces,
        judge_nve(
            drift,
            gradient,
            _energy_jump(results, model, mode, system),
            constant_energy(results, model, mode, system, gradient=gradient),
        ),
        judge_local([langevin, drift], gradient, exploded("langevin", 1000.0 * LOCAL_TAU_PS)),
        judge_global(
            {key.removeprefix("excess_"): one for key, one in cells.items() if key.startswith("excess_")},
            gradient,
            exploded("svr", math.inf),
            missing=langevin.cell.missing if langevin.cell.missing.startswith("nvt unsupported") else "nvt was not run",
            masses=_masses_under_svr(results, model, mode, system),
        ),
        judge_pressure(results.rows("npt", model, mode, system), gradient, _stress(results, model, mode, system)),
        judge_relaxation(results.rows("relax", model, mode)),
    )
    return tuple(_with_prediction(one, predicted.get(one.use, "")) for one in judgements)


def _with_prediction(judgement: Judgement, prediction: str) -> Judgement:
    """Adds the prediction to a use that the runs leave open. It decides nothing: the answer stays."""
    if not prediction or judgement.answer in (Answer.YES, Answer.NO):
        return judgement
    return replace(judgement, evidence=f"{judgement.evidence}; predicted: {prediction}")


def judge_forces(asymmetry: Cell, work: Cell, structures: int = 0) -> Judgement:
    """λ and the work around a closed path. Zero work along one path does not prove a gradient: other paths may differ.

    ``structures``: number of structures of λ. The error of λ of a single one is numerical, and others have another λ.
    """
    alone = " of one structure" if structures == 1 else ""
    statements = [f"λ {_bounded(asymmetry)}{alone}"] if asymmetry.value is not None else []
    statements += [f"work around a closed path {work} meV"] if work.value is not None else []
    if not statements:
        return Judgement(FORCES, Answer.UNKNOWN, "lambda and workloop were not run", RULES[FORCES])
    if asymmetry.significant or work.significant:
        return Judgement(FORCES, Answer.NO, ", ".join(statements), RULES[FORCES])
    if asymmetry.significant is False:
        return Judgement(FORCES, Answer.YES, ", ".join(statements), RULES[FORCES])
    remark = (
        "λ is neither above its floor nor shown to vanish"
        if asymmetry.value is not None
        else "one path alone does not show a gradient"
    )
    return Judgement(FORCES, Answer.UNSURE, ", ".join([*statements, remark]), RULES[FORCES])


def judge_nve(
    drift: Power, gradient: bool, jump: tuple[bool | None, str], explosion: Explosion | None = None
) -> Judgement:
    """Dynamics at constant energy.

    Args:
        drift: of the total energy.
        gradient: the forces are the gradient of an energy.
        jump: whether the energy jumps (``None``: not measured), and the words for it.
        explosion: of a run; ``None`` if no run exploded.
    """
    if explosion is not None:
        return _exploded(NVE, explosion)
    jumps, jump_text = jump
    statements = (
        [f"drift {drift.cell} meV/atom/ps{_kelvin(drift.cell, drift.n_atoms)}{drift.masses}"] if drift.known else []
    )
    heating = "no heating by non-conservative forces" if gradient else ""
    if not drift.known:
        if not gradient:
            return Judgement(NVE, Answer.UNKNOWN, drift.cell.missing or "nve-drift was not run", RULES[NVE])
        refused = drift.cell.missing.startswith("nve-drift unsupported")
        left = [] if jumps is False else [jump_text]
        left += [f"integrator's error: open, {drift.cell.missing if refused else 'no drift was measured'}"]
        return Judgement(NVE, Answer.UNSURE, "; ".join([heating, *left]), RULES[NVE])
    answer, remark = drift.decide(HEATING_POWER, conservative=gradient and jumps is False)
    if answer is Answer.NO or not gradient:
        return Judgement(NVE, answer, "; ".join(filter(None, [*statements, remark])), RULES[NVE])
    statements += [heating]
    if answer is Answer.YES and jumps is False:
        return Judgement(NVE, Answer.YES, "; ".join([*statements, jump_text]), RULES[NVE])
    left = [] if jumps is False else [jump_text]
    left += [] if answer is Answer.YES else [f"integrator's error and rare events: open, {remark}"]
    return Judgement(NVE, Answer.UNSURE, "; ".join([*statements, *left]), RULES[NVE])


def _exploded(use: str, explosion: Explosion) -> Judgement:
    return Judgement(use, Answer.UNSURE if explosion.why_open else Answer.NO, explosion.evidence, RULES[use])


def judge_local(powers: list[Power], gradient: bool, explosion: Explosion | None = None) -> Judgement:
    """A local thermostat, from an explosion under one that is as strong, otherwise from the first power that gives an answer."""
    if explosion is not None:
        return _exploded(LOCAL, explosion)
    measured = [power for power in powers if power.known]
    if not measured:
        missing = next((power.cell.missing for power in powers if power.cell.missing), "no power was measured")
        return Judgement(LOCAL, Answer.UNKNOWN, missing, RULES[LOCAL])
    # The power under the thermostat takes precedence over that at constant energy, which grows with the temperature.
    decided = [
        (power, *_at_local_tau(power, *power.decide(_local_limit(power), conservative=gradient))) for power in measured
    ]
    settled = [one for one in decided if one[1] is not Answer.UNSURE]
    power, answer, remark = (settled or decided)[0]
    factor = LOCAL_TAU_PS / heat_capacity(power.n_atoms)
    excess = with_error(
        factor * (power.cell.value or 0.0), factor * (power.cell.error or 0.0), known=not power.cell.loose
    )
    # In a hotter liquid, as under a weaker bath, the power is larger.
    sign = "≥" if power.at_most_tau_fs < 1000.0 * LOCAL_TAU_PS else "="
    statement = f"P = {power.cell} meV/atom/ps {power.how}{power.masses}, so ΔT {sign} Pτ/3k_B = {excess} K at τ = {1000 * LOCAL_TAU_PS:g} fs"
    heating = "no heating by non-conservative forces" if gradient else ""
    return Judgement(LOCAL, answer, "; ".join(filter(None, [statement, heating, remark])), RULES[LOCAL])


def _local_limit(power: Power) -> float:
    return heat_capacity(power.n_atoms) * EXCESS_K / LOCAL_TAU_PS


def _at_local_tau(power: Power, answer: Answer, remark: str) -> tuple[Answer, str]:
    """A stronger bath than the judged one keeps the liquid cooler, where it heats less: it can only show too much heating."""
    tau_fs = 1000.0 * LOCAL_TAU_PS
    if answer is Answer.YES and power.at_most_tau_fs < tau_fs:
        return Answer.UNSURE, f"under τ = {power.at_most_tau_fs:g} fs; a run with {tau_fs:g} fs may heat more"
    return answer, remark


def judge_global(
    excess: Mapping[str, Cell],
    gradient: bool,
    explosion: Explosion | None = None,
    missing: str = "nvt was not run",
    masses: str = "",
) -> Judgement:
    """A global thermostat, from an explosion under it, otherwise from the mean temperature of each element; ``missing`` is the reason where there is none,
    ``masses`` the repartitioned masses of the runs.
    """
    if explosion is not None:
        return _exploded(GLOBAL, explosion)
    measured = {name: one for name, one in excess.items() if one.value is not None and one.error is not None}
    if not measured:
        missing = next((one.missing for one in excess.values() if one.missing), missing)
        return Judgement(GLOBAL, Answer.UNKNOWN, missing, RULES[GLOBAL])
    if all(one.loose for one in measured.values()):
        # Numbers without a known error are in the table; what is missing is the run.
        return Judgement(
            GLOBAL, Answer.UNSURE, f"too short for a known error{masses}: run {LONG_ENOUGH}", RULES[GLOBAL]
        )
    statement = ", ".join(f"ΔT of {name} {one} K" for name, one in measured.items()) + masses
    answers = [
        (Answer.UNSURE, "the run is too short for a known error")
        if one.loose
        else decide(one.value or 0.0, one.error or 0.0, EXCESS_K)
        for one in measured.values()
    ]
    if any(answer is Answer.NO for answer, _ in answers):
        return Judgement(GLOBAL, Answer.NO, statement, RULES[GLOBAL])
    if len(measured) == len(excess) and all(answer is Answer.YES for answer, _ in answers):
        return Judgement(GLOBAL, Answer.YES, statement, RULES[GLOBAL])
    remark = next((remark for answer, remark in answers if answer is Answer.UNSURE), "not every element has an error")
    heating = "; no heating by non-conservative forces" if gradient else ""
    return Judgement(GLOBAL, Answer.UNSURE, f"{statement}{heating}; {remark}", RULES[GLOBAL])


def judge_pressure(rows: pd.DataFrame, gradient: bool, stress: bool | None) -> Judgement:
    """Dynamics at constant pressure, from the enthalpy without baths.

    Args:
        rows: of ``npt``.
        gradient: the forces are the gradient of an energy.
        stress: whether the stress is that energy's strain derivative (``None``: not measured).
    """
    refused = rows[rows["status"].isin(["unsupported", "failed"])] if len(rows) else rows
    rows = rows[(rows["ensemble"] == "nph").fillna(False)] if len(rows) else rows
    rows = preferred(rows, ranks_of("npt"))
    explosion = constant_pressure(rows, gradient=gradient)
    if explosion is not None:
        return _exploded(PRESSURE, explosion)
    rows = longest(rows[rows["status"] == "ok"]) if len(rows) else rows
    drift = mean_cell(rows, "enthalpy_drift_meV_per_atom_per_ps") if len(rows) else Cell()
    if drift.value is None:
        missing = str(refused["reason"].iloc[0]) if len(refused) else "npt --ensemble nph was not run"
        return Judgement(PRESSURE, Answer.UNKNOWN, missing, RULES[PRESSURE])
    known = bool(rows["enthalpy_error_known"].fillna(False).all())
    length = float((rows["steps"] * rows["timestep_fs"]).max()) / 1000.0 * len(rows)
    power = Power(replace(drift, loose=not known), int(rows["n_atoms"].mean()), length, ROOM_K, "at constant enthalpy")
    answer, remark = power.decide(HEATING_POWER, conservative=gradient and stress is True)
    statements = [f"enthalpy drifts by {power.cell} meV/atom/ps{repartitioned_masses(rows)}", remark]
    if stress is not True:
        statements.append(
            "the stress was not compared with the energy" if stress is None else "the stress is not that of the energy"
        )
    return Judgement(PRESSURE, answer, "; ".join(filter(None, statements)), RULES[PRESSURE])


def judge_relaxation(rows: pd.DataFrame) -> Judgement:
    """All sets together, by the preferred optimiser."""
    rows = rows[rows["status"].isin(["ok", "exploded"])] if len(rows) else rows
    rows = preferred(rows, ranks_of("relax"))
    trials = int(rows["n"].sum()) if len(rows) else 0
    if not trials:
        return Judgement(RELAXATION, Answer.UNKNOWN, "no relaxation was run", RULES[RELAXATION])
    successes = int(rows["n_success"].sum())
    answer, remark = decide_rate(successes, trials)
    low, high = (100.0 * end for end in rate_limits(successes, trials))
    sets = ", ".join(f"{row['n_success']:.0f} of {row['n']:.0f} {row['set']}" for _, row in rows.iterrows() if row["n"])
    statement = f"converged: {sets}; rate between {low:.0f} and {high:.0f} % at {SIGMAS:g} standard errors"
    return Judgement(RELAXATION, answer, "; ".join(filter(None, [statement, remark])), RULES[RELAXATION])


def _bounded(asymmetry: Cell) -> str:
    text = str(asymmetry)
    return text if text.startswith("≤") else f"= {text}"


def _kelvin(drift: Cell, n_atoms: int) -> str:
    """The drift as a temperature, shared between kinetic and potential energy; over 100 ps only if it stays small."""
    if drift.loose:
        return ""
    capacity = heat_capacity(n_atoms)
    value, error = (drift.value or 0.0) / capacity, (drift.error or 0.0) / capacity
    if HEATING_PS * (abs(value) + error) > ROOM_K:
        return f", {with_error(value, error)} K/ps"
    return f", {with_error(HEATING_PS * value, HEATING_PS * error)} K in {HEATING_PS:g} ps"


def _masses_under_svr(results: Results, model: str, mode: str, system: str | None) -> str:
    """Repartitioned masses of the runs whose mean temperatures are judged: the longest of the strongest global thermostat."""
    rows = dynamics_rows(results, "nvt", model, mode, system, "ok")
    rows = rows[rows["thermostat"] == "svr"] if len(rows) else rows
    return repartitioned_masses(longest(rows[rows["tau_fs"] == rows["tau_fs"].min()])) if len(rows) else ""


def _energy_jump(results: Results, model: str, mode: str, system: str | None) -> tuple[bool | None, str]:
    """Whether the energy jumps by more than three floors of rounding and quadrature, and the words for it."""
    rows = results.rows("consistency", model, mode, system)
    rows = rows[(rows["status"] == "ok") & rows["energy_jump_meV"].notna()] if len(rows) else rows
    if not len(rows):
        return None, "jumps of the energy: open, not measured (run consistency)"
    jumps, floor = energy_jumps(rows), float(rows["energy_jump_floor_meV"].fillna(0.0).max())
    jump = float(rows["energy_jump_meV"].max())
    if jumps:
        return True, f"the energy jumps by up to {jump:.2g} meV, above its floor of {floor:.2g} meV"
    # What is not resolved is a bound, and a bound below the floor would claim more than the floor allows.
    size = f"≤ {floor:.2g} meV, the floor" if jump <= floor else f"≤ {jump:.2g} meV, within three floors"
    return False, f"jumps of the energy {size}"


def _stress(results: Results, model: str, mode: str, system: str | None) -> bool | None:
    """Whether the stress is the strain derivative of the energy, within three floors of rounding and truncation."""
    rows = results.rows("consistency", model, mode, system)
    rows = rows[(rows["status"] == "ok") & rows["stress_gap_MPa"].notna()] if len(rows) else rows
    if not len(rows):
        return None
    return bool((rows["stress_gap_MPa"] <= SIGMAS * rows["stress_gap_floor_MPa"].fillna(0.0)).all())
