"""A run as a log describes it, and what the user adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ENERGIES = ("conserved", "total", "potential", "kinetic")
"""Roles of energy columns. ``conserved``: total energy plus the energy taken by thermostats and barostats."""
ROLES = ("time", "step", *ENERGIES, "temperature")
"""Quantities that a column may hold."""


class Ensemble(StrEnum):
    """What a run exchanges energy with."""

    NVE = "nve"
    THERMOSTAT = "thermostat"
    """Something adds or removes energy."""
    UNKNOWN = "unknown"
    MINIMISATION = "minimisation"
    """No dynamics."""


@dataclass(frozen=True)
class Series:
    """A column of a log."""

    values: FloatArray
    """[n]"""
    resolution: float
    """Distance of neighbouring values that the log can print, in the unit of the values."""
    name: str
    """Its name in the log."""
    hidden: float = 0.0
    """Rounding before printing, coarser than the printed digits (a model's energy in single precision); 0 where there is none."""

    def times(self, factor: float) -> Series:
        """In another unit."""
        return Series(self.values * factor, self.resolution * abs(factor), self.name, self.hidden * abs(factor))

    def part(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Series:
        """Some of the samples."""
        return Series(self.values[rows], self.resolution, self.name, self.hidden)


@dataclass(frozen=True)
class Run:
    """Consecutive samples of one simulation under the same settings."""

    file: str
    number: int
    """Counted from 1 in the file."""
    engine: str
    times_fs: FloatArray
    """[n], growing."""
    time_resolution_fs: float
    series: Mapping[str, Series]
    """Role → column with n samples: energies of all atoms in eV, temperature in K."""
    n_atoms: int
    timestep_fs: float | None
    """Time step of the integrator; ``None`` if neither the log nor the user gives it."""
    ensemble: Ensemble
    exchange: tuple[str, ...] = ()
    """What adds or removes energy, such as ``fix nvt``."""
    uncounted: bool = False
    """The log's conserved quantity leaves out some of the exchange."""
    notes: tuple[str, ...] = ()
    """Remarks on unusual content of the file."""
    exploded: str = ""
    """Message of the engine if it stopped because atoms were lost."""


@dataclass(frozen=True)
class LogOptions:
    """Options for information that a log lacks."""

    units: Mapping[str, str] = field(default_factory=dict)
    """Role or ``style`` → unit; see :func:`ncbench.logs.units.parse_units`."""
    n_atoms: int | None = None
    timestep_fs: float | None = None
    every: int | None = None
    """Time steps between lines."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role → name of a column, or its number counted from 1."""
    ensemble: Ensemble = Ensemble.UNKNOWN
