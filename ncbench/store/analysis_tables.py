"""Tables of an analysis of files, which belong to no job: Parquet, CSV and a record of the options and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ncbench import __version__
from ncbench.schema import TableSchema
from ncbench.store.files import file_digest, make_folder, write_atomic
from ncbench.store.tables import csv_bytes, parquet_bytes, table_of


def write_tables(
    folder: Path,
    tables: Sequence[tuple[TableSchema, Iterable[Mapping[str, Any]]]],
    *,
    label: str,
    files: Iterable[Path],
    record: Mapping[str, Any],
) -> list[str]:
    """Write tables and ``NAME.provenance.json``, named after the first table; returns the names of the CSV files.

    Args:
        folder: made if it does not exist.
        tables: schemas, whose names are those of the files, and rows.
        label: what the columns ``model`` and ``system`` say.
        files: analysed files, recorded by name with their digests.
        record: further content of the record: options and results, as JSON values.

    Raises:
        StoreError: a file cannot be written.
    """
    make_folder(folder)
    common = {"model": label, "force_mode": "", "system": label, "seed": 0, "dtype": "", "device": ""}
    for schema, rows in tables:
        table = table_of(schema, rows, common, "")
        write_atomic(folder / f"{schema.name}.parquet", parquet_bytes(table))
        write_atomic(folder / f"{schema.name}.csv", csv_bytes(table))
    content = {"ncbench": __version__, "files": {file.name: file_digest(file) for file in files}, **record}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / f"{tables[0][0].name}.provenance.json", text.encode())
    return [f"{schema.name}.csv" for schema, _ in tables]
