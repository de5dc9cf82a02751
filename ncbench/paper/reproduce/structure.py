"""Structure and spectra of the trajectories that a target's thermostatted runs wrote, each compared with a reference (Figures 3, 12, 17)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import ncbench
from ncbench.errors import UsageError
from ncbench.observables.analysis import Rows, analyse
from ncbench.observables.tables import SCHEMAS
from ncbench.observables.trajectory import Trajectory, read_trajectory
from ncbench.paper.reproduce.targets import Target
from ncbench.report.read import read_table
from ncbench.store.files import file_digest, write_atomic
from ncbench.store.tables import csv_bytes, parquet_bytes, table_of

PREFIX = "structure"
BLOCKS = {"rdf": 5, "orientation": 5, "spectrum": 3}
"""Blocks per trajectory for the errors; fewer give a finer spectrum."""
BIN_A = 0.1


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The thermostatted runs of a model that give one curve of the figure."""

    label: str
    model: str
    """``NAME:MODE``."""
    thermostat: str
    """As typed, ``svr:10``."""
    mts: int = 1
    reference: bool = False
    """Whether the differences of the others are to this one."""


def curves_of(target: Target) -> list[Curves]:
    """The ``[[structure]]`` entries of a target's suite; empty if it has none.

    Raises:
        UsageError: not exactly one of them is the reference.
    """
    entries = tomllib.loads(target.path.read_text(encoding="utf-8")).get(PREFIX, [])
    curves_list = [Curves(**entry) for entry in entries]
    if curves_list and sum(curves.reference for curves in curves_list) != 1:
        raise UsageError(f"'{target.path}' does not name one reference among its [[structure]].")
    return curves_list


def measure(target: Target, out: Path) -> list[str]:
    """Analyse the trajectories in ``out`` and write the tables ``TARGET-OBSERVABLE`` there.

    Args:
        target: with ``[[structure]]`` entries; otherwise nothing is done.
        out: results folder.

    Returns:
        one sentence per missing curve.

    Raises:
        StoreError: a table cannot be read or written.
        UsageError: a trajectory that cannot be read.
    """
    wanted = curves_of(target)
    rows = read_table(out / "nvt.parquet") if wanted else None
    if rows is None:
        return [f"{target.name}: there is no trajectory of a thermostatted run" for _ in wanted[:1]]
    files = {curves: _files(rows, curves, out) for curves in wanted}
    missing = [f"{target.name}: no trajectory of {c.label} ({c.model}, {c.thermostat})" for c in wanted if not files[c]]
    reference = next(curves for curves in wanted if curves.reference)
    if not files[reference]:
        return [*missing, f"{target.name}: without {reference.label} there is nothing to compare to"]
    reference_trajectories = _read(files[reference])
    tables: dict[str, list[Any]] = {side: [] for side in target.observables}
    for curves in wanted:
        if not files[curves]:
            continue
        trajectories = reference_trajectories if curves.reference else _read(files[curves])
        try:
            observed = _observed(target, trajectories, () if curves.reference else reference_trajectories)
        except UsageError as error:
            missing.append(f"{target.name}: {curves.label} is left out: {error.message}")
            continue
        name, _, mode = curves.model.rpartition(":")
        common = {"model": name, "force_mode": mode, "system": curves.label, "seed": 0, "dtype": "", "device": ""}
        for side in target.observables:
            tables[side].append(table_of(SCHEMAS[side], observed[side], common, ""))
    _write(target, tables, files, out)
    return missing


def _observed(target: Target, trajectories: Sequence[Trajectory], reference: Sequence[Trajectory]) -> Rows:
    rows: Rows = {}
    for name in target.observables:
        rows |= analyse(trajectories, [name], reference=reference, blocks=BLOCKS[name], bin_A=BIN_A)
    return rows


def _files(rows: pd.DataFrame, curves: Curves, out: Path) -> list[Path]:
    """Existing trajectories of the longest runs of these curves."""
    model, _, mode = curves.model.rpartition(":")
    kind, _, tau = curves.thermostat.partition(":")
    runs = rows[(rows["model"] == model) & (rows["force_mode"] == mode) & (rows["thermostat"] == kind)]
    runs = runs[(runs["stride"].fillna(1) == curves.mts) & (runs["species"] == "all") & runs["trajectory"].notna()]
    if tau:
        runs = runs[(runs["tau_fs"] - float(tau)).abs() < 1e-9 * float(tau)]
    if not len(runs):
        return []
    length = runs["steps"] * runs["timestep_fs"]
    names = runs.loc[length == length.max(), "trajectory"].drop_duplicates()
    return [path for path in (out / str(name) for name in names) if path.is_file()]


def _read(files: Sequence[Path]) -> list[Trajectory]:
    return [read_trajectory(path) for path in files]


def _write(target: Target, tables: dict[str, list[Any]], files: dict[Curves, list[Path]], out: Path) -> None:
    import pyarrow as pa

    for side, parts in tables.items():
        if not parts:
            continue
        table = pa.concat_tables(parts)
        write_atomic(out / f"{target.name}-{side}.csv", csv_bytes(table))
        write_atomic(out / f"{target.name}-{side}.parquet", parquet_bytes(table))
    record = {
        "ncbench": ncbench.__version__,
        "blocks": BLOCKS,
        "trajectories": {
            curves.label: {str(path.relative_to(out)): file_digest(path) for path in trajectories}
            for curves, trajectories in files.items()
        },
    }
    write_atomic(out / f"{target.name}.provenance.json", (json.dumps(record, indent=1) + "\n").encode())
