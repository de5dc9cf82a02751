"""Time order from distances, and splits that do not leak."""

from __future__ import annotations

import numpy as np
import pytest
from data_mirror import MIRROR, needs_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.errors import UsageError
from ncbench.structures.blocks import block_split, path_length, rmsd_matrix, seriate
from ncbench.structures.datasets import read_water_dft, water_dft_split

BOX_A = 10.0


def walk(n_frames: int, seed: int) -> np.ndarray:
    """A walk of 30 atoms with steps of 0.1 Å, unwrapped: the RMSD grows as 0.17 Å times the root of the time."""
    rng = np.random.default_rng(seed)
    steps = 0.1 * rng.normal(size=(n_frames, 30, 3))
    return BOX_A * rng.random((30, 3)) + np.cumsum(steps, axis=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 80))
def test_a_shuffled_walk_is_put_in_order(seed: int, n: int) -> None:
    shuffle = np.random.default_rng(seed + 1).permutation(n)
    wrapped = walk(n, seed)[shuffle] % BOX_A
    order = seriate(rmsd_matrix(wrapped, BOX_A))
    result = shuffle[order]
    assert result.tolist() in (list(range(n)), list(range(n))[::-1])
    assert order[0] > order[-1]


def test_distances_ignore_the_box_and_its_drift() -> None:
    frames = walk(5, 0)
    moved = (frames + np.arange(5)[:, None, None] * np.array([0.3, -0.2, 0.4])) % BOX_A
    # Sums over 30 atoms of numbers around 10: rounding of 1e-14.
    assert rmsd_matrix(moved, BOX_A) == pytest.approx(rmsd_matrix(frames, BOX_A), abs=1e-12)
    step = frames[1] - frames[0]
    step -= step.mean(axis=0)
    assert rmsd_matrix(frames, BOX_A)[0, 1] == pytest.approx(np.sqrt((step**2).sum(axis=1).mean()), abs=1e-12)


def test_the_direction_does_not_depend_on_the_order_of_the_files() -> None:
    distances = rmsd_matrix(walk(20, 4), BOX_A)
    assert seriate(distances).tolist() == list(range(20))[::-1]
    backward = distances[::-1, ::-1]
    assert seriate(backward).tolist() == list(range(20))[::-1]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_equidistant_frames_are_ordered(n: int) -> None:
    assert sorted(seriate(np.ones((n, n)) - np.eye(n)).tolist()) == list(range(n))


def test_blocks_leave_gaps() -> None:
    order = np.arange(20)[::-1]
    split = block_split(order, train=10, validation=3, gap=2)
    assert split.train.tolist() == list(range(19, 9, -1))
    assert split.validation.tolist() == [7, 6, 5]
    assert split.test.tolist() == [2, 1, 0]
    with pytest.raises(UsageError, match="20 frames"):
        block_split(order, train=14, validation=2, gap=2)


def test_water_split_is_disjoint() -> None:
    split = water_dft_split()
    blocks = [split.train, split.validation, split.test]
    assert [len(block) for block in blocks] == [328, 24, 40]
    used = np.concatenate(blocks)
    assert len(set(used.tolist())) == 392
    assert set(used.tolist()) <= set(range(400))
    # First and last frames of the order that the bundled model was trained with.
    assert split.train[:5].tolist() == [393, 142, 149, 89, 16]
    assert split.test[-5:].tolist() == [173, 324, 77, 261, 8]


@needs_data
def test_water_order_follows_from_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_DATA_MIRROR", str(MIRROR))
    frames = read_water_dft()
    positions = np.stack([atoms.positions for atoms in frames])
    distances = rmsd_matrix(positions, float(frames[0].cell[0, 0]))
    order = seriate(distances)
    split = water_dft_split()
    assert np.array_equal(order[:328], split.train)
    assert np.array_equal(order[332:356], split.validation)
    assert np.array_equal(order[360:], split.test)
    assert path_length(order, distances) < 0.2 * path_length(np.arange(400), distances)
    # No test frame has a training frame as near as the farthest neighbours in time are (1.32 Å against 0.74 Å).
    assert distances[np.ix_(split.test, split.train)].min() > distances[order[:-1], order[1:]].max()
