"""Work rates along blended runs and along frames, against closed forms of an isotropic crystal in a swirling field."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from ncbench.errors import UsageError
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.prediction.green_kubo import work_growth
from ncbench.prediction.work_rates import work_along_frames, work_along_run
from ncbench.statistics.floors import power_error
from ncbench.types import ModelRequest
from ncbench.units import FS, KB, MEV

K, KAPPA, MASS = 5.0, 0.05, 39.948


def crystal(shift_A: float = 0.1) -> Atoms:
    sites = np.array([[x, y, z] for x in (0.0, 3.0) for y in (0.0, 3.0) for z in (0.0, 3.0)])
    atoms = Atoms("Ar8", positions=sites, cell=[6.0] * 3, pbc=True)
    atoms.arrays["sites"] = sites.copy()
    rng = np.random.default_rng(0)
    atoms.positions += rng.normal(scale=shift_A, size=sites.shape)
    velocities = rng.normal(scale=0.02, size=sites.shape)
    atoms.set_velocities(velocities - velocities.mean(axis=0))
    return atoms


def springs() -> ForceField:
    return load_forcefield(ModelRequest(spec="analytic-harmonic"))


def swirl(kappa: float = KAPPA) -> ForceField:
    return load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", str(kappa)),)))


def closed_rate(atoms: Atoms) -> float:
    """w = κ Σ n·(x × v) = (κ/m) L_z, eV/fs."""
    moved, speed = atoms.positions - atoms.arrays["sites"], atoms.get_velocities()
    return KAPPA * float((moved[:, 0] * speed[:, 1] - moved[:, 1] * speed[:, 0]).sum()) * FS


def second_order_power(tau_fs: float, kappa: float = KAPPA) -> float:
    """Golden rule of 7 × 2 coupled pairs with Γ = 1/τ: k_B T · 14 (κ/m)²/(k/m) τ, meV/atom/ps at 300 K."""
    internal = KB * 300.0 * 14 * (kappa / MASS) ** 2 / (K / MASS) * tau_fs * FS
    return internal / 8 / MEV * 1000.0 * FS


def test_the_rate_along_a_conservative_run_is_the_conserved_angular_momentum() -> None:
    """Springs of equal stiffness conserve L_z, and velocity Verlet with them to rounding."""
    atoms = crystal()
    series = work_along_run(
        springs(), swirl(), atoms, duration_fs=200.0, timestep_fs=1.0, temperature_K=300.0, seed=0, sample_every=2
    )
    assert series.spacing_fs == 2.0
    assert series.duration_fs == 200.0
    np.testing.assert_allclose(series.rates, closed_rate(atoms), rtol=1e-9)


def test_frames_give_the_rates_of_their_run() -> None:
    """Six frames, one run each time as far: positions wrapped into the cell change nothing."""
    run = work_along_run(
        springs(),
        swirl(),
        crystal(),
        duration_fs=50.0,
        timestep_fs=1.0,
        temperature_K=300.0,
        seed=0,
        thermostat="langevin:20",
        sample_every=10,
    )
    ends = [
        crystal()
        if length == 0
        else work_along_run(
            springs(),
            swirl(),
            crystal(),
            duration_fs=float(length),
            timestep_fs=1.0,
            temperature_K=300.0,
            seed=0,
            thermostat="langevin:20",
        ).end
        for length in range(0, 51, 10)
    ]
    frames = work_along_frames(
        springs(),
        swirl(),
        crystal(),
        np.array([atoms.positions for atoms in ends]),
        np.array([atoms.get_velocities() * FS for atoms in ends]),
        10.0,
    )
    # Momenta pass through velocities and back: a few roundings.
    np.testing.assert_allclose(frames.rates, run.rates, rtol=1e-10)
    np.testing.assert_allclose(frames.temperatures_K["Ar"], run.temperatures_K["Ar"], rtol=1e-10)


def test_frames_of_other_atoms_are_refused() -> None:
    with pytest.raises(UsageError, match="not those of 8 atoms"):
        work_along_frames(springs(), swirl(), crystal(), np.zeros((3, 7, 3)), np.zeros((3, 7, 3)), 1.0)
    with pytest.raises(UsageError, match="no frames"):
        work_along_frames(springs(), swirl(), crystal(), np.zeros((0, 8, 3)), np.zeros((0, 8, 3)), 1.0)


def test_green_kubo_of_a_thermostatted_crystal_is_the_golden_rule() -> None:
    """L_z decays with the rate 1/τ under white noise, so that ⟨w w(s)⟩ ∝ e^(−s/τ): 3 runs of 60 ps, τ = 50 fs."""
    powers, errors = [], []
    for seed in range(3):
        series = work_along_run(
            springs(),
            swirl(),
            crystal(),
            duration_fs=60_000.0,
            timestep_fs=10.0,
            temperature_K=300.0,
            seed=seed,
            thermostat="langevin:50",
            sample_every=1,
        )
        found = work_growth(series.rates[100:], series.spacing_fs, n_atoms=8, temperature_K=300.0, longest_fs=300.0)
        powers.append(found.power)
        errors.append(found.standard_error)
    error = float(np.sqrt(np.sum(np.square(errors)))) / 3
    assert error < 0.15 * second_order_power(50.0)
    assert abs(np.mean(powers) - second_order_power(50.0)) < 4 * error


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_work_of_a_blend_is_the_golden_rule_times_its_squared_share(share: float) -> None:
    """P = s ⟨w⟩ in the blend's own dynamics; (κτ)²/(mk) = 0.011 s² corrects it, far below the error of 100 ps."""
    series = work_along_run(
        springs(),
        swirl(0.3),
        crystal(),
        duration_fs=100_000.0,
        timestep_fs=10.0,
        temperature_K=300.0,
        seed=1,
        thermostat="langevin:50",
        direct_share=share,
        sample_every=1,
    )
    measured = share * float(series.rates.mean()) * 1000.0 / 8 / MEV
    expected = share**2 * second_order_power(50.0, 0.3)
    error = power_error(expected, 300.0, series.duration_fs / 1000.0, 8)
    assert error < 0.2 * expected
    assert abs(measured - expected) < 4 * error


def test_a_run_too_long_for_its_samples_is_refused() -> None:
    with pytest.raises(UsageError):
        work_along_run(springs(), swirl(), crystal(), duration_fs=1e14, timestep_fs=1.0, temperature_K=300.0, seed=0)
