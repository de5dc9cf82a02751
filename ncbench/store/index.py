"""The index of a store: which jobs are recorded, in which order, and whether they are finished.

The authoritative data are in ``jobs/<key>/``; the index makes queries fast. It is an append-only file of JSON lines. A kill
during a write leaves an incomplete line, which is ignored and removed by the next writer. Every line has a checksum, and
an index with a damaged line is set aside and rebuilt. A folder that is not in the index (after a kill between
the two writes, or copied in) is added; a folder that no longer exists is removed from it.

An index without checksums, of a format that was never released, counts as damaged.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ncbench.errors import StoreError
from ncbench.store.files import read_bytes, set_aside, store_errors, write_atomic

FORMAT = 2
_CHECK = b', "check": "'
RESULT = "result.parquet"
"""The file of a job's folder that is written last: if it exists, the job is recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A recorded job."""

    key: str
    diagnostic: str
    version: int
    """Version of the diagnostic when the job was run."""
    finished: bool
    model: str = ""
    """With its force mode, ``NAME:direct``; empty if not recorded."""
    system: str = ""
    sequence: int = 0
    """Its sequence number in the order of recording, counted from 1; 0 for a job that is not in the index."""


class Index:
    """In-memory view of the index file, updated by reading the lines appended since.

    With ``repair=False`` a damaged file is not changed and counts as empty.
    """

    def __init__(self, path: Path, *, repair: bool = True) -> None:
        self.path = path
        self.identity = ""
        """Changes when the index is rebuilt, as do all sequence numbers."""
        self._repair = repair
        self._entries: dict[str, Entry] = {}
        self._offset = 0
        self._inode = -1
        self._last = 0

    @property
    def last(self) -> int:
        """The highest sequence number in use."""
        return self._last

    def entries(self) -> Mapping[str, Entry]:
        """Entries by key, in order of recording, as of the last :meth:`refresh`."""
        return self._entries

    def refresh(self) -> None:
        """Read the lines that other processes appended.

        Raises:
            StoreError: the file cannot be opened, or a newer ncbench wrote it.
        """
        with store_errors(self.path, "read"):
            try:
                stat = self.path.stat()
            except FileNotFoundError:
                self._forget()
                return
            if stat.st_ino != self._inode or stat.st_size < self._offset:
                self._forget()
            if stat.st_size == self._offset:
                return
            with self.path.open("rb") as handle:
                self._inode = os.fstat(handle.fileno()).st_ino
                handle.seek(self._offset)
                content = handle.read()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            for line in whole.splitlines():
                self._take(line)
        except (ValueError, KeyError, TypeError) as error:
            self._forget()
            if self._repair:
                set_aside(self.path, f"a line is unreadable: {error}")
            return
        self._offset += len(whole)

    def append(self, entries: Iterable[Entry]) -> None:
        """Append entries, numbered from :attr:`last` + 1; only under the store's lock, after :meth:`refresh`.

        Raises:
            StoreError: the disk is full or the file not writable.
        """
        self._append(_line(replace(entry, sequence=number)) for number, entry in enumerate(entries, self._last + 1))

    def forget(self, key: str) -> None:
        """Mark the recorded result of a job as void, before it is recorded again; after a kill the job is added from its folder.

        Only under the store's lock, after :meth:`refresh`.

        Raises:
            StoreError: the disk is full or the file not writable.
        """
        self._append([_sealed({"gone": key})])

    def _append(self, lines: Iterable[bytes]) -> None:
        if not self.identity:
            self._begin()
        with store_errors(self.path), self.path.open("r+b") as handle:
            handle.seek(self._offset)
            handle.truncate()
            handle.write(b"".join(lines))
            handle.flush()
            os.fsync(handle.fileno())
        self.refresh()

    def _begin(self) -> None:
        write_atomic(self.path, _sealed({"ncbench_index": FORMAT, "identity": secrets.token_hex(8)}))
        self._forget()
        self.refresh()

    def _take(self, line: bytes) -> None:
        record = json.loads(line)
        sealed = _is_whole(line)
        if not self.identity and int(record["ncbench_index"]) > FORMAT:
            raise StoreError(
                f"{self.path} was written by a newer ncbench.",
                hint="Upgrade ncbench, or choose another folder with --out.",
            )
        if not sealed:
            raise ValueError("it has no checksum")
        if not self.identity:
            self.identity = str(record["identity"])
            return
        if "gone" in record:
            self._entries.pop(str(record["gone"]), None)
            return
        entry = Entry(
            key=str(record["key"]),
            diagnostic=str(record["diagnostic"]),
            version=int(record["version"]),
            finished=bool(record["finished"]),
            model=str(record["model"]),
            system=str(record["system"]),
            sequence=int(record["sequence"]),
        )
        # Removed first so that a job recorded again moves to the end.
        self._entries.pop(entry.key, None)
        self._entries[entry.key] = entry
        self._last = max(self._last, entry.sequence)

    def _forget(self) -> None:
        self.identity, self._offset, self._inode, self._last = "", 0, -1, 0
        self._entries = {}


def _line(entry: Entry) -> bytes:
    return _sealed(asdict(entry))


def _sealed(record: Mapping[str, Any]) -> bytes:
    """A line with its checksum, still valid JSON, so that an older ncbench can read its format number."""
    text = json.dumps(record).encode().removesuffix(b"}")
    return text + _CHECK + f"{zlib.crc32(text):08x}".encode() + b'"}\n'


def _is_whole(line: bytes) -> bool:
    """Whether a line has a checksum.

    Raises:
        ValueError: the checksum does not match.
    """
    text, marker, check = line.rpartition(_CHECK)
    if marker and check != f'{zlib.crc32(text):08x}"}}'.encode():
        raise ValueError("its checksum does not match")
    return bool(marker)


def job_folders(jobs: Path) -> set[str]:
    """The keys that have a folder in ``jobs``, whatever its content.

    Raises:
        StoreError: the folder cannot be read.
    """
    # Not through Path.iterdir: there may be 100,000, and scandir returns names and types without further calls.
    with store_errors(jobs, "read"), os.scandir(jobs) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # A link may be circular, for which only os.path.isdir raises no error.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112


def with_results(jobs: Path, entries: Iterable[Entry], present: Container[str]) -> list[Entry]:
    """The entries whose folder, one of ``present``, holds a result."""
    root = str(jobs)
    return [
        entry
        for entry in entries
        if entry.key in present and os.path.exists(f"{root}/{entry.key}/{RESULT}")  # noqa: PTH110 - 5 times faster, and there may be 100,000
    ]


@dataclass(frozen=True)
class Recorded:
    """The recording of a job according to its provenance."""

    entry: Entry
    """Not numbered."""
    recorded_utc: str
    """Time of recording, ISO 8601."""
    files: Mapping[str, str]
    """Result file → SHA-256 of its content."""


def recorded(folder: Path, *, repair: bool = True) -> Recorded | None:
    """The record in a job's folder according to its own files; ``None`` if there is none.

    A damaged provenance counts as no record; it is set aside with a warning, or not changed with ``repair=False``.

    Raises:
        StoreError: the provenance exists and cannot be opened.
    """
    if not (folder / RESULT).exists():
        return None
    content = read_bytes(folder / "provenance.json")
    if content is None:
        return None
    try:
        provenance = json.loads(content)
        record = provenance["record"]
        entry = Entry(
            key=folder.name,
            diagnostic=str(record["diagnostic"]),
            version=int(record["diagnostic_version"]),
            finished=bool(record["finished"]),
            model=str(record["model"] if "model" in record else _model_of(provenance)),
            system=str(record["system"] if "system" in record else provenance.get("request", {}).get("system", "")),
        )
        return Recorded(entry, str(record["recorded_utc"]), dict(record["files"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if repair:
            set_aside(folder / "provenance.json", f"it is not valid JSON: {error}")
        return None


def _model_of(provenance: Mapping[str, Any]) -> str:
    """The model in a provenance from before the record contained it."""
    card = provenance.get("model_card")
    if card:
        return f"{card['name']}:{card['force_mode']}"
    return str(provenance.get("request", {}).get("model", {}).get("spec", ""))
