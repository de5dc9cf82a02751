"""Heating by pairs of vibrations, and their share of the antisymmetric Jacobian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ncbench.report.style import save, styled_figure

MOST_MODELS = 4
"""Maximum number of rows of panels, one per model."""
PANELS = (("fraction_of_power", "heating power"), ("fraction_of_antisymmetry", "‖a‖², which λ weights"))


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Two maps per model over the frequencies of both modes, means over structures: shares of the power and of ‖a‖²."""
    frame = tables["predict-map"]
    groups = list(frame.groupby(["model", "force_mode", "system"], sort=False))[:MOST_MODELS]
    with styled_figure(7.6, 3.3 * len(groups) + 0.2) as figure:
        panels = np.atleast_2d(figure.subplots(len(groups), 2))
        for row, ((model, mode, system), part) in zip(panels, groups, strict=True):
            top = float(part["omega_to_per_cm"].max())
            for axes, (column, name) in zip(row, PANELS, strict=True):
                shares = 100.0 * _matrix(part, column)
                image = axes.imshow(
                    np.where(shares > 0, shares, np.nan), origin="lower", extent=(0.0, top, 0.0, top), cmap="viridis"
                )
                figure.colorbar(image, ax=axes, shrink=0.8, label="share (%)")
                axes.set(xlabel="ω (cm⁻¹)", ylabel="ω′ (cm⁻¹)")
                axes.set_title(f"{model}:{mode}, {system}: {name}", fontsize=8)
        save(figure, paths)


def _matrix(part: pd.DataFrame, column: str) -> np.ndarray:
    """Symmetric matrix of shares over the bins of both frequencies, a pair's share split between (ω, ω′) and (ω′, ω)."""
    width = float((part["omega_to_per_cm"] - part["omega_from_per_cm"]).iloc[0])
    count = round(float(part["omega_to_per_cm"].max()) / width)
    structures = part.groupby(["job", "structure"]).ngroups if "job" in part else 1
    shares = np.zeros((count, count))
    for first, second, share in part[["omega_from_per_cm", "omega2_from_per_cm", column]].itertuples(index=False):
        i, j = round(first / width), round(second / width)
        shares[i, j] += share / 2 / structures
        shares[j, i] += share / 2 / structures
    return shares
