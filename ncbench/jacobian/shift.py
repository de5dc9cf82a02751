"""A rigid shift of everything, which no number may notice: what it does change is rounding."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def shifted(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A copy moved rigidly by about half an ångström, its reference sites with it.

    Positions are stored relative to an origin that physics does not know. The rounding of a coordinate, and through a
    stiff bond that of a force, changes with the origin; nothing else does.
    """
    vector = rng.normal(scale=0.3, size=3)
    moved: Atoms = atoms.copy()
    moved.positions += vector
    if "sites" in moved.arrays:
        moved.arrays["sites"] = moved.arrays["sites"] + vector
    return moved
