from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from known_fields import Well, cluster
from scipy import linalg, stats

from ncbench.errors import UsageError
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.settings import require_linear
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.md.thermostats import Andersen, Langevin, VelocityRescaling, make_thermostat, parse_thermostat
from ncbench.units import FS, KB

THERMOSTATS = [Langevin(300.0, 20.0), VelocityRescaling(300.0, 20.0), Andersen(300.0, 20.0)]


def start(symbols, forcefield, *, replicas, fix_com=False, temperature=300.0, seed=1):
    structures = [cluster(symbols)] * replicas
    field = forcefield.bind(structures)
    particles = Particles.from_structures(structures, fix_com=fix_com)
    noise = NoiseSource(seed, range(replicas), label="test")
    momenta = draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), temperature)
    return initial_state(field, particles, momenta), field, particles, noise


@pytest.mark.parametrize("fix_com", [True, False])
@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_verlet_energy_minus_heat_is_conserved_to_rounding(thermostat, fix_com):
    # On a harmonic potential with one frequency velocity Verlet conserves p²/2m + (1 − (ωΔt)²/4) k u²/2 exactly.
    k, dt = 5.0, 2.0
    state, field, particles, noise = start("H4", Well(k), replicas=3, fix_com=fix_com)
    dynamics = Dynamics(dt, thermostat)
    stretch = 1 - k / float(particles.masses[0, 0, 0]) * (dt * FS) ** 2 / 4
    seen = []
    for _ in range(300):
        state = dynamics.step(state, field, particles, noise)
        # A fixed centre keeps the part of k u² along it as it was: zero, as all start on their sites.
        seen.append(kinetic_energy(state.momenta, particles) + stretch * state.energy - state.heat)
    # Energies and heats of some 1 eV added 600 times.
    assert float((torch.stack(seen) - seen[0]).abs().max()) < 1e-12
    assert float(state.heat.abs().min()) > 1e-3


@pytest.mark.parametrize("fix_com", [True, False])
@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_momenta_have_the_exact_temperature_at_every_time_step(thermostat, fix_com):
    # ω Δt = 0.86: BAOAB would read 18 % low here, and positions are wide by 1/(1 − (ωΔt)²/4), which OBABO's must be.
    k, dt = 5.0, 4.0
    state, field, particles, noise = start("H3", Well(k), replicas=200, fix_com=fix_com)
    dynamics = Dynamics(dt, thermostat)
    kinetic, squares = [], []
    for step in range(900):
        state = dynamics.step(state, field, particles, noise)
        if step >= 100:
            kinetic.append(kinetic_energy(state.momenta, particles).numpy())
            squares.append(state.energy.numpy() * 2 / k)
    degrees = particles.degrees_of_freedom
    kT = KB * 300.0
    per_replica = np.mean(kinetic, axis=0)
    assert abs(2 * per_replica.mean() / degrees / kT - 1) < 4 * stats.sem(per_replica) * 2 / degrees / kT
    widths = np.mean(squares, axis=0)
    omega_dt = math.sqrt(k / float(particles.masses[0, 0, 0])) * dt * FS
    expected = degrees * kT / (k * (1 - omega_dt**2 / 4))
    if not isinstance(thermostat, VelocityRescaling):  # a global thermostat on a harmonic crystal is not ergodic
        assert abs(widths.mean() - expected) < 4 * stats.sem(widths)
        assert 4 * stats.sem(widths) < 0.05 * expected


def langevin_map(k, kappa, mass, dt, tau, kT):
    """x ↦ M x + noise of covariance Q for (x, y, px, py) by one OBABO step, and the pieces, from the definitions."""
    c = math.exp(-0.5 * dt / tau)
    force = np.array([[-k, -kappa], [kappa, -k]])
    one, zero = np.eye(2), np.zeros((2, 2))
    kick = np.block([[one, zero], [0.5 * dt * force, one]])
    drift = np.block([[one, dt / mass * one], [zero, one]])
    damp = np.diag([1, 1, c, c])
    noise = np.diag([0, 0, 1, 1]) * (1 - c * c) * mass * kT
    verlet = kick @ drift @ kick
    whole = damp @ verlet @ damp
    return whole, (damp @ verlet) @ noise @ (damp @ verlet).T + noise, damp, noise, verlet


def test_langevin_in_a_solenoidal_field_has_the_lyapunov_covariance_and_power():
    k, kappa, dt, tau = 5.0, 0.1, 0.5, 100.0
    replicas = 400
    state, field, particles, noise = start("H", Well(k, kappa), replicas=replicas)
    mass = float(particles.masses[0, 0, 0])
    kT = KB * 300.0
    whole, cov, damp, kick_noise, verlet = langevin_map(k, kappa, mass, dt * FS, tau * FS, kT)
    sigma = linalg.solve_discrete_lyapunov(whole, cov)
    dynamics = Dynamics(dt, Langevin(300.0, tau))
    gathered, heat_before = [], None
    for step in range(3000):
        if step == 1000:
            heat_before = state.heat.clone()
        state = dynamics.step(state, field, particles, noise)
        if step >= 1000:
            u = (state.positions - field.centres)[:, 0, :2]
            x = torch.cat([u, state.momenta[:, 0, :2]], dim=1).numpy()
            gathered.append(np.einsum("ri,rj->rij", x, x))
    per_replica = np.mean(gathered, axis=0)
    error = stats.sem(per_replica, axis=0)
    # 16 entries, 4.5 standard errors each: a false alarm in 1e4.
    assert (np.abs(per_replica.mean(0) - sigma) < 4.5 * error + 1e-15).all()
    # The effect of the curl: ⟨x p_y⟩ vanishes without it, and the temperature changes in the order of κ².
    assert abs(sigma[0, 3]) > 10 * error[0, 3]
    assert sigma[2, 2] > 1.05 * mass * kT
    after = damp @ sigma @ damp + kick_noise
    before_second = verlet @ after @ verlet.T
    gain = sum((damp @ s @ damp + kick_noise - s)[i, i] / (2 * mass) for s in (sigma, before_second) for i in (2, 3))
    rate = (state.heat - heat_before).numpy() / 2000
    # z has no curl: its heat averages to zero and adds its noise only.
    assert abs(rate.mean() - gain) < 4 * stats.sem(rate)
    assert gain < -10 * stats.sem(rate)


def test_velocity_rescaling_gives_canonical_kinetic_energy_and_correlation_time():
    # Free particles: nothing but the thermostat acts. K is gamma distributed, its autocorrelation exp(−t/τ).
    tau, dt = 20.0, 2.0
    state, field, particles, noise = start("H2O", Well(k=0.0), replicas=3000, fix_com=True)
    dynamics = Dynamics(dt, VelocityRescaling(300.0, tau))
    kinetic = []
    for _ in range(11):
        state = dynamics.step(state, field, particles, noise)
        kinetic.append(kinetic_energy(state.momenta, particles).numpy())
    assert stats.kstest(kinetic[-1] / (KB * 300.0), stats.gamma(0.5 * particles.degrees_of_freedom).cdf).pvalue > 1e-3
    correlation = np.corrcoef(kinetic[0], kinetic[10])[0, 1]
    # Ten steps of 2 fs are one τ; the standard error of a correlation r from 3000 pairs is (1 − r²)/√3000.
    assert correlation == pytest.approx(math.exp(-1.0), abs=4 * (1 - math.exp(-2)) / math.sqrt(3000))


def test_velocity_rescaling_flips_momenta_with_the_expected_frequency():
    replicas = 4000
    particles = Particles.from_structures([cluster("H")] * replicas, fix_com=False)
    decay, kinetic = 0.3, 0.02
    momenta = torch.zeros(replicas, 1, 3, dtype=torch.float64)
    momenta[..., 0] = math.sqrt(2 * float(particles.masses[0, 0, 0]) * kinetic)
    zeros = torch.zeros(replicas, dtype=torch.float64)
    state = MDState(momenta, momenta, momenta, zeros, zeros)
    tau = 10.0
    after = VelocityRescaling(300.0, tau).half_step(
        state, particles, NoiseSource(0, range(replicas)), 0, -2 * tau * FS * math.log(decay)
    )
    flipped = float((after.momenta[:, 0, 0] < 0).double().mean())
    expected = stats.norm.cdf(-math.sqrt(2 * kinetic * decay / ((1 - decay) * KB * 300.0)))
    assert 0.02 < expected < 0.4
    assert flipped == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / replicas))


def test_a_replica_at_rest_cannot_be_rescaled_and_stays_finite():
    state, _field, particles, noise = start("H2", Well(), replicas=2, temperature=0.0)
    after = VelocityRescaling(300.0, 10.0).half_step(state, particles, noise, 0, FS)
    assert torch.equal(after.momenta, torch.zeros_like(after.momenta))
    assert torch.equal(after.heat, torch.zeros_like(after.heat))


def test_thermostats_are_made_from_their_names():
    assert parse_thermostat("Langevin:100") == ("langevin", 100.0)
    assert make_thermostat("svr:10", 300.0) == VelocityRescaling(300.0, 10.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("langvin:10", "Did you mean 'langevin'"),
        ("svr", "no τ"),
        ("svr:0", r"τ of svr is 0.0; it must be positive and finite"),
        ("svr:x", "is not a number of fs"),
        ("svr:nan", "τ of svr is nan; it must be positive and finite"),
        ("svr:-1", "τ of svr is -1.0; it must be positive and finite"),
        ("svr:", "no τ"),
    ],
)
def test_unknown_thermostats_are_refused(text, says):
    with pytest.raises(UsageError, match=says):
        parse_thermostat(text)


def test_a_temperature_below_zero_is_refused():
    with pytest.raises(UsageError, match="-3"):
        make_thermostat("svr:10", -3.0)


@pytest.mark.parametrize("fix_com", [True, False])
def test_andersen_samples_free_particles_canonically_with_correlation_time_tau(fix_com):
    # Three atoms: without the momentum of the centre of mass, its projection would make this 1/2 too cold.
    tau, dt, replicas = 20.0, 2.0, 3000
    state, field, particles, noise = start("H2O", Well(k=0.0), replicas=replicas, fix_com=fix_com)
    dynamics = Dynamics(dt, Andersen(300.0, tau))
    kinetic, first, last = [], None, None
    for step in range(11):
        state = dynamics.step(state, field, particles, noise)
        kinetic.append(kinetic_energy(state.momenta, particles).numpy())
        first = state.momenta if step == 0 else first
        last = state.momenta
    distribution = stats.gamma(0.5 * particles.degrees_of_freedom)
    assert stats.kstest(kinetic[-1] / (KB * 300.0), distribution.cdf).pvalue > 1e-3
    if not fix_com:
        # Momenta of an atom persist with exp(−t/τ), the probability of no collision in ten steps of 2 fs.
        kept = float((first == last).all(dim=2).double().mean())
        assert kept == pytest.approx(math.exp(-1.0), abs=4 * math.sqrt(0.37 * 0.63 / (3 * replicas)))


def test_andersen_heats_cold_particles_exponentially_with_tau():
    # Atoms in wells at rest: dE/dt = (E∞ − 2K)/2τ… on average K of free particles rises as 1 − exp(−t/τ).
    tau, dt, replicas = 50.0, 1.0, 2000
    state, field, particles, noise = start("H4", Well(k=0.0), replicas=replicas, temperature=0.0)
    dynamics = Dynamics(dt, Andersen(300.0, tau))
    for _ in range(50):
        state = dynamics.step(state, field, particles, noise)
    heat = state.heat.numpy()
    target = 0.5 * particles.degrees_of_freedom * KB * 300.0
    assert abs(heat.mean() - target * (1.0 - math.exp(-1.0))) < 4 * stats.sem(heat)
    assert np.allclose(heat, kinetic_energy(state.momenta, particles).numpy(), atol=1e-13)


def test_thermostats_that_are_not_linear_have_no_harmonic_prediction():
    for name in ("langevin", "gle"):
        require_linear(name)
    for name in ("svr", "nhc", "andersen"):
        with pytest.raises(UsageError, match=f"{name} is not linear"):
            require_linear(name)
