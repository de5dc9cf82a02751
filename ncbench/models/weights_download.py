"""Download of one file over HTTP: complete or not at all, resumed after a broken connection. Light imports only."""

from __future__ import annotations

import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

ATTEMPTS = 3
"""Requests per file. The second and later ones ask for the missing bytes only."""
TIMEOUT_S = 120.0
"""Longest wait for the next bytes."""
_BLOCK_BYTES = 1 << 18


class IncompleteDownloadError(OSError):
    """The connection ended before all bytes had arrived."""


class NotAFileError(OSError):
    """The server answered with a web page, as proxies and log-in pages do."""


def download(url: str, target: Path) -> Path:
    """Download ``url`` to ``target`` and return ``target``.

    The proxy variables of the environment are used (``https_proxy``, ``http_proxy``, ``no_proxy``). The content is written to a
    temporary file in the folder of ``target`` and renamed when it is complete; on any error it is deleted. If a connection breaks,
    the rest is requested by ``Range`` with ``If-Range`` (RFC 9110, section 13.1.5), so that parts of two versions are never joined.

    Raises:
        OSError: no connection, an HTTP error (:class:`urllib.error.HTTPError`), an incomplete file or a web page instead of
            a file, or ``target`` cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as stream:
            _fill(stream, url)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _fill(stream: BinaryIO, url: str) -> None:
    version, reason = "", ""
    for _ in range(ATTEMPTS):
        received = stream.tell()
        request = urllib.request.Request(url)  # noqa: S310  # an address of the package or of the user's own entry
        if received and version:
            request.add_header("Range", f"bytes={received}-")
            request.add_header("If-Range", version)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # as above
                if answer.headers.get_content_type() == "text/html":
                    raise NotAFileError(f"the server sent a web page instead of {url}")
                if answer.status != http.client.PARTIAL_CONTENT:
                    # The whole file: the server does not resume, or the file has changed.
                    stream.seek(0)
                    stream.truncate()
                tag = str(answer.headers.get("ETag", ""))
                # A weak tag does not identify bytes and is not allowed in If-Range.
                version = "" if tag.startswith("W/") else tag
                length = answer.headers.get("Content-Length")
                end = None if length is None else stream.tell() + int(length)
                while block := answer.read(_BLOCK_BYTES):
                    stream.write(block)
        except urllib.error.HTTPError as error:
            # It holds the connection.
            error.close()
            raise
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            # Only a connection that had been established is tried again.
            reason = f"{type(error).__name__} after {stream.tell()} bytes"
            continue
        # read(n) of http.client does not report an early end of the body.
        if end is None or stream.tell() == end:
            return
        reason = f"{stream.tell()} of {end} bytes arrived"
    raise IncompleteDownloadError(reason)
