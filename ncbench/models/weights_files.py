"""Files of weights in the caches of packages: checked each time before they are read. Light imports only."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ncbench.cache_folder import cache_dir
from ncbench.models.row import ModelRow
from ncbench.models.weights_download import NotAFileError

_ZIP, _BEFORE_ZIP = b"PK\x03\x04", pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""First bytes of what torch.save writes: of an archive, or before torch 1.6 the pickle of a fixed number."""
_ZIP_END, _ZIP_END_BYTES = b"PK\x05\x06", 22
"""The last record of an archive without a comment, as torch writes it: APPNOTE.TXT of PKWARE, section 4.3.16."""


class DamagedFileError(OSError):
    """A file in a cache is not what its address should contain; it has been deleted."""


def cached_or_downloaded(row: ModelRow, cached: Path | None, download: Callable[[], Path]) -> Path:
    """A file of weights: ``cached`` if it exists and is intact, else that of ``download``.

    The network is not used for a file that is here. A file that is damaged is deleted, so that the next run downloads it again.

    Raises:
        DamagedFileError, NotAFileError: the downloaded file is not the weights; it is deleted.
        OSError: the download failed.
    """
    if cached is not None and cached.is_file():
        # A file that an earlier program left: download it again.
        with suppress(DamagedFileError, NotAFileError):
            return _checked(cached, row)
    return _checked(download(), row)


def folder_of(family: str) -> Path:
    """The folder of weights that ncbench itself downloads for a family."""
    return cache_dir() / "weights" / family


def in_hub_cache(repository: str, pattern: str, *, cache: Path | None = None) -> list[Path]:
    """Files of a Hugging Face repository in the local cache, sorted by name: those of the newest snapshot that contains any.

    ``pattern`` is a pattern of :meth:`pathlib.Path.glob` from the top of the repository, ``cache`` another folder than the hub
    client's own. The network is not used.
    """
    if cache is None:
        from huggingface_hub.constants import HF_HUB_CACHE

        cache = Path(HF_HUB_CACHE)
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    by_age = sorted(snapshots.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for snapshot in by_age:
        if files := sorted(path for path in snapshot.glob(pattern) if path.is_file()):
            return files
    return []


def _checked(path: Path, row: ModelRow) -> Path:
    """``path``, if it is a file of torch with the digest that is known of it: the row's, or the one the hub stated."""
    # Imports torch, which this module does not need otherwise.
    from ncbench.models.loading import sha256_of

    with path.open("rb") as stream:
        start = stream.read(512)
        # Not zipfile.is_zipfile: a model may contain archives, whose ends it would find.
        stream.seek(max(-_ZIP_END_BYTES, -stream.seek(0, os.SEEK_END)), os.SEEK_END)
        whole = not start.startswith(_ZIP) or stream.read().startswith(_ZIP_END)
    known = row.sha256 or _hub_digest(path)
    if re.match(rb"\s*<(!doctype|html|\?xml)", start, re.IGNORECASE):
        error: OSError = NotAFileError(f"the server sent a web page instead of {path.name}")
    elif known and sha256_of(path) != known:
        error = DamagedFileError(
            f"the file has the SHA-256 digest {sha256_of(path)[:16]}…, not {known[:16]}…, and was deleted"
        )
    elif not start.startswith((_ZIP, _BEFORE_ZIP)) or not whole:
        error = DamagedFileError("the file is not one that torch has written, or not all of it, and was deleted")
    else:
        return path
    _delete(path)
    # The next file of this name has another digest.
    sha256_of.cache_clear()
    raise error


def _hub_digest(path: Path) -> str:
    """The SHA-256 digest that the hub stated for a file in its client's cache: large files are stored under it. Else empty."""
    content = path.resolve()
    in_cache = content.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", content.name)
    return content.name if in_cache else ""


def _delete(path: Path) -> None:
    """Delete a file, and what a link in the hub client's cache points to."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    if content.parent.name == "blobs":
        content.unlink(missing_ok=True)
