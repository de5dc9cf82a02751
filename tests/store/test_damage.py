"""With damaged files a store returns the recorded rows or measures again: never other numbers, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
import tiny_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_store import COMMON, SCHEMA, key, open_store, outcome, put

from ncbench.store import merge, tables
from ncbench.store.files import DamagedFileWarning
from ncbench.store.store import Store
from ncbench.types import Status

RESULT = tables.parquet_bytes(tables.table_of(SCHEMA, outcome(1).rows, COMMON, key(1)))
ONCE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

HELPERS = str(Path(tiny_store.__file__).parent)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three jobs in their tables."""
    made = open_store(tmp_path / "out")
    for number in range(3):
        put(made, number, series=2)
    made.rebuild_tables("tiny")
    return made


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(RESULT) - 1), st.integers(1, 255))
def test_a_changed_byte_in_a_table_is_detected(place: int, change: int) -> None:
    altered = RESULT[:place] + bytes([RESULT[place] ^ change]) + RESULT[place + 1 :]
    with pytest.raises(ValueError, match=r"."):
        tables.parse_parquet(altered)


@given(st.integers(0, len(RESULT) - 1))
def test_a_truncated_table_is_detected(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        tables.parse_parquet(RESULT[:length])


@given(st.binary(max_size=300))
def test_files_that_are_not_tables_are_refused(content: bytes) -> None:
    for result in (content, b"PAR1" + content + b"PAR1"):
        with pytest.raises(ValueError, match=r"."):
            tables.parse_parquet(result)


def test_a_table_without_a_checksum_is_read() -> None:
    words = tables._SEAL_WORDS
    table = tables.parse_parquet(RESULT)
    sink = tables.io.BytesIO()
    tables.pq.write_table(table, sink, compression="zstd")
    assert words not in sink.getvalue()
    assert tables.parse_parquet(sink.getvalue()).equals(table)


def test_the_checksum_marker_may_occur_as_text_in_a_cell() -> None:
    reason = tables._UNSEALED.decode()
    table = tables.table_of(SCHEMA, [{"reason": reason}], COMMON, key(1))
    assert tables.parse_parquet(tables.parquet_bytes(table)).column("reason").to_pylist() == [reason]


FILES = [
    "tiny.parquet",
    "tiny-series.parquet",
    f"jobs/{key(1)}/result.parquet",
    f"jobs/{key(1)}/result-series.parquet",
    f"jobs/{key(1)}/provenance.json",
    "jobs/.index.jsonl",
]


@pytest.mark.parametrize("name", FILES)
@ONCE
@given(data=st.data())
def test_a_store_with_a_damaged_file_returns_no_other_numbers(store: Store, name: str, data: st.DataObject) -> None:
    path = store.out / name
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        again = open_store(store.out)
        finished = [number for number in range(3) if again.is_finished(key(number))]
        assert set(finished) >= {0, 2}
        # As a run does: measure missing jobs.
        for number in set(range(3)) - set(finished):
            put(again, number, series=2)
        frame, series = again.read("tiny"), again.read("tiny", "series")
    try:
        assert sorted(frame["steps"]) == [0, 1, 2]
        assert frame["value_eV"].tolist() == [steps / 3 for steps in frame["steps"]]
        assert sorted(series["structure"]) == ["#0", "#0", "#1", "#1", "#2", "#2"]
    finally:
        path.write_bytes(whole)
        for aside in store.out.rglob("*.damaged-*"):
            aside.unlink()


def test_partial_files_of_a_kill_are_never_read_and_are_removed(store: Store) -> None:
    halves = [
        store.out / ".tiny.parquet.0badc0de.tmp",
        store.jobs / "..index.jsonl.0badc0de.tmp",
        store.folder(key(1)) / ".result.parquet.0badc0de.tmp",
        store.folder(key(7)) / ".checkpoint.bin.0badc0de.tmp",
    ]
    store.folder(key(7)).mkdir()
    for path in halves:
        path.write_bytes(b"PAR1 half of")
    again = open_store(store.out)
    assert again.finished_keys() == {key(0), key(1), key(2)}
    assert again.checkpoint(key(7)).load() is None
    assert again.read("tiny")["steps"].tolist() == [0, 1, 2]
    for number in (1, 7):
        put(again, number)
    assert [path for path in halves if path.exists()] == []


@pytest.mark.parametrize(
    "name", ["notes.txt", "jobs/notes.txt", "jobs/drafts/deep/x", f"jobs/{key(1)}/notes.txt", f"jobs/{key(8)}/x"]
)
def test_foreign_files_are_left_alone(store: Store, name: str) -> None:
    path = store.out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("of mine")
    again = open_store(store.out)
    assert again.finished_keys() == {key(0), key(1), key(2)}
    assert not again.is_finished("drafts")
    put(again, 3)
    assert again.read("tiny")["steps"].tolist() == [0, 1, 2, 3]
    assert path.read_text() == "of mine"


@pytest.mark.skipif(os.name != "posix", reason="links to nowhere are made otherwise")
def test_broken_links_are_not_jobs(store: Store) -> None:
    (store.jobs / key(8)).symlink_to(store.jobs / "nowhere")
    (store.jobs / key(9)).symlink_to(store.jobs / key(9))
    again = open_store(store.out)
    assert again.finished_keys() == {key(0), key(1), key(2)}
    assert again.read("tiny")["steps"].tolist() == [0, 1, 2]


LIMITED = """
import resource, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tiny_store import *
from ncbench.errors import StoreError
store = open_store(Path(sys.argv[1]))
put(store, 1)
store.rebuild_tables("tiny")
checkpoint = store.checkpoint(key(2))
checkpoint.save({"step": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, resource.RLIM_INFINITY))
for write in (
    lambda: put(store, 2, series=20_000),
    lambda: checkpoint.save({"x": np.zeros(5000)}),
):
    try:
        write()
    except StoreError as error:
        print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert checkpoint.load() == {"step": 1}
assert store.finished_keys() == {key(1)}
put(store, 2)
assert store.read("tiny")["steps"].tolist() == [1, 2]
assert not [path for path in Path(sys.argv[1]).rglob("*.tmp")]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of size there")
def test_a_file_size_limit_is_reported_and_damages_nothing(tmp_path: Path) -> None:
    # Simulates a full disk, which only root could create for a test.
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "out"), HELPERS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message = done.stdout.splitlines()
    assert len(message) == 2
    assert all("Cannot write" in line for line in message)


BACKWARDS = """
import sys, time
from datetime import datetime, timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tiny_store import *
import ncbench.store.store as module
hours = iter(range(1000))
class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime(2030, 1, 1, tzinfo=tz) - timedelta(hours=next(hours))
module.datetime = Clock
time.time = lambda: 2e9 - 3600.0 * next(hours)
store = open_store(Path(sys.argv[1]))
for number in range(4):
    put(store, number, series=1)
    if number < 3:
        store.rebuild_tables("tiny")
"""


def test_a_clock_that_goes_backwards_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", BACKWARDS, str(out), HELPERS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    store = open_store(out)
    # The order is that of the index, which does not use the clock.
    assert store.read("tiny")["steps"].tolist() == [0, 1, 2, 3]
    put(store, 0, status=Status.FAILED)
    put(store, 0)
    assert store.read("tiny")["steps"].tolist() == [1, 2, 3, 0]
    # Without the index only the clock gives the order; every job still exists.
    (store.jobs / ".index.jsonl").unlink()
    again = open_store(out)
    assert sorted(again.read("tiny")["steps"]) == [0, 1, 2, 3]
    assert sorted(pd.read_csv(out / "tiny.csv")["steps"]) == [0, 1, 2, 3]


def test_lost_index_lines_lose_no_rows(tmp_path: Path) -> None:
    # The clock went backwards, so that the job recorded last gets the first number when its line is gone with the others.
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", BACKWARDS, str(out), HELPERS], check=True)
    store = open_store(out)
    index = store.jobs / ".index.jsonl"
    index.write_bytes(index.read_bytes().splitlines(keepends=True)[0])
    assert sorted(store.read("tiny")["steps"]) == [0, 1, 2, 3]
    assert sorted(open_store(out).read("tiny", "series")["structure"]) == ["#0", "#1", "#2", "#3"]


def test_tables_of_many_jobs_are_put_together_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_BATCH", 3)
    store = open_store(tmp_path / "out")
    for number in range(8):
        put(store, number, series=number % 3)
    assert store.read("tiny")["steps"].tolist() == list(range(8))
    assert store.read("tiny", "series")["structure"].tolist() == [f"#{n}" for n in range(8) for _ in range(n % 3)]
