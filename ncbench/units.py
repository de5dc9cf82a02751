"""Units: Å, eV, u (atomic mass unit) inside; fs and K at the edges.

ASE's system is used throughout, in which the unit of time is Å·sqrt(u/eV) = 10.18 fs, so that forces in eV/Å divided by
masses in u are accelerations without a factor.
"""

from __future__ import annotations

from ase import units as _ase

FS: float = _ase.fs
"""One femtosecond in the internal unit of time."""

PS: float = 1000.0 * _ase.fs
"""One picosecond in the internal unit of time."""

KB: float = _ase.kB
"""Boltzmann's constant, eV/K."""

MEV: float = 1.0e-3
"""One meV in eV."""

GPA: float = _ase.GPa
"""One GPa in eV/Å³."""
