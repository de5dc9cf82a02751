"""Force constants and frequencies against the displacement that they are computed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ncbench.report.style import Look, save, styled_figure

if TYPE_CHECKING:
    import pandas as pd

NEEDS = "phonon-smoothness-lengths"


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Left: the change to the next longer displacement, dotted what rounding alone gives. Right: the highest and the lowest frequency.

    One line per model, force mode and structure; lines of one model share their colour.
    """
    from matplotlib.ticker import NullLocator

    frame = tables[NEEDS]
    lengths = sorted(frame["displacement_A"].unique())
    models = list(dict.fromkeys(frame["model"]))
    with styled_figure(7.4, 4.4) as figure:
        left, right = figure.subplots(1, 2)
        for (model, mode, structure), one in frame.groupby(["model", "force_mode", "structure"], sort=False):
            rows = one.sort_values("displacement_A")
            look = Look.of(models.index(model), str(mode))
            line = {"color": look.colour, "ls": look.line, "marker": look.marker, "mfc": look.fill, "ms": 4}
            name = f"{model}:{mode}" if mode else str(model)
            displacement = rows["displacement_A"].to_numpy(dtype=np.float64)
            change, floor = (_drawn(rows[column]) for column in ("ratio_change", "ratio_change_floor"))
            left.plot(displacement, change, **line, label=f"{name}, {structure}")
            left.plot(displacement, floor, ":", color=look.colour, lw=0.9)
            for column in ("frequency_highest_per_cm", "frequency_lowest_per_cm"):
                right.plot(displacement, rows[column].to_numpy(dtype=np.float64), **line)
        left.set_yscale("log")
        left.set_ylabel("relative change of the force constants")
        left.set_title("Change to the next longer displacement", loc="left")
        left.plot([], [], ":", color="grey", lw=0.9, label="dotted: expected from rounding alone")
        right.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        right.set_ylabel("frequency (cm⁻¹; negative: imaginary)")
        right.set_title("Highest and lowest frequency", loc="left")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xticks(lengths, [f"{length:g}" for length in lengths])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel("displacement of an atom (Å)")
        figure.legend(loc="outside lower center", frameon=False, fontsize=7, ncols=2)
        save(figure, paths)


def _drawn(column: pd.Series) -> np.ndarray:
    """Values for a logarithmic axis: not below the relative rounding of double precision, since those of a harmonic field vanish."""
    return np.asarray(np.maximum(column.to_numpy(dtype=np.float64, na_value=np.nan), np.finfo(np.float64).eps))
