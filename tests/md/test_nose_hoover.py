"""Nosé–Hoover chains: against ASE's, the canonical distribution of oscillators, and the order of the conserved energy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from known_fields import Well, WellField, cluster
from scipy import stats

from ncbench.errors import UsageError
from ncbench.md.integrators import Dynamics
from ncbench.md.nose_hoover import POSITIONS, VELOCITIES, NoseHooverChain
from ncbench.md.random import NoiseSource
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import Field, FieldOutput
from ncbench.units import FS, KB

T = 300.0


class WellCalculator(Calculator):
    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, structure, k):
        super().__init__()
        self.field = WellField([structure], k, 0.0)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        output = self.field(torch.as_tensor(atoms.positions)[None])
        energy = float(output.energy[0])
        self.results = {"energy": energy, "free_energy": energy, "forces": output.forces[0].numpy()}


def launch(structures, k, *, tau=20.0, timestep=0.5, fix_com=False, seed=1):
    field = Well(k).bind(structures)
    particles = Particles.from_structures(structures, fix_com=fix_com)
    noise = NoiseSource(seed, range(len(structures)), label="nhc")
    momenta = draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), T)
    dynamics = Dynamics(timestep, NoseHooverChain(T, tau))
    return (
        dynamics.initialise(initial_state(field, particles, momenta), particles, noise),
        field,
        particles,
        dynamics,
        noise,
    )


def test_each_step_equals_the_nose_hoover_chain_of_ase():
    atoms = cluster("H2OH2O", spread=0.05)
    state, field, particles, dynamics, noise = launch([atoms], 5.0)
    at_rest = torch.zeros_like(state.extra[VELOCITIES])
    state = replace(state, extra={**state.extra, VELOCITIES: at_rest})
    other = atoms.copy()
    other.set_momenta(state.momenta[0].numpy())
    other.calc = WellCalculator(atoms, 5.0)
    ase = NoseHooverChainNVT(other, 0.5 * FS, temperature_K=T, tdamp=20.0 * FS, tchain=3)
    conserved = ase.get_conserved_energy()
    for _ in range(400):
        state = dynamics.step(state, field, particles, noise)
        ase.step()
    # Both round to 1e-16 of some Å and √(u eV) per step; the dynamics of six atoms in 200 fs amplifies this little.
    assert np.allclose(state.positions[0].numpy(), other.positions, rtol=0, atol=1e-11)
    assert np.allclose(state.momenta[0].numpy(), other.get_momenta(), rtol=0, atol=1e-10)
    energy = float(state.energy[0] + kinetic_energy(state.momenta, particles)[0] - state.heat[0])
    # The heat starts at zero, when the chain at rest has no energy.
    assert energy == pytest.approx(ase.get_conserved_energy(), abs=1e-11)
    assert energy == pytest.approx(conserved, abs=1e-3)
    assert abs(float(state.heat[0])) > 0.01


class OneDimension(Particles):
    """Particles that move along x alone."""

    @property
    def degrees_of_freedom(self) -> int:
        return 1


class Oscillators(Field):
    """V = k x²/2 with a constant for each replica."""

    def __init__(self, structures, constants):
        super().__init__(structures, torch.device("cpu"))
        self.constants = torch.as_tensor(constants)

    def __call__(self, positions):
        forces = torch.zeros_like(positions)
        forces[:, 0, 0] = -self.constants * positions[:, 0, 0]
        return FieldOutput(energy=0.5 * self.constants * positions[:, 0, 0] ** 2, forces=forces)


TAU = 20.0
SHARES = (0.5, 1.0, 3.0)
"""ωτ of the oscillators: slower than the chain, in resonance and faster."""


def oscillate(length, *, per_frequency, steps, timestep=1.0):
    """Reduced places and velocities, [samples, frequency, replica], of which each has the variance 1 in the canonical distribution."""
    shares = np.repeat(SHARES, per_frequency)
    atoms = cluster("H")
    mass = float(atoms.get_masses()[0])
    constants = mass * (shares / (TAU * FS)) ** 2
    replicas = len(shares)
    field = Oscillators([atoms] * replicas, constants)
    plain = Particles.from_structures([atoms] * replicas, fix_com=False)
    particles = OneDimension(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    noise = NoiseSource(7, range(replicas), label="chain")
    # All at the same place and velocity, at a tenth of the temperature; only the chains differ.
    zero = torch.zeros(replicas, 1, 3, dtype=torch.float64)
    momenta = zero.clone()
    momenta[..., 0] = math.sqrt(0.1 * KB * T * mass)
    energies = torch.zeros(replicas, dtype=torch.float64)
    dynamics = Dynamics(timestep, NoseHooverChain(T, TAU, length=length))
    state = dynamics.initialise(MDState(zero, momenta, zero, energies, energies), particles, noise)
    places, velocities = [], []
    for step in range(steps):
        state = dynamics.step(state, field, particles, noise)
        if step >= steps // 4 and step % 10 == 0:
            places.append(state.positions[:, 0, 0].numpy())
            velocities.append(state.momenta[:, 0, 0].numpy())
    # Verlet's own energy p²/2m + (1 − (ωΔt)²/4) k x²/2 has the canonical distribution, as the chain acts at whole steps.
    stretch = 1.0 - (shares * timestep / TAU) ** 2 / 4.0
    u = np.array(places) * np.sqrt(constants * stretch / (KB * T))
    v = np.array(velocities) / math.sqrt(mass * KB * T)
    return (values.reshape(len(places), len(SHARES), per_frequency) for values in (u, v))


def test_oscillators_of_several_frequencies_become_canonical():
    for values in oscillate(3, per_frequency=250, steps=6000):
        for frequency in range(len(SHARES)):
            chosen = values[:, frequency]
            for power, exact in ((2, 1.0), (4, 3.0)):
                means = (chosen**power).mean(axis=0)
                # Means over time of independent replicas at four standard errors, and the chain's own error of its step.
                assert abs(means.mean() - exact) < 4.0 * stats.sem(means) + 0.005 * exact, (frequency, power)
                assert stats.sem(means) < 0.04 * exact
            # One value of each replica at the end.
            assert stats.kstest(chosen[-1], "norm").pvalue > 1e-3


def test_a_chain_is_ergodic_and_a_single_nose_hoover_variable_is_not():
    deviations = []
    for length in (1, 3):
        _u, v = oscillate(length, per_frequency=20, steps=6000)
        means = (v**4).mean(axis=0)
        deviations.append(np.abs(means.mean(axis=1) - 3.0) / stats.sem(means, axis=1))
    assert deviations[0].max() > 8.0
    assert deviations[1].max() < 4.0


def test_the_extended_energy_is_conserved_to_second_order_in_the_time_step():
    deviations = []
    steps = np.array([0.5, 1.0, 2.0])
    for timestep in steps:
        structures = [cluster("H2OH2O", seed=seed, spread=0.05) for seed in range(8)]
        state, field, particles, dynamics, noise = launch(structures, 5.0, timestep=timestep, fix_com=True)
        energies = []
        for _ in range(round(2000.0 / timestep)):
            state = dynamics.step(state, field, particles, noise)
            energies.append((state.energy + kinetic_energy(state.momenta, particles) - state.heat).numpy())
        energies = np.array(energies)
        deviations.append(energies.std(axis=0).mean())
        # No drift: half the run against the other half, of fluctuations that average out within vibrations of 15 fs.
        halves = energies[: len(energies) // 2].mean(axis=0) - energies[len(energies) // 2 :].mean(axis=0)
        assert np.abs(halves).max() < 0.5 * energies.std(axis=0).max()
    order = np.polyfit(np.log(steps), np.log(deviations), 1)[0]
    assert order == pytest.approx(2.0, abs=0.1)


def test_chain_velocities_start_canonical_and_independent_of_the_batch():
    structures = [cluster("H2O")] * 3000
    state, *_ = launch(structures, 5.0)
    masses = KB * T * (20.0 * FS) ** 2 * np.array([9.0, 1.0, 1.0])
    squares = state.extra[VELOCITIES].numpy() ** 2 * masses / (KB * T)
    # Means of 3000 squares of unit Gaussians.
    assert np.abs(squares.mean(axis=0) - 1.0).max() < 4.0 * math.sqrt(2.0 / 3000.0)
    assert torch.equal(state.extra[POSITIONS], torch.zeros(3000, 3, dtype=torch.float64))
    particles = Particles.from_structures(structures[:1])
    alone = NoseHooverChain(T, 20.0).initialise(
        replace(state, extra={}), particles, NoiseSource(1, [2999], label="another run")
    )
    assert alone.extra[VELOCITIES].shape == (1, 3)


def test_a_chain_at_zero_temperature_is_refused():
    with pytest.raises(UsageError, match="above 0 K"):
        make_thermostat("nhc:50", 0.0)
