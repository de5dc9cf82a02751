"""Nonzero, gradient or unresolved: a λ that is not shown to be nonzero is not thereby zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from known_fields import card

from ncbench.diagnostics import lambda_
from ncbench.errors import UsageError
from ncbench.jacobian.methods import resolved
from ncbench.jacobian.settings import LambdaSettings
from ncbench.models.ase_adapter import ASEForceField
from ncbench.types import Case, Status


def verdict(lam: float, low: float, high: float, floor: float, three_sigma_low: float | None = None) -> str:
    values = {"lambda": lam, "lambda_low": low, "lambda_high": high, "lambda_floor": floor}
    return resolved(values, low if three_sigma_low is None else three_sigma_low)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # 0.10 ± 0.04 with a symmetric error was once called conservative.
        ((0.10, 0.02, 0.18, 1e-3, -0.02), "unresolved"),
        # Below three floors, but the floor is as large as the λ of direct models: it cannot show a gradient.
        ((0.10, 0.02, 0.18, 0.07, 0.01), "unresolved"),
        ((6.4e-3, 4.6e-3, 1.0e-2, 8.8e-3, 4.0e-3), "unresolved"),
        ((3.0e-4, 2.8e-4, 3.9e-4, 2.0e-4, 2.6e-4), "gradient"),
        ((3.0e-4, 2.8e-4, 4.1e-4, 2.0e-4, 2.6e-4), "unresolved"),
        ((0.10, 0.09, 0.11, 1e-3, 0.085), "nonzero"),
        # Precise, but within the range of conservative forces.
        ((2e-4, 1.9e-4, 2.1e-4, 1e-4, 1.8e-4), "gradient"),
        ((3.2e-3, 3.1e-3, 3.3e-3, 1e-3, 3.0e-3), "nonzero"),
        ((2.9e-3, 2.7e-3, 3.2e-3, 1e-3, 2.6e-3), "unresolved"),
        # Rounding of float64 through cancellations.
        ((8e-13, 7e-13, 9e-13, 7e-14, 6e-13), "gradient"),
        ((1e-16, 0.0, 2e-16, 0.0, 0.0), "gradient"),
    ],
)
def test_verdict_follows_from_value_floor_and_error(numbers, expected):
    assert verdict(*numbers) == expected


class Linear(Calculator):
    """f = J (r − r₀) with noise; it is not translation invariant, and declares no autograd."""

    implemented_properties = ("energy", "forces")

    def __init__(self, matrix: np.ndarray, origin: np.ndarray, noise: float = 0.0) -> None:
        super().__init__()
        self.matrix, self.origin, self.noise = matrix, origin, noise
        self.rng = np.random.default_rng(0)

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        forces = self.matrix @ (self.atoms.positions - self.origin).ravel()
        forces = forces + self.noise * self.rng.normal(size=forces.shape)
        self.results = {"energy": 0.0, "forces": forces.reshape(-1, 3)}


def linear(n: int, curl: float, *, noise: float = 0.0) -> tuple[ASEForceField, Atoms, float]:
    rng = np.random.default_rng(n)
    random = rng.normal(size=(3 * n, 3 * n))
    odd = np.zeros_like(random)
    odd[0, 4] = curl
    matrix = random + random.T + odd - odd.T
    atoms = Atoms(f"C{n}", positions=2.0 * np.arange(n)[:, None] * np.ones(3))
    calculator = Linear(matrix, atoms.positions + 0.1 * rng.normal(size=(n, 3)), noise)
    exact = float(np.linalg.norm((matrix - matrix.T) / 2) / np.linalg.norm(matrix))
    return ASEForceField(calculator, card("linear")), atoms, exact


def row_of(forcefield, atoms, context, **settings):
    context.checkpoint.state = None
    return lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**settings), seed=0, context=context).rows[0]


@pytest.mark.parametrize("probes", [4, 8, 16, 64])
def test_few_probes_of_one_bond_are_never_a_gradient(probes, context):
    forcefield, atoms, exact = linear(6, 1.0)
    row = row_of(forcefield, atoms, context, method="stochastic", probes=probes)
    assert row["probes"] == max(16, probes)
    assert row["resolved"] == "nonzero"
    assert row["lambda_low"] < row["lambda"] < row["lambda_high"]
    # Three standard errors of ln λ²: V = 0.28 at 16 probes of rank 2.
    assert abs(np.log(row["lambda"] / exact)) < 3 * row["lambda_se"] / row["lambda"]


@pytest.mark.parametrize("method", ["finite-difference", "stochastic"])
def test_noisy_forces_are_given_as_the_reason(method, context):
    forcefield, atoms, _ = linear(6, 0.0, noise=0.05)
    row = row_of(forcefield, atoms, context, method=method, step_A=1e-3)
    assert row["status"] == Status.FAILED
    assert "noisy" in row["reason"]
    assert "zero" not in row["reason"]


def test_a_small_curl_in_noise_is_not_called_a_gradient(context):
    forcefield, atoms, exact = linear(6, 0.6, noise=1e-3)
    row = row_of(forcefield, atoms, context, method="finite-difference", step_A=0.05)
    assert 0.3 * exact < row["lambda"] < 3 * exact
    assert row["resolved"] in ("unresolved", "nonzero")


def test_a_step_longer_than_a_bond_is_refused():
    with pytest.raises(UsageError, match="longer than a bond"):
        LambdaSettings(step_A=100.0)


@pytest.mark.parametrize(
    ("verdicts", "significant", "text"),
    [
        (["nonzero", "unresolved"], True, ""),
        (["gradient", "gradient"], False, "≤ 0.03"),
        (["gradient", "unresolved"], None, "≤ 0.03"),
    ],
)
def test_number_in_the_summary_follows_the_verdicts(verdicts, significant, text):
    rows = pd.DataFrame(
        {
            "method": ["exact", "exact"],
            "lambda": [0.01, 0.02],
            "lambda_se": [0.001, 0.001],
            "lambda_high": [0.02, 0.03],
            "lambda_floor": [1e-7, 1e-7],
            "resolved": verdicts,
            "above_floor": [one == "nonzero" for one in verdicts],
        }
    )
    (quantity,) = lambda_.quantities(None)
    cell = quantity.value(rows)
    assert (cell.significant, cell.text) == (significant, text)
    if text:
        _check_bounds_are_not_below_floors(quantity, rows)
    # A less exact method is not mixed in.
    more = pd.concat([rows, rows.assign(method="stochastic", **{"lambda": 0.5})])
    assert quantity.value(more).value == cell.value == pytest.approx(0.015)


def _check_bounds_are_not_below_floors(quantity, rows):
    # A bound is not below the floor, here or in the table of the command.
    assert quantity.value(rows.assign(lambda_floor=0.05)).text == "≤ 0.05"
    (shown,) = [one for one in lambda_.SHOW if one.heading == "λ"]
    row = {"lambda": 1e-9, "lambda_se": 0.0, "lambda_high": 3e-9, "lambda_floor": 1.2e-8, "above_floor": False}
    assert shown.text(row) == "≤ 2e-08"
