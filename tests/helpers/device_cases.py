"""Small structures and analytic models for the tests of devices."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk

from ncbench.models.families.analytic.adapter import analytic_field
from ncbench.models.interface import ForceField
from ncbench.types import ForceMode, ModelRequest


def crystal(seed: int = 0) -> Atoms:
    """Four argon atoms near the lattice sites that they carry."""
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True)
    atoms.arrays["sites"] = atoms.positions.copy()
    atoms.positions += np.random.default_rng(seed).normal(scale=0.05, size=atoms.positions.shape)
    return atoms


def larger(seed: int = 0) -> Atoms:
    """32 argon atoms, for pairs within a cutoff."""
    return crystal(seed).repeat(2)


def model(name: str, device: str, dtype: str = "float64") -> ForceField:
    """An analytic model on any device, which ``--device`` does not offer for the simulated one."""
    mode = ForceMode.DIRECT if name == "analytic-solenoidal" else ForceMode.CONSERVATIVE
    return analytic_field(ModelRequest(spec=name, device=device, dtype=dtype), name, mode)
