"""Graph colouring of atoms: atoms of one colour are farther apart than a distance, including periodic images."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

IntArray = NDArray[np.int64]


def neighbours(atoms: Atoms, distance_A: float) -> csr_array:
    """Boolean [N, N] sparse matrix: pairs whose nearest images are within ``distance_A``, each atom with itself."""
    n = len(atoms)
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    if atoms.pbc.all() and np.allclose(angles, 90.0, atol=1e-9) and _upright(atoms):
        places = np.mod(atoms.get_positions(), lengths)
        # The remainder of a tiny negative number can round up to the length itself.
        places[places >= lengths] = 0.0
        pairs = cKDTree(places, boxsize=lengths).query_pairs(distance_A, output_type="ndarray")
        first, second = pairs[:, 0], pairs[:, 1]
    elif not atoms.pbc.any():
        pairs = cKDTree(atoms.get_positions()).query_pairs(distance_A, output_type="ndarray")
        first, second = pairs[:, 0], pairs[:, 1]
    else:
        first, second = primitive_neighbor_list(
            "ij", atoms.pbc, atoms.get_cell(complete=True), atoms.get_positions(), distance_A
        )
    own = np.arange(n)
    rows = np.concatenate([first, second, own])
    columns = np.concatenate([second, first, own])
    adjacency = csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(n, n))
    adjacency.sum_duplicates()
    adjacency.sort_indices()
    return adjacency


def colour(conflicts: csr_array) -> IntArray:
    """[N] colours 0, 1, …: conflicting atoms have different colours. Greedy, in order of decreasing number of conflicts (Welsh & Powell 1967)."""
    starts, members = conflicts.indptr, conflicts.indices
    colours = np.full(conflicts.shape[0], -1, dtype=np.int64)
    for atom in np.argsort(-np.diff(starts), kind="stable"):
        taken = colours[members[starts[atom] : starts[atom + 1]]]
        used = np.zeros(len(taken) + 1, dtype=bool)
        used[taken[(taken >= 0) & (taken < len(used))]] = True
        colours[atom] = int(np.argmin(used))
    return colours


def _upright(atoms: Atoms) -> bool:
    """The cell vectors lie along x, y and z."""
    return bool(np.allclose(np.asarray(atoms.cell), np.diag(atoms.cell.lengths())))
