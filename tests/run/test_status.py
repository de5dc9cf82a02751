"""Inspection of a results folder: states of its jobs, without side effects."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_store import COMMON, key, outcome

from ncbench.cli.main import _guarded
from ncbench.diagnostics import evaluate
from ncbench.diagnostics.base import Diagnostic
from ncbench.errors import StoreError
from ncbench.run.status import JobState, of_folder
from ncbench.store.locks import is_claimed
from ncbench.store.store import Store
from ncbench.store.view import View
from ncbench.types import Outcome, Status

FINISHED, FAILED, BEGUN, CLAIMED, ADOPTED, OLD = range(1, 7)


def record(store: Store, number: int, status: Status = Status.OK, diagnostic: Diagnostic = evaluate.DIAGNOSTIC) -> None:
    row = {name: outcome(number).rows[0][name] for name in ("structure", "n_atoms")} | {"status": status}
    store.record(key(number), diagnostic, COMMON, Outcome([row]), {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder with a job of every kind."""
    store = Store(tmp_path / "out")
    record(store, FINISHED)
    record(store, FAILED, Status.FAILED)
    store.checkpoint(key(BEGUN)).save({"step": 1})
    with store.claim(key(CLAIMED)):
        pass
    record(store, OLD, diagnostic=replace(evaluate.DIAGNOSTIC, version=evaluate.DIAGNOSTIC.version + 1))
    index = store.jobs / ".index.jsonl"
    known = index.read_bytes()
    record(store, ADOPTED)
    index.write_bytes(known)
    (store.jobs / "notes.txt").write_text("of mine")
    (store.jobs / "drafts").mkdir()
    return store.out


STATES = {
    key(FINISHED): JobState.FINISHED,
    key(FAILED): JobState.FAILED,
    key(BEGUN): JobState.BEGUN,
    key(CLAIMED): JobState.MISSING,
    key(ADOPTED): JobState.FINISHED,
    key(OLD): JobState.OUTDATED,
    "drafts": JobState.MISSING,
}


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every path below with its inode, time of change and content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


def states_of(folder: Path) -> dict[str, JobState]:
    return {one.key: one.state for one in of_folder(View(folder))}


def test_every_kind_of_job_is_listed(folder: Path) -> None:
    assert states_of(folder) == STATES
    named = {one.key: (one.diagnostic, one.model, one.system) for one in of_folder(View(folder))}
    assert named[key(FINISHED)] == named[key(ADOPTED)] == ("evaluate", "m:direct", "s")
    assert named[key(BEGUN)] == ("", "", "")


def damaged_index(folder: Path) -> None:
    path = folder / "jobs" / ".index.jsonl"
    path.write_bytes(b"spoilt\n" + path.read_bytes())


def older_index(folder: Path) -> None:
    path = folder / "jobs" / ".index.jsonl"
    header, *lines = map(json.loads, path.read_text().splitlines())
    for line in lines:
        del line["version"], line["model"], line["system"], line["check"]
    first = {"ncbench_index": 1, "identity": header["identity"]}
    path.write_text("".join(json.dumps(line) + "\n" for line in [first, *lines]))


def no_index(folder: Path) -> None:
    (folder / "jobs" / ".index.jsonl").unlink()


@pytest.mark.parametrize("change", [None, damaged_index, older_index, no_index])
def test_an_inspection_changes_nothing(folder: Path, change, capsys: pytest.CaptureFixture[str]) -> None:
    if change is not None:
        change(folder)
    before = tree(folder)
    assert states_of(folder) == STATES
    assert _guarded(["status", str(folder)]) == 0
    assert tree(folder) == before
    assert "failed: evaluate of m:direct on s" in capsys.readouterr().out


def test_a_damaged_provenance_is_kept_for_the_next_run(folder: Path) -> None:
    path = folder / "jobs" / key(ADOPTED) / "provenance.json"
    path.write_text("{")
    before = tree(folder)
    assert states_of(folder) == STATES | {key(ADOPTED): JobState.MISSING}
    assert tree(folder) == before


@pytest.fixture
def read_only(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """The same folder mounted read-only, also for root."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a disk needs root")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    try:
        shutil.copytree(folder, place / "out")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place / "out"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_folder_can_be_inspected(read_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError):
        Store(read_only)
    assert states_of(read_only) == STATES
    assert _guarded(["status", str(read_only), "--json"]) == 0
    assert {row["job"]: row["state"] for row in json.loads(capsys.readouterr().out)} == STATES


def test_a_locked_job_is_running_and_finished_jobs_are_not(folder: Path) -> None:
    store = Store(folder)
    with store.claim(key(FAILED)), store.claim(key(BEGUN)), store.claim(key(CLAIMED)), store.claim(key(FINISHED)):
        result = states_of(folder)
    running = {name for name, state in result.items() if state is JobState.RUNNING}
    assert running == {key(FAILED), key(BEGUN), key(CLAIMED)}
    assert states_of(folder) == STATES


def test_an_inspection_does_not_mark_jobs_as_running(folder: Path) -> None:
    with (folder / "jobs" / key(CLAIMED) / ".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert states_of(folder) == STATES


def test_constant_inspection_does_not_block_a_job(folder: Path) -> None:
    job = folder / "jobs" / key(CLAIMED)
    code = (
        "import sys; from pathlib import Path; from ncbench.store.locks import is_claimed\n"
        "job = Path(sys.argv[1]); print('looking', flush=True)\n"
        "while True: is_claimed(job)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(job)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "looking\n"
            store = Store(folder)
            for _ in range(300):
                with store.claim(key(CLAIMED)) as held:
                    assert held
        finally:
            other.kill()
    assert not is_claimed(job)


def test_a_newer_folder_is_refused(folder: Path) -> None:
    path = folder / "jobs" / ".index.jsonl"
    _, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(['{"ncbench_index": 3, "identity": "x"}\n', *lines]))
    with pytest.raises(StoreError, match="newer ncbench"):
        View(folder)
