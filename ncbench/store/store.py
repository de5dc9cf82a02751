"""The results folder, safe against kills and concurrent processes.

::

    OUT/<command>.parquet, .csv             all rows of the command, one per case, in order of recording
    OUT/<command>-<side>.parquet, .csv      its side tables
    OUT/jobs/<key>/result.parquet           the rows of one job; and result-<side>.parquet
    OUT/jobs/<key>/provenance.json          provenance, and the digests of the result files
    OUT/jobs/<key>/checkpoint.bin           while the job is unfinished
    OUT/jobs/<key>/error.log                traceback of an unexpected failure

Safety against kills: every file is replaced by one rename (:mod:`ncbench.store.files`). A job is recorded in the order side
tables, provenance, ``result.parquet``, and only then is its checkpoint deleted, and its line added to the index: a job without
``result.parquet`` is unfinished and continues from its checkpoint, and one that the index lacks is adopted; an older result leaves the
index before it is replaced. The merged tables are made from ``jobs/`` and can be rebuilt; CSV is written before Parquet, which contains
the number of its last job, so that a kill between the two is detected and repaired at the next rebuild.

Two processes share a store through two kinds of advisory locks, which the system releases when a process dies: one of the store for
index and tables, held for milliseconds, and one per job, held while it runs (:meth:`Store.claim`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from filelock import FileLock

from ncbench.errors import StoreError
from ncbench.store import tables
from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.files import (
    digest,
    make_folder,
    read_bytes,
    remove_leftovers,
    set_aside,
    store_errors,
    write_atomic,
)
from ncbench.store.index import Entry, Index, job_folders, recorded, with_results
from ncbench.store.layout import MAIN, diagnostic_schemas, file_name, merged_path, table_name
from ncbench.store.locks import claimed
from ncbench.store.merge import Merger
from ncbench.types import Status

if TYPE_CHECKING:
    # A diagnostic brings torch along; reading tables should not wait for that.
    from ncbench.diagnostics.base import Diagnostic
    from ncbench.types import Outcome

FINISHED = frozenset({Status.OK, Status.EXPLODED, Status.UNSUPPORTED})
"""Statuses that another run would not change."""


def diagnostic_of(command: str) -> Diagnostic:
    """The diagnostic of a command's tables.

    Raises:
        UsageError: there is no such diagnostic.
    """
    from ncbench.diagnostics import registry

    return registry.get(command)


@dataclass(frozen=True)
class StoredJob:
    """The content of ``jobs/<key>/``, checked against its digests."""

    diagnostic: str
    finished: bool
    tables: Mapping[str, pa.Table]
    """Tables by name, the main one under :data:`MAIN`; as written, not upgraded."""


class Store:
    """A results folder, created if it does not exist.

    Raises:
        StoreError: it cannot be created or written to.
    """

    def __init__(self, out_dir: Path | str, *, diagnostics: Callable[[str], Diagnostic] = diagnostic_of) -> None:
        self.out = Path(out_dir)
        self.jobs = self.out / "jobs"
        self._diagnostics = diagnostics
        make_folder(self.jobs)
        self._index = Index(self.jobs / ".index.jsonl")
        self._file_lock = FileLock(self.jobs / ".lock")
        self._adopted = False
        with self._locked():
            remove_leftovers(self.out)
            remove_leftovers(self.jobs)
            # Writing is tested now: a run must not discover after an hour that it cannot store the result.
            write_atomic(self.jobs / ".writable", b"")

    def folder(self, key: str) -> Path:
        """The folder of a job's files."""
        return self.jobs / key

    def is_finished(self, key: str) -> bool:
        """Whether the job is finished. Opens and checks the job's files.

        A damaged file is set aside with a warning, and the job is unfinished.
        """
        stored = self.load(key)
        return stored is not None and stored.finished

    def finished_keys(self) -> set[str]:
        """Keys of all finished jobs, from the index; files are checked for existence but not opened."""
        return {entry.key for entry in self._known() if entry.finished}

    def load(self, key: str) -> StoredJob | None:
        """The recorded tables of a job, or ``None``. A damaged file is set aside with a warning and counts as absent.

        Raises:
            StoreError: a file exists and cannot be opened.
        """
        folder = self.folder(key)
        record = recorded(folder)
        if record is None:
            return None
        read: dict[str, pa.Table] = {}
        for name, expected in record.files.items():
            content = read_bytes(folder / name)
            if content is None:
                return None
            try:
                if digest(content) != expected:
                    raise ValueError("its content does not match its digest")  # noqa: TRY301 - one place sets files aside
                read[table_name(name)] = tables.parse_parquet(content)
            except ValueError as error:
                set_aside(folder / name, str(error))
                return None
        return StoredJob(record.entry.diagnostic, record.entry.finished, read)

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The main table's rows of a recorded job as plain Python, upgraded; empty if nothing is recorded.

        Raises:
            StoreError: a newer ncbench wrote them.
        """
        stored = self.load(key)
        if stored is None:
            return []
        schema = self._diagnostics(stored.diagnostic).schema
        table = tables.upgraded(stored.tables[MAIN], schema, self.folder(key) / file_name(MAIN))
        return list(table.to_pylist())

    def provenance(self, key: str) -> dict[str, Any]:
        """The provenance of a recorded job; empty if there is none that can be read.

        Raises:
            StoreError: the file exists and cannot be opened.
        """
        content = read_bytes(self.folder(key) / "provenance.json")
        try:
            found = json.loads(content or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @contextmanager
    def claim(self, key: str, *, wait: bool = False) -> Iterator[bool]:
        """Lock a job for this process. Yields whether it is held: ``False`` while another process works on it.

        With ``wait``, waits until the other process releases it or dies.
        """
        make_folder(self.folder(key))
        with claimed(self.folder(key), wait=wait) as held:
            yield held

    def checkpoint(self, key: str) -> FileCheckpoint:
        """The checkpoint of an unfinished job; the caller must hold the job."""
        make_folder(self.folder(key))
        return FileCheckpoint(self.folder(key) / "checkpoint.bin")

    def write_log(self, key: str, text: str) -> Path:
        """Store a traceback; returns its path."""
        path = self.folder(key) / "error.log"
        make_folder(path.parent)
        write_atomic(path, text.encode())
        return path

    def record(
        self,
        key: str,
        diagnostic: Diagnostic,
        common: Mapping[str, Any],
        outcome: Outcome,
        provenance: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """Store a job's rows, replacing earlier ones. The merged tables are updated at the next :meth:`rebuild_tables`.

        ``common`` fills the columns every table shares that a row does not set. Returns the main table's rows as stored.

        Raises:
            KeyError, TypeError: a row does not fit its schema; nothing is changed.
            StoreError: the disk is full or not writable; the job stays unfinished with its checkpoint.
        """
        schemas = diagnostic_schemas(diagnostic)
        if unknown := set(outcome.side) - set(schemas):
            raise KeyError(f"{diagnostic.name} has no side table {sorted(unknown)}")
        made = {
            name: tables.table_of(schemas[name], rows, common, key)
            for name, rows in {MAIN: outcome.rows, **outcome.side}.items()
            # An empty side table has no file, which saves a synchronised write.
            if name == MAIN or rows
        }
        statuses = made[MAIN].column("status").to_pylist()
        finished = bool(statuses) and all(status in FINISHED for status in statuses)
        contents = {file_name(name): tables.parquet_bytes(table) for name, table in made.items()}
        first = made[MAIN].slice(0, 1).to_pylist()[0] if statuses else dict(common)
        entry = Entry(
            key=key,
            diagnostic=diagnostic.name,
            version=diagnostic.version,
            finished=finished,
            model=":".join(str(first[name]) for name in ("model", "force_mode") if first.get(name)),
            system=str(first.get("system") or ""),
        )
        record = {
            "diagnostic": entry.diagnostic,
            "diagnostic_version": entry.version,
            "model": entry.model,
            "system": entry.system,
            "finished": finished,
            "recorded_utc": datetime.now(UTC).isoformat(timespec="microseconds"),
            "files": {name: digest(content) for name, content in contents.items()},
        }
        text = json.dumps({"job": key, "record": record, **provenance}, indent=1, ensure_ascii=False)
        folder = self.folder(key)
        make_folder(folder)
        if not self._adopted:
            # Once per process: jobs missing in the index after a kill were recorded earlier.
            self._adopt(job_folders(self.jobs))
        with self._locked():
            self._index.refresh()
            if key in self._index.entries():
                # From here on the index must not contain the old result: after a kill it would remain in the tables.
                self._index.forget(key)
            remove_leftovers(folder)
            for old in folder.glob("result*.parquet"):
                old.unlink()
            main = contents.pop(file_name(MAIN))
            # Their renames are synchronised with that of the main table: a job without it, or with other digests, is unfinished.
            for name, content in contents.items():
                write_atomic(folder / name, content, sync_name=False)
            write_atomic(folder / "provenance.json", text.encode(), sync_name=False)
            write_atomic(folder / file_name(MAIN), main)
            if finished:
                self._tidy(key)
            self._index.append([entry])
        return list(made[MAIN].to_pylist())

    def read(self, command: str, side: str = MAIN) -> pd.DataFrame:
        """A command's merged table (or one of its side tables), updated, with nullable types.

        Raises:
            StoreError: there is no such table, or a newer ncbench wrote it.
        """
        self.rebuild_tables(command)
        schema, path = diagnostic_schemas(self._diagnostics(command))[side], self.table_path(command, side)
        if side != MAIN and not path.exists() and self.table_path(command).exists():
            # No job has rows in it.
            return tables.frame(tables.table_of(schema, [], {}, ""))
        return tables.read_table(path, schema)

    def table_path(self, command: str, side: str = MAIN) -> Path:
        """The Parquet file of a merged table; the CSV has the same stem."""
        return merged_path(self.out, command, side)

    def rebuild_tables(self, command: str) -> None:
        """Update a command's merged tables: every job recorded with the diagnostic's current version once, in order of recording.

        Results of an older version have another meaning: their rows are removed from the tables, their folders stay in ``jobs/``. Only jobs recorded since the last time are read; a table that is missing or damaged is made from ``jobs/`` anew.

        Raises:
            StoreError: a file of a newer ncbench is in the way, or the disk refuses.
        """
        diagnostic = self._diagnostics(command)

        def load(key: str) -> Mapping[str, pa.Table] | None:
            stored = self.load(key)
            return None if stored is None else stored.tables

        with self._locked():
            entries = [e for e in self._known() if (e.diagnostic, e.version) == (command, diagnostic.version)]
            Merger(self.out, diagnostic, self._index, load=load, folder=self.folder).merge(entries)

    def _known(self) -> list[Entry]:
        """Entries of recorded jobs whose folder exists, in order; folders missing in the index are added."""
        present = job_folders(self.jobs)
        self._adopt(present)
        return with_results(self.jobs, self._index.entries().values(), present)

    def _adopt(self, present: AbstractSet[str]) -> None:
        """Update the index with the jobs that are ``present`` and missing in it."""
        self._adopted = True
        self._index.refresh()
        if present - self._index.entries().keys():
            with self._locked():
                self._index.refresh()
                unknown = sorted(present - self._index.entries().keys())
                records = [record for key in unknown if (record := recorded(self.folder(key))) is not None]
                for one in records:
                    if one.entry.finished:
                        self._tidy(one.entry.key)
                if records:
                    self._index.append(one.entry for one in sorted(records, key=lambda one: one.recorded_utc))

    def _tidy(self, key: str) -> None:
        """Remove the files that a finished job no longer needs; before its line in the index, so that after a kill the process that adds it does so."""
        for name in ("checkpoint.bin", "error.log"):
            (self.folder(key) / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The store's lock; reentrant within a process."""
        try:
            self._file_lock.acquire()
        except OSError as error:
            raise StoreError(
                f"Cannot lock {self.jobs}: {error.strerror or error}.", hint="Choose another folder with --out."
            ) from error
        try:
            with store_errors(self.jobs):
                yield
        finally:
            self._file_lock.release()
