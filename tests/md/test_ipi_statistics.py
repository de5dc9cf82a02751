"""Both engines under thermostats against closed forms: uncoupled atoms in harmonic wells.

Every coordinate is then a damped oscillator with Gaussian noise. One OBABO step is a linear map M of (u, p, s), s being a thermostat's further momenta, and
in equilibrium p has the variance m k_B T at any time step and no correlation with u or s. Hence ⟨p(0) p(n)⟩ = m k_B T (Mⁿ)_pp, and, all being Gaussian,
the variance of its estimate from N steps is Σ_j [ρ(j)² + ρ(j + n) ρ(j − n)]/N (Bartlett, Suppl. J. R. Stat. Soc. 8, 27, 1946): no error is estimated.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from known_fields import Well, cluster
from numpy.typing import NDArray
from scipy.linalg import expm

from ncbench.md.ensemble import EnsembleRun, run_ensemble
from ncbench.md.gle import PAPER
from ncbench.md.integrators import Dynamics
from ncbench.md.thermostats import make_thermostat
from ncbench.statistics.series import blocking_mean
from ncbench.units import FS, KB

pytest.importorskip("ipi")
pytestmark = [
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

K, DT_FS, T = 5.0, 1.0, 300.0
"""eV/Å², fs, K: hydrogens with a period of 29 fs, oxygens of 114 fs."""
EACH = 20
"""Atoms of each element, and 60 independent oscillators."""
SIGMAS = 4.5
"""Exceeded by one Gaussian number in 150 000."""
FloatArray = NDArray[np.float64]


class Settings:
    timestep_fs = DT_FS
    temperature_K = T
    sample_every = 1
    max_temperature_K = 1e4
    redraw_momenta = True

    def __init__(self, *, fix_com: bool) -> None:
        self.fix_com = fix_com


class Momenta:
    """An observer that keeps p/√(m k_B T), [S, N, 3]."""

    def __init__(self) -> None:
        self.seen: list[FloatArray] = []
        self.masses = ATOMS.get_masses()[:, None]

    def sample(self, state, alive) -> None:
        self.seen.append(state.momenta[0].numpy() / np.sqrt(self.masses * KB * T))

    def saved(self, step: int):
        return {}

    def restore(self, saved) -> None:
        raise AssertionError("nothing was saved")

    def of(self, element: str) -> FloatArray:
        """[S, 3 N_element]"""
        own = [symbol == element for symbol in ATOMS.get_chemical_symbols()]
        return np.array(self.seen)[:, own].reshape(len(self.seen), -1)


class NoCheckpoint:
    def load(self) -> None:
        return None

    def save(self, state) -> None:
        pass


# Positions are drawn from their equilibrium, too: no equilibration is needed.
ATOMS = cluster(f"H{EACH}O{EACH}", spread=math.sqrt(KB * T / K))


def run(
    engine: str, thermostat: str, *, steps: int, fix_com: bool = False, k: float = K
) -> tuple[EnsembleRun, Momenta]:
    momenta = Momenta()
    result = run_ensemble(
        Well(k, 0.0), [ATOMS], [0], Dynamics(DT_FS, make_thermostat(thermostat, T)), Settings(fix_com=fix_com),
        n_steps=steps, seed=11, label=f"statistics {thermostat}", checkpoint=NoCheckpoint(), report=lambda step, note: None,
        observers=[momenta], engine=engine,
    )  # fmt: skip
    return result, momenta


def correlation(mass: float, drift_per_fs: FloatArray, steps: int) -> FloatArray:
    """(Mⁿ)_pp for n = 0 … steps, of one OBABO step on an oscillator with the free drift −A of (p, s)."""
    size = len(drift_per_fs) + 1
    half_bath, half_kick, drift = np.eye(size), np.eye(size), np.eye(size)
    half_bath[1:, 1:] = expm(-0.5 * DT_FS * drift_per_fs)
    half_kick[1, 0] = -0.5 * DT_FS * FS * K
    drift[0, 1] = DT_FS * FS / mass
    step = half_bath @ half_kick @ drift @ half_kick @ half_bath
    powers, result = np.eye(size), []
    for _ in range(steps + 1):
        result.append(powers[1, 1])
        powers = step @ powers
    return np.array(result)


def standard_error(rho: FloatArray, lag: int, samples: int, oscillators: int) -> float:
    """Of the estimated correlation at a lag; ``rho`` must be long enough to have decayed."""
    both = np.concatenate([rho[:0:-1], rho])
    middle = len(rho) - 1
    j = np.arange(-middle + lag, middle - lag + 1)
    total = np.sum(both[middle + j] ** 2 + both[middle + j + lag] * both[middle + j - lag])
    return math.sqrt(total / ((samples - lag) * oscillators))


def drift_of(thermostat: str) -> FloatArray:
    """A in 1/fs."""
    return PAPER / 1000.0 if thermostat == "gle" else np.array([[1.0 / float(thermostat.partition(":")[2])]])


def holds(engine: str, thermostat: str, steps: int, *, sharp: float) -> None:
    """Temperature, correlations and, of all modes together, the variance of the temperature; ``sharp`` bounds the errors of correlations."""
    result, momenta = run(engine, thermostat, steps=steps)
    for element in ("H", "O"):
        mass = float(ATOMS.get_masses()[ATOMS.get_chemical_symbols().index(element)])
        rho = correlation(mass, drift_of(thermostat), 8000)
        assert abs(rho[-100:]).max() < 1e-3
        seen = momenta.of(element)
        # Lag 0 is the temperature of these modes over the bath's.
        for lag in (0, 2, 5, 10, 20, 40, 60):
            error = standard_error(rho, lag, len(seen), seen.shape[1])
            measured = float(np.mean(seen[: len(seen) - lag] * seen[lag:]))
            assert abs(measured - rho[lag]) < SIGMAS * error, (element, lag, measured, rho[lag], error)
            assert error < sharp
    temperature = result.series.temperature[:, 0]
    squares = blocking_mean((temperature - T) ** 2)
    expected = 2.0 * T**2 / (6 * EACH)
    assert abs(squares.value - expected) < SIGMAS * squares.error
    assert squares.error < 0.25 * expected


def test_one_step_map_is_a_damped_oscillator() -> None:
    # e^(−γt/2) (cos ω't − γ/2ω' sin ω't), ω'² = ω² − γ²/4: the velocity of a damped oscillator.
    mass, tau = 16.0, 50.0
    gamma, omega = 1.0 / tau, math.sqrt(K / mass) * FS
    damped = math.sqrt(omega**2 - gamma**2 / 4)
    t = np.arange(121) * DT_FS
    known = np.exp(-gamma * t / 2) * (np.cos(damped * t) - gamma / (2 * damped) * np.sin(damped * t))
    # Verlet is fast by (ωΔt)²/24 of a frequency, 1e-4 here, over 7 rad.
    np.testing.assert_allclose(correlation(mass, np.array([[gamma]]), 120), known, atol=3e-3)


@pytest.mark.parametrize("engine", ["own", "i-pi"])
def test_langevin_has_the_exact_temperature_and_correlations(engine: str) -> None:
    holds(engine, "langevin:30", 2500, sharp=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("thermostat", ["langevin:100", "gle"])
@pytest.mark.parametrize("engine", ["own", "i-pi"])
def test_long_runs_have_the_exact_temperature_and_correlations(engine: str, thermostat: str) -> None:
    holds(engine, thermostat, 20_000, sharp=0.03)


@pytest.mark.parametrize("engine", ["own", "i-pi"])
def test_velocity_rescaling_has_the_total_temperature(engine: str) -> None:
    # It reaches no single mode's temperature here, as it exchanges nothing between them; all together must have the bath's, since potential energy
    # is bounded: ⟨K⟩ = K_bath + τ⟨power⟩, and a bounded energy has no mean power.
    steps, tau = 2500, 20.0
    result, _ = run(engine, f"svr:{tau}", steps=steps, fix_com=True)
    mean = blocking_mean(result.series.temperature[:, 0])
    assert abs(mean.value - T) < SIGMAS * mean.error
    # Half of the energy is potential, so that the total decorrelates in some 2τ: 2T²/n_dof · 2·2τ/t is the order of the square of the error.
    assert mean.error < 2 * T * math.sqrt(2 / (6 * EACH - 3) * 4 * tau / (steps * DT_FS))


@pytest.mark.parametrize("engine", ["own", "i-pi"])
def test_kinetic_energy_under_velocity_rescaling_decorrelates_with_tau(engine: str) -> None:
    tau, degrees = 1.5, 6 * EACH - 3
    result, _ = run(engine, f"svr:{tau}", steps=2500, fix_com=True, k=0.0)
    # K is gamma distributed with variance 2 K²/n_dof and correlation e^(−t/τ); 117 degrees of freedom are Gaussian enough for its error.
    seen = (result.series.temperature[:, 0] / T - 1.0) / math.sqrt(2.0 / degrees)
    rho = np.exp(-np.arange(100) * DT_FS / tau)
    for lag in (0, 1, 2, 4):
        error = standard_error(rho, lag, len(seen), 1)
        measured = float(np.mean(seen[: len(seen) - lag] * seen[lag:]))
        assert abs(measured - rho[lag]) < SIGMAS * error, (lag, measured, rho[lag], error)
        assert error < 0.04
