"""Kinetic temperature of all atoms and of each element in constant-energy runs (Figure 11 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ncbench.report.figures.nve_drift import named_kinds
from ncbench.report.style import HUES, few_ticks, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_PANELS = 12
_LINES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One panel per system, model, mode and integrator; one colour per element, black for all atoms; one thin line per run."""
    species = named_kinds(tables["nve-drift-species_series"], tables.get("nve-drift"))
    whole = tables["nve-drift-series"].assign(species="all")
    whole = named_kinds(whole, tables.get("nve-drift"))
    # With a single element its curve equals that of all atoms.
    several = species.groupby(["job", "structure"])["species"].transform("nunique") > 1
    species = species[several] if several.any() else species
    panels = list(species.groupby(["system", "kind"], sort=False))[:MOST_PANELS]
    elements = sorted(species["species"].unique())
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with styled_figure(0.6 + 3.3 * columns, 0.8 + 2.6 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        of_system: dict[str, list[Axes]] = {}
        drawn: dict[str, Line2D] = {}
        for axes, ((system, kind), part) in zip(grid.flat, panels, strict=False):
            everything = whole[(whole["system"] == system) & (whole["kind"] == kind)]
            for name, curves in (*part.groupby("species", sort=True), ("all", everything)):
                index = elements.index(name) if name != "all" else -1
                runs = list(curves.groupby(["job", "structure", "timestep_fs", "seed"], sort=False))
                for _, run in runs:
                    (line,) = axes.plot(
                        run["time_fs"].to_numpy(float) / 1000.0,
                        run["temperature_K"].to_numpy(float),
                        color="black" if index < 0 else HUES[index % (len(HUES) - 1)],
                        ls="-" if index < 0 else _LINES[index % len(_LINES)],
                        lw=1.2 if len(runs) == 1 else 0.6,
                    )
                    drawn.setdefault(str(name), line)
            axes.set_title(f"{kind}\n{system}", fontsize=8)
            axes.set_xlabel("time (ps)")
            few_ticks(axes)
            of_system.setdefault(str(system), []).append(axes)
        for alike in of_system.values():
            # Panels of one system have one scale; a single atom of another one may be ten times as hot.
            low, high = (end(axes.get_ylim()[side] for axes in alike) for side, end in enumerate((min, max)))
            for axes in alike:
                axes.set_ylim(low, high)
        for axes in grid[:, 0]:
            axes.set_ylabel("kinetic temperature (K)")
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        names = [*(name for name in elements if name in drawn), "all"]
        figure.legend(
            [drawn[name] for name in names], names, loc="outside upper center", ncols=6, frameon=False, handlelength=3.2
        )
        save(figure, paths)
