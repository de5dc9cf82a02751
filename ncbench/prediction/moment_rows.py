"""Rows of the main table where the power comes from moments. Imports nothing heavy at module level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncbench.prediction.rows import quench_note

if TYPE_CHECKING:
    from ncbench.prediction.large import LargePrediction
    from ncbench.prediction.quench import Quench
    from ncbench.prediction.second_order import Power
    from ncbench.prediction.settings import PredictSettings

LARGE_MISSING = 1e-3
"""Share of the Jacobian beyond the reach that is named in the note."""


def moment_columns(rested: Quench, prediction: LargePrediction) -> dict[str, Any]:
    """Columns of the main table about the quench and the moments."""
    powers = prediction.powers
    notes = [
        quench_note(rested.note, powers.held_translations),
        "imaginary frequencies, taken by their absolute value" if powers.unstable else "",
        f"{100 * prediction.missing:.2g} % of the Jacobian lie beyond {prediction.reach_A:g} Å"
        if prediction.missing > LARGE_MISSING
        else "",
        "temperatures and limits of stability need all modes (--modes all)",
    ]
    return {
        "quenched_by": rested.label,
        "quench_steps": rested.steps,
        "quench_fmax_eV_per_A": rested.fmax,
        "modes": "moments",
        "reach_A": prediction.reach_A,
        "polynomials": powers.terms,
        "vectors": powers.probes,
        "note": "; ".join(filter(None, notes)),
    }


def moment_rows(prediction: LargePrediction, settings: PredictSettings) -> list[dict[str, Any]]:
    """One row a time constant of white noise, and one a time at constant energy."""
    from ncbench.prediction.heating import critical_tau_fs, spread_excess_K, spread_power

    powers, target = prediction.powers, settings.temperature_K
    sizes = powers.n_modes, powers.n_atoms
    common = {
        "target_K": target,
        "species": "all",
        "frequency_floor_per_cm": settings.floor_per_cm,
        "power_floor_meV_per_atom_per_ps": powers.floor_power,
    }

    def second_order(power: Power) -> dict[str, Any]:
        return {
            "golden_rule_meV_per_atom_per_ps": power.value,
            "golden_rule_meV_per_atom_per_ps_se": power.error,
            "power_low_meV_per_atom_per_ps": power.low,
            "power_high_meV_per_atom_per_ps": power.high,
            # Three of both: the error of the estimate, and the power that the Jacobian's own error would give.
            "above_floor": power.value > 3.0 * max(powers.floor_power, power.error),
        }

    rows = []
    for tau_fs, power in powers.thermostats.items():
        row = common | {"thermostat": "langevin", "tau_fs": tau_fs} | second_order(power)
        row["spread_excess_K"] = spread_excess_K(max(0.0, power.value), tau_fs, target, *sizes)
        if row["above_floor"]:
            row["critical_tau_fs"] = critical_tau_fs(power.value, target, *sizes)
        rows.append(row)
    for time_fs, power in powers.windows.items():
        row = common | {"thermostat": "none", "duration_fs": time_fs} | second_order(power)
        row["spread_power_meV_per_atom_per_ps"] = spread_power(max(0.0, power.value), time_fs, target, *sizes)
        rows.append(row)
    return rows
