"""Checks of structures at the adapter's edge."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from ncbench.errors import StructureError

OVERLAP_A = 0.25
"""Two nuclei nearer than this (Å) are a mistake in the file, not a geometry: a third of the H-H bond length."""


def check_structure(atoms: Atoms, *, name: str = "") -> None:
    """Refuse a structure that no model could evaluate.

    Raises:
        StructureError: no atoms, positions or cell not finite, unknown species 'X', a periodic direction without
            a cell vector, or two atoms within :data:`OVERLAP_A` of each other (periodic images counted).
    """
    what = f"The structure {name!r}" if name else "The structure"
    if len(atoms) == 0:
        raise StructureError(f"{what} has no atoms.")
    positions = atoms.get_positions()
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise StructureError(f"{what} has a position that is not a finite number (atom {bad}, {atoms.symbols[bad]}).")
    cell = np.asarray(atoms.cell)
    if not np.isfinite(cell).all():
        raise StructureError(f"{what} has a cell that is not finite.")
    if (atoms.numbers <= 0).any():
        raise StructureError(f"{what} holds an atom of unknown species 'X'.")
    flat = [
        axis
        for axis, periodic, length in zip("abc", atoms.pbc, atoms.cell.lengths(), strict=True)
        if periodic and length < 1e-6
    ]
    if flat:
        raise StructureError(f"{what} is periodic along {', '.join(flat)} but has no cell vector there.")
    first, second, distance = primitive_neighbor_list(
        "ijd", atoms.pbc, atoms.get_cell(complete=True), positions, OVERLAP_A
    )
    if len(first):
        raise StructureError(
            f"{what} has atoms {first[0]} ({atoms.symbols[first[0]]}) and {second[0]} ({atoms.symbols[second[0]]}) "
            f"only {distance[0]:.3f} Å apart.",
            hint="Remove the duplicate, or check the cell and the periodic boundary conditions.",
        )
