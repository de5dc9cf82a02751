"""Lennard-Jones argon with artificial defects, as ASE calculators: ``--model dialled.defects:NAME``."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

EPSILON, SIGMA, CUTOFF = 0.0104, 3.4, 7.3
"""eV, Å, Å. The cutoff is below half the length of the cell, so that the nearest image is the only one."""


class Argon(Calculator):
    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  # ASE's own spelling

    def __init__(self, *, swirl: float = 0.0, half: bool = False, most: int | None = None, stress_sign: float = 1.0):
        Calculator.__init__(self)
        # Declared by all of them: ncbench has to detect the defects.
        self.ncbench_force_mode = "conservative"
        self.swirl, self.half, self.most, self.stress_sign = swirl, half, most, stress_sign

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        Calculator.calculate(self, atoms, properties, system_changes)
        current: Any = self.atoms
        scaled = current.get_scaled_positions(wrap=False)
        apart = scaled[None, :, :] - scaled[:, None, :]
        apart = (apart - np.round(apart)) @ current.cell.array
        near = np.sum(apart**2, axis=2) < CUTOFF**2
        np.fill_diagonal(near, val=False)
        if self.most is not None:
            # As in codes that fill a list of fixed length: the first neighbours are kept.
            near &= np.cumsum(near, axis=1) <= self.most
        first, _ = np.nonzero(near)
        vectors = apart[near]
        squared = np.sum(vectors**2, axis=1)
        a, window = (SIGMA**2 / squared) ** 3, 1.0 - squared / CUTOFF**2
        energy = 2.0 * EPSILON * np.sum((a * a - a) * window**3)
        slope = (
            4.0 * EPSILON * ((3.0 * a - 6.0 * a * a) / squared * window**3 - 3.0 * (a * a - a) * window**2 / CUTOFF**2)
        )
        forces = np.zeros_like(current.positions)
        np.add.at(forces, first, 2.0 * slope[:, None] * vectors)
        # Each pair is listed twice, with dE/dr·r of half its energy each.
        virial = np.einsum("p,pa,pb->ab", slope, vectors, vectors) / current.get_volume()
        if self.swirl:
            forces += self.swirl * np.cross([0.0, 0.0, 1.0], current.positions - current.arrays["sites"])
        if self.half:
            forces = forces.astype(np.float16).astype(np.float64)
        self.results = {
            "energy": float(energy),
            "free_energy": float(energy),
            "forces": forces,
            "stress": self.stress_sign * virial.flat[[0, 4, 8, 5, 2, 1]],
        }


def good() -> Calculator:
    return Argon()


def swirl() -> Calculator:
    """A solenoidal part of 1 %: argon's J has 0.5 eV/Å² an atom, the swirl √2 κ."""
    return Argon(swirl=0.0035)


def half() -> Calculator:
    """Forces rounded to float16."""
    return Argon(half=True)


def limited() -> Calculator:
    """At most 40 neighbours of some 54 within the cutoff."""
    return Argon(most=40)


def wrong_stress() -> Calculator:
    return Argon(stress_sign=-1.0)


class Half(Calculator):
    """Springs between all atoms whose forces are half the gradient of their energy."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE's own spelling

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        Calculator.calculate(self, atoms, properties, system_changes)
        apart = self.atoms.positions[:, None] - self.atoms.positions[None]
        self.results = {"energy": 0.25 * float(np.sum(apart**2)), "forces": -0.5 * apart.sum(axis=1)}


def wrong_forces() -> Calculator:
    return Half()
