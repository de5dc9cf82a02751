"""Comparison of the paper's tables with ours: each cell with both errors, their deviation, and the differences. No cell is omitted silently."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ncbench.errors import StoreError, UsageError, did_you_mean
from ncbench.paper import numbers
from ncbench.paper.numbers import PaperCell, PaperModel, PaperTable
from ncbench.paper.selecting import NO_PREDICTION, Counterparts, Ours, Predicted, find, predict
from ncbench.report.read import read_every_row
from ncbench.schema import Column
from ncbench.statistics.intervals import SIGMAS


class State(StrEnum):
    """How a cell of ours can be compared with the paper's."""

    SAME = "same model"
    """The paper's weights: a deviation is given."""
    OTHER_MACHINE = "same model, another machine"
    """A time, which depends on the machine."""
    OTHER_PATH = "same model, another quantity"
    """The same weights, but a number that depends on a setting that the paper does not give."""
    DIFFERENT = "different model"
    EXPLODED = "exploded"
    """The simulation exploded, which is a result."""
    NOT_RUN = "not run"
    NOT_PRINTED = "no number in the paper"


MEASURED = (State.SAME, State.OTHER_MACHINE, State.OTHER_PATH, State.DIFFERENT)

COLUMNS = (
    Column("table", "str", "", "table or quotation of the paper"),
    Column("cell", "str", "", "TABLE/ROW/COLUMN, rows counted from 1"),
    Column("paper_model", "str", "", "the paper's model"),
    Column("paper_mode", "str", "", "conservative, direct or mts"),
    Column("quantity", "str", "", "heading of the column"),
    Column("unit", "str", "", "unit of the values"),
    Column("paper_conditions", "str", "", "conditions of the paper's measurement"),
    Column("paper_functional", "str", "", "reference that the paper's model was trained on"),
    Column("paper_printed", "str", "", "as printed"),
    Column("paper_value", "float", "unit", "the number"),
    Column("paper_error", "float", "unit", "its error as printed; absent if none is"),
    Column("paper_rounding", "float", "unit", "standard deviation of the rounding to the last printed digit"),
    Column("ours_model", "str", "", "NAME:MODE of the corresponding model here"),
    Column("ours_value", "float", "unit", "our number"),
    Column("ours_error", "float", "unit", "its standard error; absent if it is not known"),
    Column("ours_error_is_bound", "bool", "", "the run is too short for its error, which is then a lower bound"),
    Column("ours_conditions", "str", "", "conditions of our measurement"),
    Column("n_rows", "int", "", "number of rows of the result table used"),
    Column("predicted_value", "float", "unit", "what predict expects for our model; absent for a runaway"),
    Column("predicted_runaway", "bool", "", "the harmonic prediction is a runaway"),
    Column("deviation_sigma", "float", "standard errors", "(ours − paper)/√(both errors squared); same model only"),
    Column("deviation_is_bound", "bool", "", "the paper prints no error: the deviation is at most this"),
    Column("state", "str", "", "what the cell can be compared to"),
    Column("remark", "str", "", "reason of the comparison state, and differences"),
)


@dataclass(frozen=True, kw_only=True)
class ComparedCell:
    """A cell of the paper with ours."""

    paper: PaperCell
    ours: Ours
    state: State
    remark: str
    """Reason of the state, and differences."""
    deviation: float | None = None
    """(ours − paper)/√(σ² + σ²), if the model is the same."""
    predicted: Predicted = NO_PREDICTION
    """What ``predict`` expects for this cell."""
    deviation_is_bound: bool = False
    """Whether it is an upper bound: the paper prints no error and its rounding is used instead."""

    @property
    def has_result(self) -> bool:
        """Whether ours is a number or an explosion."""
        return self.state in MEASURED or self.state is State.EXPLODED

    def row(self) -> dict[str, Any]:
        """As a row of :data:`COLUMNS`."""
        paper, printed, ours = self.paper, self.paper.printed, self.ours
        measured = self.state in MEASURED
        values = (
            paper.table, paper.name, paper.model.label, paper.model.mode, paper.heading, paper.unit,
            ", ".join(f"{name} = {value}" for name, value in paper.conditions.known().items()),
            paper.model.functional, printed.text, printed.value, printed.error, printed.rounding,
            ours.model, ours.value, ours.error, ours.loose if measured else None, ours.conditions, ours.rows,
            self.predicted.value, self.predicted.runaway or None if self.predicted.value is None else False,
            self.deviation, None if self.deviation is None else self.deviation_is_bound, str(self.state), self.remark,
        )  # fmt: skip
        return dict(zip((column.name for column in COLUMNS), values, strict=True))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table of the paper with ours."""

    table: PaperTable
    cells: tuple[ComparedCell, ...]
    """All cells of the table, in its order."""

    def rows(self) -> list[list[ComparedCell]]:
        """The cells as a matrix."""
        width = len(self.table.columns)
        return [list(self.cells[start : start + width]) for start in range(0, len(self.cells), width)]

    def count(self, state: State) -> int:
        """Cells in this state."""
        return sum(cell.state is state for cell in self.cells)

    def sentence(self) -> str:
        """Number of cells by state, and number of deviating cells of the same model."""
        parts = [f"{self.count(state)} {state}" for state in State if self.count(state)]
        same = [cell.deviation for cell in self.cells if cell.deviation is not None]
        beyond = sum(abs(deviation) > SIGMAS for deviation in same)
        judged = f"; of {len(same)} with a deviation {beyond} exceed {SIGMAS:g} standard errors" if same else ""
        return f"{len(self.cells)} cells: {', '.join(parts)}{judged}."


@dataclass(frozen=True)
class Source:
    """The result tables of one folder."""

    label: str
    """Name of the folder in remarks; empty if there is only one."""
    tables: Mapping[str, pd.DataFrame]


def counterparts(replaced: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """The models ``NAME:MODE`` that correspond to each model of the paper, in order of preference. ``replaced`` overrides them by key.

    Raises:
        UsageError: no such model in the paper, or a counterpart without a force mode.
    """
    by_key = {key: model.candidates for key, model in numbers.models().items()}
    for key, ours in (replaced or {}).items():
        if key not in by_key:
            hint = did_you_mean(key, by_key) or f"There are {', '.join(by_key)}."
            raise UsageError(f"The paper has no model '{key}'.", hint=hint)
        if not all(ours.rpartition(":")[::2]):
            raise UsageError(
                f"'{ours}' is not a model with a force mode.", hint="Write NAME:direct or NAME:conservative."
            )
        by_key[key] = (ours,)
    return by_key


def compare(
    table: PaperTable,
    tables: Mapping[str, pd.DataFrame] | Sequence[Source],
    standing: Counterparts,
    *,
    left_out: Mapping[str, str] | None = None,
) -> Comparison:
    """Every cell of ``table`` with ours.

    Args:
        table: of the paper.
        tables: result tables by name, all rows; or those of several folders: a cell takes its number from the first whose error of it is known,
            otherwise from the first that has it.
        standing: :func:`counterparts`. A row takes all its numbers from the first model that has one.
        left_out: models (``NAME`` or ``NAME:MODE``) and systems → why they were not run.
    """
    sources = [Source("", tables)] if isinstance(tables, Mapping) else list(tables)
    cells = [cell for row in table.rows() for cell in _row(row, sources, standing)]
    return Comparison(table=table, cells=tuple(_with_reason(cell, left_out or {}) for cell in cells))


def _row(row: Sequence[PaperCell], sources: Sequence[Source], standing: Counterparts) -> list[ComparedCell]:
    """One row with the first of its model's counterparts that has a number; without any, the first's reasons."""
    names = standing[row[0].model.key]
    options = [[_first(cell, name, sources, standing) for cell in row] for name in names or ("",)]
    return next((option for option in options if any(one.has_result for one in option)), options[0])


def _first(cell: PaperCell, name: str, sources: Sequence[Source], standing: Counterparts) -> ComparedCell:
    """The cell from the first source whose number has a known error; without any, from the first with a result."""
    expected = [predict(cell, name, source.tables) for source in sources]
    predicted = next((one for one in expected if one != NO_PREDICTION), NO_PREDICTION)
    made = []
    for source in sources:
        one = _compared(cell, name, source.tables, standing)
        remark = _joined(one.remark, f"results in {source.label}") if source.label and one.has_result else one.remark
        made.append(replace(one, remark=remark, predicted=predicted))
    results = [one for one in made if one.has_result]
    return next((one for one in results if one.ours.error_is_known), (results or made)[0])


def _with_reason(cell: ComparedCell, left_out: Mapping[str, str]) -> ComparedCell:
    """For a cell whose model was left out, the remark gives that reason instead of the missing table entry."""
    name = cell.ours.model
    if cell.state is not State.NOT_RUN or cell.paper.selection.none or not name:
        return cell
    for what in (name, name.partition(":")[0]):
        if what in left_out:
            return replace(cell, remark=f"{name} was not run: {left_out[what]}")
    for system in cell.paper.selection.systems[:1]:
        if system in left_out:
            return replace(cell, remark=f"{system} was not run: {left_out[system]}")
    return cell


def result_tables(folder: Path, wanted: Sequence[PaperTable], also: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """The result tables of a folder that these tables of the paper need, and those named in ``also``, with all their rows; those that exist.

    Raises:
        UsageError: no such folder.
        StoreError: a table that cannot be read.
    """
    _require_folder(folder)
    cells = [cell for table in wanted for cell in table.cells]
    names = dict.fromkeys(cell.selection.table for cell in cells if cell.selection.table)
    names |= dict.fromkeys(also)
    names |= dict.fromkeys(["predict"] if any(cell.selection.predicted for cell in cells) else [])
    frames = {name: read_every_row(folder / f"{name}.parquet") for name in names}
    return {name: frame for name, frame in frames.items() if frame is not None}


def require_results(folders: Sequence[Path]) -> None:
    """Refuse folders that a user named and that hold no result table at all.

    Raises:
        UsageError: no such folder, or no result table in it.
    """
    for folder in folders:
        _require_folder(folder)
        if not any(folder.glob("*.parquet")):
            raise UsageError(f"The folder '{folder}' holds no results.", hint="Name the folder given to --out.")


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"There is no results folder '{folder}'.", hint="Name the folder given to --out.")


def sources_of(folders: Sequence[Path], wanted: Sequence[PaperTable], also: Sequence[str] = ()) -> list[Source]:
    """The result tables of several folders, the first being preferred; ``also`` are further tables to read.

    Raises:
        UsageError: no such folder.
        StoreError: a table that cannot be read.
    """
    labels = labels_of(folders)
    return [Source(label, result_tables(folder, wanted, also)) for label, folder in zip(labels, folders, strict=True)]


def labels_of(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ from each other; empty for a single folder."""
    if len(folders) == 1:
        return [""]
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(one[-length:]) for one in parts]
        if len(set(labels)) == len(labels):
            return labels
    return [folder.name for folder in folders]


def _compared(cell: PaperCell, name: str, tables: Mapping[str, pd.DataFrame], standing: Counterparts) -> ComparedCell:
    same = cell.model.same and name == cell.model.ours
    if cell.printed.value is None:
        return ComparedCell(
            paper=cell, ours=Ours(model=name), state=State.NOT_PRINTED, remark="the paper prints no number"
        )
    if not name and not cell.selection.none:
        return ComparedCell(paper=cell, ours=Ours(model=name), state=State.NOT_RUN, remark=cell.model.reason)
    ours = find(cell, name, tables, standing)
    made_here = bool(cell.model.recipe) and name == cell.model.candidates[-1]
    if ours.value is None and not ours.exploded and made_here and not cell.model.ours and not cell.selection.none:
        # The reason names the recipe that makes this model.
        return ComparedCell(paper=cell, ours=Ours(model=""), state=State.NOT_RUN, remark=cell.model.reason)
    if ours.value is None:
        state = State.EXPLODED if ours.exploded else State.NOT_RUN
        return ComparedCell(paper=cell, ours=ours, state=state, remark=_joined(ours.reason, ours.conditions))
    differs = "; ".join(cell.selection.differs)
    if not same:
        why = _why_different(cell.model, name)
        return ComparedCell(
            paper=cell,
            ours=ours,
            state=State.DIFFERENT,
            remark=_joined(f"different model: {why}", differs, ours.conditions, ours.note),
        )
    remark = _joined(cell.model.reason, differs, ours.conditions, ours.note)
    if cell.selection.machine and cell.selection.machine not in ours.machine:
        where = cell.conditions.hardware or "the paper's machine"
        return ComparedCell(
            paper=cell, ours=ours, state=State.OTHER_MACHINE, remark=_joined(f"another machine than {where}", remark)
        )
    if cell.selection.incomparable:
        return ComparedCell(paper=cell, ours=ours, state=State.OTHER_PATH, remark=remark)
    deviation, bound = deviation_of(cell, ours)
    because = "" if deviation is not None else "no deviation: our error is not known"
    return ComparedCell(
        paper=cell,
        ours=ours,
        state=State.SAME,
        remark=_joined(because, remark),
        deviation=deviation,
        deviation_is_bound=bound,
    )


def _why_different(model: PaperModel, name: str) -> str:
    if name == model.ours:
        return model.reason
    if name in model.candidates:
        return f"{name} is made by the recipe {model.recipe} of benchmarks/training/water: smaller, trained for minutes on another water set"
    return f"{name} replaces {model.shown}"


def deviation_of(cell: PaperCell, ours: Ours) -> tuple[float | None, bool]:
    """(ours − paper)/√(σ_ours² + σ_paper²), and whether that is an upper bound; ``None`` if our error is not known or only a lower bound.

    The error of a rate is that of its interval on the paper's side. If the paper prints no error, the rounding of its last digit is used: the true error is larger, the deviation smaller.
    """
    printed = cell.printed
    assert printed.value is not None
    assert printed.rounding is not None
    if ours.value is None or ours.error is None or not ours.error_is_known:
        return None, False
    paper_error = printed.rounding if printed.error is None else printed.error
    error = ours.error_towards(printed.value) or ours.error
    return (ours.value - printed.value) / math.hypot(error, paper_error), printed.error is None


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


def arrow_table(comparison: Comparison) -> pa.Table:
    """One row per cell, columns :data:`COLUMNS` with their units and meanings."""
    fields = [pa.field(c.name, _ARROW[c.dtype], metadata={"unit": c.unit, "meaning": c.meaning}) for c in COLUMNS]
    return pa.Table.from_pylist([cell.row() for cell in comparison.cells], schema=pa.schema(fields))


def write(comparison: Comparison, folder: Path) -> dict[str, Path]:
    """Write ``paper-NAME.csv``, ``.parquet``, ``.md`` and ``.tex`` into ``folder``; returns the files by suffix.

    Raises:
        StoreError: the folder cannot be written.
    """
    from ncbench.paper.latex import latex
    from ncbench.paper.markdown import markdown

    arrow = arrow_table(comparison)
    text, binary = io.BytesIO(), io.BytesIO()
    pyarrow.csv.write_csv(arrow, text, pyarrow.csv.WriteOptions(quoting_style="needed"))
    pq.write_table(arrow, binary, compression="zstd")
    contents = {
        "csv": text.getvalue(),
        "parquet": binary.getvalue(),
        "md": markdown(comparison).encode(),
        "tex": latex(comparison).encode(),
    }
    files = {suffix: folder / f"paper-{comparison.table.name}.{suffix}" for suffix in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, path in files.items():
            path.write_bytes(contents[suffix])
    except OSError as error:
        raise StoreError(
            f"The comparison cannot be written to '{folder}': {error.strerror}.", hint="Choose another --out."
        ) from error
    return files
