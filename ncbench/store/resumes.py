"""Counts the deaths of a job at its start, or after it resumed from the same checkpoint.

A checkpoint after which the process dies repeatedly is dropped. A job that repeatedly crashes its process without a checkpoint is given up, so that the
following jobs run.
"""

from __future__ import annotations

import faulthandler
import json
from collections.abc import Iterator
from contextlib import contextmanager

from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.files import read_bytes, store_errors, write_atomic

MOST = 3
"""Number of deaths after which a checkpoint is dropped. A kill from outside is not caused by the checkpoint; three in a row are assumed to be."""

MOST_DEATHS = 2
"""Number of crashes (faults in native code) of a job without a checkpoint after which it is given up. A kill from outside is not a crash."""
_NO_CHECKPOINT = "none"


class Resumes:
    """The count stored next to a checkpoint, or without one; only the process that holds the job may use it."""

    def __init__(self, checkpoint: FileCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.path = checkpoint.path.with_name("resumes.json")
        self.crash_log = checkpoint.path.with_name("crash.log")
        """Written only by Python's fault handler: not empty after SIGSEGV, SIGFPE, SIGABRT or SIGBUS, empty after a kill from outside."""

    def is_given_up(self) -> bool:
        """Whether the job has no checkpoint and crashed its process in :data:`MOST_DEATHS` attempts. Unchanged until :meth:`end`."""
        return self._stamp() == _NO_CHECKPOINT and self.crashes >= MOST_DEATHS

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Context in which a fault in native code writes its traceback to :attr:`crash_log`. An active fault handler is not replaced."""
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
        """Start an attempt. Returns whether the checkpoint was dropped because too many attempts died after resuming from it.

        Raises:
            StoreError: the folder cannot be written.
        """
        stamp = self._stamp()
        count = 1 + self._count_of(stamp)
        if stamp != _NO_CHECKPOINT and count > MOST:
            self.checkpoint.clear()
            self.end()
            return True
        content = {"checkpoint": stamp, "attempts": count, "crashes": self.crashes}
        write_atomic(self.path, json.dumps(content).encode())
        self.crash_log.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """The attempt ended without the death of its process: reset the count.

        Raises:
            StoreError: the file cannot be removed.
        """
        with store_errors(self.path, "remove"):
            self.path.unlink(missing_ok=True)
            self.crash_log.unlink(missing_ok=True)

    def _stamp(self) -> str:
        try:
            status = self.checkpoint.path.stat()
        except FileNotFoundError:
            return _NO_CHECKPOINT
        # A checkpoint is replaced, never rewritten: a new one has a new inode or time.
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"

    @property
    def crashes(self) -> int:
        """Number of earlier attempts that ended by a fault in native code."""
        last = int(bool(read_bytes(self.crash_log)))
        try:
            return last + int(json.loads(read_bytes(self.path) or b"{}").get("crashes", 0))
        except (ValueError, TypeError, AttributeError):
            return last

    def _count_of(self, stamp: str) -> int:
        try:
            stored = json.loads(read_bytes(self.path) or b"{}")
            return int(stored["attempts"]) if stored["checkpoint"] == stamp else 0
        except (ValueError, KeyError, TypeError):
            return 0
