"""Units and meanings of a frame's columns, beside them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ncbench.schema import Column


def described(frame: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """The frame with ``attrs["units"]`` and ``attrs["meanings"]``: names of those of its columns that the table declares, to texts.

    A column without a unit has an empty one.
    """
    known = {column.name: column for column in columns if column.name in frame.columns}
    frame.attrs["units"] = {name: column.unit for name, column in known.items()}
    frame.attrs["meanings"] = {name: column.meaning for name, column in known.items()}
    return frame
