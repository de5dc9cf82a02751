"""Atomic writing of files, and renaming of damaged ones.

A write goes to a temporary file in the same folder, is flushed to the disk, and then renamed to its final name.
A reader sees the old or the new content. A killed writer leaves a ``*.tmp`` file that is never read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncbench.errors import StoreError


class DamagedFileWarning(UserWarning):
    """A stored file could not be read and was set aside; its content is computed again."""


@contextmanager
def store_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """Convert an OSError into a StoreError with one sentence.

    Raises:
        StoreError: the disk is full, the path is not writable, or the medium failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"The disk is full: cannot {doing} {path}.",
                hint="Free some space and run again; finished jobs are kept.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"No permission to {doing} {path}.", hint="Choose another folder with --out.") from error
        raise StoreError(f"Cannot {doing} {path}: {error.strerror or error}.") from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents.

    Raises:
        StoreError: it cannot be created.
    """
    with store_errors(path, "create the folder"):
        path.mkdir(parents=True, exist_ok=True)


def write_atomic(path: Path, content: bytes, *, sync_name: bool = True) -> None:
    """Replace ``path`` by ``content``; a kill at any time leaves the old or the new content.

    With ``sync_name=False`` the rename may be lost in a power failure, until the folder is synchronised: for a file that is followed by
    another one in the same folder, without which it is not used.

    Raises:
        StoreError: the disk is full or the folder not writable; the old content is kept.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with store_errors(path):
        try:
            with temporary.open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync_name:
            sync_folder(path.parent)


def write_through(path: Path, content: bytes) -> None:
    """Write to a user's path: through a symbolic link, directly into a pipe or device, otherwise atomically.

    Raises:
        StoreError: the disk or device is full, or the path is not writable.
    """
    with store_errors(path):
        target = path.resolve() if path.is_symlink() else path
        special = target.exists() and not target.is_file()
        if special:
            with target.open("wb") as handle:
                handle.write(content)
    if not special:
        write_atomic(target, content)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, if the system supports it (Windows cannot open folders)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_bytes(path: Path) -> bytes | None:
    """The content, or ``None`` if there is no such file.

    Raises:
        StoreError: the file exists and cannot be read.
    """
    with store_errors(path, "read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def set_aside(path: Path, why: str) -> None:
    """Rename a damaged file to ``<name>.damaged-<n>`` and issue a :class:`DamagedFileWarning`."""
    with store_errors(path, "rename"):
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        try:
            path.rename(aside)
        except FileNotFoundError:
            # Another process of the same store has already renamed it.
            return
    warnings.warn(
        f"{path} is damaged ({why}); it is kept as {aside.name}, and its content is computed again.",
        DamagedFileWarning,
        stacklevel=2,
    )


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of killed writers in ``folder``; only under its lock."""
    with store_errors(folder, "clean up"):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    """SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
