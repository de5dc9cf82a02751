"""Argon with defects of smoothness at its cutoff of 6.4 Å, for ``--model benchmarks/companion/fields.py:FUNCTION``.

``analytic-lj`` has the same well depth and diameter, and goes to zero with two derivatives at its cutoff.
"""

from __future__ import annotations

from typing import Any

from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list

SIGMA_A, EPSILON_EV = 3.4, 0.0104
CUTOFF_A = 6.4
"""Near the third shell of argon (6.43 Å), so that many pairs cross it."""


def force_jump() -> Calculator:
    """Lennard-Jones shifted to zero at the cutoff: the energy is continuous, the forces jump by 0.001 eV/Å for each pair that crosses it."""
    return LennardJones(sigma=SIGMA_A, epsilon=EPSILON_EV, rc=CUTOFF_A, smooth=False)


def energy_jump() -> Calculator:
    """Lennard-Jones cut off without a shift: its energy jumps by 0.9 meV for each pair that crosses the cutoff, of which its forces know nothing."""
    return _Unshifted(sigma=SIGMA_A, epsilon=EPSILON_EV, rc=CUTOFF_A, smooth=False)


class _Unshifted(LennardJones):  # type: ignore[misc]
    def calculate(self, *arguments: Any, **options: Any) -> None:
        super().calculate(*arguments, **options)
        pairs = len(neighbor_list("i", self.atoms, CUTOFF_A)) / 2
        ratio = (SIGMA_A / CUTOFF_A) ** 6
        for name in ("energy", "free_energy"):
            self.results[name] += pairs * 4.0 * EPSILON_EV * (ratio**2 - ratio)
