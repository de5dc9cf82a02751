"""File names in a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncbench.schema import TableSchema

if TYPE_CHECKING:
    # A diagnostic imports torch; reading tables should not wait for that.
    from ncbench.diagnostics.base import Diagnostic

MAIN = ""
"""Name of the main table among a command's tables."""


def diagnostic_schemas(diagnostic: Diagnostic) -> dict[str, TableSchema]:
    """The tables of a diagnostic by name, the main one under :data:`MAIN`."""
    return {MAIN: diagnostic.schema, **diagnostic.side_schemas}


def merged_path(out: Path, command: str, side: str = MAIN) -> Path:
    """The Parquet file of a merged table; the CSV has the same stem."""
    return out / f"{command}-{side}.parquet" if side else out / f"{command}.parquet"


def file_name(table: str) -> str:
    """The file in a job's folder with its rows of a table."""
    return f"result-{table}.parquet" if table else "result.parquet"


def table_name(file: str) -> str:
    """The table whose rows are in a file of a job's folder."""
    return file.removeprefix("result").removesuffix(".parquet").removeprefix("-")
