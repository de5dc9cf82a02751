"""Values that older rows lack are derived from their other columns."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from ncbench.statistics.older_rows import with_drift_from_energy, with_power_bounds, with_temperature_floors


def test_errors_below_the_floor_are_raised_to_it() -> None:
    run = {
        "structure": "000", "target_K": 300.0, "steps": 1000, "timestep_fs": 0.5, "thermostat": "svr", "tau_fs": 10.0,
        "degrees_of_freedom": 100.0,
    }  # fmt: skip
    rows = pd.DataFrame([run | {"temperature_K_se": 1.0}, run | {"temperature_K_se": 90.0}])
    floored = with_temperature_floors(rows, pd.Series({"000": 300.0}))
    # T² [g(t/2τ)/300 + (1/100 − 1/300) g(t/500 fs)] with g(u) = 2(u − 1 + e^−u)/u²; t = 500 fs: g(1) = 2/e and g(25) = 2·24/625.
    expected = 300.0 * math.sqrt(2 * 24 / 625 / 300 + (1 / 100 - 1 / 300) * 2 / math.e)
    assert floored["temperature_K_se"].tolist() == pytest.approx([expected, 90.0], rel=1e-9)
    assert rows["temperature_K_se"].tolist() == [1.0, 90.0]


def test_missing_temperature_drift_is_derived_from_the_energy_drift() -> None:
    energy, column = "energy_drift_meV_per_atom_per_ps", "drift_from_energy_K_per_ps"
    rows = pd.DataFrame(
        {
            "n_atoms": [2, 2],
            energy: [1.0, 1.0],
            f"{energy}_se": [0.1, 0.1],
            column: [math.nan, 7.0],
            f"{column}_se": [math.nan, 0.5],
        }
    )
    filled = with_drift_from_energy(rows)
    # 2 meV/ps over 3 k_B (6 coordinates less the centre of mass), k_B = 0.0861733 meV/K.
    assert filled[column].tolist() == pytest.approx([2.0 / (3 * 0.0861733), 7.0], rel=1e-5)
    assert filled[f"{column}_se"].tolist() == pytest.approx([0.2 / (3 * 0.0861733), 0.5], rel=1e-5)


def test_powers_of_older_rows_are_bounds_below_twenty_memories():
    """2 ps: not known; 3 ps: three times the error; 10 ps under τ = 100 fs, and 40 ps under 10 fs: the row's own; a row of the current version stays."""
    rows = pd.DataFrame(
        [
            {"thermostat": "langevin", "tau_fs": tau, "steps": 2 * fs, "timestep_fs": 0.5, "power_error_known": known,
             "power_meV_per_atom_per_ps": 90.0, "power_meV_per_atom_per_ps_se": 4.0, "power_error_is_bound": bound}
            for tau, fs, known, bound in (
                (100.0, 2000, True, None), (100.0, 3000, True, None), (100.0, 3000, False, None), (100.0, 10000, True, None),
                (10.0, 10000, None, None), (10.0, 40000, None, None), (100.0, 3000, True, True),
            )
        ]
    )  # fmt: skip
    read = with_power_bounds(rows)
    assert list(read["power_error_known"]) == [False, True, False, True, True, True, True]
    assert list(read["power_meV_per_atom_per_ps_se"]) == [4.0, 12.0, 12.0, 4.0, 12.0, 4.0, 4.0]
    assert list(rows["power_meV_per_atom_per_ps_se"]) == [4.0] * 7
