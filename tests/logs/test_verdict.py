"""Verdicts from numbers: the cause that is named, and undecided cases."""

from __future__ import annotations

from typing import Any

import pytest

from ncbench.logs.tables import SCHEMA
from ncbench.logs.verdict import Cause, verdict


def row(power: float | None, error: float = 0.01, **changes: Any) -> dict[str, Any]:
    """A run of 30 ps at 1 fs and constant energy; powers in meV/atom/ps."""
    values: dict[str, Any] = {
        "structure": "a.log", "run": 1, "n_atoms": 1080, "status": "ok", "reason": "", "engine": "ase", "ensemble": "nve", "exchange": "",
        "timestep_fs": 1.0, "samples": 300, "duration_ps": 30.0, "quantity": "Etot", "choice": "the total energy", "conserved": True,
        "power_meV_per_atom_per_ps": power, "power_meV_per_atom_per_ps_se": None if power is None else error, "power_error_known": True,
        "power_limit_meV_per_atom_per_ps": abs(power or 0.0) + 2 * error, "below_resolution": power is None, "temperature_K": 300.0,
        "energy_fluctuation_share": 0.02,
    }  # fmt: skip
    return SCHEMA.row(**(values | changes))


@pytest.mark.parametrize(
    ("drifts", "cause"),
    [
        ({1.0: 0.5, 2.0: 0.5}, Cause.MODEL),
        ({1.0: 0.5, 2.0: 1.5}, Cause.BOTH),
        ({1.0: 0.1, 2.0: 0.4}, Cause.TIME_STEP),
        # As the fourth power: a straight line in Δt² would have a negative limit, which the time step cannot cause.
        ({1.0: 0.05, 2.0: 0.8}, Cause.TIME_STEP),
        ({1.0: 0.01, 2.0: 0.0}, Cause.NONE),
        ({1.0: -0.5, 2.0: -0.5}, Cause.MODEL),
        ({1.0: 0.06, 2.0: 0.08}, Cause.UNKNOWN),
        ({0.5: 0.1, 1.0: 0.4, 2.0: 1.6}, Cause.TIME_STEP),
    ],
)
def test_drifts_at_several_time_steps(drifts, cause):
    error = 0.02 if cause is Cause.UNKNOWN else 0.005
    answer = verdict([row(power, error, timestep_fs=step) for step, power in drifts.items()])
    assert answer.cause is cause, answer


def test_a_bound_from_the_printed_precision_counts_as_no_drift():
    answer = verdict([row(None, 0.002), row(0.5, 0.01, timestep_fs=2.0)])
    assert answer.cause is Cause.TIME_STEP


def test_unknown_errors_decide_nothing():
    answer = verdict([row(0.5), row(0.5, timestep_fs=2.0, power_error_known=False)])
    assert answer.cause is Cause.UNKNOWN
    assert "not known" in answer.because
    assert verdict([row(0.001, power_error_known=False)]).cause is Cause.UNKNOWN


def test_one_drift_is_undecided_and_the_suggested_run_is_long_enough():
    """Three errors of both runs, 3√2 σ, lie within three quarters of the drift, or the run is (3√2 σ/0.75 P)² times as long: 2 for the second."""
    answer = verdict([row(0.2, 0.03)])
    assert "with 0.5 fs for 30 ps" in answer.next_run
    answer = verdict([row(0.2, 0.05)])
    assert "with 0.5 fs for 60 ps" in answer.next_run


def test_steady_and_undecided_runs():
    assert verdict([row(0.001)]).cause is Cause.NONE
    open_one = verdict([row(0.07, 0.03)])
    assert open_one.cause is Cause.UNKNOWN
    assert "Run longer" in open_one.next_run
    small = verdict([row(0.04, 0.005)])
    assert small.cause is Cause.NONE
    assert "0.040(5)" in small.because


def test_a_short_run_of_few_atoms_cannot_exclude_heating():
    """√(2 k_B T P/(N t)) of the tolerated 0.078 meV/atom/ps: 0.035 for 108 atoms in 30 ps at 300 K, whatever the scatter of the energy is."""
    answer = verdict([row(0.0001, 0.0001, n_atoms=108)])
    assert answer.cause is Cause.UNKNOWN
    assert "as long" in answer.next_run


def test_thermostat_above_its_temperature_with_constant_energy_run_without_drift():
    bath = {"ensemble": "thermostat", "exchange": "fix langevin", "conserved": False, "run": 2}
    answer = verdict([row(0.001), row(2.0, 0.1, drift_K_per_ps=3.0, drift_K_per_ps_se=0.2, **bath)])
    assert answer.cause is Cause.THERMOSTAT
    assert "fix langevin" in answer.because
    alone = verdict([row(2.0, 0.1, drift_K_per_ps=3.0, drift_K_per_ps_se=0.2, **bath)])
    assert alone.cause is Cause.UNKNOWN
    # Equilibration at constant energy: the temperature changes, the energy does not, and no thermostat is there.
    assert verdict([row(0.001, drift_K_per_ps=3.0, drift_K_per_ps_se=0.2)]).cause is Cause.NONE


def test_energy_fluctuations_of_a_thermostat_are_not_taken_for_constant_energy():
    open_ensemble = {"ensemble": "unknown", "conserved": None}
    answer = verdict([row(0.5, energy_fluctuation_share=1.3, **open_ensemble)])
    assert answer.cause is Cause.UNKNOWN
    assert "as under a thermostat" in answer.because
    answer = verdict([row(0.5, **open_ensemble), row(0.5, timestep_fs=2.0, **open_ensemble)])
    assert answer.cause is Cause.MODEL
    assert "--ensemble nve" in answer.because


def test_different_temperatures_are_remarked():
    answer = verdict([row(0.5), row(0.6, timestep_fs=2.0, temperature_K=400.0)])
    assert "300 to 400 K" in answer.because
