"""The benchmark of kills, reduced to thirty."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ncbench.md import ensemble
from ncbench.store import tables

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_kills.py"


@pytest.fixture
def bench_kills(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_kills", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_kills", module)
    spec.loader.exec_module(module)
    return module


SUITE = """
[[run]]
budget = "smoke"
diagnostics = ["evaluate", "relax"]
models = ["analytic-harmonic", "analytic-solenoidal"]
system = "harmonic-crystal"
structures = 2
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks runs off one that has everything loaded")
def test_thirty_kills_lose_nothing(tmp_path: Path) -> None:
    # In a separate process: this one may hold threads, which a fork does not survive.
    command = [
        sys.executable,
        str(SCRIPT),
        "--kills",
        "30",
        "--seed",
        "7",
        "--folder",
        str(tmp_path),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = pd.read_csv(tmp_path / "kills.csv")
    assert (result["number"][result["must be"].notna()] == 0).all()
    seen = dict(zip(result["what"], result["number"], strict=True))
    assert seen["runs killed"] == 30
    assert seen["jobs in these"] == 12 * seen["folders brought to their end"] > 0
    assert seen["kills that left a checkpoint to go on from"] > 0


def test_lost_and_altered_rows_are_counted(
    bench_kills: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "RunSettings", ensemble.RunSettings)
    suite, reference, out = tmp_path / "suite.toml", tmp_path / "reference", tmp_path / "out"
    suite.write_text(SUITE)
    with (tmp_path / "told").open("wb") as message:
        bench_kills.run_to_end(suite, reference, message.fileno())
        bench_kills.run_to_end(suite, out, message.fileno())
    reported = set((tmp_path / "told").read_text().split())
    assert len(reported) == 4
    tally = bench_kills.Tally()
    before = bench_kills.look(out, {}, reported, tally)
    bench_kills.compare(out, reference, ["evaluate", "relax"], tally)
    assert tally.clean, tally
    first, second, *_ = sorted(before)
    (out / "jobs" / first / "result.parquet").unlink()
    (out / "jobs" / second / "result.parquet").touch()
    bench_kills.look(out, before, reported, tally)
    assert (tally.lost, tally.repeated) == (1, 1)
    (out / "jobs" / second / "checkpoint.bin").touch()
    (out / "jobs" / second / "result.parquet.damaged-1").touch()
    once = tables.parse_parquet((out / "evaluate.parquet").read_bytes())
    energy = once.column_names.index("energy_eV")
    other = once.set_column(energy, "energy_eV", pc.add(once.column("energy_eV"), 1e-9))
    (out / "evaluate.parquet").write_bytes(tables.parquet_bytes(other))
    relaxed = tables.parse_parquet((out / "relax.parquet").read_bytes())
    doubled = pa.concat_tables([relaxed, relaxed.slice(0, 1)])
    (out / "relax.parquet").write_bytes(tables.parquet_bytes(doubled))
    bench_kills.compare(out, reference, ["evaluate", "relax"], tally)
    assert (tally.lost, tally.leftovers, tally.damaged) == (2, 1, 1)
    assert (tally.altered, tally.duplicates) == (len(once), 1)
    assert not tally.clean
