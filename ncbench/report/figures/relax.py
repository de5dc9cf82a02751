"""Force against step of relaxations, and their path through configurations (Figure 7 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncbench.report.style import Look, save, styled_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"fire": "FIRE", "lbfgs": "L-BFGS"}
ENDS = {"fire": "s", "lbfgs": "D"}
"""Marker of the last configuration."""
MARKED = (0, 2, 10, 40, 150, 500)
"""Number of steps with a marker, besides the last."""
MODEL = ["model", "force_mode", "dtype"]
SHOWN = ["system", "structure", "start", "seed"]


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """One relaxation, by every model and optimiser: the forces from step to step, and a map of averaged SOAP descriptors.

    The relaxation shown is the one run by most models, and of several the one with most atoms. The map needs the table
    ``relax-path`` (``--history``) with descriptors; without descriptors the distance from the start is drawn instead, with a remark.
    """
    trace = _chosen(tables["relax-trace"])
    path = tables.get("relax-path")
    if path is not None:
        same = pd.concat([path[name] == trace[name].iloc[0] for name in SHOWN], axis=1).all(axis=1)
        path = path[same] if same.any() else None
    names = list(dict.fromkeys(trace["model"]))
    looks = {key: Look.of(names.index(key[0]), key[1]) for key in _models(trace)}
    optimizers = [name for name in TITLES if (trace["optimizer"] == name).any()]
    panels = len(optimizers) + (path is not None)
    with styled_figure(max(4.6, 3.2 * panels), 3.7) as figure:
        axes = list(figure.subplots(1, panels, squeeze=False)[0])
        for axis, optimizer in zip(axes, optimizers, strict=False):
            _forces(axis, trace[trace["optimizer"] == optimizer], looks, tables.get("relax"))
            axis.set_title(TITLES[optimizer])
        if path is not None:
            _way(axes[-1], path, looks)
        where = trace.iloc[0]
        figure.suptitle(f"{where['structure']}, {where['n_atoms']} atoms", fontsize=9, x=0.01, ha="left")
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
        save(figure, paths)


def _chosen(trace: pd.DataFrame) -> pd.DataFrame:
    """Rows of the relaxation shown."""
    counts = trace.groupby(SHOWN, sort=False).agg(
        models=("model", lambda column: len(trace.loc[column.index, MODEL].drop_duplicates())),
        n_atoms=("n_atoms", "max"),
    )
    best = counts.sort_values(["models", "n_atoms"], ascending=False, kind="stable").index[0]
    same = pd.concat([trace[name] == value for name, value in zip(SHOWN, best, strict=True)], axis=1).all(axis=1)
    chosen: pd.DataFrame = trace[same]
    return chosen


def _models(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    return [(str(a), str(b), str(c)) for a, b, c in frame[MODEL].drop_duplicates().itertuples(index=False)]


def _of(frame: pd.DataFrame, key: tuple[str, str, str]) -> pd.DataFrame:
    same = (frame["model"] == key[0]) & (frame["force_mode"] == key[1]) & (frame["dtype"] == key[2])
    return frame[same].sort_values("step")


def _forces(axis: Axes, trace: pd.DataFrame, looks: Mapping[Any, Look], criteria: pd.DataFrame | None) -> None:
    """Root mean square and largest force. Step 0, which a logarithmic axis cannot show, is drawn at ½."""
    several = len({key[2] for key in looks}) > 1
    for key, look in looks.items():
        rows = _of(trace, key)
        steps = np.maximum(rows["step"].to_numpy(float), 0.5)
        shared: Any = {"color": look.colour, "mfc": look.fill, "ms": 4}
        for column, width in (("force_max_eV_per_A", 0.4), ("force_rms_eV_per_A", 1.3)):
            axis.plot(steps, rows[column].to_numpy(float), ls=look.line, lw=width, **shared)
        marked = rows[rows["step"].isin([*MARKED, rows["step"].max()])]
        axis.plot(
            np.maximum(marked["step"].to_numpy(float), 0.5),
            marked["force_rms_eV_per_A"].to_numpy(float),
            look.marker,
            **shared,
        )
        name = f"{key[0]}:{key[1]}" + (f", {key[2]}" if several else "")
        axis.plot([], [], ls=look.line, marker=look.marker, label=name, **shared)
    if criteria is not None:
        of_set = criteria[criteria["set"] == trace["set"].iloc[0]]
        for fmax in of_set["fmax_eV_per_A"].dropna().unique():
            axis.axhline(float(fmax), color="0.6", lw=0.8, ls=":")
            axis.annotate(
                "limit of the largest force",
                (0.02, float(fmax)),
                xycoords=("axes fraction", "data"),
                va="bottom",
                fontsize=7,
            )
    axis.set(xscale="log", yscale="log", xlabel="step", ylabel="force, rms (bold) and largest (eV/Å)")


def _way(axis: Axes, path: pd.DataFrame, looks: Mapping[Any, Look]) -> None:
    if path["soap"].isna().any():
        _distance(axis, path, looks)
        return
    points = _components(path)
    for key, look in looks.items():
        for optimizer, end in ENDS.items():
            rows = _of(path[path["optimizer"] == optimizer], key)
            if not len(rows):
                continue
            way = points[path.index.get_indexer(rows.index)]
            axis.plot(*way.T, color=look.colour, ls=look.line, lw=0.7 if optimizer == "fire" else 1.4)
            axis.plot(*way[-1], end, color=look.colour, mfc=look.fill, ms=6, zorder=3)
            axis.plot(*way[0], "^", color="black", ms=7, zorder=4)
    axis.plot([], [], "^", color="black", ms=5, label="start")
    _ends(axis, path)
    axis.legend(frameon=False, fontsize=7)
    axis.set_title("map of averaged SOAP")
    axis.set(xlabel="first principal component", ylabel="second", xticks=[], yticks=[])


def _ends(axis: Axes, path: pd.DataFrame) -> None:
    for name in sorted(set(path["optimizer"])):
        axis.plot([], [], ENDS[name], color="0.4", ms=5, label=f"end, {TITLES[name]}")


def _components(path: pd.DataFrame) -> NDArray[np.float64]:
    """[F, 2]: averaged SOAP descriptors of all configurations along their two directions of most variance."""
    descriptors = np.array([np.array(text.split(), dtype=np.float64) for text in path["soap"]])
    centred = descriptors - descriptors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    # The sign of a principal direction is arbitrary: its largest component is made positive.
    signs = np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(axis=1)])
    return np.asarray(centred @ (signs[:, None] * directions[:2]).T, dtype=np.float64)


def _distance(axis: Axes, path: pd.DataFrame, looks: Mapping[Any, Look]) -> None:
    for key, look in looks.items():
        for optimizer, end in ENDS.items():
            rows = _of(path[path["optimizer"] == optimizer], key)
            if not len(rows):
                continue
            steps, distance = np.maximum(rows["step"].to_numpy(float), 0.5), rows["distance_A"].to_numpy(float)
            axis.plot(steps, distance, color=look.colour, ls=look.line, lw=0.7 if optimizer == "fire" else 1.4)
            axis.plot(steps[-1:], distance[-1:], end, color=look.colour, mfc=look.fill, ms=6)
    _ends(axis, path)
    axis.legend(frameon=False, fontsize=7, title="no map: featomic was not\ninstalled (extra soap)", title_fontsize=7)
    axis.set_title("distance from the start")
    axis.set(xscale="log", xlabel="step", ylabel="root mean square distance (Å)")
