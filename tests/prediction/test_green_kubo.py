"""Green–Kubo: a process whose power is known in closed form, with and without the work of a potential."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.prediction.green_kubo import work_growth
from ncbench.units import KB

FloatArray = NDArray[np.float64]
TEMPERATURE_K = 300.0
SPACING_FS = 1.0
SIGMA, TAU_FS = 0.02, 10.0


def ornstein_uhlenbeck(samples: int, sigma: float, tau_fs: float, rng: np.random.Generator) -> FloatArray:
    """A stationary process with ⟨w(0)w(s)⟩ = σ² exp(−s/τ)."""
    decay = np.exp(-SPACING_FS / tau_fs)
    kicks = sigma * np.sqrt(1 - decay**2) * rng.normal(size=samples)
    out = np.empty(samples)
    out[0] = sigma * rng.normal()
    for k in range(1, samples):
        out[k] = decay * out[k - 1] + kicks[k]
    return out


EXACT = SIGMA**2 * TAU_FS / (KB * TEMPERATURE_K) * 1e6 / 100
"""βσ²τ, eV/fs, of 100 atoms, meV/atom/ps."""


def test_power_of_a_known_process_and_its_error() -> None:
    """40 runs: the mean within four of its standard errors, and the stated errors 0.8 to 1.6 of the scatter (40 draws: 11 %)."""
    rng = np.random.default_rng(0)
    result = [
        work_growth(
            ornstein_uhlenbeck(4001, SIGMA, TAU_FS, rng),
            SPACING_FS,
            n_atoms=100,
            temperature_K=TEMPERATURE_K,
            longest_fs=200.0,
        )
        for _ in range(40)
    ]
    powers = np.array([one.power for one in result])
    scatter = powers.std(ddof=1)
    assert abs(powers.mean() - EXACT) < 4 * scatter / np.sqrt(40)
    assert 0.8 < np.mean([one.standard_error for one in result]) / scatter < 1.6


def test_a_gradient_adds_a_bounded_transient_and_no_power() -> None:
    """w of a potential φ is −dφ/dt: D → 2⟨φ²⟩, and the slope averages to zero."""
    rng = np.random.default_rng(1)
    powers, transients = [], []
    for _ in range(20):
        potential = ornstein_uhlenbeck(4001, 0.05, 20.0, rng)
        rates = -np.gradient(potential, SPACING_FS)
        result = work_growth(rates, SPACING_FS, n_atoms=100, temperature_K=TEMPERATURE_K, longest_fs=300.0)
        powers.append(result.power)
        transients.append(result.transient_meV)
    assert abs(np.mean(powers)) < 4 * np.std(powers, ddof=1) / np.sqrt(20)
    # 4001 samples hold 100 independent ones: 7 % a run, 2 % of the mean; the trapezoid smooths a rough path by a tenth at most.
    assert np.mean(transients) == pytest.approx(50.0, rel=0.15)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        work_growth(np.zeros(10), 1.0, n_atoms=1, temperature_K=300.0)
    with pytest.raises(UsageError, match="do not fit"):
        work_growth(np.zeros(100), 1.0, n_atoms=1, temperature_K=300.0, longest_fs=100.0)


def test_the_error_is_never_below_that_of_a_diffusive_path() -> None:
    """One path of length L and windows t: √(8t/3L) of the power, whatever the scatter of a short series says."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        result = work_growth(
            ornstein_uhlenbeck(801, SIGMA, TAU_FS, rng),
            SPACING_FS,
            n_atoms=100,
            temperature_K=TEMPERATURE_K,
            longest_fs=200.0,
        )
        assert result.standard_error >= abs(result.power) * np.sqrt(8.0 * 200.0 / (3.0 * 800.0)) * (1 - 1e-9)
