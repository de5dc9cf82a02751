"""Table schemas: every column with its dtype, unit and meaning; a schema carries a version.

A unit stands in the column's name where the name alone would leave it open (``drift_K_per_ps``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Dtype = Literal["str", "int", "float", "bool"]
Row = Mapping[str, Any]
MOST_SEED = 2**63 - 1
"""Result tables hold seeds as signed 64-bit integers."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    dtype: Dtype
    unit: str
    """``""`` where the column has none."""
    meaning: str


@dataclass(frozen=True)
class TableSchema:
    """A named table. ``columns`` lists the table's own columns; the common ones come first in every table."""

    name: str
    version: int
    columns: tuple[Column, ...]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Common columns, then the table's own."""
        return (*COMMON, *self.columns)

    def row(self, **values: Any) -> dict[str, Any]:
        """A row of this table's own columns, absent ones ``None``.

        Raises:
            KeyError: a value for a column the schema does not have: a bug, never data to drop.
        """
        known = {column.name for column in self.columns} | {"status", "reason", "structure", "n_atoms"}
        if unknown := set(values) - known:
            raise KeyError(f"table {self.name!r} has no column {sorted(unknown)}")
        return {column.name: values.get(column.name) for column in self.columns} | {
            name: value for name, value in values.items() if name in ("status", "reason", "structure", "n_atoms")
        }


COMMON: tuple[Column, ...] = (
    Column("model", "str", "", "model name as requested"),
    Column("force_mode", "str", "", "conservative: −∂V/∂r; direct: a force head; unknown: not declared"),
    Column("system", "str", "", "named system or structure file"),
    Column("structure", "str", "", "which structure of the system"),
    Column("n_atoms", "int", "", "atoms in the structure"),
    Column("seed", "int", "", "seed of everything random in the case"),
    Column("dtype", "str", "", "arithmetic inside the model"),
    Column("device", "str", "", "where the model ran"),
    Column("status", "str", "", "ok, failed, unsupported, exploded or incomplete"),
    Column("reason", "str", "", "why the status is not ok"),
)


def describe(columns: Iterable[Column]) -> str:
    """The columns as a Markdown table, for the documentation."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    # A bar would end the cell.
    lines += [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning.replace('|', '&#124;')} |" for c in columns]
    return "\n".join(lines)
