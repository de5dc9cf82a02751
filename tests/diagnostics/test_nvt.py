from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from known_fields import Interrupting, Well, WellField, cluster
from scipy import linalg

from ncbench.diagnostics import nvt
from ncbench.diagnostics.nvt import DIAGNOSTIC, NvtSettings
from ncbench.errors import UsageError
from ncbench.md.run import WARM_UP_CALLS
from ncbench.models.interface import FieldOutput
from ncbench.models.loading import load_forcefield
from ncbench.types import Budget, Case, ModelRequest
from ncbench.units import FS, KB

REQUIRED = {"thermostat", "tau_fs", "species", "temperature_K", "temperature_K_se", "power_meV_per_atom_per_ps"}


def crystal(symbols: str, n: int = 40) -> Atoms:
    return cluster(symbols * n)


def langevin_steady_state(k, kappa, mass, dt, tau, kT):
    """(⟨p²⟩/m for x and y, conserved-quantity power of one atom per unit of time) under OBABO, from the Lyapunov equation."""
    c = math.exp(-0.5 * dt / tau)
    force = np.array([[-k, -kappa], [kappa, -k]])
    one, zero = np.eye(2), np.zeros((2, 2))
    kick = np.block([[one, zero], [0.5 * dt * force, one]])
    verlet = kick @ np.block([[one, dt / mass * one], [zero, one]]) @ kick
    damp = np.diag([1, 1, c, c])
    noise = np.diag([0, 0, 1, 1]) * (1 - c * c) * mass * kT
    whole = damp @ verlet @ damp
    sigma = linalg.solve_discrete_lyapunov(whole, (damp @ verlet) @ noise @ (damp @ verlet).T + noise)
    after = damp @ sigma @ damp + noise
    before = verlet @ after @ verlet.T
    heat = np.trace((after - sigma + damp @ before @ damp + noise - before)[2:, 2:]) / (2 * mass)
    # The energy is constant on average: the thermostat removes the work of the curl.
    return sigma[2, 2] / mass, -heat / dt


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_langevin_in_a_solenoidal_field_gives_the_closed_form_temperatures_and_power(dtype, context):
    k, kappa, tau = 5.0, 0.2, 50.0
    forcefield = load_forcefield(
        ModelRequest(spec="analytic-solenoidal", dtype=dtype, options=(("k", str(k)), ("kappa", str(kappa))))
    )
    settings = NvtSettings(
        thermostats=(f"langevin:{tau:g}",), duration_fs=4000.0, equilibration_fs=500.0, timestep_fs=1.0, fix_com=False
    )
    outcome = nvt.run(forcefield, [Case("a", crystal("HO", 100))], settings, seed=4, context=context)
    rows = {row["species"]: row for row in outcome.rows}
    power = 0.0
    for symbol, mass in (("H", Atoms("H").get_masses()[0]), ("O", Atoms("O").get_masses()[0])):
        plane, atom_power = langevin_steady_state(k, kappa, mass, FS, tau * FS, KB * 300.0)
        exact = (2 * plane / KB + 300.0) / 3
        row = rows[symbol]
        assert abs(row["temperature_K"] - exact) < 4 * row["temperature_K_se"]
        assert row["temperature_K_se"] < 0.02 * exact
        power += 0.5 * atom_power * 1000 * (1000 * FS)  # half of the atoms; meV, ps
    whole = rows["all"]
    assert whole["power_meV_per_atom_per_ps"] is not None
    assert abs(whole["power_meV_per_atom_per_ps"] - power) < 4 * whole["power_meV_per_atom_per_ps_se"]
    # 4 ps are fewer than twenty memories of a power: three times the run's error.
    assert whole["power_error_is_bound"]
    assert power > 6 * whole["power_meV_per_atom_per_ps_se"]
    # The curl heats light and heavy atoms differently, by κτ/√(km).
    assert rows["H"]["temperature_K"] > rows["O"]["temperature_K"] + 30


@pytest.mark.parametrize("thermostat", ["nhc:20", "andersen:25"])
def test_the_power_of_a_curl_is_measured_under_each_thermostat(thermostat, context):
    field = Well(5.0, 0.2)
    settings = NvtSettings(
        thermostats=(thermostat,), duration_fs=3000.0, equilibration_fs=500.0, timestep_fs=1.0, fix_com=False
    )
    rows = {
        row["species"]: row
        for row in nvt.run(field, [Case("a", crystal("H", 100))], settings, seed=4, context=context).rows
    }
    whole = rows["all"]
    power, error = whole["power_meV_per_atom_per_ps"], whole["power_meV_per_atom_per_ps_se"]
    # A bound, three times the error of the run.
    assert whole["power_error_is_bound"]
    assert power > 4 * error
    if thermostat.startswith("andersen"):
        # The power gives the temperature: ΔT = 2τP/(n k_B), for a time step short against τ.
        excess, excess_error = whole["excess_from_power_K"], whole["excess_from_power_K_se"]
        assert abs(excess - whole["temperature_excess_K"]) < 4 * np.hypot(excess_error, whole["temperature_K_se"])
        assert excess > 4 * excess_error
    else:
        # T/T₀ = 1 + γτ of a saturated chain (ncbench.md.nose_hoover), γ = P/2K, in meV, fs and K.
        assert whole["excess_from_power_K"] is None
        gamma = power * 100 / (300 * KB * whole["temperature_K"]) * 1e-6
        assert 300 * (20 * gamma) ** 2 > 5
        assert abs(whole["temperature_K"] / 300.0 - 1.0 - 20 * gamma) < 4 * whole["temperature_K_se"] / 300.0
        assert 20 * gamma > 10 * whole["temperature_K_se"] / 300.0


@pytest.mark.parametrize("thermostat", ["langevin:50", "svr:20", "nhc:20", "andersen:25"])
@pytest.mark.parametrize("fix_com", [True, False])
def test_a_conservative_field_has_the_thermostat_temperature_and_zero_power(thermostat, fix_com, context):
    settings = NvtSettings(
        thermostats=(thermostat,), duration_fs=3000.0, equilibration_fs=500.0, timestep_fs=1.0, fix_com=fix_com
    )
    outcome = nvt.run(Well(5.0, 0.0), [Case("a", crystal("OH", 20))], settings, seed=5, context=context)
    rows = {row["species"]: row for row in outcome.rows}
    assert abs(rows["all"]["temperature_excess_K"]) < 4 * rows["all"]["temperature_K_se"]
    if thermostat.startswith(("langevin", "andersen")):  # a global thermostat does not level a harmonic crystal's modes
        assert abs(rows["H"]["temperature_excess_K"]) < 4 * rows["H"]["temperature_K_se"]
        assert abs(rows["O"]["temperature_excess_K"]) < 4 * rows["O"]["temperature_K_se"]
    # Verlet's oscillation, (ωΔt)²/8 of 40 meV/atom for H, 0.25 meV; no slope over 3 ps.
    assert abs(rows["all"]["power_meV_per_atom_per_ps"]) < 4 * rows["all"]["power_meV_per_atom_per_ps_se"]
    assert rows["all"]["power_meV_per_atom_per_ps_se"] < 0.3
    shares = [rows[s]["temperature_K"] * rows[s]["degrees_of_freedom"] for s in ("H", "O")]
    assert sum(shares) == pytest.approx(rows["all"]["temperature_K"] * rows["all"]["degrees_of_freedom"], rel=1e-12)


def test_rows_match_the_schema(context):
    cases = [Case("a", cluster("H2O")), Case("b", cluster("Ar2"))]
    settings = NvtSettings(
        thermostats=("langevin:100", "svr:10"), equilibration_fs=5.0, duration_fs=20.0, sample_every=1
    )
    outcome = nvt.run(Well(), cases, settings, seed=0, context=context)
    assert [(r["thermostat"], r["tau_fs"], r["structure"], r["species"]) for r in outcome.rows] == [
        (name, tau, structure, species)
        for name, tau in (("langevin", 100.0), ("svr", 10.0))
        for structure, groups in (("a", ("all", "H", "O")), ("b", ("all", "Ar")))
        for species in groups
    ]
    for row in outcome.rows:
        assert set(row) >= REQUIRED
        assert row["steps"] == 40
        assert row["force_calls"] == 51
        assert row["status"] == "ok"
        assert all(row[name] is not None for name in REQUIRED)
    (first, *_rest) = [r for r in outcome.rows if r["thermostat"] == "svr"]
    used = [
        r["temperature_K"]
        for r in outcome.side["series"]
        if r["thermostat"] == "svr" and r["structure"] == "a" and r["time_fs"] >= 5.0
    ]
    assert len(used) == 41
    assert first["temperature_K"] == pytest.approx(np.mean(used), rel=1e-13)
    assert set(outcome.side) == set(DIAGNOSTIC.side_schemas)
    for name, schema in DIAGNOSTIC.side_schemas.items():
        assert {c.name for c in schema.columns} <= set(outcome.side[name][0])


def test_rows_of_a_thermostat_do_not_depend_on_other_thermostats(context):
    case = [Case("a", cluster("H2O"))]
    both = NvtSettings(thermostats=("langevin:100", "svr:10"), equilibration_fs=5.0, duration_fs=20.0)
    one = NvtSettings(thermostats=("svr:10",), equilibration_fs=5.0, duration_fs=20.0)
    outcome = nvt.run(Well(), case, both, seed=0, context=context)
    context.checkpoint.state = None
    alone = nvt.run(Well(), case, one, seed=0, context=context)
    assert [row for row in outcome.rows if row["thermostat"] == "svr"] == alone.rows


def test_thermostats_share_initial_momenta_and_have_independent_noise(context):
    settings = NvtSettings(
        thermostats=("langevin:10", "langevin:10.0001"), equilibration_fs=0.0, duration_fs=20.0, sample_every=1
    )
    series = nvt.run(Well(), [Case("a", cluster("H2O"))], settings, seed=0, context=context).side["series"]
    first, second = ([r["temperature_K"] for r in series if r["tau_fs"] == tau] for tau in (10.0, 10.0001))
    assert first[0] == second[0]
    # τ differs by 1e-5: the same noise would keep them that near.
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) > 10.0


@pytest.mark.parametrize(("at", "calls_left"), [(20, 24 + 2 + 43), (60, 27 + 2)])
def test_an_interrupted_job_resumes_to_identical_rows(at, calls_left, context):
    case = [Case("a", cluster("H2O"))]
    settings = NvtSettings(thermostats=("langevin:100", "svr:10"), equilibration_fs=5.0, duration_fs=15.0)
    whole = nvt.run(Well(), case, settings, seed=0, context=context)
    context.checkpoint.state = None
    with pytest.raises(KeyboardInterrupt):
        nvt.run(Interrupting(at), case, settings, seed=0, context=context)
    rest = Interrupting(-1)
    assert nvt.run(rest, case, settings, seed=0, context=context) == whole
    # A thermostat takes two calls to warm up, one at the start and one a step: 43. Finished steps are not repeated.
    assert rest.total == calls_left


class Exploding(Well):
    def _bind(self, structures):
        class _Field(WellField):
            def __call__(self, positions):
                output = super().__call__(positions)
                if self.calls > 12 + WARM_UP_CALLS:
                    output.forces[0] *= 1e9
                return FieldOutput(output.energy, output.forces)

        return _Field(structures, self.k, self.kappa)


def test_an_explosion_is_a_result(context):
    cases = [Case("a", cluster("H2O", spread=0.1)), Case("b", cluster("H2O", spread=0.1))]
    settings = NvtSettings(thermostats=("langevin:100",), equilibration_fs=5.0, duration_fs=15.0)
    outcome = nvt.run(Exploding(), cases, settings, seed=0, context=context)
    assert [(r["structure"], r["status"]) for r in outcome.rows] == [("a", "exploded")] * 3 + [("b", "ok")] * 3
    for row in outcome.rows[:3]:
        assert row["exploded_at_fs"] == 6.0
        assert row["temperature_K"] is None
        assert row["power_meV_per_atom_per_ps"] is None
        assert "6 fs" in row["reason"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"thermostats": ()}, "No thermostat"),
        ({"thermostats": ("svr:10", "nose:10")}, "nose"),
        ({"duration_fs": float("inf")}, "duration_fs"),
        ({"equilibration_fs": -1.0}, "equilibration_fs"),
        ({"thermostats": ("nhc:10",), "engine": "i-pi"}, "i-PI.* has no thermostat nhc"),
        ({"engine": "lammps"}, "LAMMPS, which would integrate this run, has no thermostat svr"),
    ],
)
def test_impossible_settings_are_refused(wrong, says):
    with pytest.raises(UsageError, match=says):
        NvtSettings(**wrong)


def test_every_budget_has_settings():
    assert set(DIAGNOSTIC.presets) == set(Budget)
    assert DIAGNOSTIC.presets[Budget.PAPER].thermostats == ("langevin:10", "langevin:100", "langevin:1000", "svr:10")
