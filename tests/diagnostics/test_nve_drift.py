from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import molecule
from known_fields import Well, WellField, cluster

from ncbench.diagnostics import nve_drift
from ncbench.diagnostics.nve_drift import DIAGNOSTIC, NveDriftSettings
from ncbench.errors import UsageError
from ncbench.md.run import WARM_UP_CALLS
from ncbench.models.interface import FieldOutput
from ncbench.models.loading import load_forcefield
from ncbench.report.aggregate import preferred
from ncbench.types import Budget, Case, ModelRequest
from ncbench.units import FS, KB

K, KAPPA = 5.0, 0.05
NATIVE = "analytic-solenoidal"
ASE_PATH = "ncbench.models.families.analytic_ase:solenoidal"
REQUIRED = {
    "timestep_fs", "steps", "drift_K_per_ps", "drift_K_per_ps_se", "energy_drift_meV_per_atom_per_ps",
    "energy_drift_meV_per_atom_per_ps_se", "temperature_mean_K",
}  # fmt: skip


def start(symbols: str = "Ar4", *, seed: int = 0) -> Atoms:
    atoms = cluster(symbols, seed=seed, spread=0.05)
    momenta = np.random.default_rng(seed + 10).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(0.0259 * atoms.get_masses())[:, None])
    return atoms


def load(spec: str, dtype: str):
    return load_forcefield(ModelRequest(spec=spec, dtype=dtype))


def exact_series(atoms: Atoms, kappa: float, timestep_fs: float, n: int):
    """Total and kinetic energy, eV, of velocity Verlet from powers of its linear map (x, y, z, px, py, pz), atom by atom."""
    h = timestep_fs * FS
    force = np.array([[-K, -kappa, 0], [kappa, -K, 0], [0, 0, -K]])
    one, zero = np.eye(3), np.zeros((3, 3))
    kick = np.block([[one, zero], [0.5 * h * force, one]])
    total, kinetic = np.zeros(n + 1), np.zeros(n + 1)
    displacements = atoms.positions - atoms.arrays["sites"]
    for u, p, mass in zip(displacements, atoms.get_momenta(), atoms.get_masses(), strict=True):
        step = kick @ np.block([[one, h / mass * one], [zero, one]]) @ kick
        x = np.concatenate([u, p])
        for i in range(n + 1):
            kinetic[i] += x[3:] @ x[3:] / (2 * mass)
            total[i] += 0.5 * K * x[:3] @ x[:3] + x[3:] @ x[3:] / (2 * mass)
            x = step @ x
    return total, kinetic


@pytest.mark.parametrize("spec", [NATIVE, ASE_PATH])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_drift_is_that_of_the_exact_trajectory(spec, dtype, context):
    atoms = start()
    settings = NveDriftSettings(timestep_fs=2.0, duration_fs=1600.0, sample_every=4, fix_com=False)
    (row,) = nve_drift.run(load(spec, dtype), [Case("a", atoms)], settings, seed=0, context=context).rows
    total, kinetic = exact_series(atoms, KAPPA, 2.0, 800)
    times = np.arange(0, 801, 4) * 2e-3
    energy = np.polyfit(times, total[::4] / len(atoms) * 1e3, 1)[0]
    heating = np.polyfit(times, kinetic[::4] * 2 / (3 * len(atoms) * KB), 1)[0]
    # float64: 800 linear steps. float32 forces: 6e-8 relative, accumulated over 800 steps.
    rel = 1e-9 if dtype == "float64" or spec == ASE_PATH else 1e-3
    assert row["energy_drift_meV_per_atom_per_ps"] == pytest.approx(energy, rel=rel)
    assert row["drift_K_per_ps"] == pytest.approx(heating, rel=10 * rel)
    assert row["temperature_mean_K"] == pytest.approx(kinetic[::4].mean() * 2 / (3 * len(atoms) * KB), rel=rel)
    # The error includes the scatter between starts, √(2 k_B T P/(N t)) for so few atoms, not only that of this curve.
    floor = np.sqrt(2e3 * KB * row["temperature_mean_K"] * energy / (len(atoms) * 1.6))
    assert (
        row["energy_drift_meV_per_atom_per_ps_se"] == pytest.approx(floor, rel=0.01)
        or row["energy_drift_meV_per_atom_per_ps_se"] > floor
    )
    assert row["heating_rate_per_ps"] > 0.0
    # Equipartition: the energy's drift over n_dof k_B.
    assert row["drift_from_energy_K_per_ps"] == pytest.approx(
        energy * 1e-3 * len(atoms) / (3 * len(atoms) * KB), rel=10 * rel
    )
    assert row["drift_K_per_s"] == pytest.approx(1e12 * row["drift_K_per_ps"])


@pytest.mark.parametrize(
    ("spec", "kwargs"), [("analytic-harmonic", {}), ("ncbench.models.families.analytic_ase:harmonic", {})]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_conservative_field_has_no_energy_drift(spec, kwargs, dtype, context):
    settings = NveDriftSettings(timestep_fs=1.0, duration_fs=2000.0, sample_every=1)
    outcome = nve_drift.run(load(spec, dtype), [Case("a", start("H2OAr"))], settings, seed=0, context=context)
    (row,) = outcome.rows
    drift, error = row["energy_drift_meV_per_atom_per_ps"], row["energy_drift_meV_per_atom_per_ps_se"]
    # Verlet's energy oscillates by (ωΔt)²/8 of itself, a thousandth of 50 meV/atom; over 2 ps that is no slope.
    assert abs(drift) < 4 * error
    assert error < 0.1
    # Verlet's total swings with (ωΔt)²/4 of the kinetic energy, ωΔt = 0.22 for H.
    assert row["energy_fluctuation_share"] < 0.025
    assert row["status"] == "ok"


def test_rows_match_the_schema(context):
    cases = [Case("a", start("H2OAr", seed=1)), Case("b", start("Ar2")), Case("c", start("H2OAr", seed=2))]
    settings = NveDriftSettings(timestep_fs=0.5, duration_fs=50.0, sample_every=10, skip_fs=10.0)
    outcome = nve_drift.run(Well(K, KAPPA), cases, settings, seed=0, context=context)
    assert [row["structure"] for row in outcome.rows] == ["a", "b", "c"]
    assert [row["n_atoms"] for row in outcome.rows] == [4, 2, 4]
    assert [row["degrees_of_freedom"] for row in outcome.rows] == [9, 3, 9]
    for row in outcome.rows:
        assert set(row) >= REQUIRED
        assert {c.name for c in DIAGNOSTIC.schema.columns} <= set(row)
        assert row["steps"] == 100
        assert row["force_calls"] == 101
        assert all(math.isfinite(row[name]) for name in REQUIRED)
    series = [row for row in outcome.side["series"] if row["structure"] == "c"]
    assert [row["time_fs"] for row in series] == [5.0 * i for i in range(11)]
    for row in series:
        assert row["total_eV"] == pytest.approx(row["kinetic_eV"] + row["potential_eV"], rel=1e-14)
        assert row["temperature_K"] == pytest.approx(2 * row["kinetic_eV"] / (9 * KB), rel=1e-14)
    used = [row["temperature_K"] for row in series if row["time_fs"] >= 10.0]
    assert outcome.rows[2]["temperature_mean_K"] == pytest.approx(np.mean(used), rel=1e-13)
    assert {(r["structure"], r["species"]) for r in outcome.side["species"]} == {
        ("a", "Ar"), ("a", "H"), ("a", "O"), ("b", "Ar"), ("c", "Ar"), ("c", "H"), ("c", "O"),
    }  # fmt: skip
    kinetic = [r["kinetic_eV"] for r in outcome.side["species_series"] if r["structure"] == "c" and r["time_fs"] == 5.0]
    assert sum(kinetic) == pytest.approx(series[1]["kinetic_eV"], rel=1e-13)
    assert set(outcome.side) == set(DIAGNOSTIC.side_schemas)


@pytest.mark.filterwarnings("ignore:The structure has momenta")
def test_momenta_come_from_the_structure_or_are_drawn(context):
    still = start()
    still.set_momenta(np.zeros((4, 3)))
    settings = NveDriftSettings(duration_fs=10.0, sample_every=1, temperature_K=1000.0)

    def first(atoms, seed, **changes):
        context.checkpoint.state = None
        changed = dataclasses.replace(settings, **changes)
        outcome = nve_drift.run(Well(), [Case("a", atoms)], changed, seed=seed, context=context)
        return outcome.rows[0]["momenta"], outcome.side["series"][0]["temperature_K"]

    moving = start()
    kept = moving.get_momenta() - moving.get_momenta().mean(axis=0)  # all of one mass
    expected = (kept**2).sum() / moving.get_masses()[0] / (9 * KB)
    assert first(moving, 0) == ("structure", pytest.approx(expected, rel=1e-12))
    assert first(still, 0) == first(still, 0)
    assert first(still, 0)[0] == "drawn"
    assert first(still, 0)[1] != first(still, 1)[1]
    assert first(moving, 0, redraw_momenta=True) == first(still, 0)


class Exploding(Well):
    """The first structure's forces grow without bound after some calls."""

    def _bind(self, structures):
        class _Field(WellField):
            def __call__(self, positions):
                output = super().__call__(positions)
                if self.calls > 30 + WARM_UP_CALLS:
                    output.forces[0] *= float("nan")
                return FieldOutput(output.energy, output.forces)

        return _Field(structures, self.k, self.kappa)


def test_an_explosion_is_a_result_and_other_structures_finish(context):
    cases = [Case("a", start(seed=1)), Case("b", start(seed=2))]
    settings = NveDriftSettings(duration_fs=50.0, sample_every=2)
    outcome = nve_drift.run(Exploding(), cases, settings, seed=0, context=context)
    first, second = outcome.rows
    assert first["status"] == "exploded"
    assert first["exploded_at_fs"] == 15.0
    assert "15 fs" in first["reason"]
    assert first["drift_K_per_ps"] is None
    assert first["energy_drift_meV_per_atom_per_ps"] is None
    assert first["force_calls"] == 31
    assert second["status"] == "ok"
    assert second["exploded_at_fs"] is None
    assert max(r["time_fs"] for r in outcome.side["series"] if r["structure"] == "a") == 14.0
    assert max(r["time_fs"] for r in outcome.side["series"] if r["structure"] == "b") == 50.0


class WithoutEnergy(Well):
    def _bind(self, structures):
        class _Field(WellField):
            def __call__(self, positions):
                output = super().__call__(positions)
                return FieldOutput(output.energy * float("nan"), output.forces)

        return _Field(structures, self.k, self.kappa)


def test_a_model_without_energy_has_a_temperature_drift_only(context):
    settings = NveDriftSettings(duration_fs=50.0)
    outcome = nve_drift.run(WithoutEnergy(), [Case("a", start())], settings, seed=0, context=context)
    (row,) = outcome.rows
    assert row["status"] == "ok"
    assert row["energy_drift_meV_per_atom_per_ps"] is None
    assert row["energy_drift_meV_per_atom_per_ps_se"] is None
    assert row["drift_K_per_ps"] is not None
    assert outcome.side["series"][0]["potential_eV"] is None


def test_rows_from_the_checkpoint_of_a_finished_case_are_identical(context):
    cases = [Case("a", start(seed=1)), Case("b", start("Ar2"))]
    settings = NveDriftSettings(duration_fs=50.0)
    first = nve_drift.run(Well(K, KAPPA), cases, settings, seed=0, context=context)
    again = nve_drift.run(Exploding(), cases, settings, seed=0, context=context)  # would not survive a run
    assert first == again


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestep_fs": 0.0},
        {"timestep_fs": float("nan")},
        {"duration_fs": -1.0},
        {"sample_every": 0},
        {"temperature_K": -1.0},
        {"skip_fs": 1000.0},
        {"max_temperature_K": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("skip_fs", "--skip")):
        NveDriftSettings(**wrong)


def test_a_run_of_no_length_is_refused_by_the_option_typed():
    with pytest.raises(UsageError, match=r"0 fs long.*--duration") as refused:
        NveDriftSettings(duration_fs=0.0)
    assert "skip" not in str(refused.value)


def test_every_budget_has_settings():
    assert set(DIAGNOSTIC.presets) == set(Budget)
    lengths = [DIAGNOSTIC.presets[budget].duration_fs for budget in Budget]
    assert lengths == sorted(lengths)


def test_every_time_step_runs_the_requested_number_of_steps(context):
    """It was N × 0.5 fs for each time step: 40 steps of 0.25 fs, 20 of 0.5 fs, for --steps 20."""
    settings = NveDriftSettings(steps=20, timesteps=(0.25, 1.0), sample_every=1)
    outcome = nve_drift.run(load(NATIVE, "float64"), [Case("a", start())], settings, seed=0, context=context)
    assert [(row["timestep_fs"], row["steps"], row["duration_fs"]) for row in outcome.rows] == [
        (0.25, 20, 5.0),
        (1.0, 20, 20.0),
    ]
    assert [row["force_calls"] for row in outcome.rows] == [21, 21]


def test_inner_and_outer_time_steps_are_distinguished(context):
    """With M = 4 the row has the fast time step and counts fast steps, as nvt does."""
    fields = load(NATIVE, "float64"), load("analytic-harmonic", "float64")
    context.reference = fields[1]
    settings = NveDriftSettings(timestep_fs=0.5, duration_fs=20.0, mts=4, sample_every=4)
    (row,) = nve_drift.run(fields[0], [Case("a", start())], settings, seed=0, context=context).rows
    assert (settings.timestep_fs, settings.outer_fs) == (0.5, 2.0)
    assert (row["timestep_fs"], row["stride"], row["steps"], row["duration_fs"]) == (0.5, 4, 40, 20.0)
    # One slow call at the start and one an outer step.
    assert row["force_calls"] == 11


def test_hydrogen_mass_repartitioning_is_in_the_row_and_runs_with_real_masses_come_first(context):
    cases = [Case("water", molecule("H2O"))]
    settings = NveDriftSettings(duration_fs=100.0, hmr=3.0, fix_com=False)
    outcome = DIAGNOSTIC.run(Well(5.0), cases, settings, seed=0, context=context)
    assert [row["masses_u"] for row in outcome.rows] == ["H 3, O 12.02"]
    rows = pd.DataFrame({"masses_u": ["H 3, O 12.02", None], "integrator": ["verlet", "verlet"]})
    assert preferred(rows, DIAGNOSTIC.ranks).index.tolist() == [1]
    assert len(preferred(rows[:1], DIAGNOSTIC.ranks)) == 1
