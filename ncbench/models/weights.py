"""Weights that a family's own package downloads: their digest, and the errors if they are not available."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ncbench.cache_folder import cache_dir
from ncbench.errors import WeightsError
from ncbench.models.registry import ModelRow
from ncbench.models.weights_download import IncompleteDownloadError, NotAFileError

RECORD = "weights.json"
"""Name → digest of the weights that the last run on this machine used."""


def file_with_digest(path: Path, row: ModelRow) -> Path:
    """``path``, if its digest is that of the row, or the row has none.

    Raises:
        WeightsError: the digest differs.
    """
    # Imports torch, which this module does not need otherwise.
    from ncbench.models.loading import sha256_of

    if row.sha256 and sha256_of(path) != row.sha256:
        raise WeightsError(
            f"'{path}' is not the weights file of {row.name}: its digest is {sha256_of(path)[:16]}…, "
            f"not {row.sha256[:16]}….",
            hint="Delete it to download it again, or pass it with --checkpoint.",
        )
    return path


def not_to_be_had(name: str, error: BaseException, *, url: str, trust: bool, log_in: str = "") -> WeightsError:
    """The error for weights that the package could not download.

    ``url`` is their address; ``trust`` states that the file is a pickle; ``log_in`` how to get access to a gated repository.
    """
    file = url.rpartition("/")[2]
    flags = f"--checkpoint {file}" + (" --trust-checkpoint" if trust else "")
    gate = f" {log_in}" if log_in else ""
    status = _status(error)
    if status in (404, 410):
        hint = f"The file has been moved or removed: look for '{file}' on the model's page and add {flags}.{gate}"
    elif status in (408, 429, 500, 502, 503, 504):
        hint = f"Try again later, or fetch {url} elsewhere and add {flags}.{gate}"
    else:
        hint = f"Fetch {url} elsewhere and add {flags}.{gate}"
    return WeightsError(
        f"The weights of {name} are not on this machine and could not be downloaded ({_reason(error)}).", hint=hint
    )


def gated(name: str, error: BaseException, repository: str, file: str) -> WeightsError:
    """The error for weights in a gated repository."""
    at = f"https://huggingface.co/{repository}"
    log_in = f"The repository is gated: agree to its licence at {at}, then run `hf auth login` or set HF_TOKEN."
    # Without a token, the hub answers 401 for repositories that it does not show to everybody.
    if _status(error) in (401, 403):
        return WeightsError(f"The weights of {name} are in the gated repository {repository}.", hint=log_in)
    return not_to_be_had(name, error, url=f"{at}/resolve/main/{file}", trust=True, log_in=log_in)


def in_hub_cache(repository: str, folder: str, pattern: str) -> list[Path]:
    """Files of a Hugging Face repository in the local cache, sorted by name: those of the newest snapshot that contains any.

    ``pattern`` is a pattern of :meth:`pathlib.Path.glob` within ``folder`` of the repository. The network is not used.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    by_age = sorted(snapshots.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for snapshot in by_age:
        if files := sorted(path for path in (snapshot / folder).glob(pattern) if path.is_file()):
            return files
    return []


def hub_errors(*more: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Errors that access to the Hugging Face hub raises: its own, those of its HTTP library, those of files; and
    ``more``.
    """
    from huggingface_hub.errors import HfHubHTTPError

    # That library has changed twice; its base class is the direct parent of the hub's.
    return (HfHubHTTPError, HfHubHTTPError.__mro__[1], OSError, *more)


def note_digest(name: str, file: str, sha256: str) -> str:
    """Record the digest of a model's weights on this machine; a sentence if they differ from those of the last run, else empty.

    The record is kept in the folder of downloads, whose loss or damage costs only the comparison.
    """
    path = cache_dir() / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    if not isinstance(record, dict):
        record = {}
    before = record.get(name)
    if before == sha256:
        return ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Several runs may write at the same time.
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.write_text(json.dumps({**record, name: sha256}, indent=1, sort_keys=True), encoding="utf-8")
        own.replace(path)
    except OSError:
        # A cache that cannot be written must not stop a run: results contain the digest.
        return ""
    if not before:
        return ""
    return (
        f"The weights of {name} have changed since the last run on this machine: '{file}' has the SHA-256 digest {sha256[:16]}…, "
        f"before it was {str(before)[:16]}…. Results of the two cannot be combined; each row states its digest."
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and its causes, from the outermost."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def _status(error: BaseException) -> int | None:
    """HTTP status in a chain of exceptions, of urllib, requests, httpx or the hub client; ``None`` if there is none."""
    for one in _chain(error):
        status = getattr(getattr(one, "response", None), "status_code", getattr(one, "code", None))
        if isinstance(status, int):
            return status
        # cached_path raises it with the address for status 404.
        if isinstance(one, FileNotFoundError) and one.errno is None and str(one).startswith(("http://", "https://")):
            return 404
    return None


def _reason(error: BaseException) -> str:
    """Cause of a failed download, in a few words."""
    status = _status(error)
    if status is not None:
        phrase = http.client.responses.get(status, "")
        return f"the server answered {status} {phrase}".rstrip()
    names = {type(one).__name__ for one in _chain(error)}
    if isinstance(error, IncompleteDownloadError) or "IncompleteRead" in names or "ChunkedEncodingError" in names:
        return "the connection ended before the file was complete"
    if isinstance(error, NotAFileError):
        return "the server sent a web page instead of the file; a proxy may be in between"
    if "ProxyError" in names:
        return "the proxy of the environment variables http_proxy and https_proxy cannot be reached"
    unreachable = {
        "URLError",
        "ConnectionError",
        "ConnectError",
        "NewConnectionError",
        "NameResolutionError",
        "gaierror",
    }
    if names & unreachable or isinstance(error, ConnectionError):
        return "no connection to the server; check the network and the proxy variables http_proxy and https_proxy"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"'{error.filename}': {error.strerror}"
    return list(_chain(error))[-1].__class__.__name__
