"""Force errors of trained models against training time (Figures 4 and 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ncbench.report.style import Look, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN, HEIGHT_IN = 4.8, 4.3
PANELS = {"pet": "PET", "soap-bpnn": "SOAP-BPNN"}
"""Prefix of recipe names, and the panel's title."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One panel per architecture, one curve per model and force mode; an arrow at the start of fine-tuning."""
    frame = tables["training-curve"]
    frame = frame[frame["force_mae_meV_per_A"].notna()]
    panels = [(title, frame[frame["recipe"].str.startswith(start)]) for start, title in PANELS.items()]
    known = frame["recipe"].str.startswith(tuple(PANELS))
    panels = [(title, part) for title, part in [*panels, ("others", frame[~known])] if len(part)]
    with styled_figure(WIDTH_IN * len(panels), HEIGHT_IN) as figure:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, part) in zip(grid, panels, strict=True):
            _curves(axes, part)
            axes.set(xlabel="time of training (min)", title=title, yscale="log")
            for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                # For less than a decade, powers of ten are not useful tick labels.
                ticks("{x:g}")
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, fontsize=7, ncols=3, handlelength=3.2
            )
        grid[0].set_ylabel("validation MAE of the forces (meV/Å)")
        save(figure, paths)


def _curves(axes: Axes, frame: pd.DataFrame) -> None:
    names = list(dict.fromkeys(frame["recipe"]))
    for (recipe, mode), part in frame.groupby(["recipe", "force_mode"], sort=False):
        look = Look.of(names.index(str(recipe)), str(mode))
        minutes = part["train_s"].to_numpy(float) / 60.0
        error = part["force_mae_meV_per_A"].to_numpy(float)
        several = frame.loc[frame["recipe"] == recipe, "force_mode"].nunique() > 1
        label = f"{recipe}, {mode}" if several else str(recipe)
        axes.plot(
            minutes,
            error,
            color=look.colour,
            ls=look.line,
            marker=look.marker,
            markerfacecolor=look.fill,
            markersize=3.5,
            markevery=max(1, len(part) // 8),
            lw=1.2,
            label=label,
        )
        if part["after"].iloc[0] and mode == "conservative":
            axes.annotate(
                "fine-tuned from here",
                (minutes[0], error[0]),
                xytext=(0, 26),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                arrowprops={"arrowstyle": "->", "lw": 0.8},
            )
