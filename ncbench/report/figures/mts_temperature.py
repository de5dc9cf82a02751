"""Kinetic temperature against time for several M of multiple time stepping (Figure 16 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ncbench.report.style import HUES, Look, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

MOST_PANELS = 9


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One panel per model and system; direct forces alone dashed, conservative ones alone black, one colour per M."""
    frame = tables["mts-series"]
    panels = list(frame.groupby(["model", "system"], sort=False))[:MOST_PANELS]
    strides = sorted(frame.loc[frame["integrator"] == "mts", "stride"].unique())
    looks = {("direct", 1): Look.of(0, "direct"), ("conservative", 1): Look.of(len(HUES) - 1, "conservative")}
    looks |= {("mts", stride): Look.of(1 + n % (len(HUES) - 2), "mts") for n, stride in enumerate(strides)}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with styled_figure(1.6 + 3.4 * columns, 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        drawn: dict[tuple[str, int], Line2D] = {}
        for axes, ((model, system), part) in zip(grid.flat, panels, strict=False):
            for key, look in looks.items():
                curves = part[(part["integrator"] == key[0]) & (part["stride"] == key[1])]
                for number, (_, run) in enumerate(curves.groupby(["job", "structure", "seed"], sort=False)):
                    every: dict[str, Any] = (
                        {"marker": look.marker, "markevery": max(1, len(run) // 6)} if number == 0 else {}
                    )
                    (line,) = axes.plot(
                        run["time_fs"].to_numpy(float) / 1000.0,
                        run["temperature_K"].to_numpy(float),
                        look.line,
                        color=look.colour,
                        lw=1.0,
                        markersize=4,
                        mfc=look.fill,
                        **every,
                    )
                    drawn.setdefault(key, line)
            axes.set(title=f"{model}, {system}", xlabel="time (ps)", ylabel="kinetic temperature (K)")
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        names = [f"M = {stride}" if kind == "mts" else f"{kind} alone" for kind, stride in drawn]
        figure.legend(
            list(drawn.values()), names, loc="outside upper center", ncols=2 * columns, frameon=False, handlelength=3.0
        )
        save(figure, paths)
