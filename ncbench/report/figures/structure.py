"""g(r), orientations and velocity spectra of an analysis, with two standard errors shaded (Figures 3, 12, 13 and 17 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ncbench.report.style import HUES, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOND_A = 1.3
_LINES = ("-", "--", ":", "-.")


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Panels for the available observables; below each, the difference to the reference if there is one."""
    panels: list[tuple[Any, ...]] = []
    if "analyse-rdf" in tables:
        frame = tables["analyse-rdf"]
        names = frame["species_i"] + "–" + frame["species_j"]
        panels.append((frame.assign(curve=names), "distance_A", "ratio_g", "r (Å)", "g(r)", 1.0))
    if "analyse-orientation" in tables:
        frame = tables["analyse-orientation"].assign(curve="O–O")
        panels.append((frame, "distance_A", "ratio_c_uu", "r (Å)", "⟨u·u⟩(r)", 0.0))
    if "analyse-spectrum" in tables:
        frame = tables["analyse-spectrum"]
        panels.append(
            (
                frame.assign(curve=frame["species"]),
                "wavenumber_per_cm",
                "density_K_cm",
                "wavenumber (1/cm)",
                r"$\hat{c}_{vv}$ (K cm)",
                0.0,
            )
        )
    apart = [_difference(column) for _, _, column, *_ in panels]
    rows = (
        2
        if any(name in frame and frame[name].notna().any() for (frame, *_), name in zip(panels, apart, strict=True))
        else 1
    )
    with styled_figure(4.2 * len(panels), 2.9 * rows) as figure:
        grid = figure.subplots(rows, len(panels), squeeze=False)
        for column, ((frame, x, y, across, up, rest), difference) in enumerate(zip(panels, apart, strict=True)):
            _curves(grid[0, column], frame, x, y, f"{y}_se", rest)
            grid[0, column].set(xlabel=across, ylabel=up)
            if x == "distance_A" and y == "ratio_g":
                # Peaks of bonds are ten times higher: the axis shows the range beyond them.
                beyond = frame.loc[frame[x] > BOND_A, y]
                grid[0, column].set_ylim(0.0, 1.15 * float(beyond.max()) if len(beyond) else None)
            if x == "wavenumber_per_cm":
                # The highest molecular mode is the O-H stretch; the Nyquist frequency may be much higher.
                grid[0, column].set_xlim(0, min(4500.0, float(frame[x].max())))
            if rows == 2:
                _curves(grid[1, column], frame, x, difference, f"{difference}_se", 0.0)
                grid[1, column].set(xlabel=across, ylabel=f"difference of {up}", xlim=grid[0, column].get_xlim())
            grid[0, column].legend(frameon=False)
        save(figure, paths)


def _difference(column: str) -> str:
    return "density_difference_K_cm" if column == "density_K_cm" else f"{column}_difference"


def _curves(axes: Axes, frame: pd.DataFrame, x: str, y: str, error: str, rest: float) -> None:
    axes.axhline(rest, color="0.7", lw=0.6, zorder=0)
    for index, (name, part) in enumerate(frame.groupby("curve", sort=False)):
        at, value = part[x].to_numpy(float), part[y].to_numpy(float)
        width = 2.0 * np.nan_to_num(part[error].to_numpy(float))
        colour = HUES[(index + 1) % len(HUES)]
        axes.plot(at, value, color=colour, ls=_LINES[index % len(_LINES)], lw=1.2, label=str(name))
        axes.fill_between(at, value - width, value + width, color=colour, alpha=0.25, lw=0)
    axes.margins(x=0)
