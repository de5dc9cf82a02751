"""Tables after a run in a terminal of 80 columns: no number broken in its digits, and columns left out are named."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from ncbench.cli.tables import print_rows
from ncbench.diagnostics import registry


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


def _row(diagnostic: str) -> dict[str, Any]:
    schema = registry.get(diagnostic).schema
    values: dict[str, Any] = {"float": -12345.678, "int": 1234567, "str": "text", "bool": True}
    row = {column.name: values[column.dtype] for column in schema.all_columns}
    errors = {name: 0.0123 for name in row if name.endswith("_se")}
    return row | errors | {"model": "a-model-with-a-long-name", "structure": "water64#0", "status": "ok", "note": ""}


@pytest.mark.parametrize("diagnostic", list(registry.diagnostics()))
def test_no_number_is_broken_at_80_columns(diagnostic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {}
    for width in ("80", "400"):
        monkeypatch.setenv("COLUMNS", width)
        terminal = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            print_rows(diagnostic, [_row(diagnostic)])
        texts[width] = re.sub(r"\x1b\[\d*m", "", terminal.getvalue())
    narrow, _, note = texts["80"].partition("not shown for lack of width: ")
    assert all(len(line) <= 80 for line in narrow.splitlines())
    dropped = note.partition(" (in the CSV")[0].split(", ") if note else []
    shown = [column for column in registry.get(diagnostic).show if column.heading in texts["400"]]
    assert {column.heading for column in shown} >= set(dropped)
    # The numbers of the row in the wide table, in order, are those of the narrow one and of the columns that its note names.
    wide, kept = (_words(text) for text in (texts["400"], narrow))
    assert len(wide) == len(kept) + len(dropped)
    assert set(kept) <= set(wide)


def _words(table: str) -> list[str]:
    """The words of the first line of the row, without model and structure, which may fold."""
    row = next(line for line in table.splitlines() if line.strip().startswith("a-model"))
    return row.split()[2:]
