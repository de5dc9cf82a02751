"""Resonances of multiple time stepping against closed forms and against the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_fields import Well, WellField, cluster
from scipy.optimize import brentq

from ncbench.api.any_model import forcefield_of
from ncbench.md.force_difference import spectrum
from ncbench.md.integrators import Dynamics
from ncbench.md.mts import MultipleTimeStep
from ncbench.md.random import NoiseSource
from ncbench.md.resonance import growth_rate, half_trace, largest_growth, largest_stable_stride, longest_timestep
from ncbench.md.state import Particles, initial_state
from ncbench.md.stiffest import frequency_along, stiffest_mode
from ncbench.units import FS

OMEGA_FAST = 2.0
KAPPA = 0.5
OMEGA = float(np.sqrt(OMEGA_FAST**2 + KAPPA))


def test_half_the_trace_equals_the_closed_form():
    timestep, stride = 0.05, 17
    # Velocity Verlet rotates by θ with cos θ = 1 − (ωΔt)²/2, and its ellipse has the frequency Ω = ω √(1 − (ωΔt)²/4).
    theta = np.arccos(1.0 - 0.5 * (OMEGA_FAST * timestep) ** 2)
    ellipse = OMEGA_FAST * np.sqrt(1.0 - 0.25 * (OMEGA_FAST * timestep) ** 2)
    outer = stride * timestep
    expected = np.cos(stride * theta) - 0.5 * KAPPA * outer / ellipse * np.sin(stride * theta)
    # A product of 19 matrices of order one.
    assert half_trace(np.array([OMEGA]), np.array([KAPPA]), timestep, stride)[0] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("kappa", [0.5, -0.5])
def test_the_first_unstable_outer_step_is_at_half_the_period_of_the_fast_force(kappa):
    omega = np.array([np.sqrt(OMEGA_FAST**2 + kappa)])
    half, timestep = np.pi / OMEGA_FAST, 1e-3
    outer = np.arange(1, 2500) * timestep
    unstable = np.array([growth_rate(omega, np.array([kappa]), timestep, m)[0] > 0 for m in range(1, 2500)])
    first = outer[unstable & (outer < 1.5 * half)]
    # With exact inner steps the trace is −2 at ωH = π, and where tan(|π − ωH|/2) = |κ|H/2ω.
    edge = brentq(
        lambda h: np.tan(0.5 * abs(np.pi - OMEGA_FAST * h)) - 0.5 * abs(kappa) * h / OMEGA_FAST,
        *((0.7 * half, half - 1e-6) if kappa > 0 else (half + 1e-6, 1.4 * half)),
    )
    ends = (edge, half) if kappa > 0 else (half, edge)
    # The grid; Verlet's shift of the frequency, (ωΔt)²/24, is 2e-7.
    assert (first[0], first[-1]) == pytest.approx(ends, abs=1.01 * timestep)


@pytest.mark.parametrize("stride", [3, 14, 15, 16, 20])
def test_growth_in_the_engine_equals_the_linear_theory(stride):
    """An oscillator with a fast and a slow spring, whose half period is 15.7 steps."""
    atoms = cluster("Ar", spread=0.1)
    mass = float(atoms.get_masses()[0])
    timestep = 0.1 / FS
    fast, whole = OMEGA_FAST**2 * mass, OMEGA**2 * mass
    field = WellField([atoms], whole, 0.0)
    particles = Particles.from_structures([atoms], fix_com=False)
    state = initial_state(field, particles, torch.zeros((1, 1, 3), dtype=torch.float64))
    dynamics = Dynamics(timestep * stride, propagate=MultipleTimeStep(Well(fast).bind([atoms]), stride))
    noise = NoiseSource(0, [0])
    energies = []
    for _ in range(300):
        state = dynamics.step(state, field, particles, noise)
        energies.append(float(state.energy + (state.momenta**2 / (2 * mass)).sum()))
    rate = growth_rate(np.array([OMEGA]), np.array([KAPPA]), 0.1, stride)[0]
    measured = np.log(energies[-1] / energies[199]) / (2 * 100 * 0.1 * stride)
    if rate > 0:
        # After 200 steps the other vector is smaller by e^(−2·200·rate·H), below 1e-10 here, and the difference is rounding.
        assert 2 * 200 * rate * 0.1 * stride > 23
        assert measured == pytest.approx(rate, rel=1e-9)
    else:
        assert max(energies) < 10 * min(energies)
    assert (rate > 0) == (stride in (14, 15))


def test_the_largest_stable_stride_ends_at_the_first_resonance():
    growth = [largest_growth(np.array([OMEGA]), np.array([KAPPA]), 0.1, m) for m in range(1, 33)]
    # Both signs of κ are considered: fast forces of 2.0 or of √(4.25 + 0.5).
    by_hand = min(
        m
        for m in range(1, 33)
        for kappa in (KAPPA, -KAPPA)
        if growth_rate(np.array([OMEGA]), np.array([kappa]), 0.1, m)[0] > 0
    )
    assert largest_stable_stride(growth) == by_hand - 1
    assert largest_stable_stride([0.0, 0.0]) == 2
    assert largest_stable_stride([0.1]) == 0


def test_the_longest_time_step_shifts_verlets_frequency_by_half_a_percent():
    timestep = longest_timestep(3.0)
    theta = np.arccos(1.0 - 0.5 * (3.0 * timestep) ** 2)
    # The next order of the shift is (ωΔt)⁴·3/640 = 7e-5.
    assert theta / timestep / 3.0 - 1.0 == pytest.approx(0.005, abs=1e-4)


def test_spectra_of_two_oscillators_give_frequencies_and_slow_parts():
    """q = a cos ωt, Δf/√m = −κ q: the peak, κ and its rms; the fast one is the highest."""
    time = np.arange(2048) * 0.05
    omegas, kappas = np.array([2.0, 5.0]), np.array([0.3, -1.2])
    phase = omegas * time[:, None] + np.array([0.4, 1.9])
    measured = spectrum(-np.sin(phase) * 1.5, -kappas * 1.5 / omegas * np.cos(phase), 0.05, 2)
    for omega, kappa in zip(omegas, kappas, strict=True):
        near = np.abs(measured.omega - omega).argmin()
        # κ is ω Im⟨v* Δf⟩/⟨v²⟩ at the bin's frequency, half a step from the true one at most.
        tolerance = abs(kappa) * measured.step / omega
        assert measured.occupied[near]
        assert measured.coherent[near] == pytest.approx(kappa, abs=tolerance)
        assert measured.size[near] == pytest.approx(abs(kappa), abs=tolerance)
    # The window is four steps wide.
    assert measured.highest == pytest.approx(5.0, abs=2 * measured.step)
    assert not measured.occupied[np.abs(measured.omega - 3.5).argmin()]


def test_a_mode_that_a_run_does_not_excite_is_found_by_its_curvature():
    """An O-H spring beside a heavy lattice, without energy in the spring: the run's velocities do not show its 3700 cm⁻¹."""
    from ase import Atoms, units
    from ase.calculators.calculator import Calculator, all_changes

    places = np.array(
        [[0, 0, 0], [0, 0, 1.0], *(np.array([[4, 0, 0], [0, 4, 0], [4, 4, 0], [0, 0, 5], [4, 0, 5], [0, 4, 5]]))],
        dtype=float,
    )

    class Spring(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            bond = self.atoms.positions[1] - self.atoms.positions[0]
            length = np.linalg.norm(bond)
            pull = 45.0 * (length - 1.0) * bond / length
            lattice = 0.5 * (self.atoms.positions - places)
            forces = np.array([pull, -pull, *np.zeros((6, 3))]) - lattice
            self.results = {"energy": 22.5 * (length - 1.0) ** 2 + float((lattice**2).sum()), "forces": forces}

    atoms = Atoms("OHAr6", places)
    field = forcefield_of(Spring(), atoms, device=None, dtype=None).bind([atoms])
    particles = Particles.from_structures([atoms])
    omega, mode = stiffest_mode(field, particles)
    reduced = 15.999 * 1.008 / (15.999 + 1.008)
    # Reduced mass of the bond, and the lattice's spring, which adds 0.5 to 45 eV/Å² of each atom.
    expected = np.sqrt(45.0 / reduced + 0.5 / 1.008)
    assert omega == pytest.approx(expected, rel=0.02)
    assert np.linalg.norm(mode) == pytest.approx(1.0, abs=1e-6)
    assert np.linalg.norm(mode[:6]) > 0.999
    time = np.arange(400) * 0.5 * units.fs
    quiet = np.zeros((400, 24))
    quiet[:, 9] = np.cos(0.3 * time)
    assert frequency_along(quiet, mode, omega, 0.5 * units.fs) == omega
    softer = quiet + np.outer(0.1 * np.cos(0.93 * omega * time), mode)
    bin_width = 2.0 * np.pi / (200 * 0.5 * units.fs)
    assert frequency_along(softer, mode, omega, 0.5 * units.fs) == pytest.approx(0.93 * omega, abs=2 * bin_width)
    measured = spectrum(quiet, np.zeros_like(quiet), 0.5 * units.fs, 21, omega)
    assert measured.highest == omega
