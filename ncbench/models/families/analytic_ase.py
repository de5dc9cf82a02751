"""An independent implementation of the fields of :mod:`ncbench.models.families.analytic` as ASE calculators in NumPy.

``--model ncbench.models.families.analytic_ase:solenoidal`` is evaluated as any ASE calculator is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import primitive_neighbor_list

from ncbench.models.families.analytic.adapter import DEFAULTS


class EinsteinCalculator(Calculator):
    """Springs to ``atoms.arrays["sites"]`` and a solenoidal force κ ẑ × (r − s)."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE's own spelling

    def __init__(self, k: float, kappa: float) -> None:
        Calculator.__init__(self)
        self.k, self.kappa = k, kappa
        self.ncbench_force_mode = "direct" if kappa else "conservative"

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """See ASE."""
        Calculator.calculate(self, atoms, properties, system_changes)
        bound_atoms: Any = self.atoms
        displacement = bound_atoms.positions - bound_atoms.arrays["sites"]
        swirl = np.cross([0.0, 0.0, 1.0], displacement)
        self.results = {
            "energy": 0.5 * self.k * float(np.sum(displacement**2)),
            "forces": -self.k * displacement + self.kappa * swirl,
        }


class LennardJonesCalculator(Calculator):
    """Pairs with the window (1 − (r/r_c)²)³."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE's own spelling

    def __init__(self, epsilon: float, sigma: float, cutoff: float) -> None:
        Calculator.__init__(self)
        self.ncbench_force_mode = "conservative"
        self.epsilon, self.sigma, self.cutoff = epsilon, sigma, cutoff

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """See ASE."""
        Calculator.calculate(self, atoms, properties, system_changes)
        bound_atoms: Any = self.atoms
        first, _, vectors = primitive_neighbor_list(
            "ijD", bound_atoms.pbc, bound_atoms.get_cell(complete=True), bound_atoms.positions, self.cutoff
        )
        squared = np.sum(vectors**2, axis=1)
        a = (self.sigma**2 / squared) ** 3
        window = 1.0 - squared / self.cutoff**2
        energy = 2.0 * self.epsilon * np.sum((a * a - a) * window**3)
        # d/d(r²) of both factors; every pair is in the list twice.
        slope = (
            4.0
            * self.epsilon
            * ((-6.0 * a * a + 3.0 * a) / squared * window**3 - 3.0 * (a * a - a) * window**2 / self.cutoff**2)
        )
        forces = np.zeros_like(bound_atoms.positions)
        np.add.at(forces, first, 2.0 * slope[:, None] * vectors)
        self.results = {"energy": float(energy), "forces": forces}


def harmonic() -> Calculator:
    """``analytic-harmonic`` with its default options."""
    return EinsteinCalculator(kappa=0.0, **DEFAULTS["analytic-harmonic"])


def solenoidal() -> Calculator:
    """``analytic-solenoidal`` with its default options."""
    return EinsteinCalculator(**DEFAULTS["analytic-solenoidal"])


def lennard_jones() -> Calculator:
    """``analytic-lj`` with its default options."""
    return LennardJonesCalculator(**DEFAULTS["analytic-lj"])
