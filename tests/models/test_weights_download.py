"""Downloads of weights from a server on this machine: errors, resumption, and changed files."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import ssl
import threading
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ncbench.models.row import ModelRow
from ncbench.models.weights import not_to_be_had, note_digest
from ncbench.models.weights_download import ATTEMPTS, NotAFileError, download
from ncbench.models.weights_files import DamagedFileError, cached_or_downloaded, in_hub_cache

CONTENT = bytes(range(256)) * 40


class Hub(BaseHTTPRequestHandler):
    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        kind, wanted = self.path.strip("/").split(".")[0], self.headers.get("Range", "")
        self.ranges.append(wanted)
        if kind.isdigit():
            self.send_error(int(kind))
            return
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/good.model")
            self.end_headers()
            return
        resumes = kind == "cut" and wanted
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if resumes else 0
        self.send_response(206 if resumes else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "text/html" if kind == "page" else "application/octet-stream")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        short = kind == "truncated" or (kind == "cut" and not wanted)
        self.wfile.write(CONTENT[start : 1000 if short else None])

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Hub.ranges.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["good", "moved", "cut"])
def test_download_is_complete(server: str, tmp_path: Path, kind: str) -> None:
    target = download(f"{server}/{kind}.model", tmp_path / "a.model")
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]
    assert Hub.ranges[-1] == ("bytes=1000-" if kind == "cut" else "")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("401", "401 Unauthorized"),
        ("403", "403 Forbidden"),
        ("404", "moved or removed"),
        ("503", "Try again later"),
        ("truncated", "before the file was complete"),
        ("page", "web page"),
    ],
)
def test_failed_download_leaves_no_file_and_gives_the_reason(
    server: str, tmp_path: Path, kind: str, reason: str
) -> None:
    url = f"{server}/{kind}.model"
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the message is tested below
        download(url, tmp_path / "a.model")
    assert list(tmp_path.iterdir()) == []
    message = str(not_to_be_had("mace", caught.value, url=url, trust=True))
    assert reason in message
    assert f"--checkpoint {kind}.model --trust-checkpoint" in message
    assert len(Hub.ranges) == (ATTEMPTS if kind == "truncated" else 1)


@pytest.mark.parametrize("variable", ["", "http_proxy"])
def test_unreachable_server_or_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the message is tested below
        download("http://127.0.0.1:1/a.model", tmp_path / "a.model")
    assert "no connection" in str(not_to_be_had("mace", caught.value, url="http://127.0.0.1:1/a.model", trust=True))
    assert list(tmp_path.iterdir()) == []


def test_changed_weights_are_noticed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBENCH_CACHE_DIR", str(tmp_path))
    assert note_digest("mace", "a.model", "1" * 64) == ""
    assert note_digest("mace", "a.model", "1" * 64) == ""
    change = note_digest("mace", "a.model", "2" * 64)
    assert "have changed" in change
    assert "1" * 16 in change
    assert note_digest("mace", "a.model", "2" * 64) == ""


def _archive(content: bytes = b"weights") -> bytes:
    """What torch.save writes, in outline."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return written.getvalue()


WHOLE = _archive(bytes(5000))
NESTED = _archive(_archive(bytes(100)) + bytes(3000))
"""Contains another archive, as a MACE contains compiled code."""
DAMAGED = {
    "empty": b"",
    "half": WHOLE[: len(WHOLE) // 2],
    "half, with the end of an archive inside": NESTED[: len(NESTED) - 2500],
    "zeros": bytes(5000),
    "any pickle": pickle.dumps([1, 2, 3], protocol=2),
    "page": b"\n<!doctype HTML>\n<html>Log in</html>",
    "message of an error": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "json": b'{"error": "not found"}',
}


def _row(**fields: str) -> ModelRow:
    return ModelRow(name="tiny", family="orb", modes=(), summary="", **fields)  # type: ignore[arg-type]  # no force modes needed


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_file_is_deleted_and_downloaded_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ckpt"

    def arrives(arriving: bytes) -> Callable[[], Path]:
        def arrive() -> Path:
            path.write_bytes(arriving)
            return path

        return arrive

    path.write_bytes(content)
    assert cached_or_downloaded(_row(), path, arrives(WHOLE)).read_bytes() == WHOLE
    path.unlink()
    with pytest.raises((DamagedFileError, NotAFileError)) as caught:
        cached_or_downloaded(_row(), path, arrives(content))
    assert not path.exists()
    message = str(not_to_be_had("tiny", caught.value, url="https://host/a.ckpt", trust=False))
    assert ("web page" if content.lstrip().startswith(b"<") else "was deleted") in message


@pytest.mark.parametrize("content", [WHOLE, NESTED, pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"rest"])
def test_intact_file_in_a_cache_is_used_without_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    assert cached_or_downloaded(_row(), path, lambda: pytest.fail("downloaded")) == path


def test_files_of_torch_are_recognised(tmp_path: Path) -> None:
    import torch

    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pt"
        torch.save({"weight": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
        assert cached_or_downloaded(_row(), path, lambda: pytest.fail("downloaded")) == path


def test_other_digest_than_the_row_states_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(WHOLE)
    digest = hashlib.sha256(WHOLE).hexdigest()
    assert cached_or_downloaded(_row(sha256=digest), path, lambda: pytest.fail("downloaded")) == path
    with pytest.raises(DamagedFileError, match=f"{digest[:16]}…, not {'1' * 16}…"):
        cached_or_downloaded(_row(sha256="1" * 64), None, lambda: path)
    assert not path.exists()


@pytest.mark.parametrize("intact", [True, False])
def test_digest_that_the_hub_states_is_checked(tmp_path: Path, intact: bool) -> None:
    """The hub's client stores a file under the digest that the hub states, and links to it."""
    blob = tmp_path / "models--owner--name" / "blobs" / hashlib.sha256(WHOLE).hexdigest()
    link = tmp_path / "models--owner--name" / "snapshots" / "1" / "sub" / "a.ckpt"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(WHOLE if intact else WHOLE.replace(b"data.pkl", b"data.pkm"))
    link.symlink_to(blob)
    assert in_hub_cache("owner/name", "sub/*.ckpt", cache=tmp_path) == [link]
    if intact:
        assert cached_or_downloaded(_row(), link, lambda: pytest.fail("downloaded")) == link
        return
    with pytest.raises(DamagedFileError, match="digest"):
        cached_or_downloaded(_row(), None, lambda: link)
    assert not blob.exists()
    assert in_hub_cache("owner/name", "sub/*.ckpt", cache=tmp_path) == []


class RemoteProtocolError(Exception):
    """As httpx names it."""


class FileMetadataError(OSError):
    """As the hub's client names it."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RemoteProtocolError("peer closed connection"), "ended before the file was complete"),
        (FileMetadataError("missing header"), "web page"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "web page"),
        (
            urllib.error.URLError(ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")),
            "certificate is not trusted here",
        ),
        (PermissionError(13, "Permission denied", "/cache/a"), "'/cache/a': Permission denied"),
    ],
)
def test_reason_of_a_failed_download(error: Exception, reason: str) -> None:
    assert reason in str(not_to_be_had("tiny", error, url="https://host/a.ckpt", trust=True))
