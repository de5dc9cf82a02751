"""A comparison in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ncbench.paper.compare import Comparison
from ncbench.paper.grid import Entry, grid


def markdown(comparison: Comparison) -> str:
    """Heading, table, remarks and notes."""
    cells = grid(comparison)
    rule = ["---"] * cells.numeric_from + ["---:"] * (len(cells.head) - cells.numeric_from)
    lines = [f"## {_escaped(cells.caption)}", "", _line(cells.head), _line(rule, escape=False)]
    lines += [_line([_text(entry) for entry in line], escape=False) for line in cells.lines]
    lines += ["", *(f"- ({letter}) {_escaped(text)}" for letter, text in cells.remarks)]
    lines += ["", *(f"{_escaped(note)}  " for note in cells.notes)]
    return "\n".join(lines) + "\n"


def _text(entry: Entry) -> str:
    return _escaped(entry.text) + (f" <sup>{entry.marks}</sup>" if entry.marks else "")


def _line(texts: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(text) if escape else text for text in texts) + " |"


def _escaped(text: str) -> str:
    # Stars are the paper's footnotes, underscores its subscripts, bars its norms: they are not markup.
    for character in ("\\", "|", "*", "_", "<"):
        text = text.replace(character, "\\" + character)
    return text
