"""Numbers with their intervals, one below the other: λ of structures with their floors, powers of logs with the limit of a use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncbench.report.style import HUES, save, styled_figure

ROW_IN = 0.35
"""Height of a line of the figure, inches."""


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its interval."""

    label: str
    value: float
    low: float
    high: float
    known: bool = True
    """The interval is known; otherwise it is at least this wide, and the marker is open."""
    floor: float = math.nan
    """Below it nothing is resolved; NaN where there is none."""


def draw_intervals(
    intervals: Sequence[Interval], paths: Sequence[Path], *, axis: str, logarithmic: bool = False, limit: float = 0.0
) -> None:
    """Draw them from top to bottom, floors as bars from the left.

    Args:
        intervals: at least one.
        paths: files; the suffix is the format.
        axis: title of the horizontal axis, with the unit.
        logarithmic: scale of the axis; ends that are not positive are cut off at a tenth of the smallest positive number.
        limit: dashed lines at ± this; 0 for none.
    """
    numbers = [number for one in intervals for number in (one.value, one.low, one.high, one.floor) if number > 0.0]
    least = 0.1 * min(numbers, default=1.0)
    with styled_figure(6.4, 1.1 + ROW_IN * len(intervals)) as figure:
        axes = figure.subplots()
        for row, one in enumerate(intervals):
            low, value, high = (
                max(number, least) if logarithmic else number for number in (one.low, one.value, one.high)
            )
            fill = HUES[1] if one.known else "white"
            axes.plot([low, high], [row, row], color=HUES[1], lw=1.4, solid_capstyle="butt")
            axes.plot([value], [row], color=HUES[1], marker="o", mfc=fill, ls="")
            if one.floor > 0.0:
                axes.barh(row, one.floor - least, left=least, height=0.7, color="0.88", hatch="//", ec="0.7", zorder=0)
        for end in (-limit, limit) if limit else ():
            axes.axvline(end, color="0.3", ls="--", lw=1.0)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xlim(left=least)
        else:
            axes.axvline(0.0, color="0.6", lw=0.6, zorder=0)
        axes.set_yticks(range(len(intervals)), [one.label for one in intervals])
        axes.set_ylim(len(intervals) - 0.4, -0.6)
        axes.set_xlabel(axis)
        save(figure, paths)
