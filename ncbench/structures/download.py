"""Files named by URL and digest: from a mirror folder, from the cache, or from the network. Imports nothing heavy."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import DataError

MIRROR_VARIABLE = "NCBENCH_DATA_MIRROR"
"""A folder laid out as HOST/PATH; where it is set, nothing is downloaded."""
CACHE_VARIABLE = "NCBENCH_CACHE_DIR"
"""Where downloads are kept, in place of the platform's cache folder."""

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file that never changes its content."""

    url: str
    """``https://HOST/PATH``"""
    sha256: str

    @property
    def place(self) -> str:
        """``HOST/PATH``: where it lies in a mirror, and in the cache."""
        return self.url.split("://", 1)[1]


def cache_dir() -> Path:
    """The folder of downloads: :data:`CACHE_VARIABLE`, or the platform's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("ncbench") / "data"


def fetch(file: RemoteFile) -> Path:
    """The file on this machine, its digest checked.

    Raises:
        DataError: it is not in the mirror, cannot be downloaded, or has another digest. The message says what to fetch,
            where to put it, and how to name a mirror.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        return _from_mirror(file, Path(mirror).expanduser())
    import pooch
    import requests

    target = cache_dir() / file.place
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                file.url,
                known_hash=f"sha256:{file.sha256}",
                path=target.parent,
                fname=target.name,
                # The files have a few megabytes; unstreamed, a refusal leaves no connection open.
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, stream=False),
            )
    except requests.RequestException as error:
        raise DataError(f"{file.url} could not be downloaded ({_root(error)}).", hint=_advice(target)) from error
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error}).", hint=_advice(target)) from error
    except ValueError as error:
        raise DataError(
            f"What came from {file.url} does not have the SHA-256 digest {file.sha256}.", hint=_advice(target)
        ) from error
    return target


def _from_mirror(file: RemoteFile, mirror: Path) -> Path:
    import pooch

    found = mirror / file.place
    if not found.is_file():
        raise DataError(
            f"The mirror {mirror} ({MIRROR_VARIABLE}) has no {file.place}.", hint=f"Copy {file.url} to {found}."
        )
    digest = pooch.file_hash(str(found), alg="sha256")
    if digest != file.sha256:
        raise DataError(f"{found} has the SHA-256 digest {digest}, not {file.sha256}.", hint=f"Copy {file.url} again.")
    return found


def _advice(target: Path) -> str:
    return (
        f"Fetch it on a machine that can and put it at {target}, or set {MIRROR_VARIABLE} to a folder that holds it "
        "under HOST/PATH."
    )


def _root(error: BaseException) -> str:
    """The innermost cause in a few words: the outer ones repeat the URL in brackets."""
    while isinstance(error.args[0] if error.args else None, BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    # urllib3 puts its connection object before the reason.
    return str(reason or error).splitlines()[0].rsplit("): ", 1)[-1]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Pooch announces every download; the command line has its own way to say what it does."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
