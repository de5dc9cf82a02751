"""How often a job went on from one and the same checkpoint and died: one that kills whoever loads it must not do so for ever."""

from __future__ import annotations

import json

from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.files import read_bytes, store_errors, write_atomic

MOST = 3
"""So often. A kill from outside, before the next checkpoint, is no fault of the checkpoint; three in a row are taken as one."""


class Resumes:
    """The count beside a checkpoint; only whoever holds the job may use it."""

    def __init__(self, checkpoint: FileCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.path = checkpoint.path.with_name("resumes.json")

    def begin(self) -> bool:
        """An attempt begins. Whether the checkpoint was dropped, since too many attempts died that had gone on from it.

        Raises:
            StoreError: the folder cannot be written.
        """
        stamp = self._stamp()
        if stamp is None:
            return False
        count = 1 + self._count_of(stamp)
        if count > MOST:
            self.checkpoint.clear()
            self.end()
            return True
        write_atomic(self.path, json.dumps({"checkpoint": stamp, "attempts": count}).encode())
        return False

    def end(self) -> None:
        """The attempt lived to tell: the count starts anew.

        Raises:
            StoreError: the file cannot be removed.
        """
        with store_errors(self.path, "remove"):
            self.path.unlink(missing_ok=True)

    def _stamp(self) -> str | None:
        try:
            found = self.checkpoint.path.stat()
        except FileNotFoundError:
            return None
        # A checkpoint is replaced, never rewritten: a new one has a new inode or time.
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def _count_of(self, stamp: str) -> int:
        try:
            found = json.loads(read_bytes(self.path) or b"{}")
            return int(found["attempts"]) if found["checkpoint"] == stamp else 0
        except (ValueError, KeyError, TypeError):
            return 0
