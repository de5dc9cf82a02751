"""``ncbench status`` as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncbench.cli.main import _guarded
from ncbench.run.plan import load_suite
from ncbench.run.status import JobState, key_of, of_jobs
from ncbench.store.store import Store
from ncbench.store.view import View
from ncbench.structures.load import load_cases

SUITE = """
[suite]
budget = "smoke"
[[run]]
diagnostics = ["timing", "evaluate"]
models = ["analytic-harmonic", "analytic-solenoidal"]
system = "harmonic-crystal"
[[run]]
diagnostics = ["mts"]
models = ["analytic-harmonic"]
system = "harmonic-crystal"
"""


def states(capsys: pytest.CaptureFixture[str], *words: str) -> dict[tuple[str, str], str]:
    capsys.readouterr()
    assert _guarded(["status", *words, "--json"]) == 0
    return {(row["diagnostic"], row["model"]): row["state"] for row in json.loads(capsys.readouterr().out)}


def test_states_of_finished_running_started_and_missing_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, out = tmp_path / "s.toml", tmp_path / "out"
    suite.write_text(SUITE)
    assert (
        _guarded(
            [
                "evaluate",
                "-m",
                "analytic-harmonic",
                "-s",
                "harmonic-crystal",
                "--budget",
                "smoke",
                "--out",
                str(out),
                "-q",
            ]
        )
        == 0
    )
    # mts needs two kinds of forces: another attempt would give the same result.
    assert (
        _guarded(
            ["mts", "-m", "analytic-harmonic", "-s", "harmonic-crystal", "--budget", "smoke", "--out", str(out), "-q"]
        )
        == 1
    )
    store = Store(out)
    jobs = {(job.diagnostic, job.model.spec): job for job in load_suite(suite)}
    keys = {name: key_of(job, load_cases(job.system, job.default_structures, job.seed)) for name, job in jobs.items()}
    store.checkpoint(keys["timing", "analytic-harmonic"]).save({"x": 1})
    result = {(one.diagnostic, one.model): one.state for one in of_jobs(list(jobs.values()), View(out))}
    assert result == {
        ("timing", "analytic-harmonic"): JobState.BEGUN,
        ("timing", "analytic-solenoidal"): JobState.MISSING,
        ("evaluate", "analytic-harmonic"): JobState.FINISHED,
        ("evaluate", "analytic-solenoidal"): JobState.MISSING,
        ("mts", "analytic-harmonic"): JobState.FINISHED,
    }
    assert states(capsys, str(out), str(suite))["evaluate", "analytic-solenoidal"] == "missing"
    assert states(capsys, str(out))["evaluate", "analytic-harmonic:conservative"] == "finished"
    assert _guarded(["status", str(out), str(suite)]) == 0
    assert "together" in capsys.readouterr().out


def test_a_job_locked_by_another_process_is_running(tmp_path: Path) -> None:
    suite, out = tmp_path / "s.toml", tmp_path / "out"
    suite.write_text(SUITE)
    (job, *_) = load_suite(suite)
    key = key_of(job, load_cases(job.system, job.default_structures, job.seed))
    hold = (
        "import sys\nfrom ncbench.store.store import Store\n"
        f"with Store({str(out)!r}).claim({key!r}):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert of_jobs([job], View(out))[0].state is JobState.RUNNING
        other.kill()
    # The system releases the lock of a dead process.
    assert of_jobs([job], View(out))[0].state is JobState.MISSING


def test_a_missing_folder_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _guarded(["status", str(tmp_path / "none")]) == 2
    assert "no results folder" in capsys.readouterr().err
