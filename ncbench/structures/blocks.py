"""Time order of shuffled frames, and splits by blocks of it.

Frames of one trajectory that were shuffled and split at random leak: a validation frame has a training frame a few
femtoseconds away. Consecutive frames are nearest neighbours, so the order can be recovered from their distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ncbench.errors import UsageError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_KERNEL_A = 0.5
"""Width of the similarity exp(−(RMSD/w)²), Å: several nearest frames of a trajectory in time, few others."""
_WINDOW = 40
"""Longest segment that 2-opt reverses."""


@dataclass(frozen=True)
class BlockSplit:
    """Indices of frames, each block in time order; gaps between blocks are omitted."""

    train: IntArray
    validation: IntArray
    test: IntArray


def rmsd_matrix(positions: FloatArray, length_A: float) -> FloatArray:
    """[F, F] root-mean-square displacements, Å, between frames [F, N, 3] in a cube of edge ``length_A``.

    Displacements take the minimum image, then lose their mean: a drift of the whole box does not count. Valid as long as no
    atom moves by half the box length.
    """
    matrix = np.empty((len(positions), len(positions)))
    for index, frame in enumerate(positions):
        moved = positions - frame
        moved -= length_A * np.round(moved / length_A)
        moved -= moved.mean(axis=1, keepdims=True)
        matrix[index] = np.sqrt((moved**2).sum(axis=-1).mean(axis=-1))
    return matrix


def seriate(distances: FloatArray) -> IntArray:
    """The order of frames along the path that their distances [F, F] describe.

    Spectral: sorted by the Fiedler vector, the second eigenvector of the similarity graph's Laplacian (Atkins, Boman &
    Hendrickson, SIAM J. Comput. 28, 297, 1998); then 2-opt, which reverses segments as long as that shortens the path.
    Distances do not determine the direction of time: the direction that begins with the higher frame number is taken.
    """
    if len(distances) < 3:
        return np.arange(len(distances))[::-1].copy()
    similarity = np.exp(-((distances / _KERNEL_A) ** 2))
    np.fill_diagonal(similarity, 0.0)
    laplacian = np.diag(similarity.sum(axis=1)) - similarity
    _, vectors = eigh(laplacian, subset_by_index=(1, 1))
    return _directed(_two_opt(_directed(np.argsort(vectors[:, 0], kind="stable")), distances))


def path_length(order: IntArray, distances: FloatArray) -> float:
    """Sum of the distances between neighbours in ``order``."""
    return float(distances[order[:-1], order[1:]].sum())


def block_split(order: IntArray, *, train: int, validation: int, gap: int) -> BlockSplit:
    """Blocks of ``train`` and ``validation`` frames, gaps of ``gap`` after each, and the rest as the test block.

    Raises:
        UsageError: too few frames for these blocks.
    """
    begin_validation = train + gap
    begin_test = begin_validation + validation + gap
    if min(train, validation, gap) < 0 or begin_test >= len(order):
        raise UsageError(
            f"{len(order)} frames are too few for blocks of {train} and {validation} frames with gaps of {gap} and a test block."
        )
    return BlockSplit(order[:train], order[begin_validation : begin_validation + validation], order[begin_test:])


def _directed(order: IntArray) -> IntArray:
    return order if order[0] > order[-1] else order[::-1].copy()


def _two_opt(order: IntArray, distances: FloatArray) -> IntArray:
    path = order.copy()
    n = len(path)

    def link(left: int, right: int) -> float:
        """Distance between the frames at two positions; zero beyond the path's ends."""
        return float(distances[path[left], path[right]]) if left >= 0 and right < n else 0.0

    improved = True
    while improved:
        improved = False
        for i in range(n - 1):
            for j in range(i + 1, min(n, i + _WINDOW)):
                before = link(i - 1, i) + link(j, j + 1)
                after = link(i - 1, j) + link(i, j + 1)
                # A reversal that gains only rounding could repeat forever.
                if after < before - 1e-9:
                    path[i : j + 1] = path[i : j + 1][::-1].copy()
                    improved = True
    return path
