"""A comparison in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ncbench.paper.claims import Answer
from ncbench.paper.compare import Comparison
from ncbench.paper.grid import OURS, PAPER, Entry, grid
from ncbench.paper.overview import Overview


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


def show_claims(answers: Sequence[Answer], overview: Overview, console: Console) -> None:
    """Print each claim with its checks below it, since a table of them does not fit into 80 columns; then the notes."""
    console.print(Text(overview.caption, style="bold"))
    for place, one in enumerate(answers, 1):
        head = Text.assemble((f"{place}. {one.verdict}", "bold"), f": {one.claim.text} ({one.claim.place})")
        console.print(head)
        for check in one.checks:
            console.print(Padding(Text(f"– {check.text}"), (0, 0, 0, 3), expand=False))
        console.print(Padding(Text(one.claim.command, style="dim"), (0, 0, 0, 3), expand=False))
    for note in overview.notes:
        console.print(Text(note))


def _text(entry: Entry) -> Text:
    return Text(f"{entry.text} ({entry.marks})" if entry.marks else entry.text)
