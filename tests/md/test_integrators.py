from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units as ase_units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from known_fields import CalculatorField, Well, cluster

from ncbench.errors import UsageError
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.units import FS


def start(atoms, forcefield, *, fix_com=False, replicas=1, temperature=300.0):
    field = forcefield.bind([atoms] * replicas)
    particles = Particles.from_structures([atoms] * replicas, fix_com=fix_com)
    noise = NoiseSource(1, range(replicas))
    momenta = draw_momenta(particles, noise.initial_normals((len(atoms), 3)), temperature)
    return initial_state(field, particles, momenta), field, particles, noise


def advance(state, field, particles, noise, dynamics, n):
    for _ in range(n):
        state = dynamics.step(state, field, particles, noise)
    return state


def verlet_matrix(k, kappa, mass, dt):
    """The map of (x, y, px, py) by one velocity Verlet step, from its definition."""
    force = np.array([[-k, -kappa], [kappa, -k]])
    one, zero = np.eye(2), np.zeros((2, 2))
    kick = np.block([[one, zero], [0.5 * dt * force, one]])
    drift = np.block([[one, dt / mass * one], [zero, one]])
    return kick @ drift @ kick


def test_harmonic_trajectory_has_the_verlet_frequency():
    k, dt = 5.0, 1.0
    atoms = cluster("OH", spread=0.1)
    state, field, particles, noise = start(atoms, Well(k))
    n = 1000
    end = advance(state, field, particles, noise, Dynamics(dt), n)
    h = dt * FS
    for i, mass in enumerate(atoms.get_masses()):
        omega = np.sqrt(k / mass)
        theta = np.arccos(1 - (omega * h) ** 2 / 2)
        u0 = (state.positions[0, i] - field.centres[0, i]).numpy()
        p0 = state.momenta[0, i].numpy()
        ratio = mass * np.sin(theta) / h
        u = u0 * np.cos(n * theta) + p0 / ratio * np.sin(n * theta)
        # Positions of 3 Å carry 4e-16 a step, and the phase theta·n of some 1e3 a rounding of 1e-13.
        np.testing.assert_allclose(end.positions[0, i].numpy() - field.centres[0, i].numpy(), u, atol=3e-12)


@pytest.mark.parametrize("kappa", [0.0, 0.3])
def test_solenoidal_trajectory_is_a_power_of_the_linear_map(kappa):
    atoms = cluster("OH", spread=0.1)
    state, field, particles, noise = start(atoms, Well(5.0, kappa))
    n = 500
    end = advance(state, field, particles, noise, Dynamics(0.5), n)
    for i, mass in enumerate(atoms.get_masses()):
        power = np.linalg.matrix_power(verlet_matrix(5.0, kappa, mass, 0.5 * FS), n)
        u0 = (state.positions[0, i] - field.centres[0, i]).numpy()
        x = power @ np.concatenate([u0[:2], state.momenta[0, i, :2].numpy()])
        u = (end.positions[0, i] - field.centres[0, i]).numpy()
        np.testing.assert_allclose(np.concatenate([u[:2], end.momenta[0, i, :2].numpy()]), x, rtol=1e-10, atol=1e-11)


def test_the_error_falls_with_the_square_of_the_time_step():
    atoms = cluster("OH", spread=0.1)
    exact, errors = None, []
    for dt in (0.0625, 1.0, 0.5):
        state, field, particles, noise = start(atoms, Well(5.0))
        end = advance(state, field, particles, noise, Dynamics(dt), round(20 / dt)).positions
        if exact is None:
            exact = end
        else:
            errors.append(float((end - exact).abs().max()))
    # The reference's own error is 1/64 and 1/256 of theirs: 4 becomes 4.05; the next order adds (ωΔt)², 2 %.
    assert errors[0] / errors[1] == pytest.approx(4.0, abs=0.2)


def test_each_step_equals_velocity_verlet_of_ase():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.05, seed=1)
    particles = Particles.from_structures([atoms])
    momenta = draw_momenta(particles, NoiseSource(2, [0]).initial_normals((8, 3)), 600.0)
    field = CalculatorField([atoms], EMT())
    state = initial_state(field, particles, momenta)
    reference = atoms.copy()
    reference.calc = EMT()
    reference.set_momenta(momenta[0].numpy())
    integrator = VelocityVerlet(reference, 2.0 * ase_units.fs)
    for _ in range(30):
        state = advance(state, field, particles, NoiseSource(2, [0]), Dynamics(2.0), 1)
        integrator.run(1)
        # Positions of 4 Å round at 4e-16; 30 steps of a stable crystal let that grow to some 1e-14.
        np.testing.assert_allclose(state.positions[0].numpy(), reference.positions, atol=1e-12)
        np.testing.assert_allclose(state.momenta[0].numpy(), reference.get_momenta(), atol=1e-12)
        assert float(state.energy[0]) == pytest.approx(reference.get_potential_energy(), abs=1e-11)


def test_a_fixed_centre_of_mass_stays_where_it_is_and_costs_no_energy():
    atoms = cluster("OH", spread=0.3)
    state, field, particles, noise = start(atoms, Well(5.0), fix_com=True)
    centre = (state.positions * particles.mass_shares).sum(1)
    energy = float(state.energy + kinetic_energy(state.momenta, particles))
    end = advance(state, field, particles, noise, Dynamics(0.05), 2000)
    assert float(((end.positions * particles.mass_shares).sum(1) - centre).abs().max()) < 1e-12
    # Without the constraint these wells would move the centre of mass.
    assert float(field(state.positions).forces.sum(1).abs().max()) > 0.5
    # Verlet's energy error: (ωΔt)²/4 of the energy with ω = 0.02 rad/fs·√(5 eV/Å²/1 u) scale; 1e-5 relative here.
    assert float(end.energy + kinetic_energy(end.momenta, particles)) == pytest.approx(energy, rel=1e-4)


def test_replicas_are_independent():
    atoms = cluster("OH", spread=0.1)
    state, field, particles, noise = start(atoms, Well(5.0), replicas=3)
    pushed = replace(state, momenta=state.momenta * torch.tensor([1.0, 7.0, 1.0])[:, None, None])
    ends = [advance(s, field, particles, noise, Dynamics(0.5), 50).positions for s in (state, pushed)]
    assert torch.equal(ends[0][[0, 2]], ends[1][[0, 2]])
    assert not torch.equal(ends[0][1], ends[1][1])


@pytest.mark.parametrize("timestep", [0.0, -1.0, float("nan"), float("inf")])
def test_invalid_time_steps_are_refused(timestep):
    with pytest.raises(UsageError, match="time step"):
        Dynamics(timestep)
