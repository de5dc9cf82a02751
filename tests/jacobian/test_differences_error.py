"""The error of a Jacobian by central differences, estimated along random directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_fields import Well, WellField, cluster

from ncbench.jacobian.dense import error_along, finite_difference
from ncbench.jacobian.step_scan import KnownDirections, choose_step
from ncbench.models.interface import FieldOutput

SEEDS = 40


def of_errors(errors, seed: int) -> float:
    """The estimate for J = 0 with these errors [n, n] and exact products at a step that is far shorter."""
    rng = np.random.default_rng([seed, 1])
    vectors = rng.integers(0, 2, size=(1, len(errors))) * 2.0 - 1.0
    return error_along(errors, 1.0, KnownDirections(np.array([1e-6]), vectors, np.zeros((1, 1, len(errors)))))


def test_independent_errors_are_estimated_without_bias():
    """‖E v‖² of 24 components scatters by √(2/24) = 29 %, its mean over 400 draws by 1.4 %."""
    squares = []
    for seed in range(400):
        errors = np.random.default_rng(seed).normal(size=(24, 24))
        squares.append(of_errors(errors, seed) ** 2 / np.mean(errors**2))
    assert np.mean(squares) == pytest.approx(1.0, abs=0.06)


def test_an_error_of_a_single_column_is_seen_by_one_direction():
    errors = np.zeros((24, 24))
    errors[:, 5] = np.random.default_rng(0).normal(size=24)
    # |v_5| = 1 in every direction: the estimate is the error itself.
    assert of_errors(errors, 0) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-9)


class Cubic(Well):
    """f = −k u + κ ẑ × u − c u³ of each atom, u the displacement from its site, and noise of the forces: J by differences is wrong by c h² on its diagonal."""

    def __init__(self, cubic: float, noise: float = 0.0) -> None:
        super().__init__(5.0, 0.8)
        self.cubic, self.noise, self.rng = cubic, noise, torch.Generator().manual_seed(0)

    def _bind(self, structures):
        field, outer = super()._bind(structures), self

        class Added(WellField):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                output, u = field(positions), positions - self.centres
                random = outer.noise * torch.randn(u.shape, generator=outer.rng, dtype=torch.float64)
                return FieldOutput(output.energy, output.forces - outer.cubic * u**3 + random)

        return Added(structures, self.k, self.kappa)


@pytest.mark.parametrize(("cubic", "noise"), [(500.0, 0.0), (0.0, 1e-4), (500.0, 1e-5)])
@pytest.mark.parametrize("scanned", [False, True])
@pytest.mark.parametrize("symbols", ["H2OH2O", "H2OH2OH2OH2OH2OH2O"])
def test_the_estimate_covers_truncation_and_noise(symbols, cubic, noise, scanned):
    forcefield, well_atoms, covered = Cubic(cubic, noise), cluster(symbols, spread=0.1), 0
    held = 0
    truth = -5.0 * np.eye(3) + 0.8 * np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    n = len(well_atoms)
    exact = np.kron(np.eye(n), truth) - np.diag(
        3 * cubic * (well_atoms.positions - well_atoms.arrays["sites"]).ravel() ** 2
    )
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        choice = choose_step(forcefield, well_atoms, rng=rng, default_A=5e-3) if scanned else None
        result = finite_difference(
            forcefield,
            well_atoms,
            batch=4,
            rng=rng,
            step_A=5e-3 if choice is None else choice.step_A,
            along=None if choice is None else choice.along,
        )
        covered += result.noise >= np.sqrt(np.mean((result.matrix - exact) ** 2))
        # What the interval of λ needs: the antisymmetric part of the error within its bound.
        wrong = result.matrix - exact
        held += np.linalg.norm(wrong - wrong.T) / 2 <= result.noise * np.sqrt(3 * n * (3 * n - 1) / 2)
    # 97.5 % of 40: fewer than 36 has a probability of 3e-4.
    assert covered >= 36
    assert held >= 36
