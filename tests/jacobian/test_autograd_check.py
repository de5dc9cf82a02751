"""A curl hidden from autograd is detected; a kink of the forces is not mistaken for one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from hidden_curls import WAYS, HiddenCurl, atoms_of, repulsion
from known_fields import card

from ncbench.diagnostics import lambda_
from ncbench.jacobian.autograd_check import SHARE, autograd_defect, steps_for, vectors_for
from ncbench.jacobian.settings import PRODUCT_COST, LambdaSettings
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.types import Case

DTYPES = ("float32", "float64")


def row_of(forcefield, atoms, context, *, seed=0, **settings):
    context.checkpoint.state = None
    outcome = lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**settings), seed=seed, context=context)
    return outcome.rows[0]


def true_lambda(way: str, atoms: Atoms) -> float:
    """From fourth-order differences in float64, whose error at 1e-3 Å is some 1e-10 of J: f⁗ h⁴/30 and ε|f|/h."""
    field = HiddenCurl(way).bind([atoms])
    start, step = field.initial_positions(), 1e-3
    columns = []
    for k in range(start.numel()):
        unit = torch.zeros(start.numel(), dtype=torch.float64)
        unit[k] = 1.0
        unit = unit.reshape(start.shape)
        f = {m: field(start + m * step * unit).forces.reshape(-1) for m in (-2, -1, 1, 2)}
        columns.append((f[-2] - 8 * f[-1] + 8 * f[1] - f[2]) / (12 * step))
    matrix = torch.stack(columns, dim=1)
    return float((matrix - matrix.T).norm() / 2 / matrix.norm())


@pytest.mark.parametrize("method", ["auto", "stochastic"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_a_hidden_curl_is_measured_by_differences(way, dtype, method, context):
    atoms = atoms_of()
    expected = true_lambda(way, atoms)
    assert 0.005 < expected < 0.1
    row = row_of(HiddenCurl(way, dtype), atoms, context, method=method, probes=64)
    assert row["status"] == "ok", row["reason"]
    assert row["method"] == ("finite-difference" if method == "auto" else "stochastic")
    assert "autograd misses part" in row["note"]
    assert row["autograd_deviation"] > 10 * row["autograd_deviation_se"]
    # Stochastic: 64 pairs of probes; the interval is of 95 %, and three of its standard errors fail once in hundreds.
    assert abs(row["lambda"] - expected) <= 3 * row["lambda_se"] + 1e-8
    assert row["resolved"] == "nonzero"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_forces_with_the_whole_graph_pass_the_check(way, dtype, context):
    atoms = atoms_of()
    row = row_of(HiddenCurl(way, dtype, hidden=False), atoms, context, method="exact")
    assert (row["note"], row["method"]) == ("", "exact")
    # Rounding of some 1e-7, in the sums of a few atoms.
    assert row["lambda"] == pytest.approx(true_lambda(way, atoms), rel=1e-4 if dtype == "float32" else 1e-7)
    assert row["autograd_deviation"] < (3e-3 if dtype == "float32" else 3e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_a_defect_is_reported_before_any_product_is_used(way, dtype):
    rng = np.random.default_rng(0)
    assert "autograd misses part" in autograd_defect(HiddenCurl(way, dtype), atoms_of(), rng)
    assert autograd_defect(HiddenCurl(way, dtype, hidden=False), atoms_of(), rng) == ""


def test_autograd_alone_would_report_conservative_forces():
    """Without the check, the products of a hidden curl are symmetric to rounding."""
    field = HiddenCurl("detached").bind([atoms_of()] * 24)
    linearization = field.linearize(field.initial_positions())
    matrix = linearization.vjp(torch.eye(24, dtype=torch.float64).reshape(24, 8, 3)).reshape(24, 24)
    assert float((matrix - matrix.T).norm() / matrix.norm()) < 1e-14


class Kinked(TorchForceField):
    """A gradient in float32 whose on-site springs stiffen abruptly some thousandths of an ångström away, optionally with a hidden curl."""

    def __init__(self, *, hidden: bool = False, jitter: float = 0.0) -> None:
        self.card = card("kinked", dtype="float32", differentiable=True)
        self.hidden, self.jitter = hidden, jitter

    def _bind(self, structures):
        owner = self
        noise = torch.Generator().manual_seed(1)

        class KinkedField(TorchField):
            def compute(self, positions, cells):
                r = positions.float()
                sites = torch.as_tensor(np.stack([atoms.positions for atoms in structures])).float()
                u = r - sites
                forces = repulsion(r) - 40.0 * torch.sign(u) * torch.relu(u.abs() - 0.003)
                if owner.hidden:
                    forces = forces + 0.3 * torch.linalg.cross(
                        torch.tensor([0.0, 0.0, 1.0]).expand_as(r), r.detach() - sites
                    )
                noisy = owner.jitter * torch.randn(r.shape, generator=noise)
                return positions.new_zeros(len(positions)), (forces + noisy).to(torch.float64)

        return KinkedField(structures, self.card)


@pytest.mark.parametrize("method", ["exact", "stochastic"])
@pytest.mark.parametrize("seed", range(10))
def test_a_kink_within_the_first_step_is_no_hidden_curl(seed, method, context):
    row = row_of(Kinked(), atoms_of(seed), context, seed=seed, method=method)
    assert (row["note"], row["method"]) == ("", method)
    assert row["resolved"] == "gradient", row
    # It was not passed by one step alone: the first crosses the kink.
    assert row["autograd_deviation_se"] is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_kink_does_not_mask_a_hidden_curl(seed, context):
    row = row_of(Kinked(hidden=True), atoms_of(seed), context, seed=seed)
    assert "autograd misses part" in row["note"]
    assert row["method"] == "finite-difference"


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_the_forces_is_no_hidden_curl(seed, context):
    row = row_of(Kinked(jitter=1e-2), atoms_of(seed), context, seed=seed, method="exact")
    assert row["method"] == "exact"
    # The row states that the differences are inconclusive.
    assert row["autograd_deviation_se"] > 0.05
    assert "could not be checked" in row["note"]


@pytest.mark.parametrize(("n", "method"), [(2, "exact"), (8, "exact"), (8, "stochastic"), (8, "coloured")])
def test_the_check_costs_a_tenth(n, method, context):
    """In force calls; a vector and a step are the least: two."""
    forcefield = HiddenCurl("detached", hidden=False)
    row = row_of(forcefield, atoms_of(n=n), context, method=method, reach_A=20.0)
    total = row["force_calls"] + PRODUCT_COST * row["products"]
    checked = 2 * steps_for(total) * vectors_for(total)
    assert row["note"] == ""
    assert (row["autograd_deviation_se"] is not None) == (steps_for(total) == 2)
    assert checked <= max(2, SHARE * total)
    assert checked / total < 0.12


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, True),
        ({"dtype": "float64", "autograd_deviation": 1e-8}, False),
        ({"dtype": "float64", "autograd_deviation": 1e-3}, True),
        ({"resolved": "nonzero"}, False),
        ({"step_A": 1e-3}, False),
    ],
)
def test_what_the_check_cannot_exclude_is_named(change, named):
    """Differences of float32 forces agree to 0.3 %, which is above the largest λ that is called a gradient."""
    row = {
        "model": "m", "force_mode": "conservative", "job": "a", "structure": "s", "resolved": "gradient", "step_A": None, "dtype": "float32",
        "autograd_deviation": 7e-4, **change,
    }  # fmt: skip
    lines = lambda_.remarks([row], lambda _: [])
    assert bool(lines) is named
    assert all("autograd finds a gradient" in line for line in lines)
