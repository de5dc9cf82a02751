"""Tables as files: Arrow with the schema's types, Parquet with units and meanings, CSV without loss of precision.

A Parquet file contains the schema's name and version and, for every column, its unit and meaning. A file of an older version is
upgraded one version at a time on reading; a newer one is refused. Parquet has checksums for its pages and none for its footer, in which
one changed bit can rename a column; the file therefore also contains a seal, the digest of all its bytes with zeros in place of the seal.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ncbench.errors import StoreError
from ncbench.schema import COMMON, Column, Row, TableSchema
from ncbench.store.files import digest, read_bytes
from ncbench.types import Status

JOB = Column("job", "str", "", "key of the job: jobs/<key>/provenance.json describes how the row was computed")
_NAME, _VERSION, _SEAL = b"ncbench.table", b"ncbench.version", b"ncbench.seal"
_SEAL_WORDS = b"SHA-256 of this file with zeros in place of these digits: "
_UNSEALED = _SEAL_WORDS + 64 * b"0"
_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_PANDAS = {
    pa.string(): pd.StringDtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}

Upgrade = Callable[[pa.Table], pa.Table]
UPGRADES: dict[tuple[str, int], Upgrade] = {
    # Tables of these versions are in results/; the next version has more columns, and none with another meaning.
    **dict.fromkeys(
        [
            ("compare-engines", 1),
            ("lambda", 2),
            ("mts", 1),
            ("mts", 2),
            ("npt", 1),
            ("npt", 2),
            ("npt", 3),
            ("nve-drift", 3),
            ("nve-drift", 4),
            ("nve-drift", 5),
            ("nve-drift", 6),
            ("nvt", 2),
            ("nvt", 3),
            ("nvt", 4),
        ],
        lambda table: table,
    ),
}
"""(table, version) → function to the columns of the next version. Columns that it leaves missing are filled with nulls, and columns that
the newest version does not have are dropped after the last step. A version that is in no release and in no table of results/ needs none."""


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """Common columns, the table's own, then the job's key; units and meanings as metadata."""
    fields = [
        pa.field(c.name, _ARROW[c.dtype], metadata={"unit": c.unit, "meaning": c.meaning})
        for c in (*schema.all_columns, JOB)
    ]
    return pa.schema(fields, metadata={_NAME: schema.name.encode(), _VERSION: str(schema.version).encode()})


def table_of(schema: TableSchema, rows: Iterable[Row], common: Mapping[str, Any], job: str) -> pa.Table:
    """Rows as a typed table. ``common`` fills the common columns that a row does not set; NaN becomes null.

    Raises:
        KeyError: a row has a column that is not in the schema.
        TypeError: a value is not of its column's type.
    """
    columns = [*schema.all_columns, JOB]
    names = {column.name for column in columns}
    defaults = {"status": Status.OK, "reason": "", **common}
    if unknown := set(common) - {column.name for column in COMMON}:
        raise KeyError(f"no common column {sorted(unknown)}")
    filled: list[dict[str, Any]] = []
    for row in rows:
        if unknown := set(row) - names:
            raise KeyError(f"table {schema.name!r} has no column {sorted(unknown)}")
        filled.append({**defaults, **{name: value for name, value in row.items() if value is not None}, JOB.name: job})
    arrays = [
        pa.array([_cell(column, row.get(column.name)) for row in filled], _ARROW[column.dtype]) for column in columns
    ]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(schema))


def _cell(column: Column, value: Any) -> Any:
    """The value as plain Python of the column's type; integral floats are accepted as integers, integers as floats."""
    if value is None:
        return None
    plain = value.item() if hasattr(value, "item") else value
    match column.dtype:
        case "str" if isinstance(plain, str):
            return str(plain)
        case "bool" if isinstance(plain, bool):
            return plain
        case "int" if isinstance(plain, int | float) and not isinstance(plain, bool):
            if isinstance(plain, float) and math.isnan(plain):
                return None
            if plain == int(plain):
                return int(plain)
        case "float" if isinstance(plain, int | float) and not isinstance(plain, bool):
            return None if math.isnan(plain) else float(plain)
    raise TypeError(f"column {column.name!r} takes {column.dtype}, not {value!r}")


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file with page checksums and a seal."""
    sink = io.BytesIO()
    open_ = table.replace_schema_metadata({**(table.schema.metadata or {}), _SEAL: _UNSEALED})
    pq.write_table(open_, sink, compression="zstd", write_page_checksum=True)
    content = sink.getvalue()
    # The last occurrence: the footer comes after the content of all cells.
    before, marker, after = content.rpartition(_UNSEALED)
    assert marker
    return before + _SEAL_WORDS + digest(content).encode() + after


def _check_seal(content: bytes) -> None:
    before, marker, after = content.rpartition(_SEAL_WORDS)
    if marker and digest(before + _UNSEALED + after[64:]).encode() != after[:64]:
        raise ValueError("its content is not what was written")


def csv_bytes(table: pa.Table) -> bytes:
    """The table as CSV: absent values empty, floats with the fewest digits that reproduce them exactly."""
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()


def parse_parquet(content: bytes) -> pa.Table:
    """The table in a Parquet file's content.

    Raises:
        ValueError: the content is damaged, or not a table written by ncbench.
    """
    _check_seal(content)
    try:
        # No threads: pyarrow's threads, if still starting when Python exits, abort the process (and do not speed up short reads).
        file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False, page_checksum_verification=True)
        table = file.read(use_threads=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    metadata = dict(table.schema.metadata or {})
    if _NAME not in metadata or not metadata.get(_VERSION, b"").isdigit():
        raise ValueError("its metadata name no table")
    # Older files have no seal.
    if not metadata.pop(_SEAL, _SEAL_WORDS).startswith(_SEAL_WORDS):
        raise ValueError("its seal is damaged")
    return table.replace_schema_metadata(metadata)


def upgraded(table: pa.Table, schema: TableSchema, path: Path) -> pa.Table:
    """The table in the columns of ``schema``, older versions upgraded step by step.

    Raises:
        StoreError: the file is of a newer version, of another table, or of one that can no longer be read.
    """
    name, version = table.schema.metadata[_NAME].decode(), int(table.schema.metadata[_VERSION])
    if name != schema.name:
        raise StoreError(f"{path} holds the table {name!r}, not {schema.name!r}.")
    if version > schema.version:
        raise StoreError(
            f"{path} was written by a newer ncbench (table {name!r} version {version}; this one reads up to {schema.version}).",
            hint="Upgrade ncbench, or choose another folder with --out.",
        )
    for step in range(version, schema.version):
        if (name, step) not in UPGRADES:
            raise StoreError(
                f"{path} holds version {version} of the table {name!r}, which this ncbench no longer reads.",
                hint="Choose another folder with --out.",
            )
        table = UPGRADES[name, step](table)
    wanted = arrow_schema(schema)
    if table.schema.equals(wanted):
        return table
    arrays = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in wanted
    ]
    extra = {key: value for key, value in (table.schema.metadata or {}).items() if key not in wanted.metadata}
    return pa.Table.from_arrays(arrays, schema=wanted).replace_schema_metadata({**extra, **wanted.metadata})


def concatenated(tables: Sequence[pa.Table], schema: TableSchema) -> pa.Table:
    """Tables of one schema concatenated."""
    wanted = arrow_schema(schema)
    return pa.concat_tables(
        [table.replace_schema_metadata(wanted.metadata) for table in tables] or [wanted.empty_table()]
    )


def frame(table: pa.Table) -> pd.DataFrame:
    """As pandas, with nullable types: an absent number is ``<NA>``, never NaN and never 0."""
    whole: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS.get, use_threads=False)
    return whole


def read_table(path: Path | str, schema: TableSchema | None = None) -> pd.DataFrame:
    """A Parquet table written by ncbench; with a schema, upgraded to it. Imports no torch.

    Raises:
        StoreError: no such file, not written by ncbench, damaged, or of a newer version than ``schema``.
    """
    return frame(read_arrow(path, schema))


def read_arrow(path: Path | str, schema: TableSchema | None = None) -> pa.Table:
    """As :func:`read_table`, as an Arrow table.

    Raises:
        StoreError: as :func:`read_table`.
    """
    table = _open(Path(path))
    return table if schema is None else upgraded(table, schema, Path(path))


def read_columns(path: Path | str) -> tuple[Column, ...]:
    """The columns of a Parquet table with their units and meanings, from the file alone.

    Raises:
        StoreError: as :func:`read_table`.
    """
    dtypes = {arrow: name for name, arrow in _ARROW.items()}
    return tuple(
        Column(f.name, dtypes[f.type], f.metadata[b"unit"].decode(), f.metadata[b"meaning"].decode())  # type: ignore[arg-type]
        for f in _open(Path(path)).schema
    )


def _open(path: Path) -> pa.Table:
    content = read_bytes(path)
    if content is None:
        raise StoreError(f"There is no table {path}.")
    try:
        return parse_parquet(content)
    except ValueError as error:
        raise StoreError(f"{path} cannot be read: {error}.") from error
