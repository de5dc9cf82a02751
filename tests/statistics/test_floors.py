"""Floors against exactly simulated modes, and against an independent integration of the equation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from exact_modes import Modes

from ncbench.statistics import floors


def test_variance_left_by_averaging_is_that_of_an_exponential_correlation():
    # The variance of a mean over u of a process correlated as e^(−|s|): (1/u²) ∬ e^(−|s − s'|) ds ds', by midpoints.
    for u in (1e-4, 0.3, 3.0, 50.0):
        points = (np.arange(2000) + 0.5) * u / 2000
        integral = np.exp(-np.abs(points[:, None] - points[None])).mean()
        # Midpoints miss the kink on the diagonal: (u/2000)²/12 relative to the scale of 1.
        assert floors.relaxed_share(u) == pytest.approx(integral, rel=2e-4)
    assert floors.relaxed_share(0.0) == 1.0
    assert floors.relaxed_share(math.inf) == 0.0
    # Series and closed form agree where they overlap.
    assert floors.relaxed_share(0.999e-3) == pytest.approx(floors.relaxed_share(1.001e-3), abs=1e-6)
    with pytest.raises(ValueError, match="u is -1"):
        floors.relaxed_share(-1.0)


@pytest.mark.parametrize("tau", [10.0, 100.0, 1000.0])
def test_scatter_of_langevin_temperatures_equals_the_floor(tau):
    modes = Modes.water(12, tau_fs=tau)
    run = modes.run(400, 300.0, np.random.default_rng(1))
    kinetic = 2.0 * run.kinetic / modes.n_dof
    times = floors.relaxation("langevin", tau)
    for length in (50, 100, 300):
        spread = kinetic[:, : length + 1].mean(axis=1).std()
        floor = floors.temperature_error(1.0, length, times, n_dof=modes.n_dof)
        # 400 runs: a standard error of 3.5 %. Overdamped slow modes are a tenth below, vibrations not yet averaged a tenth above.
        assert 0.82 < spread / floor < 1.2


def test_velocity_rescaling_relaxes_the_energy_in_twice_tau():
    # dE = (n/2 − E/2)/τ dt + √(2 (n/2)(E/2)/τ)… to first order about the mean: an Ornstein-Uhlenbeck process of rate 1/2τ and variance n.
    tau, n, step, length = 50.0, 400.0, 0.5, 100.0
    rng = np.random.default_rng(3)
    energy = n + math.sqrt(n) * rng.normal(size=2000)
    total = np.zeros(2000)
    steps = round(length / step)
    for _ in range(steps):
        # Bussi, Donadio & Parrinello (2007), eq. 4, for K with K = E/2 all the time: dK = (K̄ − K)/τ dt + 2√(K K̄/(n τ)) dW.
        kinetic = 0.5 * energy
        noise = 2.0 * np.sqrt(kinetic * (n / 2.0) / (n * tau)) * math.sqrt(step) * rng.normal(size=2000)
        energy = energy + (n / 2.0 - kinetic) / tau * step + noise
        total += energy / n / steps
    # 2000 runs: 1.6 % of a standard error.
    floor = floors.temperature_error(1.0, length, floors.relaxation("svr", tau), n_dof=n)
    assert total.std() / floor == pytest.approx(1.0, abs=0.06)


def test_floor_of_a_species_has_a_shared_and_a_separate_part():
    times = floors.relaxation("svr", 10.0)
    whole = floors.temperature_error(300.0, 2000.0, times, n_dof=573.0)
    species = floors.temperature_error(300.0, 2000.0, times, n_dof=191.0, n_dof_total=573.0)
    own = 300.0 * math.sqrt((1 / 191 - 1 / 573) * floors.relaxed_share(4.0))
    assert species == pytest.approx(math.hypot(whole, own))
    # A single species has no other to exchange energy with.
    assert floors.temperature_error(300.0, 2000.0, times, n_dof=573.0, n_dof_total=573.0) == pytest.approx(whole)
    assert times.slowest_fs(whole=True) == 20.0
    assert times.slowest_fs(whole=False) == 500.0
    with pytest.raises(ValueError, match="τ is 0"):
        floors.relaxation("svr", 0.0)


def test_floor_of_64_waters_equals_the_published_value():
    # n_dof = 3·192 − 3: 12.5 K for a run much shorter than τ, where 11.7 K were measured over 16 fs windows.
    times = floors.relaxation("langevin", 100.0)
    assert floors.temperature_error(300.0, 0.0, times, n_dof=573.0) == pytest.approx(300.0 / math.sqrt(573.0))


def test_power_of_a_curl_scatters_at_least_by_its_floor():
    modes = Modes.water(12, curl_per_cm=25.0, tau_fs=100.0)
    run = modes.run(600, 1000.0, np.random.default_rng(5))
    power = run.work[:, -1] / 1000.0
    # The mean is the stationary one of the Lyapunov equation; 600 runs.
    assert power.mean() == pytest.approx(modes.power(), abs=4.0 * power.std() / math.sqrt(600))
    floor = math.sqrt(2.0 * modes.power() / 1000.0)
    assert 0.95 * floor < power.std() < 2.0 * floor


def test_the_power_floor_is_per_atom():
    # k_B T = 25.85 meV at 300 K; p = 100 meV/atom/ps over 1 ps of 192 atoms.
    assert floors.power_error(100.0, 300.0, 1.0, 192) == pytest.approx(math.sqrt(2 * 25.852 * 100 / 192), rel=1e-3)
    assert floors.power_error(-100.0, 300.0, 1.0, 192) == floors.power_error(100.0, 300.0, 1.0, 192)
    assert math.isnan(floors.power_error(1.0, 300.0, 0.0, 192))


@pytest.mark.parametrize("frequency", [0.02, 0.2, 2.0])
def test_andersen_collisions_relax_a_mode_in_twice_tau_at_every_frequency(frequency):
    # Second moments a = ω²x², b = ωxv, c = v² under collisions of rate 1/τ: ∫⟨δc(0) δc(t)⟩ dt from their linear law.
    tau = 30.0
    law = np.array(
        [
            [0.0, 2.0 * frequency, 0.0],
            [-frequency, -1.0 / tau, frequency],
            [0.0, -2.0 * frequency, -1.0 / tau],
        ]
    )
    integral = np.linalg.solve(-law, [0.0, 0.0, 1.0])[2]
    # Var T = 2T² of one degree: over a long run of length t its mean has 2 · 2T² ∫ /t; the floor, 2T² τ_E/t.
    length = 1e7
    floor = floors.temperature_error(1.0, length, floors.relaxation("andersen", tau), n_dof=1.0)
    assert floor**2 == pytest.approx(4.0 * integral / length, rel=1e-4)


def test_nose_hoover_chain_has_the_langevin_floor_and_a_longer_relaxation_time():
    times = floors.relaxation("nhc", 50.0)
    langevin = floors.relaxation("langevin", 50.0)
    assert floors.temperature_error(300.0, 1000.0, times, n_dof=573.0) == floors.temperature_error(
        300.0, 1000.0, langevin, n_dof=573.0
    )
    # It scales all momenta equally and does not help species to exchange energy.
    assert times.species_fs == floors.relaxation("svr", 50.0).species_fs > langevin.species_fs
    assert times.slowest_fs(whole=True) == pytest.approx(4.0 * math.pi * 50.0)
