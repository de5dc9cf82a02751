"""Argon with a non-conservative force whose work is recorded: the reference for the logs in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

EPSILON, SIGMA, CUTOFF = 0.0104, 3.4, 8.0
"""eV, Å, Å: Lennard-Jones argon."""
LATTICE = 5.4
"""Å: 108 atoms in a cube of 16.2 Å."""
DATA = Path(__file__).parent / "data"
SAMPLES = 250
"""Of a log."""


def steps_of(length_ps: float, timestep_fs: float) -> tuple[int, int]:
    """Time steps, and how many lie between samples."""
    steps = round(1000.0 * length_ps / timestep_fs)
    return steps, max(1, steps // SAMPLES)


def crystal() -> Atoms:
    """108 atoms of argon on their sites."""
    return bulk("Ar", "fcc", a=LATTICE, cubic=True) * (3, 3, 3)


def warm(temperature_K: float, seed: int) -> Atoms:
    """The crystal with momenta of twice the temperature, since half goes into the potential energy; the centre of mass rests."""
    atoms = crystal()
    rng = np.random.default_rng(seed)
    scale = np.sqrt(2.0 * temperature_K * units.kB * atoms.get_masses())
    momenta = rng.normal(size=(len(atoms), 3)) * scale[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


def swirl(positions: FloatArray, sites: FloatArray, strength: float) -> FloatArray:
    """κ ẑ × (r − R), eV/Å: it has the curl 2κ and no energy. Its mean over the atoms is taken off, so that the crystal does not move."""
    away = positions - sites
    force = strength * np.stack([-away[:, 1], away[:, 0], np.zeros(len(away))], axis=1)
    return np.asarray(force - force.mean(axis=0))


class Argon(Calculator):  # type: ignore[misc,unused-ignore]
    """Lennard-Jones, shifted so that energy and force end at zero at the cutoff, and the swirl.

    ``work`` is what the swirl did since the start, eV: the sum of F·Δr with F at both ends of a step. It does not use energies.

    ``offset`` is a constant part of the energy, eV per atom; ``single`` rounds the energy to single precision, as a model that computes in float32 does.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # as ASE declares it

    def __init__(self, strength: float = 0.0, *, offset: float = 0.0, single: bool = False) -> None:
        super().__init__()
        self.offset, self.single = offset, single
        self.sites: FloatArray = crystal().get_positions()
        self.strength = strength
        self.work = 0.0
        self._last: tuple[FloatArray, FloatArray] | None = None

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """As ASE calls it."""
        super().calculate(atoms, properties, system_changes)
        positions, box = self.atoms.get_positions(), self.atoms.cell.lengths()
        away = positions[:, None] - positions[None]
        away -= box * np.round(away / box)
        squared = np.einsum("ijk,ijk->ij", away, away)
        np.fill_diagonal(squared, np.inf)
        inside = squared < CUTOFF**2
        distance = np.sqrt(np.where(inside, squared, 1.0))
        energy, slope = _pair(distance)
        end_energy, end_slope = _pair(np.array(CUTOFF))
        energy = np.where(inside, energy - end_energy - (distance - CUTOFF) * end_slope, 0.0)
        slope = np.where(inside, slope - end_slope, 0.0)
        force = -np.einsum("ij,ijk->ik", slope / distance, away)
        turning = swirl(positions, self.sites, self.strength)
        if self._last is not None:
            self.work += 0.5 * float(((turning + self._last[1]) * (positions - self._last[0])).sum())
        self._last = (positions.copy(), turning)
        total = 0.5 * float(energy.sum()) + self.offset * len(positions)
        self.results = {"energy": float(np.float32(total)) if self.single else total, "forces": force + turning}


def _pair(distance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energy and its derivative."""
    sixth = (SIGMA / distance) ** 6
    return 4 * EPSILON * (sixth**2 - sixth), -24 * EPSILON * (2 * sixth**2 - sixth) / distance
