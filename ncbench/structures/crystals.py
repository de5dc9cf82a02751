"""Crystals at their reference sites."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.build import graphene as graphene_cell

AL_A = 4.05
"""Lattice constant of aluminium at room temperature, Å."""
ARGON_A = 5.25
"""Lattice constant of argon, Å: 5.25 at 4 K, and near the minimum of analytic-lj."""
GRAPHENE_A = 2.46
"""Lattice constant of graphene, Å."""
HARMONIC_SPACING_A = 3.0
DIAMOND_A = 3.567
"""Lattice constant of diamond at room temperature, Å."""


def al_fcc() -> Atoms:
    """108 atoms of aluminium."""
    crystal: Atoms = bulk("Al", "fcc", a=AL_A, cubic=True).repeat(3)
    return crystal


def diamond() -> Atoms:
    """The cubic cell of diamond, 8 atoms."""
    crystal: Atoms = bulk("C", "diamond", a=DIAMOND_A, cubic=True)
    return crystal


def argon() -> Atoms:
    """108 atoms of argon."""
    crystal: Atoms = bulk("Ar", "fcc", a=ARGON_A, cubic=True).repeat(3)
    return crystal


def graphene() -> Atoms:
    """60 atoms of a flat sheet, 20 Å from its periodic images."""
    sheet: Atoms = graphene_cell(a=GRAPHENE_A, size=(6, 5, 1), vacuum=10.0)
    sheet.pbc = True
    return sheet


def harmonic_crystal() -> Atoms:
    """64 atoms of argon on a simple cubic lattice, for fields with springs to the sites."""
    side = 4
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return Atoms(
        f"Ar{side**3}", positions=(grid + 0.5) * HARMONIC_SPACING_A, cell=[side * HARMONIC_SPACING_A] * 3, pbc=True
    )
