"""λ against the step of the central differences: with the value expected from noise alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ncbench.report.style import Look, save, styled_figure

if TYPE_CHECKING:
    import pandas as pd

NEEDS = "lambda-step-scan"


def draw(tables: Mapping[str, pd.DataFrame], paths: Sequence[Path]) -> None:
    """Draw from the table ``lambda-step-scan``: one line per model and precision, dotted the λ expected from error alone."""
    frame = tables[NEEDS]
    models = list(dict.fromkeys(frame["model"]))
    with styled_figure(6.4, 4.2) as figure:
        axis = figure.subplots()
        for (model, mode, dtype, structure), scan in frame.groupby(
            ["model", "force_mode", "dtype", "structure"], sort=False
        ):
            rows = scan.sort_values("step_A")
            look = Look.of(models.index(model), str(mode))
            steps = rows["step_A"].to_numpy(dtype=np.float64)
            name = f"{model}:{mode}" if mode else str(model)
            label = f"{name}, {dtype}, {structure}: {rows['verdict'].iloc[0]}"
            axis.plot(
                steps,
                _positive(rows["lambda"]),
                look.line,
                marker=look.marker,
                color=look.colour,
                mfc=look.fill,
                ms=4,
                label=label,
            )
            axis.plot(
                steps,
                _positive(rows["lambda_noise"]),
                ":",
                marker=look.marker,
                ms=2,
                color=look.colour,
                mfc=look.fill,
                lw=0.8,
            )
        axis.plot(
            [],
            [],
            ":",
            color="grey",
            lw=0.8,
            label="dotted: λ expected for conservative forces from the error at a step",
        )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("step of the central differences, Å")
        axis.set_ylabel("λ")
        figure.legend(loc="outside lower center", frameon=False, fontsize=7)
        save(figure, paths)


def _positive(column: pd.Series) -> np.ndarray:
    """Positive values; others are gaps on a logarithmic axis."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(values > 0, values, np.nan)
