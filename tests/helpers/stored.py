"""Result rows written through the store, as a run would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ncbench.diagnostics import registry
from ncbench.store.store import Store
from ncbench.types import Outcome

Rows = Sequence[Mapping[str, Any]]
COMMON: dict[str, Any] = {
    "model": "pet-m",
    "force_mode": "direct",
    "system": "water64",
    "structure": "000",
    "n_atoms": 192,
    "seed": 0,
    "dtype": "float32",
    "device": "cpu",
    "status": "ok",
    "reason": "",
}


def write_rows(folder: Path, main: Mapping[str, Rows], side: Mapping[tuple[str, str], Rows] | None = None) -> Path:
    """Rows by diagnostic, and those of side tables by (diagnostic, name); columns that are left out are :data:`COMMON`'s."""
    store = Store(folder / "results")
    for command, rows in main.items():
        more = {
            name: [COMMON | dict(row) for row in side_rows]
            for (owner, name), side_rows in (side or {}).items()
            if owner == command
        }
        store.record(
            f"key-{command}", registry.get(command), {}, Outcome([COMMON | dict(row) for row in rows], more), {}
        )
        store.rebuild_tables(command)
    return store.out


def rows_of(folder: Path, table: str, **changed: Any) -> list[dict[str, Any]]:
    """The rows of a diagnostic's committed table with some columns changed."""
    frame = pd.read_parquet(folder / f"{table}.parquet").assign(**changed)
    names = [column.name for column in registry.get(table).schema.all_columns if column.name in frame]
    return [
        {name: value for name, value in row.items() if not pd.isna(value)} for row in frame[names].to_dict("records")
    ]
