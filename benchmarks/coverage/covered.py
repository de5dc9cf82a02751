"""Rows of the coverage table: the share of windows whose interval holds the truth, and what that says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ncbench.statistics.intervals import Z_95, rate_interval

LOW, HIGH = 0.92, 0.98
STATED = 0.95
LEAST_WINDOWS = 20


@dataclass(frozen=True)
class Found:
    """One estimate."""

    value: float
    error: float
    known: bool


Row = dict[str, object]


def judged(
    source: str,
    quantity: str,
    condition: str,
    length_fs: float,
    windows: Iterable[Found],
    truth: float,
    *,
    bound: bool = False,
) -> Row:
    """Coverage of the windows of one row, with the verdict. ``bound``: the interval holds the truth at least as often as stated, by construction."""
    kept = [one for one in windows if math.isfinite(one.error)]
    inside = np.array([abs(one.value - truth) <= Z_95 * one.error for one in kept])
    known = np.array([one.known for one in kept])
    spread = float(np.std([one.value for one in kept]))
    row: Row = {
        "source": source,
        "quantity": quantity,
        "condition": condition,
        "length_fs": length_fs,
        "windows": len(kept),
        "coverage": float(inside.mean()),
        "share_known": float(known.mean()),
        "coverage_known": float(inside[known].mean()) if known.any() else math.nan,
        "error_over_spread": float(np.median([one.error for one in kept])) / spread if spread > 0 else math.nan,
    }
    return row | {"verdict": verdict(row, int(known.sum()), bound=bound)}


def verdict(row: Row, n_known: int, *, bound: bool = False) -> str:
    """What the row says: covers, flagged, wide, low, few windows, or bound where the interval is one and holds."""
    if float(str(row["share_known"])) < 0.1:
        return "flagged"
    if n_known < LEAST_WINDOWS:
        return "few windows"
    low, high = rate_interval(round(float(str(row["coverage_known"])) * n_known), n_known)
    if high < (STATED if bound else LOW):
        return "low"
    if bound:
        return "bound"
    return "wide" if low > HIGH else "covers"
