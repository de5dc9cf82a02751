"""The suites and the training recipe that the Makefile runs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from ncbench.runner.plan import load_suite

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "benchmarks" / "training" / "pet_m"
SIX = {"lambda", "workloop", "nve-drift", "nvt", "relax", "timing"}


def test_the_demo_runs_all_six_on_all_three() -> None:
    jobs = load_suite(ROOT / "benchmarks" / "demo.toml")
    for model in ("pet-m:direct", "pet-m:conservative", "sevennet-0"):
        assert {job.diagnostic for job in jobs if job.model.spec == model} == SIX
    # Both modes of the bundled model under the same conditions, or the comparison is none.
    direct, conservative = (
        [(j.diagnostic, j.system, j.settings, j.seed) for j in jobs if j.model.spec == f"pet-m:{mode}"]
        for mode in ("direct", "conservative")
    )
    assert direct == conservative


def test_the_benchmark_suite_times_only() -> None:
    assert {job.diagnostic for job in load_suite(ROOT / "benchmarks" / "bench.toml")} == {"timing"}


def _script(name: str) -> ModuleType:
    spec = spec_from_file_location(f"pet_m_{name}", RECIPE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_learning_curves_count_a_repeated_epoch_once(tmp_path: Path) -> None:
    head = "Epoch,learning rate,training loss,training energy RMSE (per atom),validation forces MAE\n,,,meV,meV/A\n"
    for start, lines in (
        ("1", "0,1e-3,9.0,5.0,300\n1,9e-4,8.0,4.0,200\n"),
        ("2", "1,9e-4,7.5,3.9,190\n2,8e-4,6.0,3.0,100\n"),
    ):
        folder = tmp_path / "stage1" / "outputs" / "day" / start
        folder.mkdir(parents=True)
        (folder / "train.csv").write_text(head + lines, encoding="utf-8")
    found = _script("evaluate").learning_curves([tmp_path / "stage1"])
    assert list(found.columns) == [
        "stage", "epoch", "learning_rate", "training_loss", "training_energy_rmse_meV_per_atom", "validation_forces_mae_meV_per_A"
    ]  # fmt: skip
    assert found["epoch"].tolist() == [0, 1, 2]
    assert found["training_loss"].tolist() == [9.0, 7.5, 6.0]


@pytest.mark.slow
@pytest.mark.models("metatrain")
@pytest.mark.skipif(
    "NCBENCH_DATA_MIRROR" not in os.environ, reason="needs the data set; NCBENCH_DATA_MIRROR names no mirror"
)
def test_the_recipe_runs_from_frames_to_errors(tmp_path: Path) -> None:
    weights = ROOT / "ncbench" / "forcefields" / "weights" / "pet-m.pt"
    before = weights.stat().st_mtime_ns if weights.exists() else None
    command = [sys.executable, str(RECIPE / "train.py"), "--smoke", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    errors = pd.read_csv(tmp_path / "smoke" / "errors.csv")
    assert set(errors["quantity"]) == {"energy", "direct forces", "conservative forces"}
    # Forces of the set have an rms of 810 meV/Å: one epoch must not have made them worse by far, and cannot have learned them.
    assert errors.set_index("quantity")["rmse"]["direct forces"] == pytest.approx(810, rel=0.25)
    assert (weights.stat().st_mtime_ns if weights.exists() else None) == before


def test_what_is_kept_of_results(tmp_path: Path) -> None:
    spec = spec_from_file_location("collect", ROOT / "benchmarks" / "collect.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    source, target = tmp_path / "source", tmp_path / "target"
    for name, size in (
        ("a.csv", 10),
        ("b.csv", 2_000_000),
        ("b.parquet", 5),
        ("jobs/k1/provenance.json", 3),
        ("jobs/k1/checkpoint.bin", 3),
        ("figures/f.png", 4),
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"x" * size)
    target.mkdir()
    (target / "old.csv").write_text("of an earlier run")
    assert module.collect(source, target) == 22
    kept = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert kept == {"a.csv", "b.parquet", "k1.provenance.json", "figures/f.png"}
