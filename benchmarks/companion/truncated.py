"""Lennard-Jones argon whose pairs are cut off at 6.4 Å: the energy is shifted and continuous, the forces jump there.

For ``--model benchmarks/companion/truncated.py:truncated``. ``analytic-lj`` with the same parameters goes to zero smoothly at its cutoff.
"""

from __future__ import annotations

from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

CUTOFF_A = 6.4
"""Near the third shell of argon (6.43 Å), so that many pairs cross it."""


def truncated() -> Calculator:
    """The calculator, with the well depth and diameter of ``analytic-lj``."""
    return LennardJones(sigma=3.4, epsilon=0.0104, rc=CUTOFF_A, smooth=False)
