"""The cause of heating in a run (model, time step or thermostat), or the run that would decide.

One log rarely suffices. At constant energy a drift is work of forces that are no gradient, or an error of the integrator; both look the same at one
time step. At several time steps the first stays and the second falls as Δt² or faster (:mod:`ncbench.md.timesteps`), so that logs of two
time steps h < H bound the part a that no time step removes: with drift = a + b Δt^p and p ≥ 2, a lies between the value for p = 2,
(d_h (H/h)² − d_H)/((H/h)² − 1), and the drift d_h at the shorter step (p → ∞). Forces are named where both differ from zero with the same sign.

If the total energy changes and the conserved quantity does not, the thermostat is the cause. Whether a drift matters is the judge's threshold
(:data:`ncbench.report.decide.HEATING_POWER`); errors that are not known decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ncbench.logs.grid import UNEQUAL_STEPS
from ncbench.logs.log import Ensemble
from ncbench.md.timesteps import Verdict as TimestepVerdict
from ncbench.md.timesteps import timestep_rows
from ncbench.report.decide import HEATING_K, HEATING_POWER, HEATING_PS, Answer, decide
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import CONFIDENCE, SIGMAS, Z_95, half_width
from ncbench.types import Status

Row = Mapping[str, Any]

_THERMOSTATTED = 0.5
"""Share of the kinetic energy's fluctuations above which a total energy is not conserved: √2 in the canonical ensemble, ≪ 1 at constant energy."""
_SAME_K = 0.1
"""Relative difference of temperatures from which powers are not comparable without a remark."""


class Cause(StrEnum):
    """Of a drift."""

    NONE = "no heating"
    MODEL = "model"
    TIME_STEP = "time step"
    BOTH = "model and time step"
    THERMOSTAT = "thermostat"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Verdict:
    """An answer about one or several logs."""

    cause: Cause
    because: str
    """A sentence."""
    next_run: str
    """The run that would decide; empty if nothing is open."""
    evidence: tuple[str, ...]
    """A sentence about each run."""


def verdict(rows: Sequence[Row]) -> Verdict:
    """The cause of the drift of runs of one system.

    Args:
        rows: of :func:`ncbench.logs.drift.measured`.
    """
    evidence = tuple(_sentence(row) for row in rows if row["status"] != Status.UNSUPPORTED)
    usable = [row for row in rows if _usable(row)]
    compared = [row for row in usable if row["timestep_fs"] is not None and _margin(row) > 0.0]
    open_ones = [
        row for row in rows if row["status"] == Status.OK and row["conserved"] is not False and not _usable(row)
    ]
    cause: tuple[Cause, str, str]
    if len({row["timestep_fs"] for row in compared}) > 1:
        cause = _by_time_steps(compared)
    elif usable and {row["timestep_fs"] for row in open_ones if not _looks_thermostatted(row)} - {
        row["timestep_fs"] for row in usable
    }:
        # A second time step is there and cannot be used.
        cause = _unusable([row for row in open_ones if not _looks_thermostatted(row)])
    elif usable:
        cause = _by_one_time_step(usable, rows)
    else:
        cause = _unusable(rows)
    kind, because, next_run = cause
    unjudged = [_name(row) for row in rows if row["status"] == Status.OK and not _usable(row)]
    if unjudged and kind is not Cause.UNKNOWN:
        because += f" Not judged, since not conserved or of unknown error: {', '.join(unjudged)}."
    return Verdict(kind, because, next_run, evidence)


def _name(row: Row) -> str:
    return f"{row['structure']} run {row['run']}"


def _power(row: Row) -> str:
    if row["below_resolution"]:
        return f"below the printed precision (|drift| < {row['power_limit_meV_per_atom_per_ps']:.2g} meV/atom/ps)"
    shown = with_error(
        row["power_meV_per_atom_per_ps"], row["power_meV_per_atom_per_ps_se"], known=bool(row["power_error_known"])
    )
    return f"{shown} meV/atom/ps"


def _sentence(row: Row) -> str:
    if row["status"] != Status.OK:
        return f"{_name(row)}: {row['status']}: {row['reason']}."
    kept = {True: "", False: ", not conserved", None: ""}[row["conserved"]]
    return f"{_name(row)}: the drift of {row['quantity']}{kept} is {_power(row)}; {row['choice']}."


def _usable(row: Row) -> bool:
    """The slope is of something that exact dynamics may conserve, and its error is known."""
    if row["status"] != Status.OK or row["conserved"] is False or _looks_thermostatted(row):
        return False
    return bool(row["below_resolution"] or row["power_error_known"])


def _looks_thermostatted(row: Row) -> bool:
    share = row["energy_fluctuation_share"]
    return row["conserved"] is None and share is not None and share > _THERMOSTATTED


def _drift(row: Row) -> tuple[float, float, float]:
    """Value, standard error and degrees of freedom; a bound by the printed precision is the 95 % interval of zero."""
    if row["below_resolution"]:
        return 0.0, row["power_limit_meV_per_atom_per_ps"] / Z_95, math.inf
    dof = row["power_dof"]
    return row["power_meV_per_atom_per_ps"], row["power_meV_per_atom_per_ps_se"], math.inf if dof is None else dof


def _margin(row: Row) -> float:
    _, error, dof = _drift(row)
    return half_width(error, dof, confidence=CONFIDENCE)


def _found(row: Row) -> bool:
    """The drift differs from zero."""
    return abs(_drift(row)[0]) > _margin(row)


def _answer(row: Row) -> tuple[Answer, str]:
    """Is the drift below the judge's threshold? A log does not say that its forces are a gradient: the error is at least the noise of such a power."""
    value, error, dof = _drift(row)
    if row["temperature_K"] is not None:
        power = max(abs(value), HEATING_POWER)
        floor = power_error(power, row["temperature_K"], row["duration_ps"], row["n_atoms"])
        error, dof = (error, dof) if error >= floor else (floor, math.inf)
    return decide(value, error, HEATING_POWER, dof=dof)


def _by_time_steps(rows: Sequence[Row]) -> tuple[Cause, str, str]:
    fit = timestep_rows(
        [
            {
                "structure": "logs", "n_atoms": row["n_atoms"], "status": Status.OK, "timestep_fs": row["timestep_fs"],
                "energy_drift_meV_per_atom_per_ps": _drift(row)[0],
                "energy_drift_meV_per_atom_per_ps_se": _margin(row) / SIGMAS,
            }
            for row in rows
        ]
    )[0]  # fmt: skip
    shortest = min(row["timestep_fs"] for row in rows)
    first = [row for row in rows if row["timestep_fs"] == shortest]
    limit, limit_se = fit["limit_meV_per_atom_per_ps"], fit["limit_meV_per_atom_per_ps_se"]
    forces = fit["verdict"] in (TimestepVerdict.FORCES, TimestepVerdict.BOTH)
    integrator = fit["verdict"] in (TimestepVerdict.INTEGRATOR, TimestepVerdict.BOTH)
    steps = ", ".join(
        f"{row['timestep_fs']:g} fs: {_power(row)}" for row in sorted(rows, key=lambda row: float(row["timestep_fs"]))
    )
    left = f"at a vanishing time step {with_error(limit, limit_se)} meV/atom/ps would be left"
    because = f"drifts at {steps}; {left}{_caveats(rows)}"
    if forces:
        cause = Cause.BOTH if integrator else Cause.MODEL
        step = f"{shortest:g} fs or less" if integrator else ""
        advice = f"Use a time step of {step}, and test" if integrator else "Test"
        return (
            cause,
            f"{because}.",
            f"{advice} the model: ncbench lambda, or its conservative head at the same time step.",
        )
    if integrator:
        because = f"drifts at {steps}, which fall as the square of the time step or faster{_caveats(rows)}"
        return Cause.TIME_STEP, f"{because}.", f"Keep to {shortest:g} fs or less." if not any(map(_found, first)) else (
            f"Halve the time step once more, to {shortest / 2:g} fs, to see the drift vanish."
        )  # fmt: skip
    if all(_answer(row)[0] is Answer.YES for row in rows):
        return Cause.NONE, f"{because}; all are less than {HEATING_POWER:.3f}.", ""
    return Cause.UNKNOWN, f"{because}; the errors do not separate a from b Δt².", (
        "Run longer, or at time steps that differ by a factor of two or more."
    )  # fmt: skip


def _caveats(rows: Sequence[Row]) -> str:
    text = ""
    if any(row["conserved"] is None for row in rows):
        text += "; if no thermostat acted, which a log does not say (--ensemble nve)"
    warm = [row["temperature_K"] for row in rows if row["temperature_K"] is not None]
    if warm and max(warm) > (1.0 + _SAME_K) * min(warm):
        text += f"; mind that the runs are at {min(warm):.0f} to {max(warm):.0f} K and powers grow with the temperature"
    if len({row["n_atoms"] for row in rows}) > 1:
        text += "; mind that the numbers of atoms differ"
    return text


def _by_one_time_step(usable: Sequence[Row], rows: Sequence[Row]) -> tuple[Cause, str, str]:
    drifting = [row for row in usable if _found(row) and _answer(row)[0] is not Answer.YES]
    if drifting:
        worst = max(drifting, key=lambda row: abs(_drift(row)[0]))
        rises = "rises" if _drift(worst)[0] > 0 else "falls"
        because = (
            f"{worst['quantity']} {rises} by {_power(worst)} in {_name(worst)}: work of the forces, or of the time step"
        )
        if worst["conserved"] is None:
            because += ", or of a thermostat, since the log does not say its ensemble (--ensemble nve)"
        return Cause.UNKNOWN, f"{because}; runs at one time step cannot separate them.", _half_step(worst)
    open_ones = [row for row in usable if _answer(row)[0] is not Answer.YES]
    if open_ones:
        row = open_ones[0]
        because = f"the drift of {row['quantity']} in {_name(row)}, {_power(row)}, is neither shown nor excluded"
        if row["below_resolution"]:
            return (
                Cause.UNKNOWN,
                f"{because}.",
                "Print more digits (LAMMPS: thermo_modify format float %20.12g), or run longer.",
            )
        remark = _answer(row)[1]
        return Cause.UNKNOWN, f"{because}.", f"Run longer{f': {remark}' if remark else ''}."
    steady = usable[0]
    bathed = [row for row in rows if row["status"] == Status.OK and row["ensemble"] != Ensemble.NVE]
    heated = [row for row in bathed if row in usable and _total_changes(row)] or [
        row
        for row in bathed
        if _warms(row) and (row["conserved"] is False or row["total_drift_meV_per_atom_per_ps"] is not None)
    ]
    if heated:
        row = heated[0]
        what = (
            f"the total energy changes by {with_error(row['total_drift_meV_per_atom_per_ps'], row['total_drift_meV_per_atom_per_ps_se'])} meV/atom/ps"
            if _total_changes(row)
            else f"the temperature changes by {with_error(row['drift_K_per_ps'], row['drift_K_per_ps_se'])} K/ps"
        )
        by = row["exchange"] or "the thermostat"
        return (
            Cause.THERMOSTAT,
            f"{what} in {_name(row)}, while {steady['quantity']} in {_name(steady)} is steady ({_power(steady)}): {by} adds or removes it.",
            "Wait until the temperature has settled; what remains then is not the forces.",
        )
    if steady["conserved"] is None:
        return (
            Cause.NONE,
            f"the total energy is steady ({_power(steady)}), less than {HEATING_POWER:.3f} meV/atom/ps.",
            "",
        )
    return (
        Cause.NONE,
        f"{steady['quantity']} is steady ({_power(steady)}), less than {HEATING_POWER:.3f} meV/atom/ps.",
        "",
    )


def _total_changes(row: Row) -> bool:
    value, error = row["total_drift_meV_per_atom_per_ps"], row["total_drift_meV_per_atom_per_ps_se"]
    return value is not None and error is not None and abs(value) > SIGMAS * error and abs(value) > HEATING_POWER


def _warms(row: Row) -> bool:
    value, error = row["drift_K_per_ps"], row["drift_K_per_ps_se"]
    return value is not None and error is not None and abs(value) > max(SIGMAS * error, HEATING_K / HEATING_PS)


def _half_step(row: Row) -> str:
    """The run at half the time step, what it should show, and how long it must be for three errors between both answers."""
    value, error, _ = _drift(row)
    step = f"{row['timestep_fs'] / 2:g} fs" if row["timestep_fs"] is not None else "half the time step"
    # The error of a walk falls as 1/√t; both runs have one.
    longer = max(1.0, (SIGMAS * math.sqrt(2.0) * _margin(row) / SIGMAS / (0.75 * abs(value))) ** 2)
    length = row["duration_ps"] * longer
    quarter, whole = with_error(value / 4.0, error), with_error(value, error)
    text = (
        f"Run NVE from the same start with {step} for {length:.3g} ps and give both logs to ncbench analyse: {quarter} meV/atom/ps or less if "
        f"the time step does it, {whole} if the model does. A run with the same model's conservative forces at the same time step separates them as well."
    )
    return text if row["ensemble"] != "thermostat" else text.replace("Run NVE", "Run the same")


def _unusable(rows: Sequence[Row]) -> tuple[Cause, str, str]:
    """No run has a conserved quantity with a known error."""
    ok = [row for row in rows if row["status"] == Status.OK]
    if not ok:
        exploded = [row for row in rows if row["status"] == Status.EXPLODED]
        if exploded:
            row = exploded[0]
            return (
                Cause.UNKNOWN,
                f"{_name(row)} exploded: {row['reason']}.",
                "Run from the last good frame with half the time step: if it explodes at the same time, the model does it.",
            )
        failed = [row for row in rows if row["status"] == Status.FAILED]
        if failed:
            return Cause.UNKNOWN, f"{_name(failed[0])}: {failed[0]['reason']}.", "Check --units and --atoms."
        return Cause.UNKNOWN, "no run could be measured.", "Print more samples, or energies."
    lost = [row for row in ok if row["conserved"] is False or _looks_thermostatted(row)]
    if lost:
        row = lost[0]
        why = (
            f"{row['exchange']} changes {row['quantity']}"
            if row["conserved"] is False
            else f"{row['quantity']} fluctuates by {row['energy_fluctuation_share']:.2g} of the kinetic energy, as under a thermostat"
        )
        wanted = (
            "econserve (with 'tally yes' under fix langevin)" if row["engine"] == "lammps" else "the conserved quantity"
        )
        return (
            Cause.UNKNOWN,
            f"{why} in {_name(row)}, and what is conserved is not in the log.",
            f"Print {wanted}, or go on from the last frame at constant energy (NVE) with the same time step.",
        )
    row = ok[0]
    return (
        Cause.UNKNOWN,
        f"the error of the drift in {_name(row)} is not known: {row['samples']} samples over {row['duration_ps']:.3g} ps are too few.",
        f"Print at equal steps: {UNEQUAL_STEPS}, and the longest part at equal ones is used."
        if UNEQUAL_STEPS in str(row["note"])
        else "Run longer, or print more often.",
    )
