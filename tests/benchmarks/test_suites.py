"""The suites and the training recipe that the Makefile runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pandas as pd
import pytest

from ncbench.run.plan import load_suite

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "benchmarks" / "training" / "pet_m"
SIX = {"lambda", "workloop", "nve-drift", "nvt", "relax", "timing"}


def test_demo_suite_runs_six_diagnostics_on_three_models() -> None:
    jobs = load_suite(ROOT / "benchmarks" / "demo.toml")
    for model in ("pet-m:direct", "pet-m:conservative", "sevennet-0"):
        assert {job.diagnostic for job in jobs if job.model.spec == model} == SIX
    # Both modes of the bundled model under the same conditions, which the comparison needs.
    direct, conservative = (
        [(j.diagnostic, j.system, j.settings, j.seed) for j in jobs if j.model.spec == f"pet-m:{mode}"]
        for mode in ("direct", "conservative")
    )
    assert direct == conservative


def test_benchmark_suite_runs_only_timing() -> None:
    assert {job.diagnostic for job in load_suite(ROOT / "benchmarks" / "bench.toml")} == {"timing"}


@pytest.mark.slow
@pytest.mark.models("metatrain")
@pytest.mark.skipif(
    "NCBENCH_DATA_MIRROR" not in os.environ, reason="needs the data set; NCBENCH_DATA_MIRROR names no mirror"
)
def test_training_recipe_runs_from_frames_to_errors(tmp_path: Path) -> None:
    weights = ROOT / "ncbench" / "models" / "weights" / "pet-m.pt"
    before = weights.stat().st_mtime_ns if weights.exists() else None
    command = [sys.executable, str(RECIPE / "train.py"), "--smoke", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    errors = pd.read_csv(tmp_path / "smoke" / "errors.csv")
    assert set(errors["quantity"]) == {"energy", "direct forces", "conservative forces"}
    # Forces of the set have an rms of 810 meV/Å: one epoch must not increase the errors much, and cannot reduce them much.
    assert errors.set_index("quantity")["rmse"]["direct forces"] == pytest.approx(810, rel=0.25)
    assert (weights.stat().st_mtime_ns if weights.exists() else None) == before


def test_collected_results_keep_small_files_without_local_paths(tmp_path: Path) -> None:
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
    (source / "jobs" / "k1" / "provenance.json").write_text(json.dumps(["--out", str(source)]))
    module.collect(source, target)
    # A committed file names no folder of the machine that made it.
    assert json.loads((target / "k1.provenance.json").read_text()) == ["--out", "source"]
    kept = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert kept == {"a.csv", "b.parquet", "k1.provenance.json", "figures/f.png"}
    # Of a copy without .git the provenance has no commit; that of another run stays.
    for git, expected in (({}, {"commit": "abc", "dirty": None}), ({"commit": "d", "dirty": False},) * 2):
        (source / "jobs" / "k1" / "provenance.json").write_text(json.dumps({"git": git}))
        module.collect(source, target, "abc")
        assert json.loads((target / "k1.provenance.json").read_text()) == {"git": expected}
