"""The tables at the top of a results folder, made from the jobs below it: every job once, in order of recording.

A merged table says in its metadata from which index it was made and up to which job, so that only what was recorded since is read. Side
tables without rows have no file; the main table says so. CSV is written before Parquet and the main table last: what a file says of others
must be true whenever it can be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ncbench.store import tables
from ncbench.store.files import read_bytes, set_aside, write_atomic
from ncbench.store.index import Entry, Index
from ncbench.store.layout import MAIN, diagnostic_schemas, file_name, merged_path

if TYPE_CHECKING:
    from ncbench.diagnostics.base import Diagnostic

_INDEX, _THROUGH, _SIDES = b"ncbench.index", b"ncbench.through", b"ncbench.sides"
_BATCH = 500
"""Jobs whose small tables are put together before more are read: each alone takes 50 KB of memory, whatever its rows."""

Load = Callable[[str], Mapping[str, pa.Table] | None]
"""Key → the tables of a recorded job by name, as written; ``None`` for one that is damaged."""


class Merger:
    """Brings the tables of one diagnostic up to date; only under the store's lock.

    ``index`` is the store's, refreshed; ``folder`` gives a job's folder.
    """

    def __init__(
        self, out: Path, diagnostic: Diagnostic, index: Index, *, load: Load, folder: Callable[[str], Path]
    ) -> None:
        self.out, self.diagnostic, self.index = out, diagnostic, index
        self.load, self.folder = load, folder
        self.schemas = diagnostic_schemas(diagnostic)

    def merge(self, entries: Sequence[Entry]) -> None:
        """Write what has changed; ``entries`` are the jobs that the tables are to hold, in order.

        Raises:
            StoreError: a file of a newer ncbench is in the way, or the disk refuses.
        """
        merged = self._as_they_are(entries)
        oldest = min(complete for _, complete in merged.values())
        fresh, parts = self._loaded(entries, {name: complete for name, (_, complete) in merged.items()}, oldest)
        kept = {entry.key: entry.sequence for entry in entries if entry.sequence <= oldest or entry.key in fresh}
        counts: dict[str, int] = {}
        for name, (table, complete) in merged.items():
            still = [key for key, sequence in kept.items() if sequence <= complete]
            counts[name] = self._write(name, table, still, parts[name], counts)

    def _as_they_are(self, entries: Sequence[Entry]) -> dict[str, tuple[pa.Table | None, int]]:
        """Each table by name, the main one last, and the sequence number up to which it is complete."""
        main, through = self._read(MAIN, 0, {})
        if main is not None:
            there = set(pc.unique(main.column(tables.JOB.name)).to_pylist())
            # A finished job has rows. Where one is missing, the index lost lines and gave its jobs other numbers: nothing tells
            # what the tables hold.
            if any(entry.finished and entry.sequence <= through and entry.key not in there for entry in entries):
                return dict.fromkeys((*(self.schemas.keys() - {MAIN}), MAIN), (None, 0))
        filled = json.loads(main.schema.metadata.get(_SIDES, b"{}")) if main is not None else {}
        sides = {name: self._read(name, through, filled) for name in self.schemas if name != MAIN}
        return {**sides, MAIN: (main, through)}

    def _loaded(
        self, entries: Sequence[Entry], complete: Mapping[str, int], oldest: int
    ) -> tuple[set[str], dict[str, list[pa.Table]]]:
        """Jobs that some table lacks: those that are whole, and the rows that each table lacks."""
        fresh: set[str] = set()
        parts: dict[str, list[pa.Table]] = {name: [] for name in complete}
        pending: dict[str, list[pa.Table]] = {name: [] for name in complete}
        for entry in entries:
            if entry.sequence <= oldest or (stored := self.load(entry.key)) is None:
                continue
            fresh.add(entry.key)
            for name, table in stored.items():
                if name in complete and entry.sequence > complete[name]:
                    path = self.folder(entry.key) / file_name(name)
                    pending[name].append(tables.upgraded(table, self.schemas[name], path))
                    if len(pending[name]) == _BATCH:
                        parts[name].append(self._together(name, pending[name]))
                        pending[name] = []
        return fresh, {name: [*parts[name], *pending[name]] for name in parts}

    def _together(self, name: str, found: Iterable[pa.Table]) -> pa.Table:
        return tables.concatenated(list(found), self.schemas[name]).combine_chunks()

    def _write(
        self, name: str, table: pa.Table | None, still: list[str], new: list[pa.Table], counts: Mapping[str, int]
    ) -> int:
        """Write the rows of ``table`` that belong to jobs in ``still``, then ``new``; returns how many there are."""
        old = (
            []
            if table is None
            else [table.filter(pc.is_in(table.column(tables.JOB.name), pa.array(still, pa.string())))]
        )
        whole = tables.concatenated([*old, *new], self.schemas[name])
        path = merged_path(self.out, self.diagnostic.name, name)
        csv = path.with_suffix(".csv")
        if whole.num_rows == 0 and not path.exists():
            return 0
        if table is None or new or old[0].num_rows != table.num_rows or not csv.exists():
            marks = {
                _INDEX: self._origin().encode(),
                _THROUGH: str(self.index.last).encode(),
                _SIDES: json.dumps(counts).encode(),
            }
            write_atomic(csv, tables.csv_bytes(whole), sync_name=False)
            write_atomic(path, tables.parquet_bytes(whole.replace_schema_metadata({**whole.schema.metadata, **marks})))
        return int(whole.num_rows)

    def _origin(self) -> str:
        """What a merged table is made from. It was the index alone when rows of all versions were mixed."""
        return f"{self.index.identity} version {self.diagnostic.version}"

    def _read(self, name: str, through: int, filled: Mapping[str, int]) -> tuple[pa.Table | None, int]:
        """A merged table as it is, and the sequence number up to which it is complete.

        A side table that is not there is complete as far as the main table (``through``) if that says it has no rows.
        """
        path, schema = merged_path(self.out, self.diagnostic.name, name), self.schemas[name]
        content = read_bytes(path)
        if content is None:
            return (tables.concatenated([], schema), through) if filled.get(name) == 0 else (None, 0)
        try:
            table = tables.parse_parquet(content)
        except ValueError as error:
            set_aside(path, str(error))
            return None, 0
        table = tables.upgraded(table, schema, path)
        if table.schema.metadata.get(_INDEX, b"").decode() not in (self._origin(), self.index.identity):
            return None, 0
        return table, int(table.schema.metadata[_THROUGH])
