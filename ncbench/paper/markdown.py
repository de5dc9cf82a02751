"""A comparison in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ncbench.paper.compare import Comparison
from ncbench.paper.grid import Entry, grid


def markdown(comparison: Comparison) -> str:
    """Heading, table, remarks and notes."""
    cells = grid(comparison)
    rule = ["---"] * cells.numeric_from + ["---:"] * (len(cells.head) - cells.numeric_from)
    lines = [f"## {_escaped(cells.caption)}", "", line(cells.head), line(rule, escape=False)]
    lines += [line([_text(entry) for entry in one], escape=False) for one in cells.lines]
    lines += ["", *(f"- ({letter}) {_escaped(text)}" for letter, text in cells.remarks)]
    lines += ["", *(f"{_escaped(note)}  " for note in cells.notes)]
    return "\n".join(lines) + "\n"


def _text(entry: Entry) -> str:
    return _escaped(entry.text) + (f" <sup>{entry.marks}</sup>" if entry.marks else "")


def line(texts: Sequence[str], *, escape: bool = True) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(_escaped(text) if escape else text for text in texts) + " |"


def _escaped(text: str) -> str:
    # Stars are the paper's footnotes, underscores its subscripts, bars its norms: they are not markup.
    for character in ("\\", "|", "*", "_", "<"):
        text = text.replace(character, "\\" + character)
    return text
