"""Result rows as a table for people: the columns that matter of each command, errors in brackets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Shown
from ncbench.statistics.format import ABSENT, number, with_error

PLAIN_WIDTH = 10_000
"""Width for output that is not a terminal: nothing is cut or folded."""


ANALYSE = (
    Shown("atoms", "species"),
    Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
    Shown("dT/dt K/ps", "drift_K_per_ps", "drift_K_per_ps_se"),
    Shown("D Å²/ps", "diffusion_A2_per_ps", "diffusion_A2_per_ps_se"),
    Shown("cell Å", "cell_length_A", "cell_length_A_se"),
    Shown("frames", "frames"),
)
"""Columns of ``analyse``, which reads trajectories and is no diagnostic of a model."""


def print_rows(command: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows of a command on standard output: boxed in a terminal, plain and uncut elsewhere."""
    interactive = sys.stdout.isatty()
    console = Console(width=None if interactive else PLAIN_WIDTH, highlight=False)
    table = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False, title=command, title_justify="left")
    shown = [c for c in _shown(command) if not c.optional or any(row.get(c.column) for row in rows)]
    table.add_column("model", overflow="fold")
    table.add_column("structure", overflow="fold")
    for column in shown:
        table.add_column(column.heading, justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for row in rows:
        mode = f":{row['force_mode']}" if row.get("force_mode") else ""
        status = str(row.get("status"))
        cells = [f"{row.get('model')}{mode}", str(row.get("structure") or row.get("system") or ABSENT)]
        cells += [_cell(row, column) for column in shown]
        cells.append(status if status == "ok" else f"{status}: {row.get('reason')}")
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.get("note"):
            notes.setdefault(str(row["note"]), []).append(f"{row.get('model')} {row.get('structure')}")
    for note, where in notes.items():
        sys.stdout.write(f"note: {note} ({where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''})\n")


def _shown(command: str) -> tuple[Shown, ...]:
    known = registry.diagnostics()
    return known[command].show if command in known else ANALYSE


def _cell(row: Mapping[str, Any], shown: Shown) -> str:
    value = row.get(shown.column)
    if value is None or isinstance(value, str):
        return value or ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    bound = row.get(shown.at_most) if shown.at_most else None
    if bound is not None and not (row.get(shown.above) if shown.above in row else value > 3 * bound):
        return f"≤ {number(max(value, bound), 1)}"
    return with_error(value, row.get(shown.error)) if shown.error else number(value)
