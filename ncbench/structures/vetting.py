"""Checks for unsupported content of structure files: refused if results would be wrong, otherwise named in a warning."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.errors import StructureError, StructureWarning
from ncbench.structures.content import CHARGES, SPINS, as_json, constrained_atoms, is_plain

_MEANT: dict[str, str] = {
    "mass": "masses",
    "masses": "masses",
    "atomic_mass": "masses",
    "atomic_masses": "masses",
    "isotope": "masses",
    "isotopes": "masses",
    "weight": "masses",
    "weights": "masses",
    "v": "momenta",
    "velocities": "momenta",
    "velocity": "momenta",
    "velo": "momenta",
    "vel": "momenta",
    "velocs": "momenta",
    "momentum": "momenta",
    "momenta": "momenta",
    "magmom": "initial_magmoms",
    "magmoms": "initial_magmoms",
}
"""Common column names in lower case, and the names under which ASE reads the quantity (momenta are mass times velocity in ASE's units)."""


_READ = ("masses", "momenta")
"""A second column of these is named even beside the first: the two may differ."""
LEAST_MASS_U, MOST_MASS_U = 1e-2, 1e9
"""A mass beyond these is in other units: a muon has 0.11 u."""
_CELLS = ("cell", "lattice", "box", "cell_vectors", "lattice_vectors")
"""Entries that are meant as the cell, in lower case."""
_OCCUPANCIES = ("occupancy", "occupancies", "occ")
"""Columns of site occupancies, in lower case."""


def vet(atoms: Atoms, name: str) -> None:
    """Refuse or warn about unsupported content of a structure; drop entries of ``info`` that are not plain data.

    Raises:
        StructureError: a cell under a name that is not read, partially occupied sites, a charge or spin that is not a number, masses that are not positive, constraints of
            a kind that cannot be stored.
    """
    _refuse_partial_occupancy(atoms, name)
    for key in (*CHARGES, *SPINS):
        if key in atoms.info:
            atoms.info[key] = _whole_number(atoms.info[key], key, name)
    for array in ("masses", "momenta", "initial_charges", "initial_magmoms", "sites"):
        if array in atoms.arrays:
            _require_numbers(atoms, array, name)
    for constraint in atoms.constraints:
        if not (hasattr(constraint, "todict") and is_plain(constraint.todict())):
            raise StructureError(
                f"The structure {name!r} has a constraint of kind {type(constraint).__name__}, which cannot be stored."
            )
        indices = constrained_atoms(constraint)
        if indices is not None and indices.size and not -len(atoms) <= indices.min() <= indices.max() < len(atoms):
            raise StructureError(
                f"The structure {name!r} has {len(atoms)} atoms, and its constraint {type(constraint).__name__} names atom {indices.max()}.",
                hint="Indices begin at 0.",
            )
    unread = [key for key in atoms.info if str(key).lower() in _CELLS and np.size(atoms.info[key]) in (3, 6, 9)]
    if unread and atoms.cell.rank == 0:
        raise StructureError(
            f"The structure {name!r} has no cell, and an entry '{unread[0]}' that ASE does not read as one.",
            hint='Write Lattice="ax ay az bx by bz cx cy cz" in the comment line.',
        )
    for written in atoms.arrays:
        meant = _MEANT.get(str(written).lower())
        if meant is not None and written != meant and (meant not in atoms.arrays or meant in _READ):
            warnings.warn(
                f"{name}: the column '{written}' is ignored; ASE reads '{meant}'.", StructureWarning, stacklevel=2
            )
    for key in [key for key, value in atoms.info.items() if not (isinstance(key, str) and is_plain(value))]:
        del atoms.info[key]


def _whole_number(value: Any, key: str, name: str) -> int | float:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(2, np.nan)
    if np.asarray(value).dtype.kind == "b":
        # Extended XYZ reads T as true.
        array = np.full(2, np.nan)
    if array.size != 1 or not math.isfinite(float(array.reshape(-1)[0])):
        raise StructureError(
            f"The structure {name!r} has {key} = {value if isinstance(value, str) else as_json(value) if is_plain(value) else type(value).__name__}, "
            "which is not a number.",
            hint="Write a number, such as charge=1, or leave it out.",
        )
    number = float(array.reshape(()))
    return int(number) if number.is_integer() else number


def _require_numbers(atoms: Atoms, array: str, name: str) -> None:
    values = atoms.arrays[array]
    shape = (len(atoms),) if array in ("masses", "initial_charges") else (len(atoms), 3)
    wanted = "one number per atom" if len(shape) == 1 else "three numbers per atom"
    if array == "initial_magmoms":
        wanted = "one or three numbers per atom"
    magnetic = array == "initial_magmoms" and values.shape == (len(atoms),)
    if values.dtype.kind not in "fiub" or (values.shape != shape and not magnetic):
        raise StructureError(
            f"The column '{array}' of {name!r} does not hold {wanted} (it is {values.dtype}, {values.shape})."
        )
    if not np.isfinite(values).all():
        atom = int(np.flatnonzero(~np.isfinite(values).reshape(len(atoms), -1).all(axis=1))[0])
        raise StructureError(f"The column '{array}' of {name!r} is not finite (atom {atom}, {atoms.symbols[atom]}).")
    if (
        array == "masses"
        and (odd := np.flatnonzero((values > 0) & ((values < LEAST_MASS_U) | (values > MOST_MASS_U)))).size
    ):
        raise StructureError(
            f"The structure {name!r} has the mass {values[odd[0]]:g} u (atom {odd[0]}, {atoms.symbols[odd[0]]}).",
            hint="Masses are in atomic mass units: hydrogen has 1.008.",
        )


def _refuse_partial_occupancy(atoms: Atoms, name: str) -> None:
    """CIF readers put occupancies into ``info`` and then fill every site with its first element.

    PDB and extended XYZ files have a column. Zeros for all atoms are what programs write that know no occupancies.
    """
    for column in [key for key in atoms.arrays if str(key).lower() in _OCCUPANCIES]:
        values = atoms.arrays[column]
        if values.shape != (len(atoms),) or values.dtype.kind not in "fiu" or not values.any():
            continue
        if (partial := np.flatnonzero(~(np.abs(values - 1.0) <= 1e-3))).size:
            raise StructureError(
                f"The structure {name!r} has a site that is partly occupied (atom {partial[0]}, {atoms.symbols[partial[0]]}: {values[partial[0]]:g}).",
                hint="Write an ordered structure: atoms are either there or not.",
            )
    occupancy = atoms.info.pop("occupancy", None)
    atoms.info.pop("spacegroup", None)
    atoms.info.pop("unit_cell", None)
    atoms.arrays.pop("spacegroup_kinds", None)
    sites = occupancy.values() if isinstance(occupancy, dict) else () if occupancy is None else [occupancy]
    for site in sites:
        shares = site if isinstance(site, dict) else {"site": site}
        numbers = [float(share) for share in shares.values() if isinstance(share, int | float)]
        if len(numbers) > 1 or any(abs(share - 1.0) > 1e-3 for share in numbers):
            shown = ", ".join(f"{element} {share:g}" for element, share in shares.items())
            raise StructureError(
                f"The structure {name!r} has a partially occupied site ({shown}).",
                hint="Write an ordered structure with full occupancies.",
            )
