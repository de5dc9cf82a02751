"""The penalty for training: its expectation in closed form, and its gradient with respect to weights against differences."""

from __future__ import annotations

import pytest
import torch

from ncbench import antisymmetry_loss
from ncbench.errors import NotDifferentiableError, UsageError


def linear_forces(matrix: torch.Tensor):  # a closure
    return lambda positions: (matrix @ positions.reshape(-1)).reshape(positions.shape)


def positions(n_atoms: int = 5) -> torch.Tensor:
    return torch.randn(n_atoms, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_many_probes_give_four_lambda_squared() -> None:
    """3000 probes; the standard error of ‖Jv‖² relative to its mean is below √(2/15) a probe, so 4 of them are below 3 %."""
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(15, 15, dtype=torch.float64, generator=generator)
    lam = torch.linalg.norm((matrix - matrix.T) / 2) / torch.linalg.norm(matrix)
    result = antisymmetry_loss(linear_forces(matrix), positions(), probes=3000, generator=generator)
    assert float(result.detach()) == pytest.approx(4 * float(lam) ** 2, rel=0.05)


def test_solenoidal_and_conservative_parts_equal_the_closed_form() -> None:
    """f = −k r + κ n × r: every v of signs has ‖(J − Jᵀ)v‖² = 4 · 2κ² and ‖Jv‖² = 3k² + 2κ² an atom, without scatter."""
    k, kappa = 5.0, 0.5
    block = torch.tensor([[-k, -kappa, 0.0], [kappa, -k, 0.0], [0.0, 0.0, -k]], dtype=torch.float64)

    def forces(at: torch.Tensor) -> torch.Tensor:
        return at @ block.T

    assert float(antisymmetry_loss(forces, positions()).detach()) == pytest.approx(
        8 * kappa**2 / (3 * k**2 + 2 * kappa**2), rel=1e-12
    )

    def gradient(at: torch.Tensor) -> torch.Tensor:
        energy = (at.square().sum(dim=1) ** 2).sum()
        (slope,) = torch.autograd.grad(energy, at, create_graph=True)
        return -slope

    # Rounding of products of some tens of numbers, squared.
    assert float(antisymmetry_loss(gradient, positions(), probes=3).detach()) < 1e-28


def test_gradient_of_the_loss_with_respect_to_weights_against_differences() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(9, 12), torch.nn.Tanh(), torch.nn.Linear(12, 9)).double()
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.copy_(
                torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
            )

    def loss() -> torch.Tensor:
        generator = torch.Generator().manual_seed(7)
        return antisymmetry_loss(
            lambda at: network(at.reshape(-1)).reshape(at.shape), positions(3), probes=2, generator=generator
        )

    loss().backward()
    for weight in (network[0].weight, network[2].weight):
        assert weight.grad is not None
        for place in ((0, 0), (3, 5)):
            slope = float(weight.grad[place])
            step, values = 1e-5, []
            for sign in (1, -1):
                with torch.no_grad():
                    weight[place] += sign * step
                values.append(float(loss().detach()))
                with torch.no_grad():
                    weight[place] -= sign * step
            # Truncation h² ≈ 1e-10 and rounding 1e-16/h ≈ 1e-11, beside a slope of 1e-3 or more.
            assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-9)


def test_forces_without_a_graph_are_refused() -> None:
    with pytest.raises(NotDifferentiableError):
        antisymmetry_loss(lambda at: at.detach(), positions())
    with pytest.raises(UsageError, match="shape"):
        antisymmetry_loss(lambda at: at[:1], positions())
    with pytest.raises(UsageError, match="probes"):
        antisymmetry_loss(lambda at: at, positions(), probes=0)
