"""Length of the cell and enthalpy at constant pressure against time (Figure 10 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ncbench.report.style import Look, few_ticks, save, styled_figure

KEYS = ["model", "force_mode", "system", "structure", "seed", "stress_from", "forces_from", "stride"]
MOST_CURVES = 8
"""Maximum number of curves per panel."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One column per ensemble; above the cell length, below i-PI's conserved quantity."""
    frame = tables["npt-series"]
    ensembles = [name for name in ("nph", "npt") if (frame["ensemble"] == name).any()]
    with styled_figure(4.3 * len(ensembles), 5.2) as figure:
        grid = figure.subplots(2, len(ensembles), squeeze=False, sharex="col")
        for column, ensemble in enumerate(ensembles):
            runs = list(frame[frame["ensemble"] == ensemble].groupby(KEYS, sort=False, dropna=False))[:MOST_CURVES]
            for number, (key, part) in enumerate(runs):
                model, mode, system, structure, _, stress, forces, stride = key
                look = Look.of(number, "direct" if stress == "direct" else "conservative")
                name = f"{model}:{mode}" if stress != "mts" else f"{model}, M = {stride}"
                name += f", {forces} forces" if forces != stress else ""
                name += f", {structure}" if len({other[0][3] for other in runs}) > 1 else ""
                name += f", {system}" if len({other[0][2] for other in runs}) > 1 else ""
                time = part["time_fs"].to_numpy(float) / 1000.0
                conserved = part["conserved_eV"].to_numpy(float)
                gained = 1000.0 * (conserved - conserved[0]) / part["n_atoms"].to_numpy(float)
                shared = {"color": look.colour, "ls": look.line, "lw": 1.3, "label": name}
                grid[0, column].plot(time, part["cell_length_A"].to_numpy(float), **shared)
                grid[1, column].plot(time, gained, **shared)
            grid[0, column].set_title(ensemble.upper())
            grid[0, column].legend(frameon=False, fontsize=7)
            grid[1, column].axhline(0.0, color="0.6", lw=0.6, zorder=0)
            grid[1, column].set_xlabel("time (ps)")
            few_ticks(grid[1, column])
        grid[0, 0].set_ylabel("cell length (Å)")
        grid[1, 0].set_ylabel("conserved quantity\ngained (meV/atom)")
        save(figure, paths)
