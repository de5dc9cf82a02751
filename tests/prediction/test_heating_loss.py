"""The heating power as a penalty: its expectation against the sum over pairs, the closed form of a crystal, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ncbench import HeatingBands, heating_loss
from ncbench.errors import UsageError
from ncbench.prediction.harmonic import FloatArray, harmonic_model
from ncbench.prediction.heating import in_meV
from ncbench.prediction.resonances import pair_powers
from ncbench.units import FS, KB

TAU_FS = 100.0


def coupled(n_atoms: int = 5) -> tuple[FloatArray, FloatArray]:
    """A stiff random Jacobian with an antisymmetric part, and masses; close frequencies, so that many pairs are near resonance."""
    rng = np.random.default_rng(3)
    stiff = rng.normal(size=(3 * n_atoms, 3 * n_atoms))
    anti = rng.normal(size=stiff.shape)
    return -5.0 * np.eye(len(stiff)) - 0.05 * (stiff + stiff.T) + 0.1 * (anti - anti.T), rng.uniform(10, 40, n_atoms)


def gaussian_sum(jacobian: FloatArray, masses: FloatArray) -> float:
    """Σ k_B T a²/(ω_i ω_j) √(π/2)/σ exp(−Δ²/2σ²), meV/atom/ps: what the estimate must average to."""
    model = harmonic_model(jacobian, masses)
    sigma = np.sqrt(np.pi / 2) / (TAU_FS * FS)
    difference = model.omega[:, None] - model.omega
    kernel = np.sqrt(np.pi / 2) / sigma * np.exp(-(difference**2) / (2 * sigma**2))
    total = KB * 300.0 * np.sum(model.coupling**2 / np.outer(model.omega, model.omega) * kernel)
    return in_meV(float(total), model)


def linear(jacobian: FloatArray):  # a closure
    matrix = torch.as_tensor(jacobian)
    return lambda positions: (matrix @ positions.reshape(-1)).reshape(positions.shape)


def estimates(jacobian: FloatArray, masses: FloatArray, count: int) -> FloatArray:
    bands = HeatingBands.from_jacobian(jacobian, masses, tau_fs=TAU_FS)
    generator = torch.Generator().manual_seed(0)
    at = torch.zeros(len(masses), 3, dtype=torch.float64)
    return np.array(
        [float(heating_loss(linear(jacobian), at, bands, generator=generator).detach()) for _ in range(count)]
    )


def test_the_mean_over_bands_and_probes_is_the_sum_over_pairs() -> None:
    jacobian, masses = coupled()
    result = estimates(jacobian, masses, 3000)
    error = result.std(ddof=1) / np.sqrt(len(result))
    exact = gaussian_sum(jacobian, masses)
    # Measured scatter: the standard error is a few percent of the mean.
    assert error < 0.05 * exact
    assert abs(result.mean() - exact) < 4 * error


def test_equal_frequencies_give_the_golden_rule() -> None:
    """At resonance the Gaussian has the Lorentzian's height: the estimate is the golden rule's power."""
    k, kappa = 5.0, 0.1
    block = np.array([[-k, -kappa, 0.0], [kappa, -k, 0.0], [0.0, 0.0, -k]])
    jacobian, masses = np.kron(np.eye(3), block), np.full(3, 20.0)
    model = harmonic_model(jacobian, masses)
    golden = in_meV(float(pair_powers(model, 1 / (TAU_FS * FS), KB * 300.0).sum()), model)
    assert gaussian_sum(jacobian, masses) == pytest.approx(golden, rel=1e-9)
    result = estimates(jacobian, masses, 1000)
    assert abs(result.mean() - golden) < 4 * result.std(ddof=1) / np.sqrt(len(result))


def test_conservative_forces_have_no_penalty() -> None:
    jacobian, masses = coupled()
    symmetric = (jacobian + jacobian.T) / 2
    # Rounding of products of some tens of numbers, squared, over a density of 1e-3.
    assert estimates(symmetric, masses, 20).max() < 1e-20 * gaussian_sum(jacobian, masses) + 1e-20


def test_gradient_with_respect_to_a_weight_against_differences() -> None:
    jacobian, masses = coupled()
    bands = HeatingBands.from_jacobian(jacobian, masses, tau_fs=TAU_FS)
    anti = torch.as_tensor((jacobian - jacobian.T) / 2)
    symmetric = torch.as_tensor((jacobian + jacobian.T) / 2)
    at = torch.zeros(len(masses), 3, dtype=torch.float64)

    def loss(weight: torch.Tensor) -> torch.Tensor:
        matrix = symmetric + weight * anti
        generator = torch.Generator().manual_seed(5)
        return heating_loss(
            lambda x: (matrix @ x.reshape(-1)).reshape(x.shape), at, bands, probes=2, generator=generator
        )

    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(weight), weight)
    # P ∝ weight², so that the slope is 2P/weight.
    assert float(slope) == pytest.approx(2 * float(loss(weight).detach()) / 0.7, rel=1e-9)


def test_fewer_than_one_probe_is_refused() -> None:
    jacobian, masses = coupled()
    bands = HeatingBands.from_jacobian(jacobian, masses)
    with pytest.raises(UsageError, match="probes is 0"):
        heating_loss(linear(jacobian), torch.zeros(5, 3, dtype=torch.float64), bands, probes=0)
