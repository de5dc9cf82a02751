"""Samples at equal steps out of those that a log holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEAST_SAMPLES = 8
"""A slope of fewer has no error."""
UNEQUAL_STEPS = "the log was printed at unequal steps"
"""In notes, and in the hint of a verdict that lacks samples for this reason."""
_TOLERANCE = 0.05
"""Of the interval, that a time may lie beside its place on the grid."""


@dataclass(frozen=True)
class Grid:
    """The longest stretch of samples at equal steps."""

    rows: NDArray[np.int64]
    interval_fs: float
    """0 with fewer than two samples."""

    @property
    def times_fs(self) -> FloatArray:
        """[n], from 0: without the rounding of printed times."""
        return np.arange(len(self.rows), dtype=np.float64) * self.interval_fs


def equal_steps(times_fs: FloatArray, resolution_fs: float) -> Grid:
    """The longest stretch of equal steps. LAMMPS prints the first and the last step of a run wherever they lie.

    Args:
        times_fs: [n], growing.
        resolution_fs: rounding of the times.
    """
    if len(times_fs) < 2:
        return Grid(np.arange(len(times_fs)), 0.0)
    steps = np.diff(times_fs)
    # Rounded times have several differences about their mean: those beside the median belong to it.
    # An element, not the mean of two, so that some step is beside it.
    usual = float(np.sort(steps)[len(steps) // 2])
    slack = _TOLERANCE * usual + resolution_fs
    beside = steps[np.abs(steps - usual) <= slack]
    interval = float(beside.mean()) if len(beside) else usual
    best: list[int] = []
    start = 0
    while start < len(times_fs) and len(times_fs) - start > len(best):
        stretch = _stretch(times_fs, start, interval, slack)
        best = max(best, stretch, key=len)
        start = stretch[-1] + 1
    length = float(times_fs[best[-1]] - times_fs[best[0]])
    return Grid(np.array(best), length / (len(best) - 1) if len(best) > 1 else 0.0)


def _stretch(times: FloatArray, start: int, interval: float, slack: float) -> list[int]:
    """Samples that follow each other at the interval, those between them passed over."""
    rows = [start]
    for row in range(start + 1, len(times)):
        step = times[row] - times[rows[-1]]
        if step > interval + slack:
            break
        if step >= interval - slack:
            rows.append(row)
    return rows
