"""Real processes, killed or racing, and real full and read-only disks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import tiny_store
from tiny_store import key, open_store, outcome, put

from ncbench.errors import StoreError
from ncbench.store.files import DamagedFileWarning
from ncbench.store.index import Index
from ncbench.store.store import Store
from ncbench.store.view import View
from ncbench.types import Status

SCRIPT = [sys.executable, tiny_store.__file__]


def killed_after(out: Path, first: int, seconds: float) -> tuple[int, int]:
    """Last saved and last recorded number of a writer killed some time after its first line; -1 for none."""
    with subprocess.Popen([*SCRIPT, "forever", str(out), str(first)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        message = [writer.stdout.readline()]
        time.sleep(seconds)
        writer.kill()
        message += writer.stdout.read().splitlines()
    last = {"saved": -1, "recorded": -1}
    for line in message:
        word, _, number = line.strip().partition(" ")
        if number:
            last[word] = int(number)
    return last["saved"], last["recorded"]


@pytest.mark.slow
def test_a_kill_at_any_time_loses_no_recorded_data(tmp_path: Path) -> None:
    rng = random.Random(1)
    first = 0
    for _ in range(15):
        saved, recorded = killed_after(tmp_path, first, rng.uniform(0.0, 0.25))
        store = open_store(tmp_path)
        with warnings.catch_warnings():
            # A kill must not even leave a file that looks damaged.
            warnings.simplefilter("error", DamagedFileWarning)
            finished = store.finished_keys()
            assert {key(number) for number in range(recorded + 1)} <= finished
            if saved > recorded and key(saved) not in finished:
                state = store.checkpoint(key(saved)).load()
                assert state is not None
                assert state["step"] == saved
                assert (state["positions"] == saved).all()
            first = len(finished)
            if first:
                assert store.read("tiny")["steps"].tolist() == list(range(first))
                assert len(store.read("tiny", "series")) == 2 * first
    # At least one kill must occur during the work, also on slow machines.
    assert first > 0
    assert not list(tmp_path.rglob("result*.damaged*"))


def test_a_kill_before_anything_is_recorded_leaves_the_checkpoint(tmp_path: Path) -> None:
    saved, recorded = killed_after(tmp_path, 0, 0.0)
    store = open_store(tmp_path)
    finished = store.finished_keys()
    assert len(finished) >= recorded + 1
    if not finished:
        state = store.checkpoint(key(0)).load()
        assert state is not None
        assert state["step"] == saved == 0
        with pytest.raises(StoreError, match="no table"):
            store.read("tiny")


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    writers = [subprocess.Popen([*SCRIPT, "some", str(tmp_path), str(first), "15"]) for first in (0, 100)]
    assert [writer.wait(timeout=100) for writer in writers] == [0, 0]
    frame = open_store(tmp_path).read("tiny")
    assert sorted(frame["steps"]) == [*range(15), *range(100, 115)]
    for first in (0, 100):
        own = [step for step in frame["steps"] if first <= step < first + 15]
        assert own == sorted(own)


def test_a_job_is_held_by_one_process_and_freed_by_its_death(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path; from tiny_store import *\n"
        "with open_store(Path(sys.argv[1])).claim(key(1)) as held:\n    print(held, flush=True); time.sleep(100)"
    )
    store = open_store(tmp_path)
    helpers = str(Path(tiny_store.__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), helpers], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline().strip() == "True"
            with store.claim(key(1)) as held:
                assert not held
            with store.claim(key(2)) as held:
                assert held
        finally:
            other.kill()
    with store.claim(key(1), wait=True) as held:
        assert held


def test_a_full_disk_is_reported_and_damages_nothing(small_disk: Path) -> None:
    store = open_store(small_disk / "out")
    put(store, 1)
    store.rebuild_tables("tiny")
    checkpoint = store.checkpoint(key(2))
    checkpoint.save({"step": 1})
    with pytest.raises(StoreError, match="disk is full"):
        checkpoint.save({"step": 2, "positions": bytes(400_000).decode()})
    assert checkpoint.load() == {"step": 1}
    (small_disk / "ballast").write_bytes(bytes(small_disk_free(small_disk)))
    with pytest.raises(StoreError, match="disk is full"):
        put(store, 2, series=20_000)
    (small_disk / "ballast").unlink()
    again = open_store(small_disk / "out")
    assert again.finished_keys() == {key(1)}
    assert again.checkpoint(key(2)).load() == {"step": 1}
    put(again, 2)
    assert again.read("tiny")["steps"].tolist() == [1, 2]


def small_disk_free(place: Path) -> int:
    return shutil.disk_usage(place).free


def test_a_read_only_disk_is_reported_in_one_sentence(small_disk: Path) -> None:
    put(open_store(small_disk / "out"), 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="out"):
        open_store(small_disk / "out")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert open_store(small_disk / "out").finished_keys() == {key(1)}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_missing_permission_is_reported_in_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="permission"):
        Store(tmp_path / "out")
    tmp_path.chmod(0o700)


def test_a_kill_between_result_and_index_loses_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, 1)
    index = (store.jobs / ".index.jsonl").read_bytes()
    put(store, 2)
    (store.jobs / ".index.jsonl").write_bytes(index)
    again = open_store(tmp_path)
    assert again.finished_keys() == {key(1), key(2)}
    assert again.read("tiny")["value_eV"].tolist() == [outcome(n).rows[0]["value_eV"] for n in (1, 2)]


class KilledError(Exception):
    """Raised to end a recording at a chosen point."""


def record_until(store: Store, monkeypatch: pytest.MonkeyPatch, name: str, **more: object) -> None:
    """Record job 1 and stop, as by a kill, at the call of ``name``."""

    with monkeypatch.context() as patched:
        patched.setattr(Index if name == "append" else Store, name, _killed)
        with pytest.raises(KilledError):
            put(store, 1, **more)


@pytest.mark.parametrize("name", ["append", "_tidy"])
def test_a_kill_between_a_new_result_and_the_index_keeps_the_new_result(tmp_path, monkeypatch, name: str) -> None:
    store = open_store(tmp_path)
    store.checkpoint(key(1)).save({"step": 1})
    put(store, 1, status=Status.FAILED, series=2)
    put(store, 2)
    store.rebuild_tables("tiny")
    record_until(store, monkeypatch, name, series=1)
    again = open_store(tmp_path)
    assert View(tmp_path).recorded[key(1)].finished
    assert again.finished_keys() == {key(1), key(2)}
    frame = again.read("tiny")
    assert dict(zip(frame["steps"], frame["status"], strict=True)) == {1: "ok", 2: "ok"}
    assert len(again.read("tiny", "series")) == 1
    # It is never resumed, and may be large.
    assert not (again.folder(key(1)) / "checkpoint.bin").exists()


def test_a_kill_before_a_new_result_leaves_the_job_unfinished(tmp_path, monkeypatch) -> None:
    store = open_store(tmp_path)
    store.checkpoint(key(1)).save({"step": 1})
    put(store, 1, status=Status.FAILED)
    store.rebuild_tables("tiny")
    with monkeypatch.context() as patched:
        patched.setattr("ncbench.store.store.write_atomic", _killed)
        with pytest.raises(KilledError):
            put(store, 1)
    again = open_store(tmp_path)
    assert not again.is_finished(key(1))
    assert again.checkpoint(key(1)).load() == {"step": 1}
    assert again.read("tiny")["steps"].tolist() == []
    put(again, 1)
    assert again.read("tiny")["status"].tolist() == ["ok"]


def _killed(*_args: object, **_settings: object) -> None:
    raise KilledError


def test_a_job_missing_in_the_index_keeps_its_position(tmp_path, monkeypatch) -> None:
    record_until(open_store(tmp_path), monkeypatch, "append")
    again = open_store(tmp_path)
    for number in (2, 0):
        put(again, number)
    assert again.read("tiny")["steps"].tolist() == [1, 2, 0]
