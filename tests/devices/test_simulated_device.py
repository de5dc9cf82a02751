"""The simulated device of the tests behaves as a GPU does where it matters here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from simulated_device import NAME, synchronisations

pytestmark = pytest.mark.simulated


def _numbers() -> torch.Tensor:
    return torch.as_tensor(np.arange(6.0).reshape(2, 3), device=NAME)


def test_results_are_those_of_the_cpu_and_stay_on_the_device() -> None:
    at = _numbers().requires_grad_()
    weights = torch.as_tensor(np.array([1.0, 2.0, 3.0]), device=NAME)
    (gradient,) = torch.autograd.grad((at**3 * weights).sum(), at, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), at)
    assert gradient.device == second.device == torch.device(f"{NAME}:0")
    plain = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(gradient.detach().cpu().numpy(), 3.0 * plain**2 * [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(second.cpu().numpy(), 6.0 * plain * [1.0, 2.0, 3.0])


def test_writing_to_a_view_changes_the_whole() -> None:
    values = _numbers()
    values[:, 1] = -1.0
    values[0].add_(10.0)
    np.testing.assert_array_equal(values.cpu().numpy(), [[10.0, 9.0, 12.0], [3.0, -1.0, 5.0]])


@pytest.mark.parametrize(
    "operation",
    [
        lambda at: at + torch.ones(2, 3, dtype=torch.float64),
        lambda at: torch.where(torch.ones(2, 3, dtype=torch.bool), at, 0.0),
        lambda at: at[torch.tensor([0, 1]), 0],
        lambda at: torch.cat([at, torch.ones(1, 3, dtype=torch.float64)]),
        lambda at: at.numpy(),
    ],
    ids=["sum", "where", "index", "concatenation", "numpy"],
)
def test_a_tensor_of_the_host_is_refused(operation) -> None:
    with pytest.raises((RuntimeError, TypeError), match=NAME):
        operation(_numbers())


@pytest.mark.parametrize(
    "operation",
    [
        lambda at: at.sum().item(),
        lambda at: float(at[0, 0]),
        lambda at: bool((at > 2.0).any()),
        lambda at: at.cpu(),
        lambda at: at.to("cpu"),
        lambda at: at.tolist(),
        lambda at: at.nonzero(),
        lambda at: at[at > 2.0],
        torch.unique,
        lambda at: torch.equal(at, at),
        lambda at: torch.ones(2, 3, dtype=torch.float64).copy_(at),
        lambda at: torch.as_tensor(np.ones(3), device=NAME),
        lambda at: torch.linalg.inv(at[:, :2] + torch.eye(2, dtype=torch.float64).to(NAME, non_blocking=True)),
    ],
    ids=[
        "item", "float", "bool", "cpu", "to", "tolist", "nonzero", "mask", "unique", "equal", "copy_", "as_tensor", "inv",
    ],
)  # fmt: skip
def test_what_makes_the_host_wait_is_recorded(operation) -> None:
    at = _numbers()
    with synchronisations() as recorded:
        operation(at)
    assert len(recorded) == 1, list(map(str, recorded))


def test_arithmetic_numbers_and_pinned_copies_are_not_recorded() -> None:
    at = _numbers()
    with synchronisations() as recorded:
        at = torch.where(at > 2.0, at * 2.0, 0.0).clamp(min=1.0)
        at[:, 1] = 4.0
        at = at + torch.tensor(1.0)
        torch.zeros(3, device=NAME)
        torch.ones(2, 3, dtype=torch.float64).to(NAME, non_blocking=True)
    assert not recorded, list(map(str, recorded))
