"""The plugin, loaded in a separate pytest process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
SMALL = "--system argon --structures 1 --threads 1"


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_own.py").write_text("def test_of_the_projects_own():\n    assert True\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "ncbench.check.pytest_plugin",
        "-q",
        "-ra",
        *words,
    ]
    # Without the installed entry point, which would load the plugin twice.
    environment = {
        **os.environ,
        "PYTHONPATH": str(HELPERS),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_no_tests_are_added_without_a_model(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_wrong_requests_end_before_any_test(tmp_path: Path) -> None:
    done = run(tmp_path, "--ncbench-model", "analytic-lj", "--ncbench-baseline", "none.json")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "There is no baseline 'none.json'" in done.stderr + done.stdout
    done = run(tmp_path, "--ncbench-model", "analytic-jl")
    assert done.returncode == 1
    assert "analytic-lj" in done.stdout


@pytest.mark.slow
def test_each_metric_becomes_a_test(tmp_path: Path) -> None:
    # The whole quick suite on two small models: some 20 seconds.
    words = ["--model", "dialled.defects:good", "--file", "b.json", *SMALL.split()]
    environment = {**os.environ, "PYTHONPATH": str(HELPERS), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, "-m", "ncbench", "baseline", "write", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    common = ["--ncbench-baseline", "b.json", "--ncbench-args", SMALL]
    good = run(tmp_path, "--ncbench-model", "dialled.defects:good", *common, "--ncbench-limit", "lambda < 1e-4")
    assert good.returncode == 0, good.stdout
    bad = run(tmp_path, "--ncbench-model", "dialled.defects:wrong_stress", *common)
    assert bad.returncode == 1
    assert "stress_gap is worse" in bad.stdout
    assert "Traceback" not in bad.stdout
