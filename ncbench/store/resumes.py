"""How often a job died: at its beginning, or after it went on from one and the same checkpoint.

A checkpoint that kills the process that loads it is dropped. A job that kills its process before it has a checkpoint is given up, so that the
jobs after it are run.
"""

from __future__ import annotations

import faulthandler
import json
from collections.abc import Iterator
from contextlib import contextmanager

from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.files import read_bytes, store_errors, write_atomic

MOST = 3
"""So often. A kill from outside, before the next checkpoint, is no fault of the checkpoint; three in a row are taken as one."""

MOST_DEATHS = 2
"""So often a job without a checkpoint may crash its process (a fault in native code), before it is given up. A kill from outside is no crash."""
_NO_CHECKPOINT = "none"


class Resumes:
    """The count beside a checkpoint, or in its place; only the process that holds the job may use it."""

    def __init__(self, checkpoint: FileCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.path = checkpoint.path.with_name("resumes.json")
        self.crash_log = checkpoint.path.with_name("crash.log")
        """Written by Python's fault handler alone: not empty after SIGSEGV, SIGFPE, SIGABRT or SIGBUS, empty after a kill from outside."""

    def is_given_up(self) -> bool:
        """Whether the job has no checkpoint and crashed its process in :data:`MOST_DEATHS` attempts. It stays so until :meth:`end`."""
        return self._stamp() == _NO_CHECKPOINT and self._crashes() >= MOST_DEATHS

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within, a fault in native code leaves its traceback in :attr:`crash_log`. A fault handler that is on already is left alone."""
        if faulthandler.is_enabled():
            yield
            return
        with self.crash_log.open("wb") as log:
            faulthandler.enable(log, all_threads=False)
            try:
                yield
            finally:
                faulthandler.disable()
        self.crash_log.unlink(missing_ok=True)

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
        content = {"checkpoint": stamp, "attempts": count, "crashes": self._crashes()}
        write_atomic(self.path, json.dumps(content).encode())
        self.crash_log.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """The attempt lived to tell: the count starts anew.

        Raises:
            StoreError: the file cannot be removed.
        """
        with store_errors(self.path, "remove"):
            self.path.unlink(missing_ok=True)
            self.crash_log.unlink(missing_ok=True)

    def _stamp(self) -> str:
        try:
            found = self.checkpoint.path.stat()
        except FileNotFoundError:
            return _NO_CHECKPOINT
        # A checkpoint is replaced, never rewritten: a new one has a new inode or time.
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def _crashes(self) -> int:
        """Of earlier attempts, the last one included."""
        last = int(bool(read_bytes(self.crash_log)))
        try:
            return last + int(json.loads(read_bytes(self.path) or b"{}").get("crashes", 0))
        except (ValueError, TypeError, AttributeError):
            return last

    def _count_of(self, stamp: str) -> int:
        try:
            found = json.loads(read_bytes(self.path) or b"{}")
            return int(found["attempts"]) if found["checkpoint"] == stamp else 0
        except (ValueError, KeyError, TypeError):
            return 0
