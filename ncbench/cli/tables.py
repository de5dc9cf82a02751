"""Result rows as a table: the main columns of each command, errors in brackets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ncbench.cli.characters import as_printed
from ncbench.cli.consoles import table_console
from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Shown
from ncbench.diagnostics.displaced_frames import SHOW as DISPLACED
from ncbench.statistics.format import ABSENT

TEXT_COLUMNS = 33
"""Characters for model, structure and status, which may be wrapped, with their gaps."""
GAP = 3
"""Between columns."""

ANALYSE = (
    Shown("atoms", "species"),
    Shown.measured("⟨T⟩ K", "temperature_K", known="plateau"),
    Shown.measured("dT/dt K/ps", "drift_K_per_ps"),
    Shown.measured("D Å²/ps", "diffusion_A2_per_ps"),
    Shown.measured("cell Å", "cell_length_A"),
    Shown("frames", "frames"),
)
"""Columns of ``analyse``, which reads trajectories and is not a diagnostic."""
ANALYSE_LOGS = (
    Shown.measured("power meV/atom/ps", "power_meV_per_atom_per_ps", known="power_error_known"),
    Shown.measured("r 1/ps", "heating_rate_per_ps"),
    Shown.measured("⟨T⟩ K", "temperature_K", known="temperature_known"),
    Shown.measured("dT/dt K/ps", "drift_K_per_ps"),
    Shown("of", "quantity"),
    Shown("Δt fs", "timestep_fs"),
    Shown("length ps", "duration_ps"),
    Shown("samples", "samples"),
)
"""Columns of ``analyse`` for logs."""

OF_FILES = {"analyse": ANALYSE, "analyse-logs": ANALYSE_LOGS, "analyse-displaced": DISPLACED}
"""Columns of ``analyse`` by the kind of files."""


def print_rows(command: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows of a command on standard output: boxed in a terminal, otherwise plain and complete."""
    interactive = sys.stdout.isatty()
    console = table_console()
    table = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False, title=command, title_justify="left")
    shown = [c for c in _shown(command) if not c.optional or any(row.get(c.column) for row in rows)]
    table.add_column("model", overflow="fold")
    table.add_column("structure", overflow="fold")
    texts = {column: [as_printed(column.text(row)) for row in rows] for column in shown}
    shown, dropped = _fitting(texts, console.width)
    for column in shown:
        table.add_column(as_printed(column.heading), justify="right", no_wrap=True)
    table.add_column("status", overflow="fold")
    for number_of_row, row in enumerate(rows):
        mode = f":{row['force_mode']}" if row.get("force_mode") else ""
        status = str(row.get("status"))
        cells = [f"{row.get('model')}{mode}", str(row.get("structure") or row.get("system") or ABSENT)]
        cells += [texts[column][number_of_row] for column in shown]
        cells.append(status if status == "ok" else f"{status}: {row.get('reason')}")
        table.add_row(*(Text(as_printed(cell)) for cell in cells))
    console.print(table)
    if dropped:
        names = ", ".join(column.heading for column in dropped)
        sys.stdout.write(f"not shown for lack of width: {names} (in the CSV file, and in a wider terminal)\n")
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.get("note"):
            notes.setdefault(str(row["note"]), []).append(f"{row.get('model')} {row.get('structure')}")
    for note, where in notes.items():
        sys.stdout.write(f"note: {note} ({where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''})\n")


def _fitting(texts: Mapping[Shown, Sequence[str]], width: int) -> tuple[list[Shown], list[Shown]]:
    """The columns that fit next to model, structure and status, and those that do not; the first is always shown.

    Texts may be wrapped, numbers are not.
    """
    left = width - TEXT_COLUMNS
    fitting: list[Shown] = []
    dropped: list[Shown] = []
    for column, cells in texts.items():
        needed = max(map(cell_len, [as_printed(column.heading), *cells])) + GAP
        if fitting and needed > left:
            dropped.append(column)
            continue
        fitting.append(column)
        left -= needed
    return fitting, dropped


def _shown(command: str) -> tuple[Shown, ...]:
    known = registry.diagnostics()
    if command in known:
        return known[command].show
    return OF_FILES[command]
