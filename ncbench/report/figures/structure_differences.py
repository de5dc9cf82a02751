"""Correlations of a reference run, and the differences of other runs, with two standard errors shaded (Figures 12 and 17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ncbench.report.style import HUES, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("-", "--", ":", "-.")
BOND_A = 1.3
"""Intramolecular peaks below this distance are many times higher than the rest."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One row per correlation: the reference, the differences of the direct runs, and those of the conservative ones."""
    panels = list(_panels({name.rpartition("-")[2]: frame for name, frame in tables.items()}))
    labels = list(dict.fromkeys(zip(panels[0][0]["system"], panels[0][0]["force_mode"], strict=True)))
    reference, others = labels[0], labels[1:]
    groups = [group for mode in ("direct", "conservative") if (group := [name for name in others if name[1] == mode])]
    with styled_figure(3.1 * (1 + len(groups)), 2.1 * len(panels) + 0.3) as figure:
        grid = figure.subplots(len(panels), 1 + len(groups), squeeze=False, sharex="row")
        for row, (frame, value, up) in enumerate(panels):
            _curve(grid[row, 0], frame[frame["system"] == reference[0]], value, 0, reference[0])
            grid[row, 0].set(ylabel=up)
            beyond = frame[(frame["system"] == reference[0]) & (frame["distance_A"] > BOND_A)][value]
            if value == "ratio_g" and len(beyond):
                grid[row, 0].set_ylim(0.0, 1.15 * float(beyond.max()))
            for column, group in enumerate(groups, 1):
                axes = grid[row, column]
                axes.axhline(0.0, color="0.7", lw=0.6, zorder=0)
                for number, (label, _) in enumerate(group):
                    part = frame[(frame["system"] == label) & (frame["distance_A"] > BOND_A)]
                    _curve(axes, part, f"{value}_difference", number + 1, label)
                if row == 0:
                    axes.set_title("difference from it" if len(groups) == 1 else f"difference from it, {group[0][1]}")
                    axes.legend(frameon=False, fontsize=7)
            if row == 0:
                grid[row, 0].set_title(f"reference: {reference[0]}")
        for axes in grid[-1]:
            axes.set_xlabel("r (Å)")
        save(figure, paths)


def _panels(tables: Mapping[str, pd.DataFrame]) -> list[tuple[pd.DataFrame, str, str]]:
    panels = []
    if "rdf" in tables:
        frame = tables["rdf"]
        for a, b in dict.fromkeys(zip(frame["species_i"], frame["species_j"], strict=True)):
            part = frame[(frame["species_i"] == a) & (frame["species_j"] == b)]
            panels.append((part, "ratio_g", f"$g_{{{a}{b}}}$"))
    if "orientation" in tables:
        panels.append((tables["orientation"], "ratio_c_uu", "$c_{uu}$"))
    return panels


def _curve(axes: Axes, frame: pd.DataFrame, value: str, number: int, label: str) -> None:
    at, curve = frame["distance_A"].to_numpy(float), frame[value].to_numpy(float)
    width = 2.0 * np.nan_to_num(frame[f"{value}_se"].to_numpy(float))
    colour = "0.15" if number == 0 else HUES[(number - 1) % len(HUES)]
    axes.plot(at, curve, color=colour, ls=LINES[max(0, number - 1) % len(LINES)], lw=1.2, label=label)
    axes.fill_between(at, curve - width, curve + width, color=colour, alpha=0.2, lw=0)
    axes.margins(x=0)
