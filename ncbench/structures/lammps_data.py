"""LAMMPS data files: elements are those of the masses, since atoms are numbered by types."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from ncbench.errors import StructureWarning, UsageError

LAMMPS_DATA = "lammps-data"
"""ASE's name of the format."""
MASS_TOLERANCE = 0.005
"""Relative difference of a mass to that of an element: 35.5 for chlorine and 56 for iron pass, 1 for hydrogen (the unit of mass of reduced units) does not."""


def vet_lammps_data(path: Path, atoms: Atoms) -> None:
    """Refuse masses that are those of no element, and name the units that velocities are taken in.

    ASE takes the element of the nearest mass, however far, and metal units, which the file does not name.

    Raises:
        UsageError: a mass differs from its element's by more than :data:`MASS_TOLERANCE`.
    """
    masses, elements = atoms.get_masses(), atomic_masses[atoms.numbers]
    # Number 0 is ASE's dummy atom, whose mass is 1.
    wrong = np.flatnonzero((np.abs(masses / elements - 1.0) > MASS_TOLERANCE) | (atoms.numbers == 0))
    if len(wrong):
        raise UsageError(
            f"The LAMMPS data file '{path}' has atoms of mass {masses[wrong[0]]:g} u, which is that of no element.",
            hint="Use a format with elements, such as extended XYZ; structures in reduced units (lj) cannot be converted.",
        )
    if atoms.has("momenta"):
        warnings.warn(
            f"The LAMMPS data file '{path}' does not name its units: its velocities are taken as Å/ps (metal).",
            StructureWarning,
            stacklevel=2,
        )
