"""The store keeps every recorded row once, also when its files are damaged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_store import COMMON, TINY, key, open_store, outcome, put

from ncbench.errors import StoreError
from ncbench.store.files import DamagedFileWarning
from ncbench.store.index import Entry
from ncbench.store.store import Store
from ncbench.types import Outcome, Status


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "out")


def test_every_case_has_one_row_in_the_order_of_recording(store: Store) -> None:
    for number in (5, 1, 3):
        put(store, number)
        store.rebuild_tables("tiny")
    put(store, 5)
    frame = store.read("tiny")
    assert frame["steps"].tolist() == [1, 3, 5]
    assert frame["job"].tolist() == [key(1), key(3), key(5)]
    csv = pd.read_csv(store.table_path("tiny").with_suffix(".csv"))
    assert csv["steps"].tolist() == [1, 3, 5]
    # Made from the jobs alone, the table has the same order as when it grew job by job.
    store.table_path("tiny").unlink()
    assert open_store(store.out).read("tiny")["steps"].tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("statuses", "finished"),
    [
        ([Status.OK], True),
        ([Status.EXPLODED, Status.UNSUPPORTED, Status.OK], True),
        ([Status.OK, Status.FAILED], False),
        ([Status.INCOMPLETE], False),
        ([], False),
    ],
)
def test_statuses_that_count_as_finished(store: Store, statuses: list[Status], finished: bool) -> None:
    store.record(key(1), TINY, COMMON, Outcome([{"status": s} for s in statuses]), {})
    assert store.is_finished(key(1)) is finished
    assert store.finished_keys() == ({key(1)} if finished else set())
    assert not store.is_finished(key(2))


def test_a_failed_job_s_rows_are_replaced(store: Store) -> None:
    put(store, 1, status=Status.FAILED, series=3)
    store.rebuild_tables("tiny")
    put(store, 1, series=1)
    assert store.read("tiny")["status"].tolist() == ["ok"]
    assert len(store.read("tiny", "series")) == 1


def test_the_checkpoint_is_kept_after_a_failure_and_removed_after_success(store: Store) -> None:
    store.checkpoint(key(1)).save({"step": 7})
    put(store, 1, status=Status.INCOMPLETE)
    assert store.checkpoint(key(1)).load() == {"step": 7}
    put(store, 1)
    assert store.checkpoint(key(1)).load() is None


def test_a_row_that_does_not_fit_changes_nothing(store: Store) -> None:
    put(store, 1)
    with pytest.raises(KeyError, match="wrong"):
        store.record(key(1), TINY, COMMON, Outcome([{"wrong": 1}]), {})
    with pytest.raises(KeyError, match="pairs"):
        store.record(key(1), TINY, COMMON, Outcome([], {"pairs": []}), {})
    assert store.is_finished(key(1))


@pytest.mark.parametrize("name", ["result.parquet", "result-series.parquet", "provenance.json"])
def test_a_damaged_file_is_named_set_aside_and_its_job_is_unfinished(store: Store, name: str) -> None:
    put(store, 1, series=2)
    path = store.folder(key(1)) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(DamagedFileWarning, match=name):
        assert not store.is_finished(key(1))
    assert path.with_name(f"{name}.damaged-1").exists()
    assert not store.is_finished(key(1))
    put(store, 1, series=2)
    assert store.is_finished(key(1))
    assert len(store.read("tiny")) == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_altered_result_files_are_detected(store: Store, data: st.DataObject) -> None:
    put(store, 1)
    path = store.folder(key(1)) / "result.parquet"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.warns(DamagedFileWarning):
        assert not store.is_finished(key(1))


@pytest.mark.parametrize("name", ["tiny.parquet", "tiny-series.parquet", "jobs/.index.jsonl"])
@pytest.mark.parametrize("deleted", [True, False])
def test_tables_and_index_are_rebuilt_from_the_jobs(store: Store, name: str, deleted: bool) -> None:
    for number in (2, 1):
        put(store, number, series=2)
    store.rebuild_tables("tiny")
    before = store.read("tiny"), store.read("tiny", "series")
    path = store.out / name
    if deleted:
        path.unlink()
        again = open_store(store.out)
        frames = again.read("tiny"), again.read("tiny", "series")
    else:
        path.write_bytes(b"spoilt\n" + path.read_bytes()[7:])
        again = open_store(store.out)
        with pytest.warns(DamagedFileWarning, match=path.name):
            frames = again.read("tiny"), again.read("tiny", "series")
    for old, new in zip(before, frames, strict=True):
        pd.testing.assert_frame_equal(old, new)
    assert again.finished_keys() == {key(1), key(2)}


def test_a_deleted_csv_is_rebuilt(store: Store) -> None:
    put(store, 1)
    store.rebuild_tables("tiny")
    csv = store.table_path("tiny").with_suffix(".csv")
    content = csv.read_bytes()
    csv.unlink()
    store.rebuild_tables("tiny")
    assert csv.read_bytes() == content


def test_a_folder_copied_in_is_adopted_and_one_deleted_is_forgotten(store: Store, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other")
    put(store, 1)
    put(other, 2)
    store.rebuild_tables("tiny")
    other.folder(key(2)).rename(store.folder(key(2)))
    for file in store.folder(key(1)).iterdir():
        file.unlink()
    store.folder(key(1)).rmdir()
    assert store.finished_keys() == {key(2)}
    assert store.read("tiny")["steps"].tolist() == [2]


def test_a_truncated_index_line_is_ignored_and_overwritten(store: Store) -> None:
    put(store, 1)
    index = store.jobs / ".index.jsonl"
    # Longer than the line that will take its place, so that it must be cut off and not only covered.
    index.write_bytes(index.read_bytes() + b'{"sequence": 2, "key": "' + 300 * b"0")
    again = open_store(store.out)
    assert again.finished_keys() == {key(1)}
    put(again, 2)
    assert [json.loads(line) for line in index.read_text().splitlines()][-1]["key"] == key(2)
    assert store.finished_keys() == {key(1), key(2)}


def test_empty_side_tables_have_no_file(store: Store) -> None:
    put(store, 1)
    store.rebuild_tables("tiny")
    assert not store.table_path("tiny", "series").exists()
    put(store, 2, series=2)
    assert len(store.read("tiny", "series")) == 2


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError, match="out"):
        open_store(tmp_path / "out")


def test_recording_and_lookup_are_fast(store: Store) -> None:
    for number in range(200):
        put(store, number, series=5)
    store.rebuild_tables("tiny")
    began = time.process_time()
    for number in range(200, 260):
        put(store, number, series=5)
    # Processor time, so that a busy machine does not fail it; 50 ms a job are allowed, a few are used.
    assert (time.process_time() - began) / 60 < 0.05


@pytest.mark.slow
def test_a_hundred_thousand_finished_jobs_are_listed_in_two_seconds(store: Store) -> None:
    records = []
    for number in range(100_000):
        folder = store.folder(key(number))
        folder.mkdir()
        (folder / "result.parquet").touch()
        records.append(Entry(key=key(number), diagnostic="tiny", version=1, finished=True))
    store._index.refresh()
    store._index.append(records)
    began = time.process_time()
    assert len(open_store(store.out).finished_keys()) == 100_000
    assert time.process_time() - began < 2.0


def test_an_outcome_of_numpy_values_is_kept_as_plain_numbers(store: Store) -> None:
    row = {"value_eV": np.float32(0.5), "steps": np.int64(3), "fine": np.bool_(True)}
    kept = store.record(key(1), TINY, COMMON, Outcome([row]), {})
    assert (kept[0]["value_eV"], kept[0]["steps"], kept[0]["fine"]) == (0.5, 3, True)
    assert store.rows(key(1)) == kept
    assert outcome(1).rows[0]["steps"] == 1
