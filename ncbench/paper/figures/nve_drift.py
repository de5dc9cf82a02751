"""Kinetic temperature and total energy of constant-energy runs against time (Figures 2, 8, 9 and 11 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ncbench.paper.style import Look, save, styled_figure

MOST_CURVES = 8
"""Curves that one pair of panels bears; of more runs the first are shown."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One curve a model, structure, seed and time step."""
    frame = tables["nve-drift-series"]
    keys = ["model", "force_mode", "structure", "seed", "timestep_fs"]
    runs = list(frame.groupby(keys, sort=False, dropna=False))[:MOST_CURVES]
    labels = list(dict.fromkeys((key[0], key[1]) for key, _ in runs))
    several = len(runs) > len(labels)
    with styled_figure(8.6, 3.3) as figure:
        left, right = figure.subplots(1, 2)
        for number, (key, part) in enumerate(runs):
            model, mode, structure, _, step = key
            look = Look.of(number, str(mode))
            time = part["time_fs"].to_numpy(float) / 1000.0
            total = part["total_eV"].to_numpy(float)
            gained = 1000.0 * (total - total[0]) / part["n_atoms"].to_numpy(float)
            name = f"{model}:{mode}" + (f", {structure}, {step:g} fs" if several else "")
            shared = {"color": look.colour, "ls": look.line, "lw": 1.3, "marker": look.marker, "markersize": 4}
            every = {"markevery": max(1, len(part) // 8), "markerfacecolor": look.fill}
            left.plot(time, part["temperature_K"].to_numpy(float), label=name, **shared, **every)
            right.plot(time, gained, **shared, **every)
        left.set(xlabel="time (ps)", ylabel="kinetic temperature (K)")
        right.axhline(0.0, color="0.6", lw=0.6, zorder=0)
        right.set(xlabel="time (ps)", ylabel="total energy gained (meV/atom)")
        figure.legend(loc="outside upper center", ncols=2, frameon=False, handlelength=3.2)
        save(figure, paths)
