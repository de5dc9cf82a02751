"""A checkpoint that crashes every process loading it is dropped; kills from outside do not count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.resumes import MOST, MOST_DEATHS, Resumes


def test_a_checkpoint_is_dropped_after_repeated_crashes(tmp_path: Path):
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    checkpoint.save({"step": 7})
    assert [Resumes(checkpoint).begin() for _ in range(MOST)] == [False] * MOST
    assert checkpoint.load() == {"step": 7}
    assert Resumes(checkpoint).begin()
    assert checkpoint.load() is None
    assert list(tmp_path.iterdir()) == []


def test_progress_and_completion_reset_the_count(tmp_path: Path):
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    for step in range(2 * MOST):
        # Each attempt came further before it was killed.
        checkpoint.save({"step": step})
        assert not Resumes(checkpoint).begin()
    for _ in range(2 * MOST):
        assert not Resumes(checkpoint).begin()
        Resumes(checkpoint).end()
    assert checkpoint.load() == {"step": 2 * MOST - 1}


def test_a_job_without_a_checkpoint_is_given_up_after_two_crashes(tmp_path: Path):
    resumes = Resumes(FileCheckpoint(tmp_path / "checkpoint.bin"))
    for _ in range(MOST_DEATHS):
        assert not resumes.is_given_up()
        assert not resumes.begin()
        # Output of the fault handler of a crashed process.
        resumes.crash_log.write_text("Fatal Python error: Segmentation fault")
    assert resumes.is_given_up()
    resumes.end()
    assert not resumes.is_given_up()
    # A crash and a completed attempt: the count is reset.
    for _ in range(3):
        resumes.begin()
        assert not resumes.is_given_up()
        resumes.end()
    assert list(tmp_path.iterdir()) == []


def test_kills_from_outside_do_not_count_as_crashes(tmp_path: Path):
    resumes = Resumes(FileCheckpoint(tmp_path / "checkpoint.bin"))
    for _ in range(10):
        assert not resumes.is_given_up()
        assert not resumes.begin()
        resumes.crash_log.touch()


def test_a_damaged_count_is_zero(tmp_path: Path):
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.bin")
    checkpoint.save({"step": 7})
    for content in (b"", b"[]", b'{"attempts": 9}', b"\xff"):
        (tmp_path / "resumes.json").write_bytes(content)
        assert not Resumes(checkpoint).begin()


DYING = """
import os
from ase.calculators.lj import LennardJones

class Dying(LennardJones):
    # Native code of a model that crashes on the state: no exception, the process ends.
    def calculate(self, *arguments, **more):
        if os.environ.get("DIE"):
            os._exit(139)
        super().calculate(*arguments, **more)

def calculator():
    return Dying(sigma=3.4, epsilon=0.01, rc=8.0)
"""


@pytest.mark.slow
def test_a_run_that_crashes_on_its_checkpoint_starts_afresh(tmp_path: Path):
    (tmp_path / "dying").mkdir()
    (tmp_path / "dying" / "model.py").write_text(DYING, encoding="utf-8")
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "ncbench", "nve-drift", "--model", "dying.model:calculator", "--system", "argon", "--structures", "1",
        "--budget", "smoke", "--steps", "10", "--out", str(out), "--quiet",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, env=environment | {"DIE": "1"}, capture_output=True, text=True, check=False)
    assert first.returncode == 139, first.stderr
    [folder] = [path for path in (out / "jobs").iterdir() if path.is_dir()]
    FileCheckpoint(folder / "checkpoint.bin").save({"nonsense": "of another kind"})
    for _ in range(MOST):
        died = subprocess.run(command, env=environment | {"DIE": "1"}, capture_output=True, text=True, check=False)
        assert died.returncode == 139
        assert (folder / "checkpoint.bin").exists()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr


CRASHING = """
import os, signal
from ase.calculators.lj import LennardJones

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)

def error():
    raise RuntimeError("no weights")

def calculator():
    return LennardJones(sigma=3.4, epsilon=0.01, rc=8.0)
"""


@pytest.mark.slow
def test_a_factory_that_crashes_twice_fails_and_the_suite_continues(tmp_path: Path):
    (tmp_path / "crashing.py").write_text(CRASHING, encoding="utf-8")
    command = [
        sys.executable, "-m", "ncbench", "lambda", "--model", "crashing:crash", "--model", "crashing:error", "--model", "crashing:calculator",
        "--system", "argon", "--structures", "1", "--budget", "smoke", "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"}
    codes, errors, output = [], [], ""
    for _ in range(4):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        codes.append(done.returncode)
        errors.append(done.stderr)
        output = done.stdout
    # The fourth attempt does not crash, and a raised error never counts as a crash.
    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV, 1, 1], done.stderr
    for number, sentence in ((1, "it is tried once more"), (2, "it is then recorded as failed")):
        assert (
            f"lambda of crashing:crash: a fault in the model's native code ended the program (crash {number}"
            in errors[number - 1]
        )
        assert sentence in errors[number - 1]
    assert "ended the program" not in errors[2] + errors[3]
    rows = {row["model"]: row for row in json.loads(output)}
    assert rows["crashing:crash"]["status"] == "failed"
    assert "crashed in 2 attempts" in rows["crashing:crash"]["reason"]
    assert "no weights" in rows["crashing:error"]["reason"]
    assert rows["crashing:calculator"]["status"] == "ok"
