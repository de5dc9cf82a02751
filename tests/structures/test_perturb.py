"""Perturbations of structures: changed and unchanged properties."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from ncbench.errors import UsageError
from ncbench.structures.perturb import displaced, random_rotation, rotated, supercell, with_sites
from ncbench.structures.water import water_box

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


def crystal() -> Atoms:
    return displaced(bulk("Al", "fcc", a=4.05, cubic=True), 0.1, np.random.default_rng(0))


@given(SEEDS)
def test_rotations_are_proper(seed: int) -> None:
    rotation = random_rotation(np.random.default_rng(seed))
    # Nine products of numbers up to 1: a few units of 2e-16.
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-14)


def test_rotations_are_uniform() -> None:
    rng = np.random.default_rng(0)
    turned = np.stack([random_rotation(rng) for _ in range(4000)])
    # Each entry has mean 0 and variance 1/3: a standard error of 0.009 over 4000; five of them.
    assert np.abs(turned.mean(axis=0)).max() < 0.046
    # trace = 1 + 2 cos θ, of mean 0 and variance 1 over the rotation group.
    assert abs(np.trace(turned, axis1=1, axis2=2).mean()) < 5 / np.sqrt(4000)


@given(SEEDS)
def test_rotating_keeps_periodic_distances_and_carries_vectors_along(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = crystal()
    atoms.set_momenta(rng.normal(size=(4, 3)))
    rotation = random_rotation(rng)
    turned = rotated(atoms, rotation)
    assert turned.get_all_distances(mic=True) == pytest.approx(atoms.get_all_distances(mic=True), abs=1e-12)
    assert turned.get_momenta() @ rotation == pytest.approx(atoms.get_momenta(), abs=1e-12)
    assert turned.arrays["sites"] @ rotation == pytest.approx(atoms.arrays["sites"], abs=1e-12)


def test_displacing_leaves_the_sites_and_drops_momenta() -> None:
    atoms = water_box(64)
    atoms.set_momenta(np.ones((192, 3)))
    moved = displaced(atoms, 0.3, np.random.default_rng(1))
    assert np.array_equal(moved.arrays["sites"], atoms.positions)
    assert not moved.has("momenta")
    # 576 Gaussian numbers: the standard error of their deviation is 0.3/√(2·576) = 0.009.
    assert (moved.positions - atoms.positions).std() == pytest.approx(0.3, abs=0.045)
    again = displaced(moved, 0.3, np.random.default_rng(2))
    assert np.array_equal(again.arrays["sites"], atoms.positions)


def test_supercell_moves_sites_with_their_cells_and_drops_momenta() -> None:
    small = crystal()
    small.set_momenta(np.ones((4, 3)))
    large = supercell(small, (2, 1, 3))
    assert len(large) == 24
    offsets = (large.positions - large.arrays["sites"]).reshape(6, 4, 3)
    assert offsets == pytest.approx(np.tile(small.positions - small.arrays["sites"], (6, 1, 1)), abs=1e-13)
    ideal = large.copy()
    ideal.positions = large.arrays["sites"]
    nearest = np.sort(ideal.get_all_distances(mic=True), axis=1)[:, 1]
    assert nearest == pytest.approx(np.full(24, 4.05 / np.sqrt(2)), abs=1e-12)
    assert not large.has("momenta")
    assert supercell(small, (1, 1, 1)).has("momenta")


def test_supercell_refuses_open_directions_and_counts_below_one() -> None:
    slab = crystal()
    slab.pbc = (True, True, False)
    assert len(supercell(slab, (2, 2, 1))) == 16
    with pytest.raises(UsageError, match="not periodic along c"):
        supercell(slab, (1, 1, 2))
    with pytest.raises(UsageError, match="0x1x1"):
        supercell(slab, (0, 1, 1))


def test_existing_sites_are_kept() -> None:
    atoms = with_sites(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]]))
    moved = atoms.copy()
    moved.positions += 1.0
    assert np.array_equal(with_sites(moved).arrays["sites"], atoms.positions)
