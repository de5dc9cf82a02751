"""Downloaded weights: the errors if they are not available, and the digests of earlier runs."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator

from ncbench.cache_folder import cache_dir
from ncbench.errors import WeightsError
from ncbench.models.weights_download import IncompleteDownloadError, NotAFileError
from ncbench.models.weights_files import DamagedFileError

RECORD = "weights.json"
"""Name → digest of the weights that the last run on this machine used."""


def not_to_be_had(
    name: str, error: BaseException, *, url: str, trust: bool, log_in: str = "", file: str = ""
) -> WeightsError:
    """The error for weights that could not be downloaded.

    ``url`` is their address, or that of a page with links if ``file`` names them; ``trust`` states that the file is a pickle;
    ``log_in`` how to get access to a gated repository.
    """
    source = f"{file} from {url}" if file else url
    page = url if file else "the model's page"
    file = file or url.rpartition("/")[2]
    flags = f"--checkpoint {file}" + (" --trust-checkpoint" if trust else "")
    gate = f" {log_in}" if log_in else ""
    status = _status(error)
    if status in (404, 410):
        hint = f"The file has been moved or removed: look for '{file}' on {page} and add {flags}.{gate}"
    elif status in (408, 429, 500, 502, 503, 504):
        hint = f"Try again later, or fetch {source} elsewhere and add {flags}.{gate}"
    else:
        hint = f"Fetch {source} elsewhere and add {flags}.{gate}"
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


_ENDED_EARLY = {"IncompleteRead", "ChunkedEncodingError", "RemoteProtocolError"}
"""Errors of http.client, requests and httpx for a connection that ended early."""
_NOT_THE_HUB = {"FileMetadataError", "JSONDecodeError"}
"""Errors of the hub's client for answers without the headers, or with another body, than the hub's."""


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
    if isinstance(error, IncompleteDownloadError) or names & _ENDED_EARLY:
        return "the connection ended before the file was complete"
    if isinstance(error, DamagedFileError):
        return str(error)
    if isinstance(error, NotAFileError) or names & _NOT_THE_HUB:
        return "the server sent a web page instead of the file; a proxy may be in between"
    if any("CERTIFICATE_VERIFY_FAILED" in str(one) for one in _chain(error)):
        return "the server's certificate is not trusted here; if a proxy replaces certificates, set SSL_CERT_FILE to its own"
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
