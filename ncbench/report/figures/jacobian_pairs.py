"""Norms of the blocks of the force Jacobian against pair distance (Figure 1 of Bigi, Langer & Ceriotti 2025).

One panel per model: every pair as a dot, ‖J_ij‖ filled and its antisymmetric part open; medians in bins of distance as lines. On-site blocks
have no distance and are drawn left of the axis break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ncbench.report.style import HUES, save, styled_figure

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
NEEDS = "lambda-pairs"
WHOLE, PART = "jacobian_norm_eV_per_A2", "antisymmetric_norm_eV_per_A2"
BIN_A = 0.25
MOST_DOTS = 4000
"""Maximum number of dots per panel: more overlap and increase the file size."""
MOST_PANELS = 6
PANEL_IN = (3.4, 3.0)


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Draw from the table ``lambda-pairs``; the last :data:`MOST_PANELS` models in it, three panels per column."""
    frame = tables[NEEDS]
    panels = list(frame.groupby(["model", "force_mode", "system"], sort=False))[-MOST_PANELS:]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with styled_figure(0.6 + PANEL_IN[0] * columns, PANEL_IN[1] * rows + 0.3) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        low, high = _limits(frame)
        for axis, ((model, mode, system), pairs) in zip(axes.flat, panels, strict=False):
            _panel(axis, pairs, low)
            axis.set_title(f"{model}:{mode}, {system}" if mode else f"{model}, {system}")
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel("norm of a block, eV/Å²")
        for column in range(columns):
            [axis for axis in axes[:, column] if axis.get_visible()][-1].set_xlabel("pair distance, Å")
        axes[0, 0].set_yscale("log")
        axes[0, 0].set_ylim(low, high)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(2, columns), frameon=False)
        save(figure, paths)


def binned_medians(distance: FloatArray, norm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres of the bins of :data:`BIN_A` with at least one pair, and the median of the norm in each."""
    index = np.floor(distance / BIN_A).astype(np.int64)
    filled = np.unique(index)
    centres: FloatArray = (filled.astype(np.float64) + 0.5) * BIN_A
    medians: FloatArray = np.array([float(np.median(norm[index == number])) for number in filled], dtype=np.float64)
    return centres, medians


def _panel(axis: Any, pairs: pd.DataFrame, low: float) -> None:
    between = pairs[pairs["atom_i"] != pairs["atom_j"]]
    dots = between.iloc[:: max(1, -(-len(between) // MOST_DOTS))]
    distance = between["distance_A"].to_numpy(dtype=np.float64)
    own = pairs[pairs["atom_i"] == pairs["atom_j"]]
    styles = (
        (WHOLE, HUES[1], "o", HUES[1], "-", "‖J$_{ij}$‖"),
        (PART, HUES[0], "o", "none", "--", "‖(J$_{ij}$ − J$_{ji}^T$)/2‖"),
    )
    for column, colour, marker, face, line, label in styles:
        axis.plot(
            dots["distance_A"].to_numpy(dtype=np.float64),
            dots[column].to_numpy(dtype=np.float64),
            marker,
            ms=1.8,
            mew=0.4,
            color=colour,
            mfc=face,
            alpha=0.25,
            ls="none",
            rasterized=True,
            zorder=1,
        )
        if len(between):
            centres, medians = binned_medians(distance, between[column].to_numpy(dtype=np.float64))
            # A black outline makes the line visible on dots of its own colour.
            axis.plot(centres, medians, color="white", lw=3.0, zorder=2)
            axis.plot(centres, medians, line, color=colour, lw=1.6, zorder=3, label=f"{label}, median per {BIN_A:g} Å")
        values = own[column].to_numpy(dtype=np.float64)
        axis.plot(
            np.zeros(len(values)),
            np.maximum(values, low),
            "D",
            ms=3.0,
            mew=0.6,
            color=colour,
            mfc=face,
            alpha=0.5,
            rasterized=True,
            zorder=1,
        )
    largest = float(pairs[PART].max())
    if largest < low:
        annotation = (
            f"antisymmetric parts are at most {largest:.0e} eV/Å²" if largest > 0 else "antisymmetric parts are zero"
        )
        axis.annotate(annotation, (0.98, 0.02), xycoords="axes fraction", ha="right", va="bottom", fontsize=7)
    axis.annotate("i = j", (0.0, 0.02), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7)


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Limits of the logarithmic axis: all norms, but at most ten decades, since smaller ones may be rounding."""
    norms = np.concatenate([frame[column].to_numpy(dtype=np.float64) for column in (WHOLE, PART)])
    positive = norms[np.isfinite(norms) & (norms > 0)]
    if not len(positive):
        return 1e-3, 1.0
    high = float(positive.max()) * 2.0
    return max(float(np.quantile(positive, 0.005)) / 2.0, high * 1e-10), high
