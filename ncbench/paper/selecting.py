"""Our number for a cell of the paper, selected from result tables, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ncbench.diagnostics.base import INTEGRATORS
from ncbench.paper.numbers import PaperCell, Selection
from ncbench.report.aggregate import mean_of, one_kind, ranks_of
from ncbench.statistics.cells import ONE_SIGMA, Cell, rate_cell
from ncbench.statistics.intervals import rate_interval
from ncbench.statistics.older_rows import RAISED_ERRORS, errors_raised, with_temperature_floors

Tables = Mapping[str, pd.DataFrame]
Counterparts = Mapping[str, tuple[str, ...]]
"""Key of a model of the paper → models here (``NAME:MODE``) in order of preference."""

_CONDITIONS = (
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
    """Our result for one cell."""

    model: str
    """``NAME:MODE``."""
    value: float | None = None
    error: float | None = None
    sides: tuple[float, float] | None = None
    """Errors towards smaller and larger values, if they differ: of a rate, whose interval at 100 % has one side alone."""
    loose: bool = False
    """The error is only a lower bound: the run is too short to determine it."""
    reason: str = ""
    """Why there is no value."""
    exploded: bool = False
    rows: int = 0
    conditions: str = ""
    """Conditions of the measurement."""
    machine: str = ""
    note: str = ""
    """What the reader should know about the error."""

    def error_towards(self, other: float) -> float | None:
        """The standard error on the side of another value."""
        if self.sides is None or self.value is None:
            return self.error
        return self.sides[0] if other < self.value else self.sides[1]

    @property
    def error_is_known(self) -> bool:
        """Whether there is an error that is not only a lower bound."""
        return self.error is not None and math.isfinite(self.error) and not self.loose


_RAISED = "(error raised)"
"""A column that no table has."""


class _MissingError(Exception):
    """There is no number, with the reason."""


def find(cell: PaperCell, model: str, tables: Tables, counterparts: Counterparts) -> Ours:
    """The number of ``model`` (``NAME:MODE``) for this cell."""
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
        number = _combined(rows, selection, model)
        if selection.per:
            reference = next(iter(counterparts.get(selection.per, ())), "")
            number = _divided(number, cell, reference, tables)
    except _MissingError as missing:
        return Ours(model=model, reason=str(missing))
    return number


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The harmonic prediction for a cell; neither a value nor a runaway if there is none."""

    value: float | None = None
    runaway: bool = False
    """The harmonic motion is not bounded, so that there is no stationary temperature."""


NO_PREDICTION = Predicted()


def predict(cell: PaperCell, model: str, tables: Tables) -> Predicted:
    """The mean of ``predict`` under the cell's thermostat, for the cells whose selection says that there is one."""
    selection = cell.selection
    if not selection.predicted:
        return NO_PREDICTION
    same = replace(selection, table="predict", error="")
    try:
        rows = _rows(replace(cell, selection=same), model, tables)
    except _MissingError:
        return NO_PREDICTION
    stable = rows["stable"].fillna(False).astype(bool)
    if not stable.all():
        # A mean over the structures with a stationary state would be too low.
        return Predicted(runaway=True)
    value = float(rows[selection.value].mean())
    return Predicted(value=value if math.isfinite(value) else None)


def _rows(cell: PaperCell, model: str, tables: Tables) -> pd.DataFrame:
    """The rows to use, all of one status: ok or exploded."""
    selection = cell.selection
    name, _, mode = model.partition(":")
    frame = tables.get(selection.table)
    if frame is None:
        raise _MissingError(f"{selection.table} was not run")
    # A model that could not be loaded may have no mode.
    of_model = frame[(frame["model"] == name) & frame["force_mode"].isin([mode, ""])]
    if not len(of_model):
        raise _MissingError(f"{selection.table} was not run for {model}")
    usable = of_model[of_model["status"].isin(["ok", "exploded"])]
    if not len(usable):
        row = of_model.iloc[0]
        reason = row["reason"] if isinstance(row["reason"], str) and row["reason"] else "no reason given"
        raise _MissingError(f"{selection.table} of {model} {row['status']}: {reason}")
    if selection.table == "nvt":
        # Tables of older versions hold errors below the thermostat's own fluctuations.
        usable = with_temperature_floors(usable).assign(**{_RAISED: errors_raised(usable)})
    asked = {column: getattr(cell.conditions, condition) for column, condition in selection.match.items()}
    wanted_columns = {**selection.where, **asked}
    chosen = usable if {"integrator", "stride"} & set(wanted_columns) else _plain(usable)
    if not len(chosen):
        raise _MissingError(f"{selection.table} of {model} was only run with multiple time stepping or rescaling")
    for column, wanted in wanted_columns.items():
        if column not in chosen:
            raise _MissingError(f"the table {selection.table} has no column '{column}'")
        chosen = _equal(chosen, column, wanted)
        if not len(chosen):
            raise _MissingError(f"{selection.table} of {model} has no rows with {_words(asked or selection.where)}")
    chosen = _on_system(_limited(chosen, selection, model), selection, model)
    return one_kind(
        chosen, {name: order for name, order in ranks_of(selection.table).items() if name not in wanted_columns}
    )


def _limited(frame: pd.DataFrame, selection: Selection, model: str) -> pd.DataFrame:
    for column, (low, high) in selection.between.items():
        frame = frame[pd.to_numeric(frame[column], errors="coerce").between(low, high)]
        if not len(frame):
            raise _MissingError(f"{selection.table} of {model} has no rows with {column} from {low:g} to {high:g}")
    return frame


def _on_system(frame: pd.DataFrame, selection: Selection, model: str) -> pd.DataFrame:
    if not selection.systems:
        return frame
    there = [system for system in selection.systems if (frame["system"] == system).any()]
    if not there:
        raise _MissingError(f"{selection.table} of {model} was not run on {' or '.join(selection.systems)}")
    return frame[frame["system"] == there[0]]


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of dynamics with the default integrator, which cells use unless specified, if the table distinguishes integrators."""
    if "integrator" not in frame:
        return frame
    return frame[frame["integrator"].isna() | frame["integrator"].isin(["", INTEGRATORS[0]])]


def _equal(frame: pd.DataFrame, column: str, wanted: Any) -> pd.DataFrame:
    """Rows whose column is ``wanted``, or the first existing entry of a list."""
    for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
        if isinstance(value, float):
            # Both were converted to text at most once: they are equal to rounding.
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


def _combined(rows: pd.DataFrame, selection: Selection, model: str) -> Ours:
    shared: dict[str, Any] = {
        "model": model,
        "rows": len(rows),
        "conditions": _conditions(rows),
        "machine": _machine(rows),
    }
    cell = _cell(rows, selection, model)
    if cell.value is None:
        raise _MissingError(f"{selection.table} of {model} has no {selection.value}")
    error = None if cell.error is None else cell.error * selection.scale
    if selection.combine == "rate":
        ends = rate_interval(int(rows["n_success"].sum()), int(rows["n"].sum()), confidence=ONE_SIGMA)
        shared["sides"] = (cell.value - 100.0 * ends[0], 100.0 * ends[1] - cell.value)
    raised = selection.error == "temperature_K_se" and _RAISED in rows and bool(rows[_RAISED].any())
    note = RAISED_ERRORS if raised else ""
    return Ours(value=cell.value * selection.scale, error=error, loose=cell.loose, note=note, **shared)


def _cell(rows: pd.DataFrame, selection: Selection, model: str) -> Cell:
    if selection.combine in ("rate", "intact rate"):
        trials = int(rows["n"].sum())
        if not trials:
            raise _MissingError(f"{selection.table} of {model} has no relaxations")
        # A molecule that came apart has converged, since its forces vanish.
        apart = int(rows["n_fragmented"].sum()) if selection.combine == "intact rate" else 0
        return rate_cell(int(rows["n_success"].sum()) - apart, trials)
    if selection.value not in rows:
        raise _MissingError(f"the table {selection.table} has no column '{selection.value}'")
    return mean_of(selection.table, rows, selection.value, selection.error)


def _divided(dividend: Ours, cell: PaperCell, reference: str, tables: Tables) -> Ours:
    if not reference:
        raise _MissingError(f"there is no model for {cell.selection.per}, the divisor of this cell")
    if reference == dividend.model:
        return replace(dividend, value=1.0, error=None)
    below = _combined(_rows(cell, reference, tables), cell.selection, reference)
    assert dividend.value is not None
    assert below.value is not None
    if below.value == 0:
        raise _MissingError(f"{cell.selection.value} of {reference} is zero")
    ratio = dividend.value / below.value
    relative = [(one.error / one.value) for one in (dividend, below) if one.error is not None and one.value]
    return replace(dividend, value=ratio, error=abs(ratio) * math.hypot(*relative) if len(relative) == 2 else None)


def _machine(rows: pd.DataFrame) -> str:
    return str(rows["machine"].iloc[0]) if "machine" in rows and rows["machine"].notna().any() else ""


def _conditions(rows: pd.DataFrame) -> str:
    """Conditions of the rows on one line."""
    parts = [f"system {_values(rows['system'])}"]
    if "structure" in rows and len(rows) > 1:
        parts.append(f"{rows['structure'].nunique()} structures, {rows['seed'].nunique()} seeds")
    if {"steps", "timestep_fs"} <= set(rows) and rows["steps"].notna().all():
        length = float((rows["steps"] * rows["timestep_fs"]).iloc[0]) / 1000.0
        parts.append(f"{length:g} ps in steps of {_values(rows['timestep_fs'])} fs")
    parts += [f"{name} {_values(rows[name])}" for name in _CONDITIONS if name in rows and rows[name].notna().any()]
    return ", ".join(parts)


def _values(series: pd.Series[Any]) -> str:
    distinct: Sequence[Any] = list(series.dropna().unique())
    return "/".join(f"{value:g}" if isinstance(value, float) else str(value) for value in distinct[:4])
