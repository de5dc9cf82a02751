"""Physically equivalent copies of a structure, whose results differ only by rounding."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ncbench.models.interface import ForceField

SAME_FORCES = {"float32": 1.0e-3, "float64": 1.0e-8}
"""Root-mean-square change of the forces, relative to their size, that still counts as rounding: a few thousand ε."""


def with_new_rounding(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A copy with a different rounding error of the model.

    Translated rigidly if the forces are invariant; otherwise (an external field, a function of absolute positions), every coordinate
    is changed by about ε of it.
    """
    moved = shifted(atoms, rng)
    before, after = (forcefield.evaluate([one])[0].forces for one in (atoms, moved))
    size = float(np.sqrt(np.mean(np.square(before))))
    change = float(np.sqrt(np.mean(np.square(after - before))))
    if change <= SAME_FORCES[forcefield.card.dtype] * size or not np.isfinite(change):
        return moved
    nudged: Atoms = atoms.copy()
    epsilon = float(np.finfo(forcefield.card.dtype).eps)
    nudged.positions *= 1.0 + epsilon * rng.uniform(-1.0, 1.0, size=nudged.positions.shape)
    return nudged


def shifted(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A copy translated rigidly by about half an ångström, including its reference sites.

    Positions are stored relative to an arbitrary origin. The rounding of a coordinate, and through a
    stiff bond that of a force, changes with the origin; nothing else does.
    """
    vector = rng.normal(scale=0.3, size=3)
    moved: Atoms = atoms.copy()
    moved.positions += vector
    if "sites" in moved.arrays:
        moved.arrays["sites"] = moved.arrays["sites"] + vector
    return moved
