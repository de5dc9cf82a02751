"""One number of a summary: its value, its error, and why it is missing where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """A value with its error, or the reason why there is none."""

    value: float | None = None
    error: float | None = None
    missing: str = ""
    """Why there is no value; empty where there is one."""
    text: str = ""
    """What to print in place of the number, such as ``3/10``."""
    significant: bool | None = None
    """The value differs from zero; ``None`` where the question has no meaning or no answer."""
    loose: bool = False
    """The error is only a lower bound: the run is too short to know it."""

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return self.text or with_error(self.value, self.error) + ("?" if self.loose else "")


def with_error(value: float, error: float | None) -> str:
    """``0.0213(4)``: the error in units of the last digit, with two digits where the first is 1; ``2(3)e-8`` for small ones."""
    if error is None or not math.isfinite(error) or error <= 0:
        return f"{value:.3g}" if abs(value) < 1000 or abs(value) >= 1e6 else f"{value:.0f}"
    size = max(abs(value), error)
    exponent = math.floor(math.log10(size))
    shift = exponent if exponent < -3 or exponent > 5 else 0
    scaled, spread = value / 10.0**shift, error / 10.0**shift
    first = math.floor(math.log10(spread))
    digits = 1 - first if spread / 10.0**first < 1.95 else -first
    suffix = f"e{shift}" if shift else ""
    if digits <= 0:
        unit = 10.0**-digits
        return f"{round(scaled / unit) * unit:.0f}({round(spread / unit) * unit:.0f}){suffix}"
    # Below one the digits stand alone, 0.0213(4); across one the point stays, 3.0(1.2).
    shown = f"{spread:.{digits}f}" if spread >= 1 else str(round(spread * 10**digits))
    return f"{scaled:.{digits}f}({shown}){suffix}"


def mean(values: Sequence[float], errors: Sequence[float | None]) -> tuple[float, float | None]:
    """Mean of independent values and its standard error.

    The error is the larger of what the single errors give and what the scatter gives: errors of short runs come out too
    small more often than too large.
    """
    n = len(values)
    middle = sum(values) / n
    known = [error for error in errors if error is not None and math.isfinite(error)]
    single = math.sqrt(sum(error**2 for error in known)) / n if len(known) == n else None
    scatter = math.sqrt(sum((value - middle) ** 2 for value in values) / (n - 1) / n) if n > 1 else None
    candidates = [error for error in (single, scatter) if error is not None]
    return middle, max(candidates) if candidates else None


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 68 % interval of a rate (one standard error to either side), which does not collapse at 0 and at 1."""
    rate = successes / trials
    centre = (rate + 0.5 / trials) / (1 + 1 / trials)
    half = math.sqrt(rate * (1 - rate) / trials + 0.25 / trials**2) / (1 + 1 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_cell(rows: pd.DataFrame, value: str, error: str | None = None) -> Cell:
    """Mean of a column over structures and seeds; its error is in the column ``VALUE_se`` unless another is named."""
    known = rows[rows[value].notna()]
    if not len(known):
        return Cell(missing=f"no value of {value}")
    column = error or f"{value}_se"
    errors = [float(x) for x in known[column]] if column in known else [None] * len(known)
    middle, spread = mean([float(x) for x in known[value]], errors)
    return Cell(middle, spread)
