"""How often a job died: at its beginning, or after it went on from one and the same checkpoint.

A checkpoint that kills the process that loads it is dropped. A job that kills its process before it has a checkpoint is given up, so that the
jobs after it are run.
"""

from __future__ import annotations

import json

from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.files import read_bytes, store_errors, write_atomic

MOST = 3
"""So often. A kill from outside, before the next checkpoint, is no fault of the checkpoint; three in a row are taken as one."""

MOST_DEATHS = 2
"""So often a job without a checkpoint may take its process with it, before it is given up."""
_NO_CHECKPOINT = "none"


class Resumes:
    """The count beside a checkpoint, or in its place; only the process that holds the job may use it."""

    def __init__(self, checkpoint: FileCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.path = checkpoint.path.with_name("resumes.json")

    def is_given_up(self) -> bool:
        """Whether the job has no checkpoint and the attempts before, two in a row, never came back. It stays so until :meth:`end`."""
        stamp = self._stamp()
        return stamp == _NO_CHECKPOINT and self._count_of(stamp) >= MOST_DEATHS

    def begin(self) -> bool:
        """An attempt begins. Whether the checkpoint was dropped, since too many attempts died that had gone on from it.

        Raises:
            StoreError: the folder cannot be written.
        """
        stamp = self._stamp()
        count = 1 + self._count_of(stamp)
        if stamp != _NO_CHECKPOINT and count > MOST:
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

    def _stamp(self) -> str:
        try:
            found = self.checkpoint.path.stat()
        except FileNotFoundError:
            return _NO_CHECKPOINT
        # A checkpoint is replaced, never rewritten: a new one has a new inode or time.
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def _count_of(self, stamp: str) -> int:
        try:
            found = json.loads(read_bytes(self.path) or b"{}")
            return int(found["attempts"]) if found["checkpoint"] == stamp else 0
        except (ValueError, KeyError, TypeError):
            return 0
