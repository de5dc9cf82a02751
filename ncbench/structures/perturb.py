"""Displaced, repeated and rotated copies of structures.

The array ``sites``, a structure's reference positions in Å, is transformed with rotations and repetitions, but
is not changed by displacements of atoms.
"""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.structures.content import CHARGES, SPINS

FloatArray = NDArray[np.float64]

MOST_ATOMS = 10_000_000
"""Atoms of the largest supercell that is made: its arrays take some GB before a model is called."""


def with_sites(atoms: Atoms) -> Atoms:
    """A copy with the array ``sites``, by default its own positions."""
    copied: Atoms = atoms.copy()
    if "sites" not in copied.arrays:
        copied.set_array("sites", copied.get_positions())
    return copied


def displaced(atoms: Atoms, sigma_A: float | tuple[float, float, float], rng: np.random.Generator) -> Atoms:
    """A copy with independent Gaussian displacements of standard deviation ``sigma_A`` (Å; one, or one each for x, y and z).

    Momenta are dropped, since they belong to the old positions.
    """
    moved = with_sites(atoms)
    moved.arrays.pop("momenta", None)
    moved.positions += np.asarray(sigma_A) * rng.normal(size=moved.positions.shape)
    return moved


def supercell(atoms: Atoms, repeat: tuple[int, int, int]) -> Atoms:
    """``atoms`` repeated along its cell vectors.

    Momenta are dropped if the structure is repeated: identical copies would stay identical, equivalent to the
    small cell. Constraints, masses and other atomic properties are repeated; the total charge is multiplied.

    Raises:
        UsageError: a repeat below 1, more than ``MOST_ATOMS`` atoms, a repeat along a direction in which the structure is not periodic, or of an open shell, whose spin in
            the large cell only the user can know.
    """
    if any(count < 1 for count in repeat):
        raise UsageError(f"The repeat {'x'.join(map(str, repeat))} has a count below 1.")
    total = math.prod(repeat) * len(atoms)
    if total > MOST_ATOMS:
        raise UsageError(
            f"The repeat {'x'.join(map(str, repeat))} of {len(atoms)} atoms makes {total:.3g} atoms; the most is {MOST_ATOMS:.0e}."
        )
    open_axes = [
        axis for axis, count, periodic in zip("abc", repeat, atoms.pbc, strict=True) if count > 1 and not periodic
    ]
    if open_axes:
        raise UsageError(f"The structure is not periodic along {', '.join(open_axes)} and cannot be repeated there.")
    if repeat == (1, 1, 1):
        unchanged: Atoms = atoms.copy()
        return unchanged
    large: Atoms = atoms.repeat(repeat)
    large.arrays.pop("momenta", None)
    count = int(np.prod(repeat))
    for name, closed in SPINS.items():
        if name in large.info and float(large.info[name]) != closed:
            raise UsageError(
                f"The structure declares {name} = {large.info[name]}; the spin of {count} cells is not known.",
                hint="Repeat the structure in its file, with the total spin.",
            )
    for name in CHARGES:
        if name in large.info:
            large.info[name] = count * large.info[name]
    if "sites" in atoms.arrays:
        # ASE tiles arrays unchanged; only positions are shifted by the cell.
        large.arrays["sites"] = large.positions + np.tile(atoms.arrays["sites"] - atoms.positions, (count, 1))
    return large


def random_rotation(rng: np.random.Generator) -> FloatArray:
    """A proper rotation [3, 3], uniform over all rotations, from a unit quaternion (Shoemake 1992)."""
    w, x, y, z = _unit(rng.normal(size=4))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotated(atoms: Atoms, rotation: FloatArray) -> Atoms:
    """A copy with positions, cell, momenta and sites rotated about the origin by ``rotation`` [3, 3]."""
    turned: Atoms = atoms.copy()
    turned.set_cell(np.asarray(atoms.cell) @ rotation.T, scale_atoms=False)
    turned.positions = atoms.positions @ rotation.T
    for name in ("momenta", "sites"):
        if name in atoms.arrays:
            turned.arrays[name] = atoms.arrays[name] @ rotation.T
    return turned


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
