"""``ncbench doctor``: state of this installation, problems with their solutions, and no secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ncbench
from ncbench.models.family import families
from ncbench.models.row import ModelRow
from ncbench.run.doctor import _families


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "ncbench", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


def test_state_of_the_installation_is_printed(tmp_path: Path) -> None:
    done = doctor("--json", NCBENCH_ENV_DIR=str(tmp_path / "environments"))
    report = json.loads(done.stdout)
    versions = report["sections"]["versions"]
    assert versions["ncbench"].startswith(ncbench.__version__)
    assert versions["torch"] == torch.__version__.partition("+")[0] or versions["torch"] == torch.__version__
    with_package = {name for name, one in families().items() if any(row.package for row in one.rows)}
    assert set(report["sections"]["model families"]) == with_package
    assert "not made yet" in report["sections"]["folders"]["environments"]
    assert not (tmp_path / "environments").exists()
    assert done.returncode == bool(report["problems"])


def test_problems_are_named_and_exit_code_is_1(tmp_path: Path) -> None:
    done = doctor(NCBENCH_DATA_MIRROR=str(tmp_path / "gone"))
    assert done.returncode == 1
    assert f"NCBENCH_DATA_MIRROR names '{tmp_path / 'gone'}', which is not a folder." in done.stdout
    assert done.stderr == ""


def test_tokens_and_passwords_are_not_shown() -> None:
    done = doctor(HF_TOKEN="hf_abcdef", https_proxy="http://me:hush@proxy:3128")  # noqa: S106  # an invented one
    assert "hf_abcdef" not in done.stdout
    assert "hush" not in done.stdout
    assert "http://…@proxy:3128" in done.stdout


def test_an_interrupted_installation_is_named(tmp_path: Path) -> None:
    (tmp_path / ".mace.abc.building").mkdir()
    done = doctor(NCBENCH_ENV_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "1 unfinished environments are left" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_in_other_encodings(encoding: str) -> None:
    assert doctor(PYTHONIOENCODING=encoding).returncode in (0, 1)


def test_a_missing_family_is_listed_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelRow, "installed", lambda row: False)
    lines = {name: text for name, text in _families([]) if "environment '" not in text}
    for name, text in lines.items():
        row = next(row for row in families()[name].rows if row.package)
        assert text == f"not installed; run: pip install '{row.install or f'ncbench[{row.extra}]'}'"
    # Neither a group of ncbench's dependencies nor an environment: the package itself.
    assert lines["nequip"] == "not installed; run: pip install 'nequip'"
