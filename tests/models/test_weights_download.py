"""Downloads of weights from a server on this machine: errors, resumption, and changed files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ncbench.models.weights import not_to_be_had, note_digest
from ncbench.models.weights_download import ATTEMPTS, download

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
