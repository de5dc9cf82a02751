"""A comparison in a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncbench.paper.compare import Comparison
from ncbench.paper.grid import OURS, PAPER, Entry, grid


def show(comparison: Comparison, console: Console) -> None:
    """Print table, remarks and notes."""
    cells = grid(comparison)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for number, heading in enumerate(cells.head):
        table.add_column(Text(heading), justify="right" if number >= cells.numeric_from else "left", overflow="fold")
    following = [*cells.lines[1:], None]
    for line, after in zip(cells.lines, following, strict=True):
        last = after is None or cells.kind(after) == PAPER
        table.add_row(*map(_text, line), style="bold" if cells.kind(line) == OURS else None, end_section=last)
    console.print(Text(cells.caption, style="bold"))
    console.print(table)
    for letter, text in cells.remarks:
        console.print(Text(f"({letter}) {text}", style="dim"))
    for note in cells.notes:
        console.print(Text(note))


def _text(entry: Entry) -> Text:
    return Text(f"{entry.text} ({entry.marks})" if entry.marks else entry.text)
