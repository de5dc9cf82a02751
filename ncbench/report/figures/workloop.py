"""Work of the forces along closed paths, and the change of the energy (Figure 6 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.style import Look, save, styled_figure

MOST_CURVES = 12
LAST_TURN = 0.1
"""Share of the path that the second panel shows."""


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """The molecule's loop of each model if there is one, otherwise a planar loop: in full, and its end."""
    frame = tables["workloop-curve"]
    runs = [_chosen(part) for _, part in frame.groupby(["model", "force_mode", "system"], sort=False)][:MOST_CURVES]
    models = list(dict.fromkeys(str(run["model"].iloc[0]) for run in runs))
    systems = list(dict.fromkeys(str(run["system"].iloc[0]) for run in runs))
    with styled_figure(8.6, 3.5 + 0.14 * len(runs)) as figure:
        whole, end = figure.subplots(1, 2)
        lowest = highest = 0.0
        for run in runs:
            first = run.iloc[0]
            look = Look.of(models.index(str(first["model"])), str(first["force_mode"]))
            turn, work = run["s"].to_numpy(float) / (2.0 * np.pi), run["work_meV"].to_numpy(float)
            name = f"{first['model']}:{first['force_mode']}" if first["force_mode"] else str(first["model"])
            where = f", {first['system']}" if len(systems) > 1 else ""
            label = f"{name}{where}, {first['path']}: {work[-1]:.3g} meV"
            every = max(1, len(run) // 8)
            style = {"color": look.colour, "ls": look.line, "marker": look.marker, "mfc": look.fill, "ms": 4, "lw": 1.2}
            whole.plot(turn, work, markevery=every, label=label, **style)
            late = turn >= 1.0 - LAST_TURN
            end.plot(turn[late], work[late], markevery=[-1], **style)
            lowest, highest = min(lowest, work[-1]), max(highest, work[-1])
        room = 0.6 * max(highest - lowest, 1e-9)
        end.set_ylim(lowest - room, highest + room)
        end.set_xlim(1.0 - LAST_TURN, 1.003)
        for axes in (whole, end):
            axes.axhline(0.0, color="0.6", lw=0.6, zorder=0)
            axes.set_xlabel("share of the path")
        whole.set_ylabel("work of the forces (meV)")
        end.set_title("its end, where a gradient is back at 0")
        figure.legend(loc="outside upper center", ncols=2, frameon=False, handlelength=3.2)
        save(figure, paths)


def _chosen(part: pd.DataFrame) -> pd.DataFrame:
    """One loop of a model: the first of a molecule, or the first if there is none."""
    molecules = part[~part["path"].astype(str).str.startswith("planar")]
    of = molecules if len(molecules) else part
    first = of.iloc[0]
    selected = (of["job"] == first["job"]) & (of["structure"] == first["structure"]) & (of["path"] == first["path"])
    chosen: pd.DataFrame = of[selected]
    return chosen
