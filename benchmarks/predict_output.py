"""Tables and figure of ``bench_predict.py``."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

import ncbench
from ncbench.statistics.format import number, with_error


@dataclass(frozen=True)
class Comparison:
    """A predicted and a measured number."""

    part: str
    what: str
    unit: str
    predicted: float | None
    low: float | None
    high: float | None
    """Range of the prediction over floors, treatments of imaginary modes and snapshots."""
    measured: float | None
    error: float | None
    source: str

    @property
    def ratio(self) -> float | None:
        """Predicted over measured."""
        return self.predicted / self.measured if self.predicted is not None and self.measured else None


def figure(rows: Sequence[Comparison], path: Path) -> None:
    """Predicted against measured, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    looks = {
        "crystal": ("o", "#0072B2"),
        "water": ("s", "#D55E00"),
        "paper": ("^", "#009E73"),
        "blend": ("D", "#CC79A7"),
        "green-kubo": ("v", "#56B4E9"),
        "spread": ("P", "#E69F00"),
    }
    with plt.rc_context({"svg.hashsalt": "ncbench", "font.size": 9}):
        drawing, panels = plt.subplots(1, 2, figsize=(8.2, 4.0))
        for axis, unit in zip(panels, ("meV/atom/ps", "K"), strict=True):
            low, high = math.inf, -math.inf
            for part, (marker, colour) in looks.items():
                chosen = [
                    r
                    for r in rows
                    if r.part == part
                    and r.unit == unit
                    and r.predicted
                    and r.measured
                    and r.measured > 0
                    and r.predicted > 0
                ]
                if not chosen:
                    continue
                x, y = [r.measured for r in chosen], [r.predicted for r in chosen]
                errors = [min(r.error or 0.0, 0.95 * (r.measured or 0.0)) for r in chosen]
                spread = [
                    [max(0.0, p - (r.low if r.low is not None else p)) for r, p in zip(chosen, y, strict=True)],
                    [max(0.0, (r.high if r.high is not None else p) - p) for r, p in zip(chosen, y, strict=True)],
                ]
                axis.errorbar(x, y, xerr=errors, yerr=spread, fmt=marker, color=colour, label=part, capsize=2, ms=4)
                low, high = min(low, *x, *y), max(high, *x, *y)
            axis.plot([low / 2, high * 2], [low / 2, high * 2], color="0.5", lw=0.8)
            axis.set(xscale="log", yscale="log", xlabel=f"measured ({unit})", ylabel=f"predicted ({unit})")
            axis.set_title("Heating power" if unit != "K" else "Temperature excess", loc="left")
            axis.legend(frameon=False)
        drawing.tight_layout()
        drawing.savefig(path, metadata={"Date": None})


def write(rows: Sequence[Comparison], notes: Sequence[str], folder: Path) -> None:
    """CSV, Markdown and the figure."""
    table = pd.DataFrame([vars(row) | {"ratio": row.ratio} for row in rows])
    table.to_csv(folder / "predict.csv", index=False, float_format="%.6g")
    conditions = (
        f"Made by `benchmarks/bench_predict.py`. {platform.machine()}, {torch.get_num_threads()} thread(s), "
        f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, ncbench {ncbench.__version__}. "
        "Temperature 300 K; frequency floor 50 cm⁻¹; the range is over floors of 20, 50 and 100 cm⁻¹, both treatments of imaginary "
        "modes, and snapshots. A dash under predicted is a runaway, under measured: not measured."
    )
    lines = [
        "# Predicted heating against measured",
        "",
        conditions,
        "",
        "![Predicted against measured](predict.svg)",
        "",
    ]
    lines += ["| what | predicted | range | measured | predicted/measured | from |", "|---|---|---|---|---|---|"]
    for row in rows:
        spread = (
            "" if row.low is None else f"{number(row.low)} to {number(row.high) if row.high is not None else 'runaway'}"
        )
        measured = "–" if row.measured is None else with_error(row.measured, row.error)
        lines.append(
            f"| {row.what} ({row.unit}) | {number(row.predicted)} | {spread} | {measured} | {number(row.ratio, 2)} | {row.source} |"
        )
    lines += ["", "## Conditions", "", *(f"- {note}" for note in notes), ""]
    comments = folder / "predict_reading.md"
    if comments.exists():
        lines += [comments.read_text(encoding="utf-8")]
    (folder / "predict.md").write_text("\n".join(lines), encoding="utf-8")
    figure(rows, folder / "predict.svg")
