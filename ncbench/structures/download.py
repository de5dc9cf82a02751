"""Files identified by URL and digest, from a mirror folder, the cache, or the network. Light imports only."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ncbench.cache_folder import cache_dir
from ncbench.errors import DataError

MIRROR_VARIABLE = "NCBENCH_DATA_MIRROR"
"""A folder laid out as HOST/PATH; if it is set, nothing is downloaded."""

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file with constant content."""

    url: str
    """``https://HOST/PATH``"""
    sha256: str

    @property
    def place(self) -> str:
        """``HOST/PATH``: its path in a mirror and in the cache."""
        return self.url.split("://", 1)[1]


def fetch(file: RemoteFile) -> Path:
    """The file on this machine, its digest checked.

    Raises:
        DataError: it is not in the mirror, cannot be downloaded, or has another digest. The message gives the URL,
            the target path, and how to set a mirror.
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
                # The files have a few megabytes; without streaming, an error leaves no open connection.
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, stream=False),
            )
    except requests.RequestException as error:
        raise DataError(f"{file.url} could not be downloaded ({_root(error)}).", hint=_advice(target)) from error
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error}).", hint=_advice(target)) from error
    except ValueError as error:
        raise DataError(
            f"The download from {file.url} does not have the SHA-256 digest {file.sha256}.", hint=_advice(target)
        ) from error
    return target


def _from_mirror(file: RemoteFile, mirror: Path) -> Path:
    import pooch

    mirrored = mirror / file.place
    if not mirrored.is_file():
        raise DataError(
            f"The mirror {mirror} ({MIRROR_VARIABLE}) has no {file.place}.", hint=f"Copy {file.url} to {mirrored}."
        )
    digest = pooch.file_hash(str(mirrored), alg="sha256")
    if digest != file.sha256:
        raise DataError(
            f"{mirrored} has the SHA-256 digest {digest}, not {file.sha256}.", hint=f"Copy {file.url} again."
        )
    return mirrored


def _advice(target: Path) -> str:
    return (
        f"Download it on another machine and put it at {target}, or set {MIRROR_VARIABLE} to a folder that holds it "
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
    """Suppress pooch's messages; the command line reports downloads itself."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
