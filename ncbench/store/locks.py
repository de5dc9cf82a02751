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
"""How long a non-waiting caller tries, s: an inspection holds the lock for microseconds and must not count as a running job."""
POLL_SECONDS = 0.005


@contextmanager
def claimed(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock the existing folder of a job. Yields whether it is held: ``False`` while another process works on it.

    With ``wait``, waits until the other process releases it or dies.

    Raises:
        StoreError: the lock file cannot be created or opened.
    """
    lock = FileLock(folder / NAME)
    # A Timeout is an OSError too, but not a failure here.
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
    """Whether a process holds the lock of a job's folder. Nothing is written, and any number of processes may check at once.

    Always ``False`` if locks cannot be shared (Windows).

    Raises:
        StoreError: the lock file exists and cannot be opened.
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
        # On file systems without locks, filelock uses the existence of the file as the lock.
        return error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOSYS)
    finally:
        # Closing releases the shared lock.
        os.close(descriptor)
    return False
