"""The merged tables of a results folder: the rows of every job once, in order of recording.

The metadata of a merged table contain the index it was made from and the last job, so that only newer jobs are read. Side
tables without rows have no file, which the main table records. CSV is written before Parquet and the main table last: statements of a file
about others must be true whenever it can be read.
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
from ncbench.store.same_names import table_told_apart

if TYPE_CHECKING:
    from ncbench.diagnostics.base import Diagnostic

_INDEX, _THROUGH, _SIDES = b"ncbench.index", b"ncbench.through", b"ncbench.sides"
_BATCH = 500
"""Number of jobs whose tables are concatenated at once: each separate table takes 50 KB of memory, whatever its rows."""

Load = Callable[[str], Mapping[str, pa.Table] | None]
"""Key → the tables of a recorded job by name, as written; ``None`` for one that is damaged."""


class Merger:
    """Updates the tables of one diagnostic; only under the store's lock.

    ``index`` is the refreshed index of the store; ``folder`` returns a job's folder.
    """

    def __init__(
        self, out: Path, diagnostic: Diagnostic, index: Index, *, load: Load, folder: Callable[[str], Path]
    ) -> None:
        self.out, self.diagnostic, self.index = out, diagnostic, index
        self.load, self.folder = load, folder
        self.schemas = diagnostic_schemas(diagnostic)

    def merge(self, entries: Sequence[Entry]) -> None:
        """Write the changed tables; ``entries`` are the jobs that they shall contain, in order.

        Raises:
            StoreError: a file was written by a newer ncbench, or the disk is not writable.
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
            # A finished job has rows. If one is missing, the index lost lines and renumbered its jobs, so that the content of the
            # tables is unknown.
            if any(entry.finished and entry.sequence <= through and entry.key not in there for entry in entries):
                return dict.fromkeys((*(self.schemas.keys() - {MAIN}), MAIN), (None, 0))
        filled = json.loads(main.schema.metadata.get(_SIDES, b"{}")) if main is not None else {}
        sides = {name: self._read(name, through, filled) for name in self.schemas if name != MAIN}
        return {**sides, MAIN: (main, through)}

    def _loaded(
        self, entries: Sequence[Entry], complete: Mapping[str, int], oldest: int
    ) -> tuple[set[str], dict[str, list[pa.Table]]]:
        """Jobs missing in some table: the complete ones, and the missing rows by table."""
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

    def _together(self, name: str, parts: Iterable[pa.Table]) -> pa.Table:
        return tables.concatenated(list(parts), self.schemas[name]).combine_chunks()

    def _write(
        self, name: str, table: pa.Table | None, still: list[str], new: list[pa.Table], counts: Mapping[str, int]
    ) -> int:
        """Write the rows of ``table`` that belong to jobs in ``still``, then ``new``; returns the number of rows."""
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
            write_atomic(csv, tables.csv_bytes(table_told_apart(whole, self.out)), sync_name=False)
            write_atomic(path, tables.parquet_bytes(whole.replace_schema_metadata({**whole.schema.metadata, **marks})))
        return int(whole.num_rows)

    def _origin(self) -> str:
        """Identity of the source of a merged table. It was only that of the index when rows of all versions were mixed."""
        return f"{self.index.identity} version {self.diagnostic.version}"

    def _read(self, name: str, through: int, filled: Mapping[str, int]) -> tuple[pa.Table | None, int]:
        """The existing merged table, and the sequence number up to which it is complete.

        An absent side table is complete up to the main table (``through``) if that records that it has no rows.
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
