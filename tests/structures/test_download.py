"""Files by URL and digest, from a mirror, a cache, and a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ncbench.errors import DataError
from ncbench.structures.datasets import MPTRJ, QM9, WATER_DFT
from ncbench.structures.download import RemoteFile, fetch

CONTENT = b"1\n\nHe 0 0 0\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Served(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = CONTENT if self.path == "/data/he.xyz" else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Served.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NCBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_download_is_kept_and_not_repeated(server: str, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = RemoteFile(f"{server}/data/he.xyz", DIGEST)
    result = fetch(file)
    assert result == cache / file.place
    assert result.read_bytes() == CONTENT
    assert fetch(file) == result
    assert Served.asked == ["/data/he.xyz"]
    assert capfd.readouterr() == ("", "")


def test_a_damaged_copy_is_fetched_again(server: str) -> None:
    file = RemoteFile(f"{server}/data/he.xyz", DIGEST)
    fetch(file).write_bytes(b"half a fi")
    assert fetch(file).read_bytes() == CONTENT


def test_another_content_is_refused_and_not_kept(server: str, cache: Path) -> None:
    file = RemoteFile(f"{server}/data/he.xyz", "0" * 64)
    with pytest.raises(DataError, match="digest 000"):
        fetch(file)
    assert not (cache / file.place).exists()


@pytest.mark.parametrize("where", ["/data/none.xyz", ""], ids=["missing file", "unreachable server"])
def test_error_of_a_failed_download_explains_what_to_do(server: str, cache: Path, where: str) -> None:
    file = RemoteFile(f"{server}{where}" if where else "http://127.0.0.1:9/he.xyz", DIGEST)
    with pytest.raises(DataError) as caught:
        fetch(file)
    assert caught.value.exit_code == 1
    for part in (file.url, str(cache / file.place), "NCBENCH_DATA_MIRROR"):
        assert part in str(caught.value)


def test_an_unwritable_cache_is_reported(server: str, cache: Path) -> None:
    cache.write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(RemoteFile(f"{server}/data/he.xyz", DIGEST))


def test_a_mirror_is_used_with_the_same_check_and_without_network(
    server: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCBENCH_DATA_MIRROR", str(tmp_path / "mirror"))
    file = RemoteFile(f"{server}/data/he.xyz", DIGEST)
    kept = tmp_path / "mirror" / file.place
    with pytest.raises(DataError, match="has no") as caught:
        fetch(file)
    assert str(kept) in str(caught.value)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT + b"\n")
    with pytest.raises(DataError, match=DIGEST):
        fetch(file)
    kept.write_bytes(CONTENT)
    assert fetch(file) == kept
    assert Served.asked == []
    assert not cache.exists()


def test_urls_contain_a_commit_and_digests_are_sha256() -> None:
    for dataset in (WATER_DFT, QM9, MPTRJ):
        assert dataset.licence
        assert dataset.citation
        for file in dataset.files:
            assert any(len(part) == 40 and int(part, 16) for part in file.url.split("/") if len(part) == 40), file.url
            assert len(bytes.fromhex(file.sha256)) == 32
