"""The result tables of a folder, as the summary wants them: rows of one model, by what they can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ncbench.errors import StoreError, UsageError

MAIN = ("lambda", "workloop", "nve-drift", "nvt", "relax", "timing")
OTHERS = ("mts", "npt", "consistency", "accuracy")
"""Main tables that no column of the summary comes from."""
SERIES = "nve-drift-series"


@dataclass(frozen=True)
class Results:
    """What was found in a results folder."""

    folder: Path
    tables: dict[str, pd.DataFrame]
    """Main and side tables by name; only those that exist and hold rows."""

    def rows(self, table: str, model: str, mode: str, system: str | None = None) -> pd.DataFrame:
        """Rows of one model in one mode; those on ``system`` where there are any, the others otherwise."""
        frame = self.tables.get(table)
        if frame is None:
            return pd.DataFrame()
        mine = plain(frame[(frame["model"] == model) & (frame["force_mode"] == mode)])
        there = mine[mine["system"] == system]
        return there if len(there) else mine

    def models(self) -> list[tuple[str, str]]:
        """(model, force mode) in the order in which the tables first name them; each model's direct mode first."""
        seen = [
            (str(model), str(mode))
            for name in (*MAIN, *OTHERS)
            if name in self.tables
            for model, mode in zip(self.tables[name]["model"], self.tables[name]["force_mode"], strict=True)
        ]
        names = list(dict.fromkeys(model for model, _ in seen))
        return sorted(dict.fromkeys(seen), key=lambda label: (names.index(label[0]), label[1] != "direct"))

    def main_system(self) -> str | None:
        """The system that most (table, model) pairs were run on."""
        pairs = [
            frame[["model", "force_mode", "system"]].drop_duplicates()
            for name, frame in self.tables.items()
            if name in MAIN
        ]
        if not pairs:
            return None
        counts = pd.concat(pairs)["system"].value_counts()
        return str(counts.index[0]) if len(counts) else None


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Dynamics without multiple time stepping and rescaling, where the table tells them apart and has some."""
    if "integrator" not in frame:
        return frame
    usual = frame[frame["integrator"].isna() | frame["integrator"].isin(["", "verlet"])]
    return usual if len(usual) else frame


def read(folder: Path) -> Results:
    """The tables of a results folder.

    Raises:
        UsageError: no such folder, or no result table in it.
        StoreError: a table that is not a Parquet file, by name.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no results folder '{folder}'.", hint="Name the folder given to --out.")
    tables = {
        name: frame for name in (*MAIN, *OTHERS, SERIES) if (frame := _table(folder / f"{name}.parquet")) is not None
    }
    if not tables:
        raise UsageError(f"The folder '{folder}' holds no results.", hint="Run a diagnostic with --out there first.")
    return Results(folder, tables)


def read_table(path: Path) -> pd.DataFrame | None:
    """The rows with status ``ok`` of one table; ``None`` where it does not exist or has none.

    Raises:
        StoreError: it cannot be read.
    """
    frame = _table(path)
    if frame is None:
        return None
    good = frame[frame["status"] == "ok"]
    return good if len(good) else None


def read_every_row(path: Path) -> pd.DataFrame | None:
    """The rows of one table whatever their status; ``None`` where it does not exist or has none.

    Raises:
        StoreError: it cannot be read.
    """
    return _table(path)


def _table(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        # No threads: pyarrow's, still starting when Python exits, abort the process.
        frame = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False).to_pandas(use_threads=False)
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise StoreError(f"The table '{path}' cannot be read: {error}.", hint="Move it away and run again.") from error
    # A model that could not be loaded may have no mode: it is a row like any other.
    return frame.fillna({"force_mode": ""}) if len(frame) else None
