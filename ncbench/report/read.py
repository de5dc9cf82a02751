"""Reads the result tables of a folder with the store's reader: damaged files and those of a newer version are refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ncbench.diagnostics import registry
from ncbench.errors import StoreError, UsageError
from ncbench.report.gradients import with_errors_of_gradients
from ncbench.schema import TableSchema
from ncbench.store import tables as store_tables
from ncbench.store.layout import diagnostic_schemas, merged_path
from ncbench.store.same_names import told_apart

SERIES = "nve-drift-series"
"""The side table drawn in the summary's figure."""


@dataclass(frozen=True)
class Results:
    """The tables of a results folder."""

    folder: Path
    tables: dict[str, pd.DataFrame]
    """Main tables by diagnostic, in the registry's order, and :data:`SERIES`; only those that exist and have rows."""

    @property
    def diagnostics(self) -> tuple[str, ...]:
        """Diagnostics with rows, in the registry's order."""
        return tuple(name for name in self.tables if name != SERIES)

    @property
    def not_run(self) -> tuple[str, ...]:
        """Diagnostics without rows, in the registry's order."""
        return tuple(name for name in registry.diagnostics() if name not in self.tables)

    def rows(self, table: str, model: str, mode: str, system: str | None = None) -> pd.DataFrame:
        """Rows of one model in one mode; those on ``system`` if there are any, otherwise the others."""
        frame = self.tables.get(table)
        if frame is None:
            return pd.DataFrame()
        of_model = frame[(frame["model"] == model) & (frame["force_mode"] == mode)]
        on_system = of_model[of_model["system"] == system]
        return on_system if len(on_system) else of_model

    def models(self) -> list[tuple[str, str]]:
        """(model, force mode) in the order of first appearance in the tables; each model's direct mode first."""
        seen = [
            (str(model), str(mode))
            for name in self.diagnostics
            for model, mode in zip(self.tables[name]["model"], self.tables[name]["force_mode"], strict=True)
        ]
        names = list(dict.fromkeys(model for model, _ in seen))
        return sorted(dict.fromkeys(seen), key=lambda label: (names.index(label[0]), label[1] != "direct"))

    def main_system(self) -> str | None:
        """The system that most (table, model) pairs were run on, preferring diagnostics with quantities."""
        known = registry.diagnostics()
        names = [name for name in self.diagnostics if known[name].quantities(self.tables[name])] or self.diagnostics
        pairs = [self.tables[name][["model", "force_mode", "system"]].drop_duplicates() for name in names]
        if not pairs:
            return None
        counts = pd.concat(pairs)["system"].value_counts()
        return str(counts.index[0]) if len(counts) else None

    def other_systems(self, system: str | None) -> tuple[str, ...]:
        """Further systems, of which quantities of single systems were measured, in the order of the tables."""
        known = registry.diagnostics()
        frames = [
            self.tables[name]
            for name in self.diagnostics
            if any(not one.all_systems for one in known[name].quantities(self.tables[name]))
        ]
        names = [str(name) for frame in frames for name in frame["system"].dropna().unique()]
        return tuple(name for name in dict.fromkeys(names) if name != system)

    def others_line(self, system: str | None) -> str:
        """A sentence on the further systems of the folder; empty where there are none."""
        others = self.other_systems(system)
        if not others:
            return ""
        return (
            f"The folder has results on {', '.join(others)} too: a number of a model without one on {system} is from there and carries its name; "
            f"all others are left out here, and shown by: {shlex.join(['ncbench', 'summary', str(self.folder), '--system', others[0]])}"
        )


def read(folder: Path) -> Results:
    """The tables of a results folder.

    Raises:
        UsageError: no such folder, or no result table in it.
        StoreError: a table that is damaged, not one of ncbench's, or of a newer version.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no results folder '{folder}'.", hint="Name the folder given to --out.")
    names = (*registry.diagnostics(), SERIES)
    tables = {name: frame for name in names if (frame := read_every_row(folder / f"{name}.parquet")) is not None}
    if not set(tables) - {SERIES}:
        raise UsageError(f"The folder '{folder}' holds no results.", hint="Run a diagnostic with --out there first.")
    return Results(folder, tables)


def read_table(path: Path) -> pd.DataFrame | None:
    """The rows with status ``ok`` of one table; ``None`` if it does not exist or has none.

    Raises:
        StoreError: as :func:`read`.
    """
    frame = read_every_row(path)
    if frame is None:
        return None
    good = frame[frame["status"] == "ok"]
    return good if len(good) else None


def read_every_row(path: Path) -> pd.DataFrame | None:
    """The rows of one table with any status; ``None`` if it does not exist or has none.

    Absent numbers are NaN. A table of a diagnostic is upgraded to the current schema. Different structures of one name get unique
    names. Errors of ``nve-drift`` are known in short runs too where the folder shows the forces to be a gradient (:mod:`ncbench.report.gradients`).

    Raises:
        StoreError: as :func:`read`.
    """
    if not path.is_file():
        return None
    try:
        table = store_tables.read_arrow(path, _schemas().get(path.stem))
    except StoreError as error:
        raise StoreError(str(error), hint=error.hint or "Move it away and run again.") from error
    frame = plain_frame(table)
    if not len(frame):
        return None
    # A model that could not be loaded may have no mode; its row is kept.
    frame = told_apart(frame.fillna({"force_mode": ""}), path.parent)
    if path.stem != "nve-drift":
        return frame
    return with_errors_of_gradients(
        frame, *(read_every_row(path.with_stem(name)) for name in ("lambda", "consistency"))
    )


def plain_frame(table: pa.Table) -> pd.DataFrame:
    """As pandas with plain types, which the quantities of diagnostics take: an absent number is NaN."""
    # No threads: pyarrow's, still starting when Python exits, abort the process.
    frame: pd.DataFrame = table.to_pandas(use_threads=False)
    return frame


def provenance(folder: Path) -> dict[str, dict[str, Any]]:
    """Provenance of the jobs of a results folder by key, in the order of their files; what cannot be read is left out.

    Committed results have ``KEY.provenance.json`` beside their tables, others ``jobs/KEY/provenance.json``.
    """
    records = {}
    for path in sorted([*folder.glob("*.provenance.json"), *folder.glob("jobs/*/provenance.json")]):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            continue
        if isinstance(content, dict) and isinstance(content.get("request"), dict):
            records[path.parent.name if path.name == "provenance.json" else path.name.partition(".")[0]] = content
    return records


@cache
def _schemas() -> Mapping[str, TableSchema]:
    """File name without suffix → schema, of all tables of diagnostics."""
    known = registry.diagnostics().values()
    return {
        merged_path(Path(), one.name, side).stem: schema
        for one in known
        for side, schema in diagnostic_schemas(one).items()
    }
