"""Origin of an energy drift: the model or the integrator."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from known_fields import cluster

from ncbench.diagnostics import nve_drift, nvt
from ncbench.diagnostics.mts import MtsSettings
from ncbench.diagnostics.mts import run as run_mts
from ncbench.diagnostics.nve_drift import NveDriftSettings
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.errors import UsageError
from ncbench.md.timesteps import timestep_rows
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

STEPS = (0.25, 0.5, 1.0, 2.0)


def runs(drift, *, error: float = 0.1, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "structure": "a",
            "n_atoms": 6,
            "status": "ok",
            "timestep_fs": step,
            "energy_drift_meV_per_atom_per_ps": drift(step) + error * rng.normal(),
            "energy_drift_meV_per_atom_per_ps_se": error,
        }
        for step in STEPS
    ]


@pytest.mark.parametrize(
    ("drift", "verdict", "order"),
    [
        (lambda step: 20.0, "forces", 0.0),
        (lambda step: 5.0 * step**2, "integrator", 2.0),
        (lambda step: 10.0 + 5.0 * step**2, "both", None),
        (lambda step: 0.0, "none", None),
    ],
)
def test_verdict_follows_from_the_power_of_the_time_step(drift, verdict, order):
    (row,) = timestep_rows(runs(drift))
    assert row["verdict"] == verdict
    assert abs(row["limit_meV_per_atom_per_ps"] - drift(0.0)) < 4 * row["limit_meV_per_atom_per_ps_se"]
    if order is not None:
        assert abs(row["ratio_order"] - order) < 4 * row["ratio_order_se"]


def test_a_drift_that_falls_faster_than_the_squared_time_step_comes_from_the_integrator():
    for power in (4, 6):
        (row,) = timestep_rows(runs(lambda step, p=power: 3.0 * step**p, error=0.005))
        assert row["verdict"] == "integrator"
        assert row["power"] == power
        assert row["ratio_order"] == pytest.approx(power, abs=0.5)
        assert row["quadratic_meV_per_atom_per_ps_per_fs2"] is None
        assert row["curve_meV_per_atom_per_ps"] == pytest.approx(3.0, abs=0.1)
    # No power fits these drifts, and the drift vanishes at the shortest step.
    (row,) = timestep_rows(runs(lambda step: 1e-4 * np.exp(7 * step), error=0.02))
    assert row["verdict"] == "integrator"
    assert row["ratio_chi2"] > 10


@pytest.mark.parametrize(
    ("drift", "verdict"),
    [
        (lambda step: 0.05 * step**6, "integrator"),
        (lambda step: 0.5 * step**2, "integrator"),
        (lambda step: 20.0, "forces"),
        (lambda step: 20.0 + 0.5 * step**2, "both"),
    ],
)
def test_two_time_steps_with_a_negative_limit_name_the_integrator(drift, verdict):
    """Two drifts fit every power: of one that falls as Δt⁶ the limit for Δt² is negative, which is no work of the forces."""
    (row,) = timestep_rows([run for run in runs(drift, error=0.01) if run["timestep_fs"] >= 1.0])
    assert row["n_timesteps"] == 2
    assert row["verdict"] == verdict


def test_noise_is_rarely_taken_for_a_drift():
    wrong = sum(timestep_rows(runs(lambda step: 0.0, seed=s))[0]["verdict"] != "none" for s in range(500))
    # Two numbers, each beyond three standard errors in 0.27 % of draws: 2.7 expected, ten are five deviations off.
    assert wrong <= 10


def test_exploded_runs_are_left_out():
    rows = runs(lambda step: 1.0)
    for row in rows[1:]:
        row["status"] = "exploded"
    (row,) = timestep_rows(rows)
    assert row["status"] == "failed"
    assert row["n_timesteps"] == 1


def start(n: int = 4) -> Atoms:
    return cluster(f"Ar{n}", spread=0.05)


def load(spec: str, **options: str):
    return load_forcefield(ModelRequest(spec=spec, options=tuple(sorted(options.items()))))


def test_curl_and_integrator_are_distinguished(context):
    settings = NveDriftSettings(timesteps=(2.0, 4.0, 8.0), duration_fs=6000.0, fix_com=False)
    # Enough atoms and time that the heating exceeds three of its own fluctuations, √(2 k_B T P/(N t)).
    atoms = start(64)
    curl = nve_drift.run(
        load("analytic-solenoidal", kappa="0.05"), [Case("a", atoms)], settings, seed=0, context=context
    )
    assert [row["timestep_fs"] for row in curl.rows] == [2.0, 4.0, 8.0]
    assert curl.side["timesteps"][0]["verdict"] == "forces"
    context.checkpoint.state = None
    clean = nve_drift.run(load("analytic-harmonic"), [Case("a", atoms)], settings, seed=0, context=context)
    assert clean.side["timesteps"][0]["verdict"] == "none"


def test_replicas_differ_and_run_in_batches(context):
    case = Case("a", start())
    settings = NveDriftSettings(duration_fs=200.0, timestep_fs=2.0, replicas=3, fix_com=False)
    whole = nve_drift.run(load("analytic-solenoidal"), [case], settings, seed=0, context=context)
    assert [row["structure"] for row in whole.rows] == ["a/0", "a/1", "a/2"]
    assert len({row["temperature_mean_K"] for row in whole.rows}) == 3
    context.checkpoint.state = None
    halved = NveDriftSettings(duration_fs=200.0, timestep_fs=2.0, replicas=3, fix_com=False, batch=2)
    again = nve_drift.run(load("analytic-solenoidal"), [case], halved, seed=0, context=context)
    assert [row["drift_K_per_ps"] for row in again.rows] == [row["drift_K_per_ps"] for row in whole.rows]


def test_multiple_time_stepping_with_a_reference(context):
    context.reference = load("analytic-harmonic")
    settings = NveDriftSettings(duration_fs=2000.0, timestep_fs=1.0, mts=4, fix_com=False)
    curly = load("analytic-solenoidal", kappa="0.3")
    (split,) = nve_drift.run(curly, [Case("a", start())], settings, seed=0, context=context).rows
    assert (split["integrator"], split["stride"], split["steps"], split["timestep_fs"]) == ("mts", 4, 2000, 1.0)
    context.checkpoint.state = None
    alone = NveDriftSettings(duration_fs=2000.0, timestep_fs=1.0, fix_com=False)
    (direct,) = nve_drift.run(curly, [Case("a", start())], alone, seed=0, context=context).rows
    name = "energy_drift_meV_per_atom_per_ps"
    assert abs(split[name]) < 0.05 * abs(direct[name])
    context.checkpoint.state = None
    warm = NvtSettings(thermostats=("svr:10", "gle"), duration_fs=200.0, equilibration_fs=20.0, timestep_fs=1.0, mts=4)
    rows = nvt.run(curly, [Case("a", start())], warm, seed=0, context=context).rows
    assert {row["thermostat"] for row in rows} == {"svr", "gle"}
    assert all((row["stride"], row["timestep_fs"], row["steps"]) == (4, 1.0, 200) for row in rows)


def test_table_of_multiple_time_steps(context):
    context.reference = load("analytic-harmonic")
    settings = MtsSettings(strides=(2, 8), duration_fs=1000.0, timestep_fs=1.0, fix_com=False, rounds=3)
    outcome = run_mts(load("analytic-solenoidal", kappa="0.3"), [Case("a", start())], settings, seed=0, context=context)
    rows = {(row["integrator"], row["stride"]): row for row in outcome.rows}
    assert list(rows) == [("direct", 1), ("conservative", 1), ("mts", 2), ("mts", 8)]
    assert rows["direct", 1]["ratio_cost"] == 1.0
    drift = {key: row["energy_drift_meV_per_atom_per_ps"] for key, row in rows.items()}
    assert abs(drift["conservative", 1]) < 1e-3
    assert abs(drift["mts", 8]) < 0.2 * abs(drift["direct", 1])
    mts = rows["mts", 8]
    expense = rows["conservative", 1]["ratio_cost"]
    assert mts["ratio_two_calls"] == pytest.approx(1 + expense / 8)
    assert mts["ratio_one_call"] == pytest.approx(1 + (expense - 1) / 8)
    assert mts["both_in_one_call"] is False
    assert {row["stride"] for row in outcome.side["series"]} == {1, 2, 8}


@pytest.mark.parametrize(
    "settings",
    [{"mts": 0}, {"replicas": 0}, {"timesteps": (0.5, -1.0)}, {"timesteps": (0.5, 0.5)}, {"mts": 2, "rescale": True}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError):
        NveDriftSettings(**settings)
