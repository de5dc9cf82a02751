"""Checks of structures before they reach a model."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry import minkowski_reduce
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray

from ncbench.errors import StructureError

OVERLAP_A = 0.25
"""Two nuclei closer than this (Å) indicate an error in the file: a third of the H-H bond length."""

MOST_EXTENT_A = 1.0e5
"""Longest cell vector, and largest extent along a direction that is not periodic, Å: the memory of cell lists grows with it."""
MOST_OFFSET_A = 1.0e9
"""Largest coordinate, Å: the spacing of float64 numbers is 1e-7 Å there."""
LEAST_SOLID_ANGLE = 1.0e-4
"""Least volume of a cell over the product of its lengths. A primitive cell of any lattice has more than 0.05; below 1e-4 the number of images to
search exceeds memory."""

FloatArray = NDArray[np.float64]


def check_structure(atoms: Atoms, *, name: str = "") -> None:
    """Refuse a structure that no model could evaluate.

    Raises:
        StructureError: no atoms, positions, cell or masses not finite, unknown species 'X', masses that are not positive, a periodic
            direction without a cell vector, cell vectors in a plane, a lattice vector shorter than :data:`OVERLAP_A`, sizes beyond :data:`MOST_EXTENT_A`, or two atoms within
            :data:`OVERLAP_A` of each other (periodic images counted).
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
    if (atoms.numbers >= len(chemical_symbols)).any():
        raise StructureError(f"{what} holds an atom of the atomic number {atoms.numbers.max()}, which is no element.")
    masses = atoms.arrays.get("masses")
    if masses is not None and not (np.isfinite(masses).all() and (masses > 0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(masses) & (masses > 0)))[0])
        raise StructureError(
            f"{what} has the mass {masses[bad]:g} u (atom {bad}, {atoms.symbols[bad]}); masses must be positive.",
            hint="Leave the column 'masses' out to use standard atomic masses.",
        )
    _check_cell(atoms, what)
    first, second, distance = primitive_neighbor_list(
        "ijd", atoms.pbc, _shortest_cell(atoms, what), _near_origin(atoms), OVERLAP_A
    )
    if len(first):
        raise StructureError(
            f"{what} has atoms {first[0]} ({atoms.symbols[first[0]]}) and {second[0]} ({atoms.symbols[second[0]]}) "
            f"only {distance[0]:.3f} Å apart.",
            hint="Remove the duplicate, or check the cell and the periodic boundary conditions.",
        )


def has_volume(atoms: Atoms) -> bool:
    """Whether a stress is defined: three cell vectors, and periodicity along at least one of them."""
    return bool(atoms.cell.rank == 3 and atoms.pbc.any())


def _check_cell(atoms: Atoms, what: str) -> None:
    """Refuse cells and extents for which neighbour lists fail, hang, or exhaust memory."""
    cell = np.asarray(atoms.cell)
    lengths = np.linalg.norm(cell, axis=1)
    flat = [
        axis for axis, periodic, length in zip("abc", atoms.pbc, lengths, strict=True) if periodic and length < 1e-6
    ]
    if flat:
        raise StructureError(f"{what} is periodic along {', '.join(flat)} but has no cell vector there.")
    if atoms.pbc.any() and lengths[atoms.pbc].min() < OVERLAP_A:
        raise StructureError(
            f"{what} has a cell vector of {lengths[atoms.pbc].min():.3g} Å, along which each atom overlaps its own images.",
            hint="Check the units of the cell.",
        )
    if lengths.max() > MOST_EXTENT_A:
        raise StructureError(
            f"{what} has a cell vector of {lengths.max():.3g} Å; {MOST_EXTENT_A:g} Å is the maximum.",
            hint="Remove the cell if the structure is not periodic.",
        )
    if lengths.any():
        # Missing vectors are replaced by normal ones: the normalised volume shows whether the given vectors are linearly independent.
        complete = np.asarray(atoms.cell.complete())
        units = complete / np.linalg.norm(complete, axis=1)[:, None]
        short = [axis for axis, length in zip("abc", lengths, strict=True) if 0.0 < length < 1e-6 * lengths.max()]
        if short:
            raise StructureError(
                f"{what} has a cell vector of nearly zero length ({', '.join(short)}).",
                hint="Write zeros along directions that are not periodic.",
            )
        share = abs(float(np.linalg.det(units))) if np.isfinite(units).all() else 0.0
        if share < LEAST_SOLID_ANGLE or int((lengths > 0).sum()) > np.linalg.matrix_rank(
            cell, tol=1e-9 * lengths.max()
        ):
            raise StructureError(
                f"{what} has cell vectors that nearly lie in a plane: its volume is {share:.1e} of the product of their lengths.",
                hint="Check the order of the numbers of the lattice.",
            )
    positions = atoms.get_positions()
    extent = float(np.ptp(positions, axis=0)[~atoms.pbc].max()) if not atoms.pbc.all() else 0.0
    if extent > MOST_EXTENT_A:
        raise StructureError(
            f"{what} has atoms {extent:.3g} Å apart along a direction that is not periodic; {MOST_EXTENT_A:g} Å is the maximum.",
            hint="Check the units of the positions.",
        )
    if np.abs(positions).max() > MOST_OFFSET_A:
        raise StructureError(
            f"{what} has coordinates of {np.abs(positions).max():.3g} Å, where float64 no longer resolves distances; "
            f"{MOST_OFFSET_A:g} Å is the maximum."
        )


def _shortest_cell(atoms: Atoms, what: str) -> FloatArray:
    """The shortest vectors [3, 3] of the lattice, with which a search for neighbours takes the fewest images.

    Raises:
        StructureError: one of them is so short that each atom overlaps its own images, though no cell vector is.
    """
    complete = np.asarray(atoms.cell.complete())
    if not atoms.pbc.any():
        return complete
    reduced = np.asarray(minkowski_reduce(complete, pbc=atoms.pbc)[0])
    shortest = float(np.linalg.norm(reduced, axis=1)[atoms.pbc].min())
    if shortest < OVERLAP_A:
        raise StructureError(
            f"{what} has cell vectors that nearly differ by each other's multiples: a combination of them is {shortest:.3g} Å long, "
            "along which each atom overlaps its own images.",
            hint="Check the order of the numbers of the lattice.",
        )
    return reduced


def _near_origin(atoms: Atoms) -> FloatArray:
    """Positions [N, 3] inside the cell along periodic directions, about their centre along others: neighbours do not change."""
    positions = atoms.get_positions()
    cell = np.asarray(atoms.cell.complete())
    scaled = np.linalg.solve(cell.T, positions.T).T
    scaled -= np.floor(scaled) * atoms.pbc
    wrapped = scaled @ cell
    wrapped -= wrapped.mean(axis=0)
    return np.asarray(wrapped, dtype=np.float64)
