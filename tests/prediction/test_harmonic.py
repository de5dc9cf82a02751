"""Modes, stationary covariances and resonant heating against closed forms and against SciPy's solution of the whole equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.linalg import expm, solve_continuous_lyapunov

from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.gle import PAPER
from ncbench.md.state import Particles
from ncbench.prediction.covariance import HarmonicDynamics
from ncbench.prediction.harmonic import (
    WAVENUMBER,
    HarmonicModel,
    centre_of_mass_basis,
    group_temperatures,
    harmonic_model,
    held_translations,
)
from ncbench.prediction.heating import (
    Thermostat,
    critical_tau_fs,
    predict_with_sensitivity,
    spread_excess_K,
    spread_power,
)
from ncbench.prediction.resonances import heating_map, pair_powers, power_of_noise, window_powers
from ncbench.units import FS, KB, MEV

FloatArray = NDArray[np.float64]
KT = 300.0 * KB
MASSES = np.array([15.999, 1.008, 1.008, 15.999, 1.008])


def random_jacobian(coupling: float = 0.3, seed: int = 1) -> FloatArray:
    """A stable structure of five atoms: −J symmetric positive definite with stiffness 2 to 30 eV/Å², plus an antisymmetric part."""
    rng = np.random.default_rng(seed)
    size = 3 * len(MASSES)
    vectors, _ = np.linalg.qr(rng.normal(size=(size, size)))
    stiffness = vectors @ np.diag(rng.uniform(2.0, 30.0, size)) @ vectors.T
    noise = rng.normal(size=(size, size))
    return -stiffness + coupling * (noise - noise.T)


def solenoidal_crystal(k: float, kappa: float, mass: float, n_atoms: int = 4) -> HarmonicModel:
    """J = −k 1 + κ [z]× on every atom: the field ``analytic-solenoidal``."""
    block = np.array([[-k, -kappa, 0.0], [kappa, -k, 0.0], [0.0, 0.0, -k]])
    return harmonic_model(np.kron(np.eye(n_atoms), block), np.full(n_atoms, mass))


def whole_lyapunov(jacobian: FloatArray, friction: FloatArray) -> FloatArray:
    """⟨y yᵀ⟩ in Cartesian mass-weighted velocities, from one dense equation of all degrees of freedom."""
    roots = np.sqrt(np.repeat(MASSES, 3))
    basis = centre_of_mass_basis(MASSES)
    stiffness = -basis.T @ (jacobian / np.outer(roots, roots)) @ basis
    n, m = len(stiffness), len(friction) + 1
    drift, noise = np.zeros((n * m, n * m)), np.zeros((n * m, n * m))
    drift[:n, n : 2 * n] = np.eye(n)
    drift[n : 2 * n, :n] = -stiffness
    drift[n:, n:] = -np.kron(friction, np.eye(n))
    noise[n:, n:] = KT * np.kron(friction + friction.T, np.eye(n))
    covariance = solve_continuous_lyapunov(drift, -noise)
    return basis @ covariance[n : 2 * n, n : 2 * n] @ basis.T


def test_the_centre_of_mass_is_projected_out_as_the_integrators_do() -> None:
    basis = centre_of_mass_basis(MASSES)
    particles = Particles.from_structures([Atoms("OH2OH", positions=np.arange(15.0).reshape(5, 3))])
    masses = particles.masses[0, :, 0].numpy()
    basis = centre_of_mass_basis(masses)
    momenta = np.random.default_rng(0).normal(size=(5, 3))
    roots = np.sqrt(masses)[:, None]
    projected = (basis @ (basis.T @ (momenta / roots).ravel())).reshape(5, 3) * roots
    expected = particles.at_rest(torch.as_tensor(momenta[None]))[0].numpy()
    # A few products of 15 numbers in float64.
    np.testing.assert_allclose(projected, expected, atol=1e-13)
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-14)


@pytest.mark.parametrize("tau_fs", [10.0, 100.0])
@pytest.mark.parametrize("kappa", [0.01, 0.05])
def test_temperature_of_a_solenoidal_crystal_in_closed_form(tau_fs: float, kappa: float) -> None:
    """z̈ = −(p − iq) z − γ ż + noise, p = k/m, q = κ/m: T = T₀/(1 − q²/(p γ²)) in the plane, T₀ across it."""
    k, mass = 5.0, 39.948
    dynamics = HarmonicDynamics(solenoidal_crystal(k, kappa, mass))
    gamma, p, q = 1.0 / (tau_fs * FS), k / mass, kappa / mass
    state = dynamics.stationary(np.array([[gamma]]), KT)
    in_plane = 1.0 / (1.0 - q**2 / (p * gamma**2))
    assert dynamics.critical_friction == pytest.approx(q / np.sqrt(p), rel=1e-10)
    assert state.momenta is not None
    assert float(np.trace(state.momenta)) / 9 == pytest.approx(KT * (2 * in_plane + 1) / 3, rel=1e-9)


def test_a_friction_below_the_critical_one_has_no_stationary_state() -> None:
    dynamics = HarmonicDynamics(solenoidal_crystal(5.0, 0.5, 39.948))
    critical = dynamics.critical_friction
    assert dynamics.stationary(np.array([[0.99 * critical]]), KT).momenta is None
    above = dynamics.stationary(np.array([[1.01 * critical]]), KT)
    assert above.momenta is not None
    # 1/(1 − 1/1.01²) = 50.8 times hotter in the plane.
    assert float(np.trace(above.momenta)) / 9 / KT == pytest.approx((2 / (1 - 1.01**-2) + 1) / 3, rel=1e-7)


def test_the_critical_friction_is_where_the_largest_rate_changes_sign() -> None:
    """Eigenvalues of the whole drift matrix are the reference; ν² + γν + λ = 0 gave the formula."""
    dynamics = HarmonicDynamics(harmonic_model(random_jacobian(1.0), MASSES))
    n, critical = len(dynamics.drift), dynamics.critical_friction
    for factor, sign in ((0.999, 1.0), (1.001, -1.0)):
        whole = np.block([[np.zeros((n, n)), np.eye(n)], [-dynamics.drift, -factor * critical * np.eye(n)]])
        assert np.sign(np.linalg.eigvals(whole).real.max()) == sign


@pytest.mark.parametrize("friction", [np.array([[1.0 / (100.0 * FS)]]), PAPER / (1000.0 * FS)], ids=["white", "gle"])
def test_stationary_state_against_the_whole_lyapunov_equation(friction: FloatArray) -> None:
    jacobian = random_jacobian(0.05)
    model = harmonic_model(jacobian, MASSES)
    state = HarmonicDynamics(model).stationary(friction, KT)
    expected = whole_lyapunov(jacobian, friction)
    assert state.momenta is not None
    # The eigenvectors are conditioned to some 1e2 here, and SciPy's solver has a residual of 1e-12.
    np.testing.assert_allclose(model.modes @ state.momenta @ model.modes.T, expected, atol=1e-8 * KT)


def test_schur_fallback_gives_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamics = HarmonicDynamics(harmonic_model(random_jacobian(0.05), MASSES))
    friction = PAPER / (1000.0 * FS)
    elementwise = dynamics.stationary(friction, KT)
    monkeypatch.setattr("ncbench.prediction.covariance.RESIDUAL", 0.0)
    schur = dynamics.stationary(friction, KT)
    assert elementwise.momenta is not None
    assert schur.momenta is not None
    assert elementwise.residual < 1e-9
    np.testing.assert_allclose(elementwise.momenta, schur.momenta, atol=1e-8 * KT)


def test_a_defective_drift_matrix_is_solved_by_schur() -> None:
    """Two modes coupled by (ω₂² − ω₁²)/2 have one eigenvector: an exceptional point."""
    plain = harmonic_model(random_jacobian(0.0), MASSES)
    coupling = np.zeros_like(plain.coupling)
    coupling[0, 1] = (plain.omega[1] ** 2 - plain.omega[0] ** 2) / 2
    coupling[1, 0] = -coupling[0, 1]
    model = HarmonicModel(plain.omega, coupling, plain.modes, plain.masses, 0, 0)
    state = HarmonicDynamics(model).stationary(np.array([[1.0 / (10.0 * FS)]]), KT)
    assert state.momenta is not None
    assert state.residual < 1e-7


def test_conservative_forces_keep_the_thermostat_temperature() -> None:
    model = harmonic_model(random_jacobian(0.0), MASSES)
    groups = np.array([[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 1.0]])
    for friction in (np.array([[0.1]]), PAPER / (1000.0 * FS)):
        state = HarmonicDynamics(model).stationary(friction, KT)
        assert state.momenta is not None
        np.testing.assert_allclose(group_temperatures(model, state.momenta, groups, KB), 300.0, rtol=1e-9)


def test_energy_at_constant_energy_against_the_matrix_exponential() -> None:
    model = harmonic_model(random_jacobian(0.3), MASSES)
    dynamics = HarmonicDynamics(model)
    n = len(model.omega)
    whole = np.block([[np.zeros((n, n)), np.eye(n)], [-model.drift, np.zeros((n, n))]])
    start = KT * np.diag(np.concatenate([model.omega**-2, np.ones(n)]))
    for time_fs in (0.0, 20.0, 160.0):
        step = expm(whole * time_fs * FS)
        covariance = step @ start @ step.T
        energy = 0.5 * (np.trace(covariance[n:, n:]) + np.sum(model.omega**2 * np.diag(covariance)[:n]))
        assert dynamics.energy(time_fs * FS, KT) == pytest.approx(float(energy), rel=1e-8)


def test_conservative_forces_keep_the_energy() -> None:
    dynamics = HarmonicDynamics(harmonic_model(random_jacobian(0.0), MASSES))
    assert dynamics.energy(1000.0 * FS, KT) == pytest.approx(12 * KT, rel=1e-10)


def test_weak_coupling_heats_quadratically_and_by_the_golden_rule() -> None:
    """ΔT = P τ/(n k_B); corrections to the golden rule are of the order (γ/ω)², 0.4 % here, and (a/γω)²."""
    model = harmonic_model(random_jacobian(1.0), MASSES)
    gamma, n = 0.05 * model.omega[0], len(model.omega)
    powers = []
    for scale in (1e-3, 2e-3):
        weak = model.with_coupling(scale)
        state = HarmonicDynamics(weak).stationary(np.array([[gamma]]), KT)
        assert state.momenta is not None
        assert state.power is not None
        powers.append(state.power)
        # Power removed by the thermostat; a difference of numbers of 12 k_B T each.
        assert state.power == pytest.approx(
            gamma * (float(np.trace(state.momenta)) - n * KT), abs=1e-9 * gamma * n * KT
        )
        assert powers[-1] == pytest.approx(float(pair_powers(weak, gamma, KT).sum()), rel=0.02)
    assert powers[1] / powers[0] == pytest.approx(4.0, rel=1e-3)


def test_golden_rule_of_degenerate_modes_in_closed_form() -> None:
    """2 k_B T q²/(p γ) for each of the three free atoms of four."""
    k, kappa, mass, gamma = 5.0, 0.02, 39.948, 0.1
    model = solenoidal_crystal(k, kappa, mass)
    expected = 3 * 2 * KT * (kappa / mass) ** 2 / (k / mass * gamma)
    assert float(pair_powers(model, gamma, KT).sum()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("walls", [0, 1, 3])
def test_only_free_translations_are_projected_out(walls: int) -> None:
    """Pairs of springs, J T = 0, with springs to the sites along none, one and all directions; of the latter the power is that of all N atoms."""
    n_atoms, k, mass = 5, 5.0, 39.948
    pair = np.kron(np.eye(n_atoms) - 1.0 / n_atoms, np.eye(3))
    turned, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    wall = np.kron(np.eye(n_atoms), turned[:, :walls] @ turned[:, :walls].T)
    held = held_translations(-k * (pair + wall), np.full(n_atoms, mass))
    assert held.shape == (3, walls)
    np.testing.assert_allclose(held @ held.T, turned[:, :walls] @ turned[:, :walls].T, atol=1e-12)
    model = harmonic_model(-k * (pair + wall), np.full(n_atoms, mass), held=held)
    assert len(model.omega) == 3 * n_atoms - 3 + walls
    assert model.omega[: 3 * n_atoms - 3] == pytest.approx(np.sqrt(k / mass), rel=0.5)
    np.testing.assert_allclose(model.modes.T @ model.modes, np.eye(len(model.omega)), atol=1e-12)


def test_power_of_an_einstein_crystal_includes_all_atoms() -> None:
    """Site springs hold the centre of mass: the power of N atoms, where N − 1 were counted without their translation."""
    n_atoms, k, kappa, mass, gamma = 4, 5.0, 0.02, 39.948, 0.1
    jacobian = np.kron(np.eye(n_atoms), [[-k, -kappa, 0.0], [kappa, -k, 0.0], [0.0, 0.0, -k]])
    masses = np.full(n_atoms, mass)
    model = harmonic_model(jacobian, masses, held=held_translations(jacobian, masses))
    expected = n_atoms * 2 * KT * (kappa / mass) ** 2 / (k / mass * gamma)
    assert float(pair_powers(model, gamma, KT).sum()) == pytest.approx(expected, rel=1e-10)
    groups = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    at_rest = KT * np.eye(len(model.omega))
    assert group_temperatures(model, at_rest, groups, KB) == pytest.approx([300.0, 300.0])


def test_heating_map_adds_up_to_the_total_power() -> None:
    model = harmonic_model(random_jacobian(0.3), MASSES)
    result = heating_map(model, 0.05, KT)
    assert result.share.sum() == pytest.approx(1.0)
    assert result.power.sum() == pytest.approx(float(pair_powers(model, 0.05, KT).sum()))
    np.testing.assert_allclose(result.share, result.share.T, atol=1e-15)
    assert len(result.edges_per_cm) == len(result.share) + 1


def test_power_of_numerical_noise_against_drawn_noise() -> None:
    """Mean over 400 random errors of J; its relative error is √(2/(400 · some 30 independent pairs)) = 1 %, five of which are allowed."""
    quiet = random_jacobian(0.0)
    model = harmonic_model(quiet, MASSES)
    rng, sigma = np.random.default_rng(3), 1e-3
    drawn = [
        float(
            pair_powers(
                harmonic_model(quiet + sigma * rng.normal(size=quiet.shape), MASSES), 0.3 * model.omega[0], KT
            ).sum()
        )
        for _ in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(power_of_noise(model, sigma, 0.3 * model.omega[0], KT), rel=0.05)


def test_soft_and_imaginary_modes_are_floored_and_counted() -> None:
    jacobian = np.diag([-5.0] * 6 + [0.5] * 3 + [-1e-6] * 6)
    masses = np.full(5, 16.0)
    model = harmonic_model(jacobian, masses, floor_per_cm=50.0)
    lowered = harmonic_model(jacobian, masses, floor_per_cm=50.0, imaginary="floor")
    assert model.n_imaginary == lowered.n_imaginary > 0
    assert lowered.n_floored > model.n_floored
    assert model.wavenumbers.min() == pytest.approx(50.0)
    # A mode of 1000 cm⁻¹ has a period of 33.36 fs.
    assert 2 * np.pi / (1000.0 * WAVENUMBER) / FS == pytest.approx(33.3564, rel=1e-5)


def test_structures_without_prediction_are_refused() -> None:
    with pytest.raises(UsageError, match="must be positive"):
        harmonic_model(np.eye(6), np.ones(2), floor_per_cm=0.0)
    with pytest.raises(UnsupportedError, match="not finite"):
        harmonic_model(np.full((6, 6), np.nan), np.ones(2))
    with pytest.raises(UnsupportedError, match="single atom"):
        harmonic_model(np.eye(3), np.ones(1))


def test_window_power_against_sampled_harmonic_motion() -> None:
    """⟨W²⟩/(2 k_B T t) of 20 000 canonical starts of 3 uncoupled modes, W = ∫ y·a x dt along the exact motion by Simpson's rule."""
    rng = np.random.default_rng(4)
    omega = np.array([1.0, 1.3, 4.0])
    coupling = np.array([[0.0, 0.3, -0.2], [-0.3, 0.0, 0.5], [0.2, -0.5, 0.0]])
    model = HarmonicModel(omega, coupling, np.eye(3), np.ones(1), 0, 0)
    thermal, window = 0.7, 5.0
    times = np.linspace(0.0, window, 401)
    x0, y0 = rng.normal(size=(2, 20_000, 3)) * np.sqrt(thermal)
    x0 /= omega
    phases = omega * times[:, None]
    cosine, sine = np.cos(phases)[:, None], np.sin(phases)[:, None]
    x = x0 * cosine + y0 / omega * sine
    y = y0 * cosine - x0 * omega * sine
    work = simpson(np.einsum("tsi,ij,tsj->ts", y, coupling, x), x=times, axis=0)
    squares = work**2 / (2 * thermal * window)
    error = squares.std(ddof=1) / np.sqrt(len(squares))
    (found,) = window_powers(model, np.array([window]), thermal)
    assert error < 0.02 * found
    assert abs(squares.mean() - found) < 4 * error


def test_shared_heat_grows_exponentially_and_runs_away_at_the_critical_time() -> None:
    """n = 3 an atom: τ_c = 3 k_B T/P; over one τ_c the mean power is (e − 1) P, and at τ = τ_c/2 the temperature doubles."""
    power = 3 * KB * 300.0 / MEV
    assert critical_tau_fs(power, 300.0, 3, 1) == pytest.approx(1000.0)
    assert spread_power(power, 1000.0, 300.0, 3, 1) == pytest.approx((np.e - 1) * power)
    assert spread_excess_K(power, 500.0, 300.0, 3, 1) == pytest.approx(300.0)
    assert spread_excess_K(power, 1000.0, 300.0, 3, 1) is None
    assert spread_power(0.0, 1000.0, 300.0, 3, 1) == 0.0


def test_the_floor_of_a_power_contains_the_rounding_of_float64():
    # Symmetric but for the last bit of its entries, as the solution of the modes leaves it, with no error stated.
    rng = np.random.default_rng(0)
    jacobian = random_jacobian(coupling=0.0)
    jacobian = (jacobian + jacobian.T) / 2
    jacobian = jacobian * (1.0 + np.finfo(np.float64).eps * rng.choice([-0.5, 0.0, 0.5], size=jacobian.shape))
    result = predict_with_sensitivity(
        jacobian,
        noise=0.0,
        masses=MASSES,
        symbols=["O", "H", "H", "O", "H"],
        temperature_K=300.0,
        thermostats=[Thermostat.langevin(10.0)],
    )
    assert result.floor_power > 0.0
    assert all(power < 3 * result.floor_power for power in result.default.nve_power.values())
