"""A server on this machine that plays the servers of published weights: the Hugging Face hub, GitHub, S3.

It is an HTTPS proxy that answers itself, with a certificate made for the occasion: the packages' own download code runs
unchanged and asks for the real addresses. Only the variables of :meth:`WeightsServer.variables` lead it here.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HUB = "huggingface.co"
HUB_FILES = "cas-bridge.xethub.hf.co"
GITHUB = "github.com"
GITHUB_FILES = "objects.githubusercontent.com"
S3 = "orbitalmaterials-public-models.s3.us-west-1.amazonaws.com"
FIGSHARE = "figshare.com"
FILES_OF = {HUB: HUB_FILES, GITHUB: GITHUB_FILES}
"""Servers that redirect requests for a file to another server, as these do."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FAULTS = ("401", "403", "404", "503", "page", "truncated", "changed on the way")
"""Answers to requests for weights that must end in a sentence; ``cut`` and ``moved`` must not."""


class WeightsServer(ThreadingHTTPServer):
    """Serves ``files``; ``fault`` chooses what goes wrong with the next requests for them.

    ``cut`` ends one answer half way; ``truncated`` ends every answer half way and ignores ranges; ``changed on the way`` sends other bytes than the digest that the hub states; ``moved`` redirects once more.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        """By address without the scheme: ``github.com/OWNER/…/FILE``, or ``huggingface.co/OWNER/REPOSITORY/FILE``."""
        self.fault = ""
        self.requests: list[str] = []
        """Method, address and range of each request for a file or a list of files."""
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        names = ",".join(f"DNS:{name}" for name in (HUB, HUB_FILES, GITHUB, GITHUB_FILES, S3, FIGSHARE))
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=weights"]
        command += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate, key)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that send a process here: the proxy's, and the certificate for each HTTP library."""
        proxy = f"http://127.0.0.1:{self.server_port}"
        trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(self.certificate))
        return {"https_proxy": proxy, "http_proxy": proxy, "HTTPS_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""} | trust

    def on_hub(self, repository: str, file: str, content: bytes) -> None:
        """Add a file to a repository of the hub."""
        self.files[f"{HUB}/{repository}/{file}"] = content

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: clients hang up in the middle of answers that they do not want."""


@contextlib.contextmanager
def weights_server(folder: Path) -> Iterator[WeightsServer]:
    """A running server, whose certificate is in ``folder``."""
    with WeightsServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: WeightsServer
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        # The connection inside the tunnel, of which the server knows nothing.
        if self.host:
            self.connection.close()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        path = place.path.strip("/")
        wanted = self.headers.get("Range", "")
        self.server.requests.append(f"{self.command} {self.host}/{path} {wanted}".strip())
        if self.host == HUB and path.startswith("api/models/"):
            self._list(path)
            return
        fault, moved = self.server.fault, path.startswith("moved/")
        path = path.removeprefix("moved/")
        behind = self.host in FILES_OF.values()
        address = path if behind else f"{self.host}/{path}"
        hub = address.startswith(f"{HUB}/")
        name = address.replace("/resolve/main/", "/").replace(f"/resolve/{COMMIT}/", "/")
        content = self.server.files.get(name)
        status = 404 if content is None else int(fault) if fault.isdigit() else 200
        if status != 200:
            # The codes of https://huggingface.co, by which its client tells gated repositories from missing files.
            codes = {401: "GatedRepo", 403: "GatedRepo", 404: "EntryNotFound"}
            headers = {"X-Error-Code": codes[status], "X-Repo-Commit": COMMIT} if hub and status in codes else {}
            self._send(status, http.client.responses[status].encode(), headers)
            return
        assert content is not None
        digest = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{digest}"'}
        if hub:
            headers |= {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        if self.host in FILES_OF and fault != "page":
            self._send(302, b"", headers | {"Location": f"https://{FILES_OF[self.host]}/{address}?signature=1"})
        elif fault == "moved" and not moved:
            self._send(302, b"", {"Location": f"https://{self.host}/moved/{path}"})
        elif fault == "page":
            page = b"<!DOCTYPE html>\n<html><body>Log in to the network first.</body></html>"
            self._send(200, page, {"Content-Type": "text/html; charset=utf-8"})
        else:
            self._send_file(content, wanted, headers)

    def _send_file(self, content: bytes, wanted: str, headers: dict[str, str]) -> None:
        fault = self.server.fault
        if fault == "changed on the way":
            content = bytes(len(content))
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and fault != "truncated" else 0
        short = self.command == "GET" and fault in ("truncated", "cut")
        if short and fault == "cut":
            self.server.fault = ""
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        self._send(206 if start else 200, rest, headers, sent=len(rest) // 2 if short else len(rest))

    def _list(self, path: str) -> None:
        """The files of a repository, as ``/api/models/REPOSITORY/tree/main``."""
        repository = "/".join(path.split("/")[2:4])
        fault = self.server.fault
        if fault.isdigit():
            self._send(int(fault), http.client.responses[int(fault)].encode(), {})
            return
        if fault == "page":
            self._send(200, b"<!DOCTYPE html>\n<html></html>", {"Content-Type": "text/html; charset=utf-8"})
            return
        start = f"{HUB}/{repository}/"
        listed = [
            {"type": "file", "path": name.removeprefix(start), "size": len(content), "oid": "0" * 40}
            for name, content in self.server.files.items()
            if name.startswith(start)
        ]
        self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, sent: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
        if sent is not None and sent < len(body):
            self.close_connection = True
            # TLS's own end of the connection, as by a server that stops, not by a network that fails.
            with contextlib.suppress(OSError):
                self.connection.unwrap()

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""
