"""Rows of the tables of the predicted heating, from what :mod:`ncbench.prediction` found. Imports nothing heavy at module level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ncbench.prediction.schemas import SUMMARY
from ncbench.statistics.cells import mean
from ncbench.types import Status

if TYPE_CHECKING:
    from ncbench.prediction.harmonic import HarmonicModel
    from ncbench.prediction.heating import HeatingPrediction, Sensitivity
    from ncbench.prediction.quench import Quench
    from ncbench.prediction.second_order import SecondOrder
    from ncbench.prediction.work_rates import WorkSeries


def quench_columns(rested: Quench, sensitivity: Sensitivity) -> dict[str, Any]:
    """Columns of the main table about the quench, with a note on translations that are not free and on imaginary frequencies."""
    n_imaginary = sensitivity.default.n_imaginary
    imaginary = (
        f"imaginary frequencies: {n_imaginary} of about {3 * sensitivity.n_atoms} modes, taken by their absolute value"
    )
    notes = [quench_note(rested.note, sensitivity.held_translations), imaginary if n_imaginary else ""]
    return {
        "quenched_by": rested.label,
        "quench_steps": rested.steps,
        "quench_fmax_eV_per_A": rested.fmax,
        "modes": "all",
        "note": "; ".join(filter(None, notes)),
    }


def quench_note(note: str, held_translations: int) -> str:
    """What the quench noted, and translations that are not free."""
    caveat = (
        f"{held_translations} translations of the whole structure are not free and are predicted as vibrations; dynamics with the "
        "centre of mass at rest, as nvt runs them, lack these"
    )
    return "; ".join(filter(None, [note, caveat if held_translations else ""]))


def main_rows(sensitivity: Sensitivity, nve_fs: float) -> list[dict[str, Any]]:
    """One row a thermostat and species, and one a time at constant energy; the power over ``nve_fs`` tells whether there is heating at all."""
    from ncbench.prediction.heating import critical_tau_fs, spread_excess_K, spread_power

    default = sensitivity.default
    floor = sensitivity.floor_power
    n_atoms = sensitivity.n_atoms
    common: dict[str, Any] = {
        "target_K": default.target_K,
        "frequency_floor_per_cm": default.floor_per_cm,
        "imaginary_modes": default.n_imaginary,
        "floored_modes": default.n_floored,
        "power_floor_meV_per_atom_per_ps": floor,
    }
    heats = default.nve_power[nve_fs] > 3 * floor
    # A limit caused by rounding alone does not count.
    common["harmonic_limit_fs"] = default.longest_stable_tau_fs if heats else None
    rows = []
    for one in default.thermostats:
        label, name, tau_fs = one.thermostat.label, one.thermostat.name, one.thermostat.tau_fs
        low, high = _spread([other.under(label).power for other in sensitivity.predictions])
        thermostat = common | {
            "thermostat": name,
            "tau_fs": tau_fs,
            "stable": one.stable,
            "growth_per_ps": one.growth_per_ps,
            "power_meV_per_atom_per_ps": one.power,
            "power_low_meV_per_atom_per_ps": low,
            "power_high_meV_per_atom_per_ps": high,
            "golden_rule_meV_per_atom_per_ps": one.golden_rule_power,
            "above_floor": not one.stable or (one.power is not None and one.power > 3 * floor),
        }
        if tau_fs is not None and one.golden_rule_power is not None:
            thermostat["spread_excess_K"] = spread_excess_K(
                one.golden_rule_power, tau_fs, default.target_K, default.n_modes, n_atoms
            )
        if tau_fs is not None and one.power is not None and one.temperature_K is not None and one.power > 3 * floor:
            hot = one.temperature_K["all"]
            thermostat["critical_tau_fs"] = critical_tau_fs(one.power, hot, default.n_modes, n_atoms)
        for species in sensitivity.species:
            temperatures = [_temperature(other, label, species) for other in sensitivity.predictions]
            least, most = _spread(temperatures)
            own = _temperature(default, label, species)
            rows.append(
                thermostat
                | {
                    "species": species,
                    "temperature_K": own,
                    "temperature_excess_K": None if own is None else own - default.target_K,
                    "excess_low_K": None if least is None else least - default.target_K,
                    "excess_high_K": None if most is None else most - default.target_K,
                }
            )
    for time_fs, power in default.nve_power.items():
        low, high = _spread([other.nve_power[time_fs] for other in sensitivity.predictions])
        rows.append(
            common
            | {
                "thermostat": "none",
                "duration_fs": time_fs,
                "species": "all",
                "growth_per_ps": default.nve_growth_per_ps,
                "power_meV_per_atom_per_ps": power,
                "power_low_meV_per_atom_per_ps": low,
                "power_high_meV_per_atom_per_ps": high,
                "golden_rule_meV_per_atom_per_ps": default.nve_second_order[time_fs],
                "spread_power_meV_per_atom_per_ps": spread_power(
                    default.nve_second_order[time_fs], time_fs, default.target_K, default.n_modes, n_atoms
                ),
                "above_floor": power > 3 * floor,
            }
        )
    return rows


def _temperature(prediction: HeatingPrediction, label: str, species: str) -> float | None:
    temperatures = prediction.under(label).temperature_K
    return None if temperatures is None else temperatures[species]


def _spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Least and largest; no largest where one of them is a runaway."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return min(known), max(known) if len(known) == len(values) else None


def sensitivity_rows(prediction: HeatingPrediction) -> list[dict[str, Any]]:
    """One row a thermostat, and one a time at constant energy, of one floor and treatment of imaginary modes."""
    common: dict[str, Any] = {
        "frequency_floor_per_cm": prediction.floor_per_cm,
        "imaginary": prediction.imaginary,
        "harmonic_limit_fs": prediction.longest_stable_tau_fs,
    }
    rows = []
    for one in prediction.thermostats:
        hot = _temperature(prediction, one.thermostat.label, "all")
        rows.append(
            common
            | {
                "thermostat": one.thermostat.name,
                "tau_fs": one.thermostat.tau_fs,
                "stable": one.stable,
                "temperature_excess_K": None if hot is None else hot - prediction.target_K,
                "power_meV_per_atom_per_ps": one.power,
            }
        )
    return rows + [
        common | {"thermostat": "none", "duration_fs": time_fs, "power_meV_per_atom_per_ps": power}
        for time_fs, power in prediction.nve_power.items()
    ]


LEAST_SHARE = 1e-3
"""Bins of the map with less of the power and less of ‖a‖² are left out."""


def map_rows(sensitivity: Sensitivity | SecondOrder) -> list[dict[str, Any]]:
    """Bins of the heating map, each pair of bins once."""
    edges, rows = sensitivity.map.edges_per_cm.tolist(), []
    for i in range(len(edges) - 1):
        for j in range(i + 1):
            pairs = 1.0 if i == j else 2.0
            share, norm = pairs * float(sensitivity.map.share[i, j]), pairs * float(sensitivity.map.norm_share[i, j])
            if max(share, norm) < LEAST_SHARE:
                continue
            rows.append(
                {
                    "omega_from_per_cm": edges[i],
                    "omega_to_per_cm": edges[i + 1],
                    "omega2_from_per_cm": edges[j],
                    "omega2_to_per_cm": edges[j + 1],
                    "tau_fs": sensitivity.map_tau_fs,
                    "fraction_of_power": share,
                    "power_meV_per_atom_per_ps": share * sensitivity.map_power,
                    "fraction_of_antisymmetry": norm,
                }
            )
    return rows


WINDOWS_FS = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Windows of the work whose powers are listed."""


def green_kubo_rows(
    series: WorkSeries, harmonic: HarmonicModel | None, *, source: str, moved_by: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of one conservative run, and one for each window, with the harmonic prediction beside it unless ``harmonic`` is ``None``.

    Raises:
        UsageError: the run is too short.
    """
    import numpy as np

    from ncbench.prediction.green_kubo import relative_error, work_growth
    from ncbench.prediction.heating import in_meV
    from ncbench.prediction.resonances import window_powers
    from ncbench.units import FS, KB

    found = work_growth(
        series.rates, series.spacing_fs, n_atoms=len(series.end), temperature_K=series.mean_temperature_K
    )
    row = {
        "source": source,
        "moved_by": moved_by,
        "duration_fs": series.duration_fs,
        "temperature_K": series.mean_temperature_K,
        "spacing_fs": series.spacing_fs,
        "power_meV_per_atom_per_ps": found.power,
        "power_meV_per_atom_per_ps_se": found.standard_error,
        "fit_from_fs": found.fit_from_fs,
        "fit_to_fs": float(found.lags_fs[-1]),
        "transient_meV": found.transient_meV,
    }
    windows = []
    for window_fs in WINDOWS_FS:
        index = round(window_fs / series.spacing_fs) - 1
        if index < 0 or window_fs > found.lags_fs[-1] + 1e-9:
            continue
        lag_fs = float(found.lags_fs[index])
        expected = None
        if harmonic is not None:
            thermal = KB * series.mean_temperature_K
            expected = in_meV(float(window_powers(harmonic, np.array([lag_fs * FS]), thermal)[0]), harmonic)
        windows.append(
            {
                "source": source,
                "window_fs": lag_fs,
                "power_meV_per_atom_per_ps": float(found.powers[index]),
                "power_meV_per_atom_per_ps_se": float(found.powers[index]) * relative_error(lag_fs, series.duration_fs),
                "harmonic_meV_per_atom_per_ps": expected,
            }
        )
    return row, windows


def summary_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over structures, each a quench of its own."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["status"] == Status.OK:
            groups[row["thermostat"], row["tau_fs"], row["duration_fs"], row["species"]].append(row)
    out = []
    for (thermostat, tau_fs, duration_fs, species), members in groups.items():
        if len(members) < 2:
            continue
        sizes = {row["n_atoms"] for row in members}
        values: dict[str, Any] = {"n_runaway": sum(row["stable"] is False for row in members)}
        values["n_structures"] = len(members) - values["n_runaway"]
        for column in ("temperature_excess_K", "power_meV_per_atom_per_ps"):
            known = [row[column] for row in members if row[column] is not None]
            if len(known) > 1:
                values[column], values[f"{column}_se"] = mean(known, [None] * len(known))
        where = {
            "structure": "all",
            "n_atoms": sizes.pop() if len(sizes) == 1 else None,
            "thermostat": thermostat,
            "tau_fs": tau_fs,
            "duration_fs": duration_fs,
            "species": species,
        }
        out.append(SUMMARY.row(**where, **values, status=Status.OK, reason=""))
    return out
