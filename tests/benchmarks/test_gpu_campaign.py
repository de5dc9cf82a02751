"""The script of the measurements on a GPU: every stage can be named, and what a rehearsal on the CPU writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu" / "campaign.sh"
STAGES = ("smoke", "matrix", "md", "lambda", "table5", "published", "nvt", "pack")


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    environment.pop("WHEELS", None)
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_help_lists_every_stage_and_the_readme_describes_it() -> None:
    done = campaign("--help")
    assert done.returncode == 0, done.stderr
    described = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    for stage in STAGES:
        assert stage in done.stdout
        assert f"| `{stage}` |" in described


def test_an_unknown_stage_is_a_usage_error() -> None:
    done = campaign("speed")
    assert done.returncode == 2
    assert "invalid choice: 'speed'" in done.stderr


def test_without_a_gpu_it_ends_with_one_sentence(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = campaign("--out", str(tmp_path / "out"), "smoke")
    assert done.returncode == 1
    assert "finds no CUDA device here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.models("metatomic")
def test_every_stage_is_accepted_and_the_smoke_stage_runs_on_the_cpu(tmp_path: Path) -> None:
    done = campaign("--device", "cpu", "--small", "--out", str(tmp_path), "smoke", "pack")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads((tmp_path / "smoke.json").read_text(encoding="utf-8"))
    assert document["rows"] == [{"what": "force call of pet-m:direct, 192 atoms", "finite": True}]
    assert document["conditions"]["device"] == "cpu"
    with tarfile.open(tmp_path / "gpu.tar.gz") as packed:
        assert packed.getnames() == ["smoke.json"]


def test_published_sizes_give_rows_or_the_reason(tmp_path: Path) -> None:
    done = campaign("--device", "cpu", "--small", "--out", str(tmp_path), "published")
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads((tmp_path / "published.json").read_text(encoding="utf-8"))["rows"]
    assert {"MACE-MP-0 medium", "ORB-v2", "ORB-v3 conservative, 20 neighbours"} <= {row["shapes"] for row in rows}
    for row in rows:
        assert row["weights"] == "random weights, published size"
        assert row.get("reason") or row["ms_per_step"] > 0
        # Numbers of weights of the models that their authors published.
        if "parameters" in row and row["shapes"] == "MACE-MP-0 medium":
            assert row["parameters"] == 4_688_656


def test_stages_without_time_left_are_not_started(tmp_path: Path) -> None:
    stages = [stage for stage in STAGES if stage != "pack"]
    done = campaign("--device", "cpu", "--small", "--limit", "1", "--out", str(tmp_path), *stages)
    assert done.returncode == 1
    for stage in stages:
        assert f"{stage}: not started, no time is left" in done.stdout


def test_wheels_are_pinned_and_trimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import wheels

    assert all("==" in one for one in wheels.pinned(wheels.PET + wheels.SEVENNET))
    families = wheels.pinned(wheels.MACE + wheels.MACE_SOURCES, "mace") + wheels.pinned(wheels.ORB, "orb")
    assert {"e3nn==0.4.4", "mace-torch==0.3.16", "orb-models==0.5.5"} <= set(families)
    whole = tmp_path / "sevenn-1-py3-none-any.whl"
    kept, dropped = "sevenn/SevenNet_0__11Jul2024/a.pth", "sevenn/SevenNet_l3i5/b.pth"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(kept, "weights")
        archive.writestr(dropped, "weights")
    wheels.trim(whole)
    with zipfile.ZipFile(whole) as archive:
        assert archive.namelist() == [kept]
