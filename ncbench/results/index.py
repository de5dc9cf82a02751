"""The index of a store: which jobs are recorded, in which order, and whether they are finished.

The truth is in ``jobs/<key>/``; the index is what makes asking cheap. It is a file of JSON lines that is only ever appended to. A kill
while a line is written leaves a line without an end, which is ignored and cut off by the next writer. A folder that the index does
not know (a kill fell between the two, or the folder was copied in) is adopted; a folder that is gone is forgotten.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import StoreError
from ncbench.results.files import read_bytes, set_aside, store_errors, write_atomic

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A recorded job."""

    key: str
    sequence: int
    """Its place in the order of recording, counted from 1."""
    diagnostic: str
    finished: bool


class Index:
    """In-memory view of the index file, brought up to date by reading what was appended since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity = ""
        """Changes when the index is made anew, and with it all sequence numbers."""
        self._entries: dict[str, Entry] = {}
        self._offset = 0
        self._inode = -1
        self._last = 0

    @property
    def last(self) -> int:
        """The highest sequence number given out."""
        return self._last

    def entries(self) -> Mapping[str, Entry]:
        """Entries by key, in order of recording, as of the last :meth:`refresh`."""
        return self._entries

    def refresh(self) -> None:
        """Read what other processes appended.

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
            set_aside(self.path, f"a line is unreadable: {error}")
            return
        self._offset += len(whole)

    def append(self, records: Iterable[tuple[str, str, bool]]) -> None:
        """Add (key, diagnostic, finished) lines; only under the store's lock, after :meth:`refresh`.

        Raises:
            StoreError: the disk is full or the file not writable.
        """
        lines: list[str] = []
        if not self.identity:
            header = {"ncbench_index": FORMAT, "identity": secrets.token_hex(8)}
            write_atomic(self.path, json.dumps(header).encode() + b"\n")
            self.refresh()
        for sequence, (key, diagnostic, finished) in enumerate(records, self._last + 1):
            line = {"sequence": sequence, "key": key, "diagnostic": diagnostic, "finished": finished}
            lines.append(json.dumps(line) + "\n")
        with store_errors(self.path), self.path.open("r+b") as handle:
            handle.seek(self._offset)
            handle.truncate()
            handle.write("".join(lines).encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.refresh()

    def _take(self, line: bytes) -> None:
        record = json.loads(line)
        if not self.identity:
            if record["ncbench_index"] > FORMAT:
                raise StoreError(
                    f"{self.path} was written by a newer ncbench.",
                    hint="Upgrade ncbench, or choose another folder with --out.",
                )
            self.identity = record["identity"]
            return
        entry = Entry(record["key"], int(record["sequence"]), record["diagnostic"], bool(record["finished"]))
        # Taken out first so that a job recorded again moves to the end.
        self._entries.pop(entry.key, None)
        self._entries[entry.key] = entry
        self._last = max(self._last, entry.sequence)

    def _forget(self) -> None:
        self.identity, self._offset, self._inode, self._last = "", 0, -1, 0
        self._entries = {}


def recorded(folder: Path) -> tuple[str, str, bool, str] | None:
    """(key, diagnostic, finished, time of recording) of a job's folder from its own files; ``None`` where nothing is recorded.

    A damaged provenance is set aside with a warning and counts as nothing recorded.
    """
    if not (folder / "result.parquet").exists():
        return None
    content = read_bytes(folder / "provenance.json")
    if content is None:
        return None
    try:
        record = json.loads(content)["record"]
        return folder.name, str(record["diagnostic"]), bool(record["finished"]), str(record["recorded_utc"])
    except (ValueError, KeyError, TypeError) as error:
        set_aside(folder / "provenance.json", f"it is not the JSON that was written: {error}")
        return None
