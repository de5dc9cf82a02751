"""A comparison as a grid of texts, shared by terminal, Markdown and LaTeX.

Two lines per row of the paper, its numbers and ours, and a third with predictions if there are any. A letter after our number refers to a remark below; every missing number
has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from ncbench.paper.compare import MEASURED, ComparedCell, Comparison, State
from ncbench.paper.numbers import PaperTable
from ncbench.statistics.format import number, with_error

_SYMBOLS = {"thermostat": "thermostat", "tau_fs": "τ (fs)", "targets": "trained on", "layers": "layers", "stride": "M"}
_SHORT = {"langevin": "WN", "svr": "SVR", "gle": "GLE", "nhc": "NHC", "andersen": "Andersen"}


@dataclass(frozen=True)
class Entry:
    """A text with the letters of its remarks."""

    text: str
    marks: str = ""


@dataclass(frozen=True)
class Grid:
    """Texts in rows and columns, with remarks and notes below."""

    head: tuple[str, ...]
    lines: tuple[tuple[Entry, ...], ...]
    """The paper's line, ours, and predictions, of each row of the paper."""
    numeric_from: int
    """First column with numbers."""
    remarks: tuple[tuple[str, str], ...]
    """(letter, text)."""
    caption: str
    notes: tuple[str, ...]

    def kind(self, line: Sequence[Entry]) -> str:
        """:data:`PAPER`, :data:`OURS` or :data:`PREDICTED`."""
        return line[self.numeric_from - 1].text


PAPER, OURS, PREDICTED = "paper", "ours", "predicted"
PREDICTION_NOTE = "predicted: `ncbench predict`, of harmonic motion; a runaway has no stationary temperature."
LEGEND = (
    "Errors in brackets, one standard error in the last digits; '?' a lower bound. [x σ]: (ours − paper)/combined standard "
    "error, for the paper's own weights; ≤ where the paper prints no error (its rounding is used); none if our error is a lower bound."
)


def grid(comparison: Comparison) -> Grid:
    """The comparison as a grid."""
    table = comparison.table
    letters: dict[str, str] = {}
    lines: list[tuple[Entry, ...]] = []
    for row in comparison.rows():
        first = row[0]
        stub = [_stub(first.paper.conditions.known().get(name)) for name in table.stub]
        ours = first.ours.model or "–"
        lines.append(
            (
                Entry(first.paper.model.shown),
                *map(Entry, stub),
                Entry(PAPER),
                *(Entry(cell.paper.printed.text or "–") for cell in row),
            )
        )
        lines.append((Entry(ours), *(Entry("") for _ in stub), Entry(OURS), *(_ours(cell, letters) for cell in row)))
        if any(map(_predicted, row)):
            cells = (Entry(_predicted(cell)) for cell in row)
            lines.append((Entry(""), *(Entry("") for _ in stub), Entry(PREDICTED), *cells))
    has_predictions = any(_predicted(cell) for cell in comparison.cells)
    return Grid(
        head=("model", *(_SYMBOLS.get(name, name) for name in table.stub), "", *_headings(table)),
        lines=tuple(lines),
        numeric_from=len(table.stub) + 2,
        remarks=tuple((letter, text) for text, letter in letters.items()),
        caption=f"{table.title} ({table.place})",
        notes=(comparison.sentence(), LEGEND, *([PREDICTION_NOTE] if has_predictions else []), *table.notes),
    )


def _headings(table: PaperTable) -> Sequence[str]:
    return [f"{heading} ({unit})" if unit else heading for _, heading, unit in table.columns]


def _stub(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else _SHORT.get(str(value), str(value))


def _ours(cell: ComparedCell, letters: dict[str, str]) -> Entry:
    if cell.state is State.NOT_PRINTED:
        return Entry("")
    mark = letters.setdefault(cell.remark, _letter(len(letters))) if cell.remark else ""
    if cell.state not in MEASURED:
        return Entry("exploded" if cell.state is State.EXPLODED else "–", mark)
    return Entry(ours_text(cell), mark)


def _predicted(cell: ComparedCell) -> str:
    if cell.predicted.runaway:
        return "runaway"
    return "" if cell.predicted.value is None else number(cell.predicted.value, 3)


def ours_text(cell: ComparedCell) -> str:
    """Our number with its error and, for the same model, the deviation."""
    assert cell.ours.value is not None
    text = with_error(cell.ours.value, cell.ours.error, known=not cell.ours.loose)
    if cell.deviation is None:
        return text
    if cell.deviation_is_bound:
        return f"{text} [≤ {abs(cell.deviation):.1f} σ]"
    return f"{text} [{cell.deviation:+.1f} σ]"


def _letter(count: int) -> str:
    """a, b, …, z, aa, ab, …"""
    high, low = divmod(count, len(ascii_lowercase))
    return (ascii_lowercase[high - 1] if high else "") + ascii_lowercase[low]
