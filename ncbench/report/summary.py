"""The summary of a results folder: one table, one figure, a verdict a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ncbench.errors import StoreError
from ncbench.report import tables
from ncbench.report.columns import SummaryColumn, cell, columns
from ncbench.report.figure import draw, panels
from ncbench.report.verdict import RULES, verdict
from ncbench.statistics.cells import Cell

NOTE = "Errors in brackets: one standard error in the last digits, a lower bound where marked '?'; of the loop work, numerical."


@dataclass(frozen=True)
class ModelSummary:
    """One row: a model in one force mode."""

    model: str
    force_mode: str
    cells: dict[str, Cell]
    verdict: str

    @property
    def label(self) -> str:
        """``model:mode``; a model that never loaded may have no mode."""
        return f"{self.model}:{self.force_mode}" if self.force_mode else self.model


@dataclass(frozen=True)
class Summary:
    """What a results folder says."""

    system: str | None
    columns: tuple[SummaryColumn, ...]
    models: tuple[ModelSummary, ...]
    conditions: tuple[str, ...]
    """How the numbers were measured, a line a diagnostic."""
    files: dict[str, Path]
    """What was written, by kind: ``csv``, ``markdown`` and, where there was something to draw, ``png`` and ``svg``."""

    def frame(self) -> pd.DataFrame:
        """The table with plain numbers: a value, an error and a reason column a quantity."""
        rows = []
        for row in self.models:
            values: dict[str, object] = {"model": row.model, "force_mode": row.force_mode, "system": self.system}
            for column in self.columns:
                found = row.cells[column.key]
                values |= {column.name: found.value, f"{column.name}_error": found.error}
            missing = [f"{c.heading}: {row.cells[c.key].missing}" for c in self.columns if row.cells[c.key].missing]
            rows.append(values | {"verdict": row.verdict, "missing": "; ".join(dict.fromkeys(missing))})
        return pd.DataFrame(rows)

    def missing(self) -> list[str]:
        """Why cells are empty, a line a reason and model."""
        lines = [
            f"{row.label}, {column.heading}: {row.cells[column.key].missing}"
            for row in self.models
            for column in self.columns
            if row.cells[column.key].missing
        ]
        return list(dict.fromkeys(lines))

    def markdown(self) -> str:
        """Table, verdicts, conditions and rules."""
        head = ["model", *(column.title for column in self.columns)]
        lines = [f"# Summary on {self.system}", "", _line(head), _line(["---"] * len(head))]
        lines += [_line([row.label, *(str(row.cells[column.key]) for column in self.columns)]) for row in self.models]
        lines += [
            "",
            NOTE,
            "",
        ]
        lines += [f"- **{row.label}** {row.verdict}" for row in self.models]
        for title, items in (
            ("Measured", self.conditions),
            ("Not there", self.missing()),
            ("Rules of the verdicts", RULES),
        ):
            lines += ["", f"{title}:", *(f"- {item}" for item in items)] if items else []
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """The table, a quantity a line so that it fits a terminal, the verdicts, and where the files are."""
        table = Table(title=f"{self.system}", caption=NOTE)
        table.add_column("")
        for row in self.models:
            table.add_column(row.label, justify="right")
        for column in self.columns:
            table.add_row(column.title, *(str(row.cells[column.key]) for row in self.models))
        console.print(table)
        for row in self.models:
            console.print(f"[bold]{row.label}[/bold] {row.verdict}", highlight=False)
        for line in self.missing():
            console.print(f"– {line}", style="dim", highlight=False, markup=False)
        for kind, path in self.files.items():
            console.print(f"{kind:9s}{path}", highlight=False, markup=False, soft_wrap=True)


def summarise(results: Path, out: Path | None = None) -> Summary:
    """Read ``results``, write ``summary.csv``, ``.md``, ``.png`` and ``.svg`` into ``out`` (``results`` itself by default).

    Raises:
        UsageError: no such folder, or no results in it.
        StoreError: a table that cannot be read, or a folder that cannot be written.
    """
    found = tables.read(results)
    folder = results if out is None else out
    system = found.main_system()
    shown = columns(found)
    rows = tuple(_row(found, shown, model, mode, system) for model, mode in found.models())
    drawable = bool(panels(found, rows))
    files = {"csv": "summary.csv", "markdown": "summary.md"} | (
        {"png": "summary.png", "svg": "summary.svg"} if drawable else {}
    )
    summary = Summary(system, shown, rows, _conditions(found), {kind: folder / name for kind, name in files.items()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        summary.frame().to_csv(summary.files["csv"], index=False)
        summary.files["markdown"].write_text(summary.markdown(), encoding="utf-8")
        if drawable:
            draw(found, rows, system, [summary.files["png"], summary.files["svg"]])
    except OSError as error:
        raise StoreError(
            f"The summary cannot be written to '{folder}': {error.strerror}.", hint="Choose another --out."
        ) from error
    return summary


def _row(
    found: tables.Results, shown: tuple[SummaryColumn, ...], model: str, mode: str, system: str | None
) -> ModelSummary:
    cells = {column.key: cell(found, column, model, mode, system) for column in shown}
    dynamics = [found.rows(name, model, mode, system) for name in ("nve-drift", "nvt")]
    exploded = any(bool((frame["status"] == "exploded").any()) for frame in dynamics if len(frame))
    return ModelSummary(model, mode, cells, verdict(cells, exploded))


_CONDITIONS = {
    "lambda": ("method", "probes"),
    "workloop": ("path", "points"),
    "nve-drift": ("timestep_fs", "steps"),
    "nvt": ("thermostat", "tau_fs", "timestep_fs", "steps"),
    "relax": ("set", "optimizer", "n"),
    "timing": ("device",),
}


def _conditions(found: tables.Results) -> tuple[str, ...]:
    """A line a diagnostic and model: what was set, so that two columns of unequal length are not taken for equal."""
    lines = []
    for name, keys in _CONDITIONS.items():
        for model, mode in found.models():
            rows = found.rows(name, model, mode)
            said = [
                f"{key} {_values(rows[key])}"
                for key in ("system", *keys, "dtype")
                if key in rows and rows[key].notna().any()
            ]
            if len(rows):
                lines.append(f"{name}, {model}:{mode}: {', '.join(dict.fromkeys(said))}")
    return tuple(lines)


def _values(series: pd.Series[Any]) -> str:
    found = [f"{value:g}" if isinstance(value, float) else str(value) for value in series.dropna().unique()]
    return "/".join(found[:6]) + ("/…" if len(found) > 6 else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
