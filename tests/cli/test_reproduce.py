"""``ncbench reproduce`` as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from ncbench.cli.main import _guarded
from ncbench.statistics.format import duration

CHEAP = ["--model", "analytic-solenoidal", "--quiet", "--threads", "1"]


def test_targets_are_listed_without_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert _guarded(["reproduce", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["target"] for row in rows} >= {"table8", "lambda", "figure2"}


@pytest.mark.models("metatomic")
def test_a_table_is_run_and_compared_and_reused_next_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("metatomic.torch")
    command = ["reproduce", "table8", "--budget", "smoke", "--out", str(tmp_path), "--quiet", "--threads", "1"]
    assert _guarded([*command, "--model", "pet-m:direct"]) == 0
    text = capsys.readouterr().out
    assert "pet-m:direct" in text
    assert "3 different model, 39 not run" in text
    cells = pd.read_csv(tmp_path / "paper" / "paper-table8.csv")
    assert len(cells) == 42
    computed = cells[cells["ours_value"].notna()]
    assert set(computed["ours_model"]) == {"pet-m:direct"}
    result = tmp_path / "nvt.parquet"
    before = pd.read_parquet(result)
    assert _guarded([*command, "--model", "pet-m:direct", "--plan", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (job["finished"], job["estimated_seconds"], job["targets"]) == (True, None, ["table8"])
    assert _guarded([*command, "--model", "pet-m:direct"]) == 0
    # The same rows of the same run.
    pd.testing.assert_frame_equal(pd.read_parquet(result), before)


def test_plan_option_runs_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "figure2", "--budget", "paper", "--plan", "--json", "--out", str(tmp_path), *CHEAP]
    assert _guarded(command) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert not job["finished"]
    # 4 structures, 50 ps in steps of 0.5 fs: 400 000 calls take longer than a second.
    assert job["estimated_seconds"] > 1
    assert not (tmp_path / "nve-drift.csv").exists()


def test_max_hours_without_a_fitting_job_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "figure2", "--budget", "paper", "--max-hours", "0.0001", "--out", str(tmp_path), *CHEAP]
    assert _guarded(command) == 2
    assert "Nothing fits" in capsys.readouterr().err


def test_failed_jobs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The analytic field has no direct forces: multiple time stepping is not possible.
    command = ["reproduce", "table10", "--budget", "smoke", "--out", str(tmp_path), *CHEAP]
    command[command.index("analytic-solenoidal")] = "analytic-harmonic"
    assert _guarded(command) == 1
    assert "unsupported: analytic-harmonic" in capsys.readouterr().out


def test_a_model_that_stands_for_one_of_the_papers_and_was_not_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "lambda", "--budget", "smoke", "--out", str(tmp_path), *CHEAP, "--as", "pet-nc=mine:direct"]
    assert _guarded(command) == 0
    assert "warning: No result is of 'mine:direct', which was to stand for pet-nc." in capsys.readouterr().err


def test_wrong_requests_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["tabel8"], "table8"),
        (["table8", "--budget", "lapto"], "laptop"),
        (["table8", "--as", "pet-nc"], "PAPER=NAME:MODE"),
        (["table8", "--as", "pet-nd=pet-m:direct"], "pet-nc"),
        (["table8", "--model", "pet-n"], "pet-m"),
        (["table8", "--max-hours", "-1"], "positive"),
    ):
        assert _guarded(["reproduce", *arguments, "--out", str(tmp_path), "--quiet"]) == 2
        assert word in capsys.readouterr().err


def test_durations_are_parsed() -> None:
    assert [duration(s) for s in (3.2, 700, 12_000, 4.8e6)] == ["3 s", "12 min", "3.3 h", "56 days"]


@pytest.mark.slow
def test_finished_jobs_are_not_repeated_after_a_kill(tmp_path: Path) -> None:
    targets = ["lambda", "figure2", "figure6", "figure11", "table8", "table9"]
    command = [sys.executable, "-m", "ncbench", "reproduce", *targets, "--budget", "laptop", *CHEAP, "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    done = subprocess.run([*command, str(whole)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    length = time.monotonic() - began
    finished: set[str] = set()
    random = Random(0)
    for _ in range(8):
        process = subprocess.Popen(
            [*command, str(killed)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(random.uniform(0.3, 0.9) * length)
        process.kill()
        process.wait()
        now = {path.parent.name: path.stat().st_mtime_ns for path in killed.glob("jobs/*/result.parquet")}
        # Finished jobs are not changed.
        assert finished <= {f"{key} {stamp}" for key, stamp in now.items()}
        finished = {f"{key} {stamp}" for key, stamp in now.items()}
    assert finished
    done = subprocess.run([*command, str(killed)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in whole.glob("jobs/*")} - {".lock"} == {path.name for path in killed.glob("jobs/*")} - {
        ".lock"
    }
    timed = ("seconds", "job")
    for name in ("lambda", "nve-drift", "nvt", "workloop"):
        own, reference = (pd.read_parquet(folder / f"{name}.parquet").sort_values("job") for folder in (whole, killed))
        columns = [column for column in own if not column.startswith(timed)]
        pd.testing.assert_frame_equal(own[columns].reset_index(drop=True), reference[columns].reset_index(drop=True))
