"""One number of a summary: its value, its error, or the reason why it is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import rate_interval, student_error

if TYPE_CHECKING:
    import pandas as pd

ONE_SIGMA = 0.6826894921370859
"""Probability within one standard error of a normal distribution."""


@dataclass(frozen=True)
class Cell:
    """A value with its error, or the reason why there is none."""

    value: float | None = None
    error: float | None = None
    missing: str = ""
    """Why there is no value; empty if there is one."""
    text: str = ""
    """Text to print instead of the number, such as ``3/10``."""
    significant: bool | None = None
    """Whether the value differs from zero; ``None`` if that is not defined or not known."""
    loose: bool = False
    """Whether the error is only a lower bound, since the run is too short."""

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return self.text or with_error(self.value, self.error, known=not self.loose)


def mean(values: Sequence[float], errors: Sequence[float | None]) -> tuple[float, float | None]:
    """Mean of independent values and its standard error, ±1.96 of it being the 95 % interval.

    Without single errors, from the scatter with Student's t. With them, the larger of their error and that from the scatter: errors
    of short runs come out too small more often than too large. Student's t, which makes the scatter of two values 6.5 times wider, enters
    only if the scatter is larger than the single errors allow (χ² test at 95 %).
    """
    n = len(values)
    middle = sum(values) / n
    known = [error for error in errors if error is not None and math.isfinite(error)]
    single = math.sqrt(sum(error**2 for error in known)) / n if len(known) == n else None
    if n == 1:
        return middle, single
    scatter = math.sqrt(sum((value - middle) ** 2 for value in values) / (n - 1) / n)
    if single is None:
        return middle, student_error(scatter, n - 1.0)
    if single > 0.0 and (n - 1) * (scatter / single) ** 2 <= _chi2_95(n - 1):
        return middle, max(single, scatter)
    return middle, max(single, student_error(scatter, n - 1.0))


def _chi2_95(dof: int) -> float:
    from scipy.special import chdtri

    return float(chdtri(dof, 0.05))


def mean_cell(rows: pd.DataFrame, value: str, error: str | None = None) -> Cell:
    """Mean of a column over structures and seeds; its error is in the column ``VALUE_se`` unless another is named."""
    known = rows[rows[value].notna()]
    if not len(known):
        return Cell(missing=f"no value of {value}")
    column = error or f"{value}_se"
    errors = [None if x is None else float(x) for x in known[column]] if column in known else [None] * len(known)
    middle, spread = mean([float(x) for x in known[value]], errors)
    return Cell(middle, spread, loose=not _errors_known(known))


def _errors_known(rows: pd.DataFrame) -> bool:
    """``error_known`` of every row, or ``plateau`` where a row of an older version does not have it; true if neither is given."""
    for _, row in rows[[name for name in ("error_known", "plateau") if name in rows]].iterrows():
        known = [bool(value) for value in row.dropna()]
        if known and not known[0]:
            return False
    return True


def rate_cell(successes: int, trials: int) -> Cell:
    """Successes of at least one trial in per cent, with half of the 68 % interval as the error. A single trial gives no rate: only the count is printed."""
    low, high = rate_interval(successes, trials, confidence=ONE_SIGMA)
    percent = 100.0 * successes / trials
    count = f"{successes} of {trials}"
    return Cell(
        percent, 50.0 * (high - low), text=f"{percent:.0f} ({count})" if trials > 1 else count, loose=trials == 1
    )
