"""Locks of jobs: advisory, released by the system when a process dies; they can be inspected without being taken."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ncbench.store.files import store_errors

NAME = ".lock"
CLAIM_SECONDS = 0.1
"""How long a caller that does not wait still tries: an inspection holds the lock for microseconds and must not be taken for work."""
POLL_SECONDS = 0.005


@contextmanager
def claimed(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the folder of a job, which is there. Yields whether it is held: ``False`` while another process works on it.

    With ``wait``, waits until the other is done or dead.

    Raises:
        StoreError: the lock's file cannot be made or opened.
    """
    lock = FileLock(folder / NAME)
    # A Timeout is an OSError too, and here no failure.
    with store_errors(folder), suppress(Timeout):
        if wait:
            lock.acquire(timeout=-1)
        else:
            lock.acquire(timeout=CLAIM_SECONDS, poll_interval=POLL_SECONDS)
    if not lock.is_locked:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_claimed(folder: Path) -> bool:
    """Whether a process holds the folder of a job now. Nothing is made or written, and any number may look at once.

    Where locks cannot be shared (Windows) the answer is always no.

    Raises:
        StoreError: the lock's file is there and cannot be opened.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    with store_errors(folder / NAME, "read"):
        try:
            descriptor = os.open(folder / NAME, os.O_RDONLY)
        except FileNotFoundError:
            return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # Without locks in the file system, filelock takes the file's being there for the lock.
        return error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOSYS)
    finally:
        # Closing gives the shared lock back.
        os.close(descriptor)
    return False
