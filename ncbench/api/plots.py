"""Figures of measurements and results folders: shown by notebooks, saved as files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ncbench.errors import UsageError, did_you_mean
from ncbench.report.figures import FIGURES

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Plot:
    """A drawn figure. A notebook shows it; :meth:`save` writes it. Its data are those of ``to_frame``, for figures of your own."""

    name: str
    title: str
    _draw: Callable[[Sequence[Path]], None] = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the figure; the suffix is the format: ``.png``, ``.svg`` or ``.pdf``. Returns the path.

        Raises:
            UsageError: another suffix.
        """
        target = Path(path)
        if target.suffix not in FORMATS:
            raise UsageError(f"Figures are written as {', '.join(FORMATS)}, not as '{target.name}'.")
        self._draw([target])
        return target

    def _repr_png_(self) -> bytes:
        """What notebooks display."""
        with tempfile.TemporaryDirectory(prefix="ncbench-") as folder:
            return self.save(Path(folder) / "figure.png").read_bytes()


def plot_of(frames: Mapping[str, pd.DataFrame], name: str | None, *, hint: str) -> Plot:
    """The figure ``name`` of some tables, rows with status ``ok``; by default the first that they have.

    Raises:
        UsageError: no such figure, or none at all.
    """
    figures = {figure.name: figure for figure in FIGURES if figure.drawable(frames)}
    if not figures:
        raise UsageError("There is nothing to draw.", hint=hint)
    if name is not None and name not in figures:
        raise UsageError(
            f"There is no figure '{name}'.", hint=did_you_mean(name, figures) or f"Figures: {', '.join(figures)}."
        )
    figure = figures[name] if name is not None else next(iter(figures.values()))
    return Plot(figure.name, figure.title, partial(figure.draw, frames))
