"""Rows become typed tables with described columns, without loss of digits."""

from __future__ import annotations

import csv
import io
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_store import COMMON, SCHEMA, TINY, key, open_store, put

from ncbench.errors import StoreError
from ncbench.schema import COMMON as COMMON_COLUMNS
from ncbench.schema import Column, TableSchema
from ncbench.store import tables
from ncbench.store.store import Store

NEWER = TableSchema(
    "tiny", 3, (Column("value_meV", "float", "meV", "in thousandths"), Column("steps", "int", "", "a count"))
)

# Text as it may stand in a reason; Parquet and CSV hold UTF-8, which lone surrogates are not.
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"))
rows = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "value_eV": st.none() | st.floats(allow_nan=False),
            "steps": st.none() | st.integers(-(2**63), 2**63 - 1),
            "fine": st.none() | st.booleans(),
            "reason": words,
        },
    ),
    max_size=5,
)


@given(rows)
def test_rows_are_read_back_from_parquet_unchanged(given_rows: list[dict[str, Any]]) -> None:
    table = tables.parse_parquet(tables.parquet_bytes(tables.table_of(SCHEMA, given_rows, COMMON, "k")))
    for row, back in zip(given_rows, table.to_pylist(), strict=True):
        assert back["reason"] == row.get("reason", "")
        assert {name: back[name] for name in ("value_eV", "steps", "fine")} == {
            name: row.get(name) for name in ("value_eV", "steps", "fine")
        }


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_csv_preserves_floats(values: list[float]) -> None:
    content = tables.csv_bytes(tables.table_of(SCHEMA, [{"value_eV": v} for v in values], COMMON, "k"))
    back = [float(line["value_eV"]) for line in csv.DictReader(io.StringIO(content.decode()))]
    assert back == values


def test_an_absent_number_is_empty_and_never_nan() -> None:
    table = tables.table_of(SCHEMA, [{"value_eV": math.nan}, {"value_eV": None}, {}], COMMON, "k")
    assert table.column("value_eV").null_count == 3
    header, *lines = tables.csv_bytes(table).decode().replace('"', "").splitlines()
    place = header.split(",").index("value_eV")
    assert [line.split(",")[place] for line in lines] == ["", "", ""]
    assert tables.frame(table)["value_eV"].isna().all()


@pytest.mark.parametrize(
    "row", [{"value_eV": "1"}, {"steps": 1.5}, {"steps": True}, {"fine": 1}, {"value_eV": False}, {"reason": 3}]
)
def test_a_value_of_another_type_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(row))):
        tables.table_of(SCHEMA, [row], COMMON, "k")


def test_an_undeclared_column_is_refused() -> None:
    with pytest.raises(KeyError, match="valeu_eV"):
        tables.table_of(SCHEMA, [{"valeu_eV": 1.0}], COMMON, "k")


def test_a_parquet_file_contains_descriptions_of_its_columns(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, 1)
    store.rebuild_tables("tiny")
    assert tables.read_columns(store.table_path("tiny")) == (*COMMON_COLUMNS, *SCHEMA.columns, tables.JOB)
    frame = tables.read_table(store.table_path("tiny"))
    assert [str(frame[name].dtype) for name in ("value_eV", "steps", "fine", "model")] == [
        "Float64",
        "Int64",
        "boolean",
        "string",
    ]


@pytest.fixture
def steps() -> Iterator[None]:
    """Upgrades of the test's own table: eV to meV, then the flag is removed."""

    def to_meV(table: pa.Table) -> pa.Table:
        values = [None if v is None else 1000 * v for v in table.column("value_eV").to_pylist()]
        return table.drop_columns(["value_eV"]).append_column("value_meV", pa.array(values, pa.float64()))

    tables.UPGRADES["tiny", 1] = to_meV
    tables.UPGRADES["tiny", 2] = lambda table: table.drop_columns(["fine"])
    yield
    del tables.UPGRADES["tiny", 1], tables.UPGRADES["tiny", 2]


@pytest.mark.usefixtures("steps")
def test_an_older_table_is_upgraded_step_by_step(tmp_path: Path) -> None:
    old = open_store(tmp_path)
    put(old, 3)
    old.rebuild_tables("tiny")
    new = Store(tmp_path, diagnostics=lambda _: replace(TINY, schema=NEWER))
    frame = new.read("tiny")
    # 3/3 eV in thousandths: one multiplication of exact numbers.
    assert frame["value_meV"].tolist() == [1000.0]
    assert "fine" not in frame
    assert new.rows(key(3))[0]["value_meV"] == 1000.0


def test_an_older_table_without_an_upgrade_is_refused_by_name(tmp_path: Path) -> None:
    put(open_store(tmp_path), 3)
    with pytest.raises(StoreError, match=r"result\.parquet.*version 1"):
        Store(tmp_path, diagnostics=lambda _: replace(TINY, schema=NEWER)).rows(key(3))


def test_a_newer_table_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    newer = Store(tmp_path, diagnostics=lambda _: replace(TINY, schema=NEWER))
    path = newer.table_path("tiny")
    path.write_bytes(tables.parquet_bytes(tables.table_of(NEWER, [{"value_meV": 1.0}], COMMON, "k")))
    before = path.read_bytes()
    store = open_store(tmp_path)
    put(store, 1)
    with pytest.raises(StoreError, match=r"tiny\.parquet was written by a newer ncbench"):
        store.rebuild_tables("tiny")
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux lists them")
def test_reading_starts_no_threads(tmp_path: Path) -> None:
    # Threads of pyarrow's that are still starting when Python exits abort the process and lose its output.
    path = tmp_path / "tiny.parquet"
    path.write_bytes(tables.parquet_bytes(tables.table_of(SCHEMA, [{"steps": 1, "status": "ok"}], COMMON, key(0))))
    code = (
        "import sys; from pathlib import Path\n"
        "from ncbench.report.read import read_table; from ncbench.store import tables\n"
        "threads = lambda: len(list(Path('/proc/self/task').iterdir()))\n"
        "import pandas; pandas.DataFrame({'a': [1]}).sum(); before = threads()\n"
        f"path = Path({str(path)!r}); assert len(tables.read_table(path)) == len(read_table(path)) == 1\n"
        "sys.exit(threads() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode} more threads {done.stderr}"


RESULTS = Path(__file__).parents[2] / "results"


def test_the_tables_in_the_repository_can_be_read() -> None:
    """A version that is raised without a step from the one before makes the tables measured so far unreadable."""
    from ncbench.diagnostics import registry

    schemas = {
        schema.name: schema
        for diagnostic in registry.diagnostics().values()
        for schema in (diagnostic.schema, *diagnostic.side_schemas.values())
    }
    paths = [path for path in RESULTS.rglob("*.parquet") if path.stem in schemas]
    assert paths
    for path in paths:
        assert len(tables.read_table(path, schemas[path.stem])) == len(pd.read_parquet(path))
