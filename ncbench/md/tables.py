"""Side tables of a run: its series, thinned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ncbench.md.series import EnergySeries
from ncbench.schema import Column, TableSchema

_LONGEST = 5000
"""Rows of a series a structure; a longer one is thinned to whole strides."""

_SERIES_COLUMNS = (
    Column("time_fs", "float", "fs", "time from the start of the run"),
    Column("temperature_K", "float", "K", "kinetic temperature 2K/(n_dof k_B)"),
    Column("potential_eV", "float", "eV", "potential energy of the cell; absent for a model without one"),
    Column("kinetic_eV", "float", "eV", "kinetic energy"),
    Column("total_eV", "float", "eV", "potential + kinetic energy"),
)
_RUN_COLUMNS = (
    Column("thermostat", "str", "", "langevin (WN), svr or gle"),
    Column("tau_fs", "float", "fs", "time constant of the thermostat"),
)
_SPECIES_COLUMNS = (
    Column("time_fs", "float", "fs", "time from the start of the run"),
    Column("species", "str", "", "element"),
    Column("temperature_K", "float", "K", "kinetic temperature of the element's atoms"),
    Column("kinetic_eV", "float", "eV", "their kinetic energy"),
)

_STEP = Column("timestep_fs", "float", "fs", "time step of the run")
NVE_SERIES = TableSchema("nve-drift-series", 2, (*_SERIES_COLUMNS, _STEP))
NVE_SPECIES_SERIES = TableSchema("nve-drift-species-series", 2, (*_SPECIES_COLUMNS, _STEP))
NVT_SERIES = TableSchema(
    "nvt-series",
    1,
    (
        *_RUN_COLUMNS,
        *_SERIES_COLUMNS,
        Column("conserved_eV", "float", "eV", "potential + kinetic energy − heat from the thermostat"),
    ),
)
NVT_SPECIES_SERIES = TableSchema("nvt-species-series", 1, (*_RUN_COLUMNS, *_SPECIES_COLUMNS))


def number(value: float) -> float | None:
    """The value, or ``None`` where it is not finite: a table holds numbers or nothing."""
    return float(value) if math.isfinite(value) else None


def series_rows(
    series: EnergySeries, replica: int, schema: TableSchema, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of one replica while it lived, with ``common`` in each."""
    columns = {
        "time_fs": series.times_fs,
        "temperature_K": series.temperature[:, replica],
        "potential_eV": series.potential[:, replica],
        "kinetic_eV": series.kinetic[:, replica],
        "total_eV": series.total[:, replica],
    }
    if any(column.name == "conserved_eV" for column in schema.columns):
        columns["conserved_eV"] = series.conserved[:, replica]
    keep = _thinned(columns["kinetic_eV"])
    return [schema.row(**common, **{name: number(column[i]) for name, column in columns.items()}) for i in keep]


def species_rows(
    series: EnergySeries, replica: int, schema: TableSchema, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of one replica's species while it lived, with ``common`` in each."""
    times = series.times_fs
    temperatures = series.species_temperature[:, replica]
    kinetic = series.species_kinetic[:, replica]
    present = [g for g in range(len(series.particles.species)) if bool(series.particles.membership[replica, g].any())]
    return [
        schema.row(
            **common,
            time_fs=float(times[i]),
            species=series.particles.species[g],
            temperature_K=number(temperatures[i, g]),
            kinetic_eV=number(kinetic[i, g]),
        )
        for i in _thinned(kinetic[:, 0])
        for g in present
    ]


def _thinned(kinetic: np.ndarray[Any, np.dtype[np.float64]]) -> range:
    length = int(np.isfinite(kinetic).sum())
    return range(0, length, max(1, -(-length // _LONGEST)))
