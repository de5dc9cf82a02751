"""Kinetic temperature and total energy of constant-energy runs against time (Figures 2, 8, 9 and 11 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ncbench.report.style import Look, few_ticks, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

MOST_KINDS = 12
"""Maximum number of models, modes and integrators in a figure; the first are shown."""
MOST_RUNS = 16
"""Maximum number of structures, seeds and replicas of one of them on one system."""
_RUN = ["job", "structure", "timestep_fs"]


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One row of panels per system, one colour per model and integrator, dashed for direct forces, one thin line per run."""
    frame = named_kinds(tables["nve-drift-series"], tables.get("nve-drift"))
    looks = looks_of(frame)
    frame = frame[frame["kind"].isin(list(looks))]
    systems = list(dict.fromkeys(frame["system"].astype(str)))
    with styled_figure(8.6, 0.8 + 2.5 * len(systems)) as figure:
        grid = figure.subplots(len(systems), 2, squeeze=False)
        drawn: dict[str, Line2D] = {}
        for (left, right), system in zip(grid, systems, strict=True):
            of_system = frame[frame["system"] == system]
            for kind, look in looks.items():
                runs = list(of_system[of_system["kind"] == kind].groupby([*_RUN, "seed"], sort=False, dropna=False))
                for number, (_, part) in enumerate(runs[:MOST_RUNS]):
                    time = part["time_fs"].to_numpy(float) / 1000.0
                    total = part["total_eV"].to_numpy(float)
                    gained = 1000.0 * (total - total[0]) / part["n_atoms"].to_numpy(float)
                    style: dict[str, Any] = {"color": look.colour, "ls": look.line}
                    style["lw"] = 1.3 if len(runs) == 1 else 0.7
                    if number == 0:
                        every = max(1, len(part) // 8)
                        style |= {"marker": look.marker, "markersize": 4, "markevery": every, "mfc": look.fill}
                    (line,) = left.plot(time, part["temperature_K"].to_numpy(float), **style)
                    right.plot(time, gained, **style)
                    drawn.setdefault(kind, line)
            left.set(xlabel="time (ps)", ylabel="kinetic temperature (K)")
            right.axhline(0.0, color="0.6", lw=0.6, zorder=0)
            right.set(xlabel="time (ps)", ylabel="total energy gained (meV/atom)")
            for axes in (left, right):
                few_ticks(axes)
            if len(systems) > 1:
                left.set_title(system)
        figure.legend(
            list(drawn.values()), list(drawn), loc="outside upper center", ncols=2, frameon=False, handlelength=3.2
        )
        save(figure, paths)


def named_kinds(series: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """The series with the common properties of runs that differ only by structure, seed and replica: ``kind``, for a legend, and ``how`` they were integrated.

    The integration is read from the table of runs, and named if it is not velocity Verlet with one time step for all.
    """
    several = (
        series["timestep_fs"].groupby([series["model"], series["force_mode"], series["system"]]).nunique().max() > 1
    )
    by_run: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    if runs is not None and "integrator" in runs:
        columns = [*_RUN, "integrator", "stride"]
        by_run = {row[:3]: row[3:] for row in runs[columns].itertuples(index=False, name=None)}
    kinds, hows = [], []
    for model, mode, *run in series[["model", "force_mode", *_RUN]].itertuples(index=False, name=None):
        integrator, stride = by_run.get(tuple(run), ("verlet", 1))
        how = {"mts": f", mts M = {stride}", "rescaled": ", energy rescaled"}.get(str(integrator), "")
        hows.append(how + (f", {run[2]:g} fs" if several else ""))
        kinds.append((f"{model}:{mode}" if mode else str(model)) + hows[-1])
    return series.assign(kind=kinds, how=hows)


def looks_of(frame: pd.DataFrame) -> dict[str, Look]:
    """One look per kind: both modes of a model have the same colour."""
    rows = list(
        frame[["kind", "model", "how", "force_mode"]].drop_duplicates("kind").itertuples(index=False, name=None)
    )
    hues = list(dict.fromkeys(row[1:3] for row in rows))
    return {str(kind): Look.of(hues.index((model, how)), str(mode)) for kind, model, how, mode in rows[:MOST_KINDS]}
