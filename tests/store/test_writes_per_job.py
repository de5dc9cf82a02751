"""Disk operations per recorded job: files, atomic writes and fsyncs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest, SystemRequest


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts renames into place and fsyncs of this process from now on."""
    counts: Counter[str] = Counter()
    fsync, replace = os.fsync, Path.replace

    def counting_fsync(descriptor: int) -> None:
        counts["fsync"] += 1
        fsync(descriptor)

    def counting_replace(self: Path, target: Path) -> Path:
        counts["rename"] += 1
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", counting_fsync)
    monkeypatch.setattr(Path, "replace", counting_replace)
    return counts


@pytest.mark.skipif(os.name != "posix", reason="elsewhere folders are not synchronised")
def test_a_lambda_job_writes_only_tables_that_have_rows(tmp_path: Path, writes: Counter[str]) -> None:
    system = SystemRequest(name="harmonic-crystal", structures=1)
    jobs = plan_jobs(["lambda"], [ModelRequest(spec="analytic-solenoidal")], system, budget=Budget.SMOKE)
    assert len(jobs) == 1
    store = Store(tmp_path)
    writes.clear()
    run_jobs(jobs, store, SilentReporter())
    (job,) = (path.name for path in store.jobs.iterdir() if path.is_dir())
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.parquet")}
    assert written == {"lambda.parquet", f"jobs/{job}/result.parquet"}
    # provenance, result, index, the two merged files, and the count of resumptions.
    assert writes["rename"] == 6
    # One per file, four for folders (the count, the result, the index, the merged tables), one for the line added to the index.
    assert writes["fsync"] == 11
