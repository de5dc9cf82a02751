"""Estimates of λ from random vectors: number of products, errors and stopping."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.asymmetry import asymmetry
from ncbench.jacobian.probe_estimates import interval95, standard_error
from ncbench.jacobian.probes import product_probes, transposed_probes
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest

RNG = np.random.default_rng


def matrix_of(size: int, share: float, seed: int) -> np.ndarray:
    raw = RNG(seed).normal(size=(size, size))
    return raw + raw.T + share * RNG(seed + 1).normal(size=(size, size))


def argon() -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(2)
    atoms.positions += RNG(0).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def solenoidal(n: int = 5) -> tuple[ForceField, Atoms]:
    atoms = Atoms(f"Ar{n}", positions=4.0 * np.arange(n)[:, None] * np.ones(3), cell=[30] * 3)
    atoms.arrays["sites"] = atoms.positions - RNG(1).normal(scale=0.1, size=(n, 3))
    return load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("k", "5.0"), ("kappa", "0.8")))), atoms


@pytest.mark.parametrize("batch", [1, 3])
def test_transposed_products_agree_with_the_closed_form(batch):
    forcefield, atoms = solenoidal()
    result = transposed_probes(forcefield, atoms, probes=200, target_error=None, batch=batch, rng=RNG(3))
    exact = float(np.sqrt(2 * 0.8**2 / (3 * 25 + 2 * 0.8**2)))
    assert result.n_probes == 200
    assert abs(result.lam - exact) < 4 * standard_error(result)
    assert standard_error(result) < 0.05 * exact
    assert result.noise < 1e-12  # rounding of entries of 5 eV/Å² in float64


def test_transposed_products_of_conservative_forces_give_rounding_errors():
    forcefield = load_forcefield(ModelRequest(spec="analytic-lj", dtype="float32"))
    result = transposed_probes(forcefield, argon(), probes=8, target_error=None, batch=1, rng=RNG(3))
    assert result.lam < 1e-5  # ε in float32 is 1e-7, sums of a hundred terms


def test_batch_size_is_limited_by_the_available_memory(monkeypatch):
    from ncbench import memory

    forcefield, atoms = solenoidal()
    held = iter([0, 2**20])
    monkeypatch.setattr(memory, "resident", lambda: next(held))
    monkeypatch.setattr(memory, "available", lambda _device: 10 * 2**20)
    # Each copy takes 1 MiB, and half of the free 10 MiB may be used.
    assert jacobian.fitting_batch(forcefield, atoms, 64) == 5
    assert jacobian.fitting_batch(forcefield, atoms, 1) == 1


def test_sequential_stopping_reaches_the_target_error():
    matrix = matrix_of(60, 0.3, seed=8)
    exact = asymmetry(matrix).whole
    forcefield, atoms = _matrix_field(matrix)
    inside = 0
    for seed in range(200):
        result = product_probes(forcefield, atoms, probes=16, target_error=0.05, batch=1, rng=RNG(seed))
        assert result.n_probes < 256
        low, high = interval95(result)
        inside += low <= exact <= high
    assert 184 <= inside <= 198  # 92 to 98 % of 200


def _matrix_field(matrix: np.ndarray) -> tuple[ForceField, Atoms]:
    """f = J (r − r0), a field with the given Jacobian."""
    import torch
    from known_fields import card

    from ncbench.models.torch_field import TorchField, TorchForceField

    j = torch.as_tensor(matrix)

    class Linear(TorchField):
        def compute(self, positions, cells):
            flat = positions.reshape(self.n_replicas, -1)
            return torch.zeros(self.n_replicas, dtype=torch.float64), (flat @ j.T).reshape(positions.shape)

    class LinearForceField(TorchForceField):
        def __init__(self) -> None:
            self.card = card("linear", differentiable=True)

        def _bind(self, structures):
            return Linear(structures, self.card)

    atoms = Atoms(f"Ar{len(matrix) // 3}", positions=3.0 * np.arange(len(matrix) // 3)[:, None] * np.ones(3))
    return LinearForceField(), atoms
