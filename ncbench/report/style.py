"""The one style of all figures.

Direct and conservative forces are distinguished without colour: dashed lines, open markers and hatches against solid ones. Hues
are Okabe and Ito's, which colour-blind readers can separate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HUES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.hashsalt": "ncbench",
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Look:
    """The look of one model in all figures."""

    colour: str
    marker: str
    line: str
    hatch: str
    fill: str

    @classmethod
    def of(cls, index: int, mode: str) -> Look:
        """The ``index``-th model's look in this force mode."""
        colour, marker = HUES[index % len(HUES)], MARKERS[index % len(MARKERS)]
        direct = mode == "direct"
        return cls(colour, marker, "--" if direct else "-", "////" if direct else "", "white" if direct else colour)


@contextmanager
def styled_figure(width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure in the common style, without a display and without changes of matplotlib's global state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def few_ticks(axes: Axes, most: int = 5) -> None:
    """At most ``most`` intervals between tick labels of x: labels such as 0.0125 of short runs would touch."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Save under each of ``paths``; the suffix names the format. The same data give the same bytes."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
