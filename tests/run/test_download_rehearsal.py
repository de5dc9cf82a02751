"""The first download of each family's weights, by the code that users run, from a server that plays the real ones: `make test-models`.

Tiny checkpoints lie under the addresses of the published files. See :mod:`weights_server`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from weights_server import FAULTS, FILES_OF, GITHUB, HUB, S3, WeightsServer, weights_server

import ncbench
from ncbench.run.environments import build, places, table
from ncbench.store.store import Store

pytestmark = [
    pytest.mark.isolated,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate"),
]
TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Published:
    """A model whose weights are a download, by the name that users type."""

    environment: str
    address: str
    """Of the published file, without the scheme, as in :attr:`weights_server.WeightsServer.files`."""
    make: tuple[str, ...]
    """Script in tests/tiny_checkpoints and its arguments; without one, SevenNet-0 is served from sevenn's wheel."""
    licence_page: str = ""
    """Page of a gated repository."""

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]


PUBLISHED = {
    "mace": Published(
        "mace", f"{GITHUB}/ACEsuit/mace-mp/releases/download/mace_mp_0/MACE_MPtrj_2022.9.model", ("tiny_mace.py",)
    ),
    "orb": Published("orb", f"{S3}/forcefields/orb-v2-20241011.ckpt", ("tiny_orb.py", "orb-v2", "--layers", "1")),
    "sevennet-omat": Published(
        "sevennet", f"{GITHUB}/MDIL-SNU/SevenNet/releases/download/v0.11.0.cp/checkpoint_sevennet_omat.pth", ()
    ),
    "pet-mad": Published("upet", f"{HUB}/lab-cosmo/upet/models/pet-mad-s-v1.1.0.ckpt", ("tiny_pet.py",)),
    "uma": Published(
        "fairchem",
        f"{HUB}/facebook/UMA/checkpoints/uma-s-1p2p1.pt",
        ("tiny_fairchem.py", "conserving"),
        licence_page="https://huggingface.co/facebook/UMA",
    ),
    "equiformer": Published(
        "equiformer",
        f"{HUB}/facebook/OMAT24/eqV2_31M_omat_mp_salex.pt",
        ("tiny_equiformer.py",),
        licence_page="https://huggingface.co/facebook/OMAT24",
    ),
}
REASONS = {
    "401": ("401 Unauthorized",),
    "403": ("403 Forbidden",),
    "404": ("404 Not Found", "moved or removed"),
    "503": ("503 Service Unavailable", "Try again later"),
    "page": ("web page instead of the file", "a proxy may be in between"),
    "truncated": ("ended before the file was complete",),
    "changed on the way": ("was deleted",),
    "untrusted certificate": ("certificate is not trusted here", "SSL_CERT_FILE"),
    "no proxy": ("no connection to the server", "https_proxy"),
    "no network": ("no connection to the server",),
}
"""What goes wrong → words of the sentence about it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds ncbench and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "ncbench").symlink_to(Path(ncbench.__file__).resolve().parent, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeightsServer]:
    with weights_server(tmp_path_factory.mktemp("certificate")) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_wrong(server: WeightsServer) -> None:
    server.fault = ""
    server.requests.clear()


@pytest.fixture(scope="module")
def serve(server: WeightsServer, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Puts a model's tiny checkpoint on the server and returns its digest."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def put(model: str) -> str:
        published = PUBLISHED[model]
        if published.address not in server.files:
            server.files[published.address] = _content(published, folder / model, source)
        return hashlib.sha256(server.files[published.address]).hexdigest()

    return put


def _content(published: Published, file: Path, source: Path) -> bytes:
    python = str(build.create(table.get(published.environment)).python)
    if not published.make:
        command = [python, "-c", "from sevenn.util import pretrained_name_to_path as f; print(f('sevennet-0'))"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return Path(done.stdout.split()[-1]).read_bytes()
    script, *arguments = published.make
    subprocess.run(
        [python, "-W", "ignore", str(TESTS / "tiny_checkpoints" / script), str(file), *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    content = file.read_bytes()
    file.unlink()
    return content


def _environment(home: Path, server: WeightsServer) -> dict[str, str]:
    """The variables of a new user behind the server: an empty home, no caches, no tokens."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("NCBENCH_", "HF_", "XDG_", "FAIRCHEM_"))
    }
    home.mkdir(exist_ok=True)
    # The environments are those of the developer: making them again takes gigabytes.
    return {
        **kept,
        "HOME": str(home),
        "NCBENCH_ENV_DIR": str(places.root()),
        "OMP_NUM_THREADS": "1",
        **server.variables,
    }


Ask = Callable[..., dict[str, Any]]


@contextmanager
def _loader(model: str, home: Path, server: WeightsServer, source: Path) -> Iterator[Ask]:
    """Loads the model on request in its family's environment, in one process: importing its package takes seconds."""
    python = build.create(table.get(PUBLISHED[model].environment)).python
    log = home.parent / "loader.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(python), "-W", "ignore", str(TESTS / "helpers" / "load_on_request.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**_environment(home, server), "PYTHONPATH": str(source)},
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(**request: Any) -> dict[str, Any]:
            wanted = {"model": model, "environment": server.variables, **request}
            print(json.dumps(wanted), file=process.stdin, flush=True)
            line = process.stdout.readline()
            assert line, log.read_text()
            answer: dict[str, Any] = json.loads(line)
            return answer

        yield ask
        process.stdin.close()


def _large_files(home: Path) -> list[Path]:
    """Files that could be weights: larger than what caches write beside them, and none of Matplotlib's."""
    found = (path for path in home.rglob("*") if path.is_file() and "matplotlib" not in path.parts)
    return sorted(path for path in found if path.stat().st_size > 4096)


def _damage(file: Path) -> None:
    """Cut the end off, as by a full disk."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _written_later(archive: bytes) -> bytes:
    """The same weights in other bytes: another time in the header of an archive's first file, which readers ignore."""
    assert archive.startswith(b"PK\x03\x04")
    return archive[:10] + bytes([archive[10] ^ 1]) + archive[11:]


@pytest.mark.parametrize("model", PUBLISHED)
def test_download_and_its_failures(
    model: str,
    server: WeightsServer,
    serve: Callable[[str], str],
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published, home, digest = PUBLISHED[model], tmp_path / "home", serve(model)
    proxies = {name for name in server.variables if name.lower() in ("http_proxy", "https_proxy")}
    trust = {name for name, value in server.variables.items() if value == str(server.certificate)}
    elsewhere = {
        "untrusted certificate": {"environment": {**server.variables, **dict.fromkeys(trust)}},
        "no proxy": {"environment": {**server.variables, **dict.fromkeys(proxies, "http://127.0.0.1:1")}},
        "no network": {"environment": dict.fromkeys(server.variables), "offline": True},
    }
    assert {*FAULTS, *elsewhere} == set(REASONS)
    with _loader(model, home, server, source) as load:
        for fault, reason in REASONS.items():
            server.fault = fault if fault in FAULTS else ""
            answer = load(**elsewhere.get(fault, {}))
            assert answer.get("error") == "WeightsError", (fault, answer)
            message = answer["message"]
            assert "\n" not in message
            words = reason
            if published.licence_page and fault in ("401", "403"):
                words = (published.licence_page, "hf auth login", "HF_TOKEN")
            elif published.environment == "upet":
                # Its versions are those of a list, without which there is no name of a file.
                assert "https://huggingface.co/lab-cosmo/upet/tree/main/models" in message, fault
            else:
                assert f"https://{_address_to_fetch(published.address)}" in message or fault == "404", fault
                assert f"--checkpoint {published.file}" in message, fault
            assert all(word in message for word in words), (fault, message)
            assert _large_files(home) == [], fault
        server.fault = "cut"
        server.requests.clear()
        answer = load()
        assert answer.get("sha256") == digest, answer
        parts = [request for request in server.requests if request.startswith(f"GET {_file_host(published.address)}/")]
        assert len(parts) == 2
        # The hub's client begins again with files of less than its block of 10 MB.
        assert published.address.startswith(HUB) or "bytes=" in parts[1]
        (file,) = {path.resolve() for path in _large_files(home)}
        server.fault, home_requests = "", list(server.requests)
        again = load(environment=dict.fromkeys(server.variables), offline=True)
        assert (again.get("sha256"), again.get("warnings")) == (digest, [])
        answer = load()
        assert answer.get("sha256") == digest, answer
        assert server.requests == home_requests, "a file that is here needs no network"
        _damage(file)
        again = load()
        assert again.get("sha256") == digest, ("a damaged file is downloaded again", again)
        for path in _large_files(home):
            path.unlink()
        monkeypatch.setitem(server.files, published.address, _written_later(server.files[published.address]))
        changed = load()
        assert changed.get("sha256") == hashlib.sha256(server.files[published.address]).hexdigest() != digest
        (warning,) = changed["warnings"]
        assert "have changed since the last run" in warning


def _file_host(address: str) -> str:
    """The server that sends the file, after redirections."""
    host = address.partition("/")[0]
    return FILES_OF.get(host, host)


def _address_to_fetch(address: str) -> str:
    """Address for browsers: on the hub, with the revision."""
    if not address.startswith(HUB):
        return address
    host, owner, repository, file = address.split("/", 3)
    return f"{host}/{owner}/{repository}/resolve/main/{file}"


@pytest.mark.parametrize("model", ["orb", "mace", "uma", "pet-mad", "equiformer", "sevennet-omat", "chgnet"])
def test_command_as_typed_from_an_empty_home(
    model: str, server: WeightsServer, serve: Callable[[str], str], tmp_path: Path
) -> None:
    """Its weights come from the server, those of CHGNet from its wheel; the row's record has their digest."""
    if model in PUBLISHED:
        digest = serve(model)
    else:
        digest = None
        build.create(table.get(model))
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    run = partial(subprocess.run, cwd=work, env=_environment(home, server), capture_output=True, text=True, check=False)
    # As typed: the default structure of 192 atoms and the default length of 1000 steps. Measured on one core: 0.15 s per step for one
    # layer of ORB-v2, whose architecture cannot be smaller; the published ORB-v2 with 15 layers takes 1.1 s.
    command = [sys.executable, "-m", "ncbench", "nve-drift", "--model", model]
    # The weights of SevenNet and CHGNet are real ones, at a second or more per step of 192 atoms: a molecule for a few steps.
    small = model in ("sevennet-omat", "chgnet")
    if small:
        command += ["--system", "water-molecule", "--budget", "smoke"]
    if digest is not None:
        server.fault = "404"
        failed = run(command)
        assert failed.returncode == 1, failed.stderr
        assert "404 Not Found" in failed.stderr + failed.stdout
        assert "Traceback" not in failed.stderr
        server.fault = ""
    done = run(command)
    assert done.returncode == 0, done.stderr + done.stdout
    results = work / "ncbench-results"
    rows = Store(results).read("nve-drift").to_dict("records")
    # Random weights may heat water until it explodes, which is a result; weights with small forces, and released ones, do not.
    statuses = ("ok",) if model in ("orb", "chgnet") else ("ok", "exploded")
    assert [row["status"] in statuses for row in rows] == [True]
    assert [(row["n_atoms"], row["timestep_fs"]) for row in rows] == [(3 if small else 192, 0.5)]
    if rows[0]["status"] == "ok":
        assert small or rows[0]["steps"] == 1000
        assert math.isfinite(rows[0]["energy_drift_meV_per_atom_per_ps"])
    assert "Traceback" not in done.stderr
    seconds = float(done.stderr.rpartition(" in ")[2].split()[0])
    # Runs with more than 30 s of steps to go are announced; the rest of the time is for reading the model.
    assert seconds < 90 or "steps, about " in done.stderr, done.stderr
    # Failed jobs have no card.
    records = [json.loads(path.read_text()) for path in results.glob("jobs/*/provenance.json")]
    (loaded,) = [record["model_card"] for record in records if record.get("model_card")]
    assert bool(loaded["checkpoint_sha256"])
    assert digest is None or loaded["checkpoint_sha256"] == digest
    assert digest is not None or server.requests == []
