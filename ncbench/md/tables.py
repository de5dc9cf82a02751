"""Side tables of a run: its series, thinned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ncbench.md.series import EnergySeries
from ncbench.schema import TableSchema

_LONGEST = 5000
"""Maximum number of rows per structure; a longer series is thinned by an integer stride."""


def number(value: float) -> float | None:
    """The value, or ``None`` if it is not finite: tables contain finite numbers or empty cells."""
    return float(value) if math.isfinite(value) else None


def series_rows(
    series: EnergySeries, replica: int, schema: TableSchema, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of one replica until it ended, with ``common`` in each."""
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
    """Rows of one replica's species until it ended, with ``common`` in each."""
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
