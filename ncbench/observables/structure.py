"""Pair and orientational correlations of periodic liquids.

Up to half the shortest width of the cell, where a sphere does not overlap with its periodic images. Distances by rounding in orthorhombic cells, by
ASE's minimum image otherwise. (MDAnalysis and freud do the same; neither is a dependency, and neither computes errors
over blocks.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.geometry import find_mic
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.observables.averages import Curve
from ncbench.observables.trajectory import Trajectory

FloatArray = NDArray[np.float64]
O_H_BOND_A = 1.5
"""O-H distance beyond which a hydrogen does not belong to the molecule, Å."""


def radial_edges(trajectories: Sequence[Trajectory], *, width_A: float, most_A: float | None = None) -> FloatArray:
    """Edges of bins from 0 to half the narrowest width of any cell, Å.

    Raises:
        UsageError: a trajectory without a periodic cell.
    """
    if not all(t.pbc.all() for t in trajectories):
        raise UsageError("Pair correlations need a cell that is periodic in three directions.")
    half = min(_half_width(cell) for t in trajectories for cell in t.cells)
    top = half if most_A is None else min(half, most_A)
    return np.asarray(np.arange(int(top / width_A + 1e-9) + 1, dtype=np.float64) * width_A)


def _half_width(cell: FloatArray) -> float:
    """Half the distance between the closest pair of opposite faces."""
    return float(0.5 / np.linalg.norm(np.linalg.inv(cell), axis=0).max())


def pair_correlation(
    trajectories: Sequence[Trajectory], first: str, second: str, *, edges_A: FloatArray, blocks: int = 5
) -> Curve:
    """g(r) of two elements: density of the second at r from the first, over its mean density; 1 without correlation.

    For one element with itself the mean density is that of the N − 1 others.

    Raises:
        UsageError: an element that is not present, or only one atom.
    """
    shells = 4.0 / 3.0 * np.pi * np.diff(edges_A**3)
    results = []
    for trajectory in trajectories:
        a, b = trajectory.of(first), trajectory.of(second)
        pairs = len(a) * (len(b) - (1 if first == second else 0))
        if pairs < 1:
            raise UsageError(f"'{trajectory.name}' has no pair of {first} and {second}.")
        for block in trajectory.blocks(blocks):
            counts, ideal = np.zeros(len(shells)), 0.0
            for positions, cell in zip(trajectory.positions[block], trajectory.cells[block], strict=True):
                distances = _distances(positions[a], positions[b], cell, same=first == second)
                counts += np.histogram(distances, edges_A)[0]
                ideal += pairs / abs(np.linalg.det(cell))
            results.append(counts / (ideal * shells))
    return Curve.of((edges_A[1:] + edges_A[:-1]) / 2, np.array(results))


def orientations(trajectory: Trajectory, frame: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Oxygens [M] and unit vectors [M, 3] from each to the midpoint of its two hydrogens: the direction of a water's dipole.

    Raises:
        UsageError: not water, or a hydrogen that has left its oxygen.
    """
    oxygens, hydrogens = trajectory.of("O"), trajectory.of("H")
    if len(oxygens) == 0 or len(hydrogens) != 2 * len(oxygens):
        raise UsageError(f"'{trajectory.name}' is not water: {len(oxygens)} O and {len(hydrogens)} H.")
    positions, cell = trajectory.positions[frame], trajectory.cells[frame]
    apart = positions[hydrogens][None] - positions[oxygens][:, None]
    vectors, lengths = find_mic(apart.reshape(-1, 3), cell, trajectory.pbc)
    lengths = lengths.reshape(len(oxygens), -1)
    nearest = np.argsort(lengths, axis=1)[:, :2]
    if (
        len(set(nearest.ravel().tolist())) != len(hydrogens)
        or np.take_along_axis(lengths, nearest, 1).max() > O_H_BOND_A
    ):
        raise UsageError(f"'{trajectory.name}' contains a dissociated water molecule at frame {frame}.")
    vectors = vectors.reshape(len(oxygens), -1, 3)
    middle = np.take_along_axis(vectors, nearest[:, :, None], axis=1).mean(axis=1)
    return oxygens, middle / np.linalg.norm(middle, axis=1, keepdims=True)


def orientational_correlation(trajectories: Sequence[Trajectory], *, edges_A: FloatArray, blocks: int = 5) -> Curve:
    """c_uu(r) = ⟨u_i·u_j⟩ of water molecules whose oxygens are r apart (Bigi, Langer & Ceriotti 2025, App. G.5).

    Bins without a pair are NaN.
    """
    results = []
    for trajectory in trajectories:
        for block in trajectory.blocks(blocks):
            total, count = np.zeros(len(edges_A) - 1), np.zeros(len(edges_A) - 1)
            for frame in range(trajectory.n_frames)[block]:
                oxygens, axes = orientations(trajectory, frame)
                i, j = np.triu_indices(len(oxygens), 1)
                positions = trajectory.positions[frame][oxygens]
                _, lengths = find_mic(positions[j] - positions[i], trajectory.cells[frame], trajectory.pbc)
                total += np.histogram(lengths, edges_A, weights=np.einsum("ka,ka->k", axes[i], axes[j]))[0]
                count += np.histogram(lengths, edges_A)[0]
            with np.errstate(invalid="ignore"):
                results.append(total / count)
    return Curve.of((edges_A[1:] + edges_A[:-1]) / 2, np.array(results))


def _distances(first: FloatArray, second: FloatArray, cell: FloatArray, *, same: bool) -> FloatArray:
    """Minimum-image distances of all ordered pairs, without the distance of an atom to itself."""
    apart = (second[None] - first[:, None]).reshape(-1, 3)
    if np.allclose(cell, np.diag(np.diag(cell))):
        apart -= np.round(apart / np.diag(cell)) * np.diag(cell)
        lengths = np.linalg.norm(apart, axis=1)
    else:
        _, lengths = find_mic(apart, cell, True)
    table = lengths.reshape(len(first), len(second))
    return np.asarray(table[~np.eye(len(first), dtype=bool)] if same else table.ravel())
