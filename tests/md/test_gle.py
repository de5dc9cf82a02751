"""The generalised Langevin thermostat: its kernel, its equilibrium, its correlation in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_fields import WellField, cluster
from scipy.linalg import expm

from ncbench.errors import UsageError
from ncbench.md.gle import AUXILIARY, GLE, PAPER, friction_spectrum, high_pass, propagator, read_drift
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.md.thermostats import Langevin, make_thermostat, parse_thermostat
from ncbench.units import FS, KB

T = 300.0


def matrix(thermostat: GLE) -> np.ndarray:
    return np.array(thermostat.drift_per_ps)


def test_friction_kernel_is_weak_at_low_and_strong_at_high_frequency():
    slow, fast = friction_spectrum(PAPER, np.array([0.0, 1e6]))
    assert slow == pytest.approx(1 / 83.33, rel=1e-9)
    assert fast == pytest.approx(100.0, rel=1e-6)
    # γ∞ − (γ∞ − γ0)/2 where ω = ω_F, and ω²/(ω² + ω_F²) of the difference in general.
    omega = np.array([30.0, 300.0, 900.0])
    expected = 100.0 - (100.0 - 1 / 83.33) * 300.0**2 / (omega**2 + 300.0**2)
    assert np.allclose(friction_spectrum(PAPER, omega), expected, rtol=1e-12)


@pytest.mark.parametrize("time_ps", [1e-4, 1e-2, 10.0])
def test_free_propagator_preserves_equilibrium(time_ps):
    decay, width = propagator(PAPER, time_ps)
    assert np.allclose(decay, expm(-PAPER * time_ps), rtol=1e-12)
    assert np.allclose(decay @ decay.T + width @ width.T, np.eye(2), atol=1e-14)


def free(thermostat: GLE | Langevin, *, atoms: int, steps: int, seed: int = 0, dt_fs: float = 2.0):
    """[steps + 1, 3N] mass-scaled momenta of free particles."""
    structure = cluster(f"Ar{atoms}")
    particles = Particles.from_structures([structure], fix_com=False)
    noise = NoiseSource(seed, [0], label="free")
    momenta = draw_momenta(particles, noise.initial_normals((1, atoms, 3))[:, 0], T)
    zero = torch.zeros_like(momenta)
    state = MDState(zero, momenta, zero, torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    state = thermostat.initialise(state, particles, noise)
    result = [(state.momenta / particles.sqrt_masses).numpy().ravel()]
    for _ in range(steps):
        for half in (0, 1):
            state = thermostat.half_step(state, particles, noise, half, dt_fs * FS)
        state = replace(state, step=state.step + 1)
        result.append((state.momenta / particles.sqrt_masses).numpy().ravel())
    return np.array(result)


def test_free_particles_have_the_correlation_of_the_kernel():
    drift = high_pass(1.0, 50.0, 100.0)
    result = free(GLE(T, tuple(map(tuple, drift.tolist()))), atoms=2000, steps=40)
    correlation = result @ result[0] / result.shape[1] / (KB * T)
    expected = [expm(-drift * 0.002 * k)[0, 0] for k in range(41)]
    # Means over 6000 independent products of unit Gaussians: each within 1/√6000 = 1.3 %, 41 correlated ones within four of these.
    assert np.abs(correlation - expected).max() < 4 * np.sqrt(2 / 6000)
    # Without memory the curve would differ.
    assert np.abs(np.exp(-50.0 * 0.002 * np.arange(41)) - expected).max() > 0.1
    variance = np.mean(result[-1] ** 2) / (KB * T)
    assert variance == pytest.approx(1.0, abs=4 * np.sqrt(2 / 6000))


def test_without_memory_it_equals_langevin():
    gle = GLE(T, ((10.0,),))
    one, other = free(gle, atoms=50, steps=5), free(Langevin(T, 100.0), atoms=50, steps=5)
    # The same draws in the same order, except for an axis of length one: they are divided into equal blocks.
    assert np.allclose(one[1:], other[1:], rtol=1e-12)


def test_harmonic_molecules_keep_temperature_and_conserved_quantity():
    structures = [cluster("H2OH2O", seed=seed, spread=0.05) for seed in range(16)]
    field = WellField(structures, 5.0, 0.0)
    particles = Particles.from_structures(structures)
    noise = NoiseSource(3, range(16), label="gle")
    thermostat = make_thermostat("gle", T)
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), T)
    dynamics = Dynamics(0.5, thermostat)
    state = dynamics.initialise(initial_state(field, particles, momenta), particles, noise)
    kept, temperatures = [], []
    for step in range(2000):
        state = dynamics.step(state, field, particles, noise)
        kinetic = kinetic_energy(state.momenta, particles)
        if step >= 400:
            temperatures.append(float(2 * kinetic.mean() / (15 * KB)))
        kept.append((state.energy + kinetic - state.heat).numpy())
    mean, block = np.mean(temperatures), np.array(temperatures).reshape(16, -1).mean(axis=1)
    assert abs(mean - T) < 4 * block.std(ddof=1) / 4
    # Verlet's own fluctuation of the energy, (ωΔt)²/8 of some eV, without trend.
    drift = np.polyfit(np.arange(2000) * 0.5e-3, np.mean(kept, axis=1), 1)[0]
    assert abs(drift) / 6 < 1e-3
    assert state.extra[AUXILIARY].shape == (16, 1, 6, 3)


def test_results_do_not_depend_on_the_batch_and_matrices_are_read_from_files(tmp_path):
    path = tmp_path / "a.txt"
    np.savetxt(path, high_pass(1.0, 50.0, 100.0), header="1/ps")
    assert np.allclose(read_drift(path), high_pass(1.0, 50.0, 100.0))
    name, tau = parse_thermostat(f"gle:{path}")
    assert (name, tau) == ("gle", None)
    structures = [cluster("H2O", seed=seed, spread=0.05) for seed in range(3)]
    ends = []
    for chosen in (range(3), [2]):
        field = WellField([structures[i] for i in chosen], 5.0, 0.1)
        particles = Particles.from_structures(field.structures)
        noise = NoiseSource(1, list(chosen), label="x")
        dynamics = Dynamics(0.5, make_thermostat(f"gle:{path}", T))
        momenta = draw_momenta(particles, noise.initial_normals((3, 3)), T)
        state = dynamics.initialise(initial_state(field, particles, momenta), particles, noise)
        for _ in range(20):
            state = dynamics.step(state, field, particles, noise)
        ends.append(state.positions[-1])
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1 2\n", "not a square"),
        ("a b\nc d\n", "not a matrix of numbers"),
        ("-1 0\n0 1\n", "would grow"),
        ("1 9\n0.1 2\n", "no noise"),
    ],
)
def test_invalid_drift_matrices_are_refused(content, says, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_drift(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_drift(tmp_path / "none.txt")
