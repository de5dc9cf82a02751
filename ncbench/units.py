"""Units: Å, eV, u (atomic mass unit) inside; fs and K at the edges.

ASE's system is used throughout, in which the unit of time is Å·sqrt(u/eV) = 10.18 fs, so that forces in eV/Å divided by
masses in u are accelerations without a factor. The constants are CODATA 2014, as in ASE (a test compares them); they stand here so
that the command line starts without ASE.
"""

from __future__ import annotations

import math

_E = 1.6021766208e-19
"""Elementary charge, C."""
_K = 1.38064852e-23
"""Boltzmann's constant, J/K."""
_AMU = 1.660539040e-27
"""Atomic mass constant, kg."""

FS: float = 1e-15 * 1e10 * math.sqrt(_E / _AMU)
"""One femtosecond in the internal unit of time."""

PS: float = 1000.0 * FS
"""One picosecond in the internal unit of time."""

SPEED_OF_LIGHT_CM_PER_FS = 2.99792458e-5
WAVENUMBER: float = 2.0 * math.pi * SPEED_OF_LIGHT_CM_PER_FS / FS
"""Angular frequency of 1 cm⁻¹, internal unit."""

KB: float = _K / _E
"""Boltzmann's constant, eV/K."""

MEV: float = 1.0e-3
"""One meV in eV."""

GPA: float = 1e9 / _E / 1e30
"""One GPa in eV/Å³."""
