"""The composite action: its shell steps, run as GitHub's runner would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")


def check_step() -> str:
    """The script under the step "Check", without its indentation."""
    block = ACTION.partition("- name: Check")[2].partition("run: |\n")[2]
    return re.sub(r"(?m)^ {8}", "", block)


def run(tmp_path: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    values = {"MODEL": "", "BASELINE": "", "PROFILE": "", "ARGUMENTS": ""} | inputs
    values |= {
        "PATH": path,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "OMP_NUM_THREADS": "1",
    }
    values["PYTHONPATH"] = str(ROOT / "tests" / "helpers")
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", check_step()]
    return subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **values}, capture_output=True, text=True, check=False
    )


def test_inputs_reach_the_shell_only_as_environment_variables() -> None:
    # An expression inside a script would let a file's name run commands.
    for script in re.findall(r"(?s)run: \|?\s*(.*?)(?=\n {4}- name|\Z)", ACTION):
        assert "${{" not in script
    assert "${{ inputs.model }}" in ACTION


def test_a_missing_model_fails_the_step(tmp_path: Path) -> None:
    done = run(tmp_path, MODEL="./no such; touch hacked.pt")
    assert done.returncode == 2
    assert "no such; touch hacked.pt" in done.stderr
    assert not (tmp_path / "hacked.pt").exists()


@pytest.mark.slow
def test_the_step_writes_summary_annotations_and_junit(tmp_path: Path) -> None:
    # The quick suite on a small analytic model, some ten seconds.
    arguments = "--system argon --structures 1 --threads 1 --limit lambda<1e-4"
    assert run(tmp_path, MODEL="dialled.defects:good", PROFILE="nve relaxation", ARGUMENTS=arguments).returncode == 0
    done = run(tmp_path, MODEL="dialled.defects:limited", ARGUMENTS=arguments)
    assert done.returncode == 1
    assert "::error title=ncbench dialled.defects%3Alimited%3Aconservative::lambda < 0.0001" in done.stderr
    assert "❌" in (tmp_path / "summary.md").read_text()
    assert "<failure" in (tmp_path / "ncbench-check.xml").read_text()
