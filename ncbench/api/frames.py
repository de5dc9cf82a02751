"""Tidy frames of rows, with the unit and the meaning of every column beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ncbench.schema import Column

DTYPES: Mapping[str, Any] = {"str": "string", "int": "Int64", "float": "float64", "bool": "boolean"}
"""Of frames: absent values are missing values of these types, never zeros or empty texts."""


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Iterable[Column]) -> pd.DataFrame:
    """Rows as a frame with the columns of a table, in its order.

    ``attrs["units"]`` and ``attrs["meanings"]`` map the names of columns to texts; a column without a unit has an empty one.
    """
    columns = tuple(columns)
    data = {c.name: pd.Series([row.get(c.name) for row in rows], dtype=DTYPES[c.dtype]) for c in columns}
    return described(pd.DataFrame(data), columns)


def described(frame: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """The frame, with units and meanings of those of its columns that the table declares."""
    known = {column.name: column for column in columns if column.name in frame.columns}
    frame.attrs["units"] = {name: column.unit for name, column in known.items()}
    frame.attrs["meanings"] = {name: column.meaning for name, column in known.items()}
    return frame
