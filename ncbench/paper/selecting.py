"""Our number for a cell of the paper: found in result tables by the cell's selection, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ncbench.paper.numbers import PaperCell, Selection
from ncbench.statistics.cells import mean, wilson

Tables = Mapping[str, pd.DataFrame]

_KIND = ("device", "dtype", "machine", "threads", "batch", "momenta", "engine")
"""Rows that differ in one of these are different measurements: they are not averaged."""
PLAIN = "verlet"
"""Integrator of dynamics that a cell means unless it says otherwise."""
_METHODS = ("exact", "finite-difference", "stochastic")
_MOST = ("n_structures", "max_steps")
_SAID = (
    "method",
    "thermostat",
    "path",
    "optimizer",
    "n",
    "n_structures",
    "scale",
    "epochs",
    "batch",
    "dtype",
    "device",
    "machine",
    "threads",
)


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What result tables say on one cell."""

    model: str
    """``NAME:MODE``."""
    value: float | None = None
    error: float | None = None
    loose: bool = False
    """The error is only a lower bound: the run is too short to know it."""
    reason: str = ""
    """Why there is no value."""
    exploded: bool = False
    rows: int = 0
    conditions: str = ""
    """How it was measured."""
    machine: str = ""


class _MissingError(Exception):
    """No number, and why."""


def find(cell: PaperCell, model: str, tables: Tables, counterparts: Mapping[str, str]) -> Ours:
    """The number of ``model`` (``NAME:MODE``) for this cell. ``counterparts`` maps keys of the paper's models to ``NAME:MODE``."""
    selection = cell.selection
    if selection.none:
        return Ours(model=model, reason=selection.none)
    try:
        rows = _rows(cell, model, tables)
        if explosions := int((rows["status"] == "exploded").sum()):
            when = rows["exploded_at_fs"].min() if "exploded_at_fs" in rows else math.nan
            after = "" if pd.isna(when) else f" after {float(when):g} fs"
            text = f"{selection.table} of {model} exploded{after} ({explosions} of {len(rows)} runs)"
            return Ours(model=model, reason=text, exploded=True, rows=len(rows), conditions=_conditions(rows))
        found = _combined(rows, selection, model)
        if selection.per:
            found = _divided(found, cell, counterparts.get(selection.per, ""), tables)
    except _MissingError as missing:
        return Ours(model=model, reason=str(missing))
    return found


def _rows(cell: PaperCell, model: str, tables: Tables) -> pd.DataFrame:
    """The rows that count, all of one kind: ok or exploded."""
    selection = cell.selection
    name, _, mode = model.partition(":")
    frame = tables.get(selection.table)
    if frame is None:
        raise _MissingError(f"{selection.table} was not run")
    # A model that could not be loaded may have no mode.
    mine = frame[(frame["model"] == name) & frame["force_mode"].isin([mode, ""])]
    if not len(mine):
        raise _MissingError(f"{selection.table} was not run for {model}")
    told = mine[mine["status"].isin(["ok", "exploded"])]
    if not len(told):
        row = mine.iloc[0]
        reason = row["reason"] if isinstance(row["reason"], str) and row["reason"] else "no reason given"
        raise _MissingError(f"{selection.table} of {model} {row['status']}: {reason}")
    asked = {column: getattr(cell.conditions, condition) for column, condition in selection.match.items()}
    wanted_columns = {**selection.where, **asked}
    chosen = told if {"integrator", "stride"} & set(wanted_columns) else _plain(told)
    if not len(chosen):
        raise _MissingError(f"{selection.table} of {model} was only run with multiple time stepping or rescaling")
    for column, wanted in wanted_columns.items():
        if column not in chosen:
            raise _MissingError(f"the table {selection.table} has no column '{column}'")
        chosen = _equal(chosen, column, wanted)
        if not len(chosen):
            raise _MissingError(f"{selection.table} of {model} has no rows with {_words(asked or selection.where)}")
    if selection.systems:
        there = [system for system in selection.systems if (chosen["system"] == system).any()]
        if not there:
            names = " or ".join(selection.systems)
            raise _MissingError(f"{selection.table} of {model} was not run on {names}")
        chosen = chosen[chosen["system"] == there[0]]
    return _one_kind(chosen)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Dynamics without multiple time stepping and rescaling, where the table tells them apart."""
    if "integrator" not in frame:
        return frame
    return frame[frame["integrator"].isna() | frame["integrator"].isin(["", PLAIN])]


def _equal(frame: pd.DataFrame, column: str, wanted: Any) -> pd.DataFrame:
    """Rows whose column is ``wanted``, or the first entry of a list that is there."""
    for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
        if isinstance(value, float):
            # Both have been through text at most once: they are equal to rounding.
            same = (pd.to_numeric(frame[column], errors="coerce") - value).abs() <= 1e-9 * abs(value)
        else:
            same = frame[column] == value
        if same.any():
            return frame[same.fillna(False)]
    return frame.iloc[:0]


def _words(conditions: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} = {'/'.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in conditions.items()
        # One run gives all species.
        if name != "species" or len(conditions) == 1
    )


def _one_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """The longest runs by the best method over the most structures, all made alike."""
    if {"steps", "timestep_fs"} <= set(rows):
        length = rows["steps"] * rows["timestep_fs"]
        rows = rows[(length == length.max()) | length.isna().all()]
    if "method" in rows:
        best = min(rows["method"], key=lambda name: _METHODS.index(name) if name in _METHODS else len(_METHODS))
        rows = rows[rows["method"] == best]
    for column in _MOST:
        if column in rows and rows[column].notna().any():
            rows = rows[rows[column] == rows[column].max()]
    kinds = [column for column in _KIND if column in rows]
    groups = [group for _, group in rows.groupby(kinds, dropna=False, sort=False)]
    return max(groups, key=len)


def _combined(rows: pd.DataFrame, selection: Selection, model: str) -> Ours:
    shared: dict[str, Any] = {
        "model": model,
        "rows": len(rows),
        "conditions": _conditions(rows),
        "machine": _machine(rows),
    }
    if selection.combine == "rate":
        trials, successes = int(rows["n"].sum()), int(rows["n_success"].sum())
        if not trials:
            raise _MissingError(f"{selection.table} of {model} started nothing")
        low, high = wilson(successes, trials)
        return Ours(value=100.0 * successes / trials, error=50.0 * (high - low), **shared)
    if selection.value not in rows:
        raise _MissingError(f"the table {selection.table} has no column '{selection.value}'")
    known = rows[rows[selection.value].notna()]
    if not len(known):
        raise _MissingError(f"{selection.table} of {model} has no {selection.value}")
    has_error = bool(selection.error) and selection.error in known
    errors = [float(x) for x in known[selection.error].astype(float)] if has_error else [None] * len(known)
    value, error = mean([float(x) for x in known[selection.value]], errors)
    loose = "plateau" in known and not bool(known["plateau"].fillna(True).astype(bool).all())
    scaled = None if error is None else error * selection.scale
    return Ours(value=value * selection.scale, error=scaled, loose=loose, **shared)


def _divided(found: Ours, cell: PaperCell, reference: str, tables: Tables) -> Ours:
    if not reference:
        raise _MissingError(f"nothing stands for {cell.selection.per}, by which this is divided")
    if reference == found.model:
        return replace(found, value=1.0, error=None)
    below = _combined(_rows(cell, reference, tables), cell.selection, reference)
    assert found.value is not None
    assert below.value is not None
    if below.value == 0:
        raise _MissingError(f"{cell.selection.value} of {reference} is zero")
    ratio = found.value / below.value
    relative = [(one.error / one.value) for one in (found, below) if one.error is not None and one.value]
    return replace(found, value=ratio, error=abs(ratio) * math.hypot(*relative) if len(relative) == 2 else None)


def _machine(rows: pd.DataFrame) -> str:
    return str(rows["machine"].iloc[0]) if "machine" in rows and rows["machine"].notna().any() else ""


def _conditions(rows: pd.DataFrame) -> str:
    """How the rows were measured, in a line."""
    said = [f"system {_values(rows['system'])}"]
    if "structure" in rows and len(rows) > 1:
        said.append(f"{rows['structure'].nunique()} structures, {rows['seed'].nunique()} seeds")
    if {"steps", "timestep_fs"} <= set(rows) and rows["steps"].notna().all():
        length = float((rows["steps"] * rows["timestep_fs"]).iloc[0]) / 1000.0
        said.append(f"{length:g} ps in steps of {_values(rows['timestep_fs'])} fs")
    said += [f"{name} {_values(rows[name])}" for name in _SAID if name in rows and rows[name].notna().any()]
    return ", ".join(said)


def _values(series: pd.Series[Any]) -> str:
    found: Sequence[Any] = list(series.dropna().unique())
    return "/".join(f"{value:g}" if isinstance(value, float) else str(value) for value in found[:4])
