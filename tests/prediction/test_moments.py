"""Powers to second order by moments, against closed forms and all modes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ncbench.errors import UnsupportedError
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.prediction.harmonic import harmonic_model, held_translations
from ncbench.prediction.moments import Moments, moments, probes_for, terms_for
from ncbench.prediction.resonances import heating_map, pair_powers, pair_weights, power_of_noise, window_weights
from ncbench.prediction.second_order import band_map
from ncbench.prediction.sparse_modes import SparseModes
from ncbench.units import FS, WAVENUMBER

FLOOR = 50.0 * WAVENUMBER
K_SITE, K_BOND, BETA, MASS = 4.0, 1.5, 0.3, 10.0


def ring(n: int) -> BlockJacobian:
    """n atoms in a ring: each held by a spring K_SITE, joined to its neighbours by K_BOND along all axes, with forces ±BETA of the next and the last."""
    atoms = np.arange(n)
    first = np.concatenate([atoms, atoms, atoms])
    second = np.concatenate([atoms, (atoms + 1) % n, (atoms - 1) % n])
    values = np.repeat([-K_SITE - 2 * K_BOND, K_BOND + BETA, K_BOND - BETA], n)
    order = np.lexsort((second, first))
    return BlockJacobian(n, first[order], second[order], values[order, None, None] * np.eye(3), mean_removed=False)


def ring_power(n: int, width: float) -> float:
    """P/k_B T in closed form. Plane waves e^{ikl}: ω² = (K_SITE + 2 K_BOND (1 − cos k))/m, and a = 2iβ sin k/m couples the two real waves of equal ω.

    Each of the 3n plane waves then gives |a|²/(ω² Γ).
    """
    k = 2 * math.pi * np.arange(n) / n
    squared = (K_SITE + 2 * K_BOND * (1 - np.cos(k))) / MASS
    return float(3 * np.sum((2 * BETA * np.sin(k) / MASS) ** 2 / squared) / width)


def drawn_from(modes: SparseModes, times_fs: list[float], probes: int, seed: int = 0, floor: float = FLOOR) -> Moments:
    rng = np.random.default_rng(seed)
    bounds = modes.spectrum(rng)
    return moments(modes, bounds, terms_for(bounds, [t * FS for t in times_fs], floor), rng=rng, probes=probes)


@pytest.mark.parametrize("n", [200, 20_000])
def test_the_power_of_a_ring_has_its_closed_form(n):
    width = 1.0 / (100.0 * FS)
    modes = SparseModes.from_blocks(ring(n), np.full(n, MASS))
    assert modes.n_held == 3
    found = drawn_from(modes, [100.0], 4 if n > 1000 else 32).total(lambda w: pair_weights(w, width), floor=FLOOR)
    assert abs(found.value - ring_power(n, width)) < 4.0 * found.error
    # Relative error of a trace with random signs, of the order of √(2/(3 n p)): 0.3 % and 1 %.
    assert found.error < (0.01 if n > 1000 else 0.04) * found.value


def block_matrix(n: int, seed: int, *, mean_removed: bool) -> tuple[BlockJacobian, np.ndarray, np.ndarray]:
    """A random J of n atoms with all blocks, as blocks and as the matrix of the model's forces, and masses; translations are free."""
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(3 * n, 3 * n))
    whole = -square @ square.T / n - 0.5 * np.eye(3 * n)
    other = rng.normal(size=(3 * n, 3 * n))
    whole += 0.1 * (other - other.T)
    rigid = np.kron(np.ones((n, 1)), np.eye(3)) / math.sqrt(n)
    free = np.eye(3 * n) - rigid @ rigid.T
    whole = whole @ free if mean_removed else free @ whole @ free
    pairs = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij")).reshape(2, -1)
    blocks = whole.reshape(n, 3, n, 3).transpose(0, 2, 1, 3).reshape(-1, 3, 3)
    jacobian = BlockJacobian(n, pairs[0], pairs[1], blocks, mean_removed=mean_removed)
    seen = free @ whole if mean_removed else whole
    return jacobian, seen, rng.uniform(1.0, 16.0, size=n)


@pytest.mark.parametrize("mean_removed", [False, True])
def test_operators_are_those_of_the_dense_matrix(mean_removed):
    jacobian, matrix, masses = block_matrix(7, 0, mean_removed=mean_removed)
    modes, roots = SparseModes.from_blocks(jacobian, masses), np.sqrt(np.repeat(masses, 3))
    weighted = matrix / np.outer(roots, roots)
    assert modes.n_held == held_translations(matrix, masses).shape[1] == 0
    vectors = modes.project(np.random.default_rng(1).normal(size=(21, 4)))
    # Sums of 21 products of order one.
    assert np.allclose(
        modes.apply_stiffness(vectors), modes.project(-(weighted + weighted.T) / 2 @ vectors), atol=1e-13
    )
    assert np.allclose(modes.apply_coupling(vectors), modes.project((weighted - weighted.T) / 2 @ vectors), atol=1e-13)
    low, high = modes.spectrum(np.random.default_rng(2))
    squared = harmonic_model(matrix, masses, floor_per_cm=1e-3).omega ** 2
    assert low <= squared[0]
    assert squared[-1] <= high <= 1.01 * squared[-1]


@pytest.mark.parametrize("mean_removed", [False, True])
def test_errors_cover_the_sum_over_all_modes(mean_removed):
    """Of eight vectors, Student's t of 7 degrees of freedom: 2.36 for 95 %. Of 40 groups, fewer than 33 within it has a probability of 1e-3."""
    jacobian, matrix, masses = block_matrix(12, 3, mean_removed=mean_removed)
    model = harmonic_model(matrix, masses)
    drawn = drawn_from(SparseModes.from_blocks(jacobian, masses), [30.0], 320)
    for weight in (
        lambda w: pair_weights(w, 1.0 / (30.0 * FS)),
        lambda w: pair_weights(w, 1.0 / (10.0 * FS)),
        lambda w: window_weights(w, 30.0 * FS),
    ):
        truth = float(np.sum(model.coupling**2 * weight(model.omega)))
        groups = [
            Moments(drawn.low, drawn.high, drawn.values[8 * g : 8 * g + 8]).total(weight, floor=FLOOR)
            for g in range(40)
        ]
        assert sum(abs(one.value - truth) < 2.36 * one.error for one in groups) >= 33
        whole = drawn.total(weight, floor=FLOOR)
        assert abs(whole.value - truth) < 4.0 * whole.error


def test_unstable_modes_are_treated_as_single_ones():
    jacobian, matrix, masses = block_matrix(12, 4, mean_removed=False)
    rows = np.flatnonzero(jacobian.first == jacobian.second)
    # The spectrum is moved, so that some ω² are negative; translations are no longer free.
    blocks = jacobian.blocks.copy()
    blocks[rows] += 2.0 * np.eye(3)
    jacobian = BlockJacobian(12, jacobian.first, jacobian.second, blocks, mean_removed=False)
    matrix = matrix + 2.0 * np.eye(36)
    held = held_translations(matrix, masses)
    modes = SparseModes.from_blocks(jacobian, masses)
    assert modes.n_held == held.shape[1] == 3
    floor = 300.0 * WAVENUMBER
    drawn = drawn_from(modes, [30.0], 200, floor=floor)
    width = 1.0 / (30.0 * FS)
    for imaginary in ("absolute", "floor"):
        model = harmonic_model(matrix, masses, floor_per_cm=300.0, imaginary=imaginary, held=held)
        assert model.n_imaginary > 0
        found = drawn.total(lambda w: pair_weights(w, width), floor=floor, imaginary=imaginary)
        assert abs(found.value - pair_powers(model, width, 1.0).sum()) < 4.0 * found.error


def test_the_map_has_the_shares_of_single_pairs():
    """Bands of 200 cm⁻¹ are wider than the smoothing, some ω_max π/M: shares agree to a few per cent of the whole."""
    jacobian, matrix, masses = block_matrix(20, 5, mean_removed=False)
    model, width = harmonic_model(matrix, masses), 1.0 / (100.0 * FS)
    drawn = drawn_from(SparseModes.from_blocks(jacobian, masses), [300.0], 64)
    found, truth = band_map(drawn, lambda w: pair_weights(w, width), FLOOR), heating_map(model, width, 1.0)
    assert found.share.shape == truth.share.shape
    assert np.abs(found.norm_share - truth.norm_share).max() < 0.05
    assert np.abs(found.share - truth.share).max() < 0.1


def test_the_numerical_floor_is_that_of_all_modes():
    """Independent errors of 1e-3 eV/Å² of every entry: the norm of their antisymmetric part is 1e-3 √(n(n − 1)/2)."""
    jacobian, matrix, masses = block_matrix(20, 6, mean_removed=False)
    model, width, sigma = harmonic_model(matrix, masses), 1.0 / (30.0 * FS), 1e-3
    noisy = SparseModes.from_blocks(jacobian, masses).noise(sigma * math.sqrt(60 * 59 / 2), np.random.default_rng(0))
    found = drawn_from(noisy, [30.0], 32).total(lambda w: pair_weights(w, width), floor=FLOOR)
    # One draw of the errors of 20 atoms: some ten per cent.
    assert found.value == pytest.approx(power_of_noise(model, sigma, width, 1.0), rel=0.3)


def test_terms_resolve_times_and_floors():
    high = (4000.0 * WAVENUMBER) ** 2
    short, long = (terms_for((0.0, high), [t * FS], FLOOR) for t in (10.0, 1000.0))
    # ω_max t of 4000 cm⁻¹ in 1000 fs is 753; 8 ω_max/ω_floor is 640.
    assert (short, long) == (640, math.ceil(1.25 * 753.4))
    assert terms_for((-((100.0 * WAVENUMBER) ** 2), high), [10.0 * FS], FLOOR) == 1280
    assert (probes_for(30), probes_for(3000), probes_for(300_000)) == (64, 20, 8)


def test_a_lone_atom_and_bad_numbers_are_refused():
    jacobian = ring(5)
    with pytest.raises(UnsupportedError, match="not finite"):
        SparseModes.from_blocks(
            BlockJacobian(5, jacobian.first, jacobian.second, jacobian.blocks * np.nan, mean_removed=False), np.ones(5)
        )
    alone = BlockJacobian(1, np.array([0]), np.array([0]), -np.eye(3)[None], mean_removed=False)
    with pytest.raises(UnsupportedError, match="no vibrations"):
        SparseModes.from_blocks(alone, np.ones(1))
