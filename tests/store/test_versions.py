"""Numbers of different schema versions are not mixed, and an index of another format is never misread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_store import COMMON, TINY, key, open_store, outcome, put

from ncbench.diagnostics import evaluate, registry
from ncbench.errors import StoreError
from ncbench.run.local import run_jobs
from ncbench.run.plan import plan_jobs
from ncbench.run.reporter import SilentReporter
from ncbench.store.files import DamagedFileWarning
from ncbench.store.store import Store
from ncbench.types import Budget, ModelRequest, SystemRequest

CRYSTAL = SystemRequest(name="harmonic-crystal", structures=1)
RAISED = replace(TINY, version=2)


def measured(out: Path, *models: str) -> pd.DataFrame:
    """The table of ``evaluate`` on disk after a run."""
    jobs = plan_jobs(["evaluate"], [ModelRequest(spec=model) for model in models], CRYSTAL, budget=Budget.SMOKE)
    run_jobs(jobs, Store(out), SilentReporter())
    frame = pd.read_parquet(out / "evaluate.parquet")
    assert pd.read_csv(out / "evaluate.csv")["job"].tolist() == frame["job"].tolist()
    return frame


def test_rows_of_an_older_version_leave_the_tables_and_stay_in_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["analytic-harmonic", "analytic-solenoidal"]
    before = measured(tmp_path, *models)
    raised = replace(evaluate.DIAGNOSTIC, version=evaluate.DIAGNOSTIC.version + 1)
    known = {**registry.diagnostics(), "evaluate": raised}
    monkeypatch.setattr(registry, "diagnostics", lambda: known)
    (job,) = measured(tmp_path, "analytic-harmonic")["job"].unique()
    assert job not in set(before["job"])
    after = measured(tmp_path, *models)
    assert after["model"].tolist() == before["model"].tolist()
    assert not set(after["job"]) & set(before["job"])
    folders = {path.parent.name for path in tmp_path.glob("jobs/*/result.parquet")}
    assert folders == set(after["job"]) | set(before["job"])
    # And back: an older ncbench on the same folder finds its own rows.
    monkeypatch.undo()
    assert measured(tmp_path, *models)["job"].tolist() == before["job"].tolist()


def test_side_tables_drop_rows_of_older_versions(tmp_path: Path) -> None:
    old = open_store(tmp_path)
    put(old, 1, series=3)
    old.rebuild_tables("tiny")
    new = Store(tmp_path, diagnostics=lambda _: RAISED)
    assert len(new.read("tiny")) == len(new.read("tiny", "series")) == 0
    new.record(key(2), RAISED, COMMON, outcome(2, series=2), {})
    assert new.read("tiny")["steps"].tolist() == [2]
    assert len(new.read("tiny", "series")) == 2
    # Made from the jobs alone, the table is the same.
    new.table_path("tiny").unlink()
    assert new.read("tiny")["steps"].tolist() == [2]


def test_an_index_without_checksums_is_rebuilt_in_the_order_of_recording(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in (3, 1, 2):
        put(store, number)
    store.rebuild_tables("tiny")
    path = store.jobs / ".index.jsonl"
    header, *lines = map(json.loads, path.read_text().splitlines())
    kept = [{name: line[name] for name in ("sequence", "key", "diagnostic", "finished")} for line in lines]
    first = {"ncbench_index": 1, "identity": header["identity"]}
    path.write_text("".join(json.dumps(line) + "\n" for line in [first, *kept]))
    again = open_store(tmp_path)
    with pytest.warns(DamagedFileWarning, match="checksum"):
        assert again.finished_keys() == {key(1), key(2), key(3)}
    put(again, 0)
    assert again.read("tiny")["steps"].tolist() == [3, 1, 2, 0]
    assert path.with_name(".index.jsonl.damaged-1").exists()


def test_a_newer_index_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, 1)
    path = store.jobs / ".index.jsonl"
    _, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(['{"ncbench_index": 3, "identity": "x"}\n', *lines]))
    content = path.read_bytes()
    with pytest.raises(StoreError, match="newer ncbench"):
        open_store(tmp_path).finished_keys()
    with pytest.raises(StoreError, match="newer ncbench"):
        put(open_store(tmp_path), 2)
    assert path.read_bytes() == content
