"""Aggregation of rows into cells: selects the rows of a model, and computes a number with its error.

The summary, the report and the comparison with the paper all use this module, so that they select the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Quantity
from ncbench.diagnostics.nvt import too_short
from ncbench.report.read import Results
from ncbench.statistics.cells import Cell, mean_cell

KIND = ("device", "dtype", "machine", "threads", "batch", "momenta", "engine")
"""Rows that differ in one of these are different measurements: they are not averaged."""
MOST = ("n_structures", "max_steps")
"""Columns of which only the rows with the largest value are used."""


@dataclass(frozen=True)
class Column:
    """A column of the summary: a quantity and its diagnostic."""

    diagnostic: str
    quantity: Quantity

    @property
    def key(self) -> str:
        """Short name, unique among all quantities."""
        return self.quantity.key


def columns(results: Results) -> tuple[Column, ...]:
    """The quantities of all diagnostics with rows in the folder, in the registry's order."""
    return tuple(
        Column(name, quantity)
        for name in results.diagnostics
        for quantity in registry.get(name).quantities(results.tables[name])
    )


def ranks_of(table: str) -> Mapping[str, tuple[str, ...]]:
    """:attr:`Diagnostic.ranks` of the table's diagnostic; empty for a table without a diagnostic."""
    known = registry.diagnostics()
    return known[table].ranks if table in known else {}


def preferred(rows: pd.DataFrame, ranks: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Rows of the best-ranked existing value of each ranked column; unknown values come last, absent ones count as the first."""
    for column, order in ranks.items():
        if column not in rows or not len(rows):
            continue
        rank = rows[column].map(lambda value, order=order: _place(value, order))
        rows = rows[rank == rank.min()]
    return rows


def _place(value: object, order: Sequence[str]) -> int:
    if pd.isna(value) or value == "":  # type: ignore[call-overload]
        return 0
    return order.index(str(value)) if value in order else len(order)


def repartitioned_masses(rows: pd.DataFrame) -> str:
    """``", with repartitioned masses H 3, O 12 u"`` for runs with hydrogen mass repartitioning, which are another dynamics; empty for real masses only."""
    masses = [str(text) for text in rows["masses_u"].dropna().unique() if text] if "masses_u" in rows else []
    return f", with repartitioned masses {' or '.join(masses)} u" if masses else ""


def longest(rows: pd.DataFrame) -> pd.DataFrame:
    """The longest runs, if rows are runs."""
    if not {"steps", "timestep_fs"} <= set(rows):
        return rows
    length = rows["steps"] * rows["timestep_fs"]
    chosen: pd.DataFrame = rows[(length == length.max()) | length.isna().all()]
    return chosen


def one_kind(rows: pd.DataFrame, ranks: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The longest runs by the preferred method over the most structures, all with the same settings."""
    rows = preferred(longest(rows), ranks)
    for column in MOST:
        if column in rows and rows[column].notna().any():
            rows = rows[rows[column] == rows[column].max()]
    kinds = [column for column in KIND if column in rows]
    groups = [group for _, group in rows.groupby(kinds, dropna=False, sort=False)]
    largest: pd.DataFrame = max(groups, key=len)
    return largest


def mean_of(table: str, rows: pd.DataFrame, value: str, error: str) -> Cell:
    """Mean of a column over structures and seeds; ``error`` is the column of its standard errors, empty if there is none."""
    # A name that no column has, so that a quantity without errors does not get those of another.
    mean = mean_cell(rows, value, error or "(none)")
    if table == "nvt" and value.startswith("temperature") and too_short(rows):
        return replace(mean, loose=mean.value is not None)
    return mean


def cell(results: Results, column: Column, model: str, mode: str, system: str | None) -> Cell:
    """The column's cell for one model, or the reason why it is empty. A number from another system carries its name."""
    return cell_and_rows(results, column, model, mode, system)[0]


def cell_and_rows(
    results: Results, column: Column, model: str, mode: str, system: str | None
) -> tuple[Cell, pd.DataFrame]:
    """As :func:`cell`, with the rows of status ``ok`` that the quantity was selected from; empty if there are none."""
    name = column.diagnostic
    rows = results.rows(name, model, mode, None if column.quantity.all_systems else system)
    if not len(rows):
        return Cell(missing=f"{name} was not run"), rows
    rows = preferred(rows, registry.get(name).ranks)
    good = rows[rows["status"] == "ok"]
    if not len(good):
        row = rows.iloc[0]
        reason = row["reason"] if isinstance(row["reason"], str) and row["reason"] else "no reason given"
        return Cell(missing=f"{name} {row['status']}: {reason}"), good
    value = column.quantity.value(good)
    of_system = str(good["system"].iloc[0])
    named = value.value is None or column.quantity.all_systems or of_system == system
    return (value if named else replace(value, text=f"{value} [{of_system}]")), good
