"""The coloured Jacobian equals the dense one, block by block; the part beyond the assumed range is measured."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.errors import UnsupportedError
from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.asymmetry import asymmetry
from ncbench.jacobian.coloured import coloured
from ncbench.jacobian.colouring import colour, neighbours
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest


def argon(n: int, seed: int = 0) -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(n)
    atoms.positions += np.random.default_rng(seed).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def lennard_jones(cutoff: float = 4.2):
    return load_forcefield(ModelRequest(spec="analytic-lj", options=(("cutoff", str(cutoff)),)))


def dense(block) -> np.ndarray:
    out = np.zeros((block.n_atoms, 3, block.n_atoms, 3))
    out[block.first, :, block.second, :] = block.projected
    return out.reshape(3 * block.n_atoms, -1)


@pytest.mark.parametrize("batch", [1, 4])
def test_blocks_are_those_of_the_dense_matrix(batch):
    atoms, forcefield = argon(4), lennard_jones()
    result = coloured(forcefield, atoms, batch=batch, rng=np.random.default_rng(0))
    whole = jacobian.exact(forcefield, atoms, batch=8, rng=np.random.default_rng(0)).matrix
    assert result.n_colours < len(atoms) / 4
    # The same products summed in another order: rounding of entries of some 1e-2 eV/Å².
    assert np.abs(dense(result.jacobian) - whole).max() < 1e-15
    assert result.leak < 1e-14
    assert result.jacobian.lam < 1e-13


def test_a_range_that_is_too_short_is_reported():
    atoms, forcefield = argon(4), lennard_jones(5.6)
    whole = jacobian.exact(forcefield, atoms, batch=8, rng=np.random.default_rng(0)).matrix
    short = coloured(forcefield, atoms, batch=4, rng=np.random.default_rng(0), reach_A=4.2)
    missing = np.linalg.norm(whole - dense(short.jacobian))
    assert missing > 1e-3
    # Two probes, in both directions, of a matrix with many entries: the square is good to about a quarter.
    assert short.leak == pytest.approx(missing, rel=0.3)
    assert abs(short.jacobian.lam - asymmetry(whole).whole) <= 2 * short.standard_error


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_norms_with_the_mean_removed_are_those_of_the_projected_matrix(seed, n):
    from ncbench.jacobian.block_jacobian import BlockJacobian

    rng = np.random.default_rng(seed)
    first, second = np.divmod(np.arange(n * n), n)
    block = BlockJacobian(n, first, second, rng.normal(size=(n * n, 3, 3)), mean_removed=True)
    raw = np.zeros((n, 3, n, 3))
    raw[first, :, second, :] = block.blocks
    projected = (raw - raw.mean(axis=0)).reshape(3 * n, 3 * n)
    whole, part = block.squares
    # Sums of at most 18² numbers of order one.
    assert whole == pytest.approx(np.sum(projected**2), rel=1e-12)
    assert part == pytest.approx(np.sum(((projected - projected.T) / 2) ** 2), rel=1e-11)
    v = rng.normal(size=(n, 3))
    assert np.allclose(block.apply(v).ravel(), projected @ v.ravel(), rtol=0, atol=1e-12)
    assert np.allclose(block.apply_transposed(v).ravel(), projected.T @ v.ravel(), rtol=0, atol=1e-12)
    assert np.allclose(dense(block), projected, rtol=0, atol=1e-13)


@pytest.mark.models
def test_a_model_whose_net_force_is_removed(context):
    pytest.importorskip("metatomic.torch")
    from ncbench.structures.water import water_box

    atoms = water_box(8)
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct", dtype="float64"))
    assert forcefield.card.net_force_removed
    result = coloured(forcefield, atoms, batch=2, rng=np.random.default_rng(0))
    whole = asymmetry(jacobian.exact(forcefield, atoms, batch=2, rng=np.random.default_rng(0)).matrix)
    # Every atom of so small a cell has its own colour; the norms follow from the column sums.
    assert result.n_colours == len(atoms)
    assert result.jacobian.lam == pytest.approx(whole.whole, rel=1e-9)
    assert result.leak < 1e-9 * np.linalg.norm(whole.jacobian)


def test_atoms_of_one_colour_share_no_neighbour():
    atoms = argon(3)
    for skewed in (False, True):
        if skewed:
            atoms.set_cell(atoms.cell @ np.array([[1, 0, 0], [0.2, 1, 0], [0, 0.1, 1]]), scale_atoms=True)
        conflicts = neighbours(atoms, 6.0)
        colours = colour(conflicts)
        distances = atoms.get_all_distances(mic=True)
        same = (colours[:, None] == colours[None, :]) & ~np.eye(len(atoms), dtype=bool)
        assert distances[same].min() > 6.0
        assert np.array_equal(conflicts.toarray() > 0, distances <= 6.0)


def test_number_of_colours_does_not_grow_with_the_cell():
    counts = [int(colour(neighbours(argon(n), 11.0)).max()) + 1 for n in (7, 8, 10)]  # 1372, 2048, 4000 atoms
    assert max(counts) <= 1.1 * min(counts)


def test_fields_without_a_finite_range_are_refused():
    with pytest.raises(UnsupportedError, match="receptive field"):
        coloured(
            load_forcefield(ModelRequest(spec="ncbench.models.families.analytic_ase:solenoidal")),
            argon(1),
            batch=1,
            rng=np.random.default_rng(0),
        )
