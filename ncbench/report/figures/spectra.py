"""Velocity power spectra of thermostatted runs, all atoms and by element (Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.style import HUES, save, styled_figure

LINES = {"direct": ("--", ":", "-."), "conservative": ("-", (0, (6, 1)), (0, (3, 1, 1, 1)))}
HIGHEST_PER_CM = 4500.0
"""Upper limit of the axis, above the highest molecular mode (O-H stretch); the Nyquist frequency may be much higher."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One panel per element, one curve per run; two standard errors shaded."""
    frame = next(iter(tables.values()))
    frame = frame[frame["wavenumber_per_cm"] <= HIGHEST_PER_CM]
    species = list(dict.fromkeys(frame["species"]))
    labels = list(dict.fromkeys(zip(frame["system"], frame["force_mode"], strict=True)))
    with styled_figure(3.4 * len(species), 3.2) as figure:
        grid = figure.subplots(1, len(species), squeeze=False)[0]
        for axes, name in zip(grid, species, strict=True):
            for number, (label, mode) in enumerate(labels):
                part = frame[(frame["species"] == name) & (frame["system"] == label)]
                at, value = part["wavenumber_per_cm"].to_numpy(float), part["density_K_cm"].to_numpy(float)
                width = 2.0 * np.nan_to_num(part["density_K_cm_se"].to_numpy(float))
                colour, styles = HUES[number % len(HUES)], LINES.get(mode, LINES["conservative"])
                axes.plot(at, value, color=colour, ls=styles[number % len(styles)], lw=1.1, label=label)
                axes.fill_between(at, value - width, value + width, color=colour, alpha=0.15, lw=0)
            axes.set(xlabel="wavenumber (1/cm)", title="all atoms" if name == "all" else name)
            axes.margins(x=0)
            axes.set_ylim(bottom=0.0)
        grid[0].set_ylabel(r"$\hat{c}_{vv}$ (K cm)")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(6, len(names)), frameon=False)
        save(figure, paths)
