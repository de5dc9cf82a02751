"""A checkpoint that makes a job fail is dropped, and the job starts again."""

from __future__ import annotations

import json

import pytest

from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.structures.load import load_cases
from ncbench.types import Budget, ModelRequest, SystemRequest

CRYSTAL = SystemRequest(name="harmonic-crystal", structures=1)


def jobs_of(model):
    overrides = {"workloop": {"path": "planar", "loops": 2}}
    return plan_jobs(["workloop"], [ModelRequest(spec=model)], CRYSTAL, budget=Budget.SMOKE, overrides=overrides)


def begun(model, out, state):
    """The jobs of a model, and the checkpoint of the first, which holds ``state``."""
    jobs = jobs_of(model)
    key = key_of(jobs[0], load_cases(CRYSTAL, jobs[0].default_structures, 0))
    checkpoint = Store(out).checkpoint(key)
    checkpoint.save(state)
    return jobs, checkpoint


@pytest.mark.parametrize("model", ["analytic-solenoidal", "tiny-solenoidal"])
def test_a_job_that_fails_after_resuming_starts_afresh(model, tiny_environment, tmp_path):
    jobs, checkpoint = begun(model, tmp_path / "out", {"rows": "of another time"})
    (row,) = run_jobs(jobs, Store(tmp_path / "out"), SilentReporter()).rows["workloop"]
    assert row["status"] == "failed"
    assert "KeyError" in row["reason"]
    assert "starts this job from the beginning" in row["reason"]
    assert not checkpoint.path.exists()
    again = run_jobs(jobs, Store(tmp_path / "out"), SilentReporter()).rows["workloop"]
    untouched = run_jobs(jobs, Store(tmp_path / "other"), SilentReporter()).rows["workloop"]
    assert [row["status"] for row in again] == ["ok", "ok"]
    assert [row["work_meV"] for row in again] == [row["work_meV"] for row in untouched]


def test_an_unrelated_failure_keeps_the_checkpoint(tmp_path, monkeypatch):
    package = tmp_path / "unloadable_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text("def factory():\n    raise LookupError('no such device today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    state = {"rows": [], "curve": []}
    jobs, checkpoint = begun("unloadable_package.model:factory", tmp_path / "out", state)
    (row,) = run_jobs(jobs, Store(tmp_path / "out"), SilentReporter()).rows["workloop"]
    assert "no such device today" in row["reason"]
    assert "afresh" not in row["reason"]
    assert checkpoint.load() == state
    provenance = json.loads((checkpoint.path.parent / "provenance.json").read_text())
    assert provenance["record"]["finished"] is False
