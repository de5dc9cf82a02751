"""Tests of a package's calculator on small structures: its precision, its unit of stress, whether its weights match its code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from ase import Atoms, units
from ase.build import bulk, molecule

from ncbench.errors import UnsupportedError
from ncbench.models.interface import Evaluation
from ncbench.models.trial import trial_structure

STRESS_UNITS = {"eV/Å³": 1.0, "GPa": units.GPa, "kbar": units.GPa / 10}
"""Unit → eV/Å³."""
AGREEMENT = 0.05
"""Largest difference of a stress from a strain derivative, of its norm: units differ by factors of ten and more."""
STRAIN = {"float32": 5e-3, "float64": 1e-3}
"""Step of the strain derivative: a float32 energy of some -15 eV rounds at 1e-6 eV, the quotient at 1e-4 eV of some 1 eV."""
RANGE = np.array([0.90, 0.95, 1.0, 1.05, 1.10])
"""Lattice constants or bond lengths that are tried, of the measured one."""
ALUMINIUM_A = 4.05
"""Lattice constant of aluminium, Å. Wyckoff, Crystal Structures (1963)."""


class Call(Protocol):
    """One evaluation by the calculator."""

    def __call__(self, atoms: Atoms, *, stress: bool = False) -> Evaluation: ...


def precision_of(calculator: Any, call: Call, elements: Iterable[int] | None) -> str:
    """``float32`` where the forces that the calculator keeps are float32, else ``float64``.

    A calculator that computes in float32 and converts its results is recognised by values that float32 holds exactly.
    """
    atoms = _crystal(elements) or trial_structure(frozenset(elements or (1, 8)))
    forces = call(atoms).forces
    kept = getattr(calculator, "results", {}).get("forces")
    if getattr(kept, "dtype", None) == np.float32:
        return "float32"
    shown = forces[forces != 0]
    return "float32" if shown.size and np.array_equal(shown, shown.astype(np.float32)) else "float64"


def stress_factor(call: Call, elements: Iterable[int] | None, dtype: str) -> float | None:
    """Factor from the calculator's stress to eV/Å³ with ASE's sign, σ = (1/V) ∂E/∂ε.

    ``None`` where there is no stress, where it is the derivative in none of :data:`STRESS_UNITS`, or where no crystal is known to try.
    """
    crystal = _crystal(elements)
    if crystal is None:
        return None
    crystal.set_cell(crystal.cell @ np.diag([1.02, 0.99, 1.03]), scale_atoms=True)
    try:
        given = call(crystal, stress=True).stress
    except UnsupportedError:
        return None
    if given is None or not np.isfinite(given).all():
        return None
    step, derivative = STRAIN[dtype], np.zeros(3)
    for axis in range(3):
        energies = []
        for sign in (1.0, -1.0):
            strained, strain = crystal.copy(), np.eye(3)
            strain[axis, axis] += sign * step
            strained.set_cell(crystal.cell @ strain, scale_atoms=True)
            energies.append(call(strained).energy)
        derivative[axis] = (energies[0] - energies[1]) / (2 * step) / crystal.get_volume()
    diagonal = np.diag(given)
    for factor in STRESS_UNITS.values():
        for sign in (1.0, -1.0):
            if np.linalg.norm(sign * factor * diagonal - derivative) <= AGREEMENT * np.linalg.norm(derivative):
                return sign * factor
    return None


def why_implausible(call: Call, elements: Iterable[int] | None) -> str:
    """Why the weights cannot belong to the installed version of the package; empty if the test passes.

    Weights made for another version of the code may load without an error and give smooth energies with forces that are their
    gradient. The energy of aluminium, or of water for models without aluminium, must have its minimum within 10 % of the measured
    lattice constant or bond length. Deviations of published models are a few per cent.
    """
    known = None if elements is None else set(elements)
    if known is None or 13 in known:
        name, trials = "aluminium", [bulk("Al", "fcc", a=ALUMINIUM_A * scale, cubic=True) for scale in RANGE]
    elif {1, 8} <= known:
        name, trials = "the water molecule", [_water(scale) for scale in RANGE]
    else:
        return ""
    energies = np.array([call(atoms).energy for atoms in trials])
    if not np.isfinite(energies).all():
        return f"the energy of {name} is not finite"
    least = int(np.argmin(energies))
    if 0 < least < len(RANGE) - 1:
        return ""
    return f"{name} has no minimum of energy within {100 * (RANGE[-1] - 1):.0f} % of its measured size"


def _water(scale: float) -> Atoms:
    atoms: Atoms = molecule("H2O")
    atoms.positions = atoms.positions[0] + scale * (atoms.positions - atoms.positions[0])
    return atoms


def _crystal(elements: Iterable[int] | None) -> Atoms | None:
    """Four atoms of aluminium off their sites, or ``None`` where the model does not know it."""
    if elements is not None and 13 not in set(elements):
        return None
    atoms: Atoms = bulk("Al", "fcc", a=ALUMINIUM_A, cubic=True)
    atoms.rattle(0.05, seed=0)
    return atoms
