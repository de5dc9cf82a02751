"""Water: the experimental molecule, and boxes of given density."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray
from scipy.optimize import minimize

from ncbench.errors import UsageError
from ncbench.structures.perturb import random_rotation

FloatArray = NDArray[np.float64]

BOND_A = 0.9572
"""O-H distance of the isolated molecule, Å (Benedict, Gailar & Plyler, J. Chem. Phys. 24, 1139, 1956)."""
ANGLE_DEG = 104.52
"""H-O-H angle of the isolated molecule, degrees (the same)."""
DENSITY_G_CM3 = 0.997
"""Water at 298 K and 1 bar."""

CONTACT_A = 1.2
"""Minimum distance of atoms of different molecules in a packed box, Å: two thirds of a hydrogen bond."""
_CENTRES_A = 3.3
"""Target distance of oxygens in the packing, Å, as far as the density permits."""
_ORIENTATIONS = 64


def water_molecule() -> Atoms:
    """One H2O in its experimental geometry, not periodic, the oxygen at the origin."""
    half = math.radians(ANGLE_DEG) / 2
    x, z = BOND_A * math.sin(half), BOND_A * math.cos(half)
    return Atoms("OH2", positions=[[0.0, 0.0, 0.0], [x, 0.0, z], [-x, 0.0, z]])


def water_box(n_molecules: int, *, density_g_cm3: float = DENSITY_G_CM3, seed: int = 0) -> Atoms:
    """A periodic cube of water at a density, packed without overlap: a starting point for equilibration, not a liquid.

    Oxygens start on random sites of a cubic grid and are pushed apart; each molecule then takes, of several
    random orientations, the one with the largest distance to atoms already placed. The order of atoms is O, H, H, O, H, H, …

    Raises:
        UsageError: no molecules, or a density at which they cannot be placed :data:`CONTACT_A` apart.
    """
    if n_molecules < 1 or not density_g_cm3 > 0:
        raise UsageError(f"A box of {n_molecules} molecules at {density_g_cm3} g/cm³ cannot be built.")
    molecule = water_molecule()
    # u/Å³ in one g/cm³.
    density = density_g_cm3 * 1e-24 * units.mol
    length = float((n_molecules * molecule.get_masses().sum() / density) ** (1 / 3))
    rng = np.random.default_rng(seed)
    centres = _centres(n_molecules, length, rng)
    placed = _orient(centres, molecule.positions, length, rng)
    return Atoms("OH2" * n_molecules, positions=placed, cell=[length] * 3, pbc=True)


def _minimum_image(vectors: FloatArray, length: float) -> FloatArray:
    return np.asarray(vectors - length * np.round(vectors / length), dtype=np.float64)


def _centres(n: int, length: float, rng: np.random.Generator) -> FloatArray:
    """[n, 3] points spread over the cube, by descent on Σ (1 − r/r_c)² over pairs nearer than r_c."""
    side = math.ceil(n ** (1 / 3) - 1e-9)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = rng.choice(len(grid), size=n, replace=False)
    start = (grid[np.sort(chosen)] + 0.5 + 0.05 * rng.normal(size=(n, 3))) * length / side
    first, second = np.triu_indices(n, k=1)

    def overlap(flat: FloatArray) -> tuple[float, FloatArray]:
        points = flat.reshape(n, 3)
        vectors = _minimum_image(points[first] - points[second], length)
        distances = np.linalg.norm(vectors, axis=1)
        excess = np.clip(1.0 - distances / _CENTRES_A, 0.0, None)
        pull = (-2.0 * excess / (_CENTRES_A * np.maximum(distances, 1e-9)))[:, None] * vectors
        gradient = np.zeros_like(points)
        np.add.at(gradient, first, pull)
        np.add.at(gradient, second, -pull)
        return float(np.sum(excess**2)), gradient.ravel()

    optimum = minimize(overlap, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(optimum.x, dtype=np.float64).reshape(n, 3)


def _orient(centres: FloatArray, molecule: FloatArray, length: float, rng: np.random.Generator) -> FloatArray:
    """[3n, 3] positions; molecules that are too close to others are reoriented once more, with all neighbours in place."""
    atoms = centres[:, None, :] + np.zeros((1, 3, 1))
    done = np.zeros(len(centres), dtype=bool)
    for _sweep in range(6):
        for index in range(len(centres)):
            others = atoms[done & (np.arange(len(centres)) != index)].reshape(-1, 3)
            trials = np.stack([centres[index] + molecule @ random_rotation(rng).T for _ in range(_ORIENTATIONS)])
            clearance = [_clearance(trial, others, length) for trial in trials]
            if not done[index] or max(clearance) > _clearance(atoms[index], others, length):
                atoms[index] = trials[int(np.argmax(clearance))]
            done[index] = True
        worst = min(
            _clearance(atoms[i], np.delete(atoms, i, axis=0).reshape(-1, 3), length) for i in range(len(centres))
        )
        if worst >= CONTACT_A:
            return np.asarray(atoms.reshape(-1, 3), dtype=np.float64)
    raise UsageError(
        f"{len(centres)} molecules in a cube of {length:.2f} Å come within {worst:.2f} Å of each other.",
        hint="Lower the density.",
    )


def _clearance(molecule: FloatArray, others: FloatArray, length: float) -> float:
    """Least distance, Å, from a molecule's atoms to others and to the molecule's own periodic images."""
    own = length - float(np.linalg.norm(molecule[:, None] - molecule[None], axis=-1).max())
    if not len(others):
        return own
    between = _minimum_image(molecule[:, None, :] - others[None, :, :], length)
    return min(own, float(np.sqrt((between**2).sum(axis=-1).min())))
