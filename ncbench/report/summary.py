"""The summary of a results folder: one table, one figure, and the uses that each model is suited for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ncbench.diagnostics import registry
from ncbench.errors import StoreError, UsageError, did_you_mean
from ncbench.report import aggregate
from ncbench.report.aggregate import Column
from ncbench.report.decide import Answer
from ncbench.report.figure import draw, panels
from ncbench.report.judge import RULES, Judgement, judge
from ncbench.report.read import Results, read
from ncbench.statistics.cells import Cell

FRAME = 3
"""Characters of a table column besides its text."""
NOTE = "Errors in brackets: one standard error in the last digits, a lower bound where marked '?'; for the work around loops, and for λ of a single structure, the numerical error only."


@dataclass(frozen=True)
class ModelSummary:
    """One row: a model in one force mode."""

    model: str
    force_mode: str
    cells: dict[str, Cell]
    """Cells by the quantity's key."""
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> str:
        """One sentence per use with measurements."""
        sentences = [one.sentence for one in self.judgements if one.answer is not Answer.UNKNOWN]
        return " ".join(sentences) or "No measurement allows a judgement of any use."

    @property
    def label(self) -> str:
        """``model:mode``; a model that never loaded may have no mode."""
        return f"{self.model}:{self.force_mode}" if self.force_mode else self.model


@dataclass(frozen=True)
class Summary:
    """The content of a summary."""

    system: str | None
    others_line: str
    """On results on other systems; empty where there are none."""
    columns: tuple[Column, ...]
    models: tuple[ModelSummary, ...]
    conditions: tuple[str, ...]
    """Conditions of the measurements, one line per diagnostic and model."""
    tables: tuple[str, ...]
    """Further content of the folder, one line per diagnostic without a column in the table."""
    not_run: tuple[str, ...]
    """Diagnostics without a result."""
    files: dict[str, Path]
    """Written files by kind: ``csv``, ``markdown`` and, if there is a figure, ``png`` and ``svg``."""

    def frame(self) -> pd.DataFrame:
        """The table with plain numbers: value, error and reason columns per quantity."""
        rows = []
        for row in self.models:
            values: dict[str, object] = {"model": row.model, "force_mode": row.force_mode, "system": self.system}
            for column in self.columns:
                cell = row.cells[column.key]
                name = column.quantity.name
                values |= {name: cell.value, f"{name}_error": cell.error}
            missing = [
                f"{c.quantity.heading}: {row.cells[c.key].missing}" for c in self.columns if row.cells[c.key].missing
            ]
            rows.append(values | {"verdict": row.verdict, "missing": "; ".join(dict.fromkeys(missing))})
        return pd.DataFrame(rows)

    def notes(self) -> list[str]:
        """What the reader should know about the numbers of the table."""
        return list(dict.fromkeys([NOTE, *(column.quantity.note for column in self.columns if column.quantity.note)]))

    def missing(self) -> list[str]:
        """Reasons of empty cells, one line per reason and model."""
        lines = [
            f"{row.label}, {column.quantity.heading}: {row.cells[column.key].missing}"
            for row in self.models
            for column in self.columns
            if row.cells[column.key].missing
        ]
        return list(dict.fromkeys(lines))

    def markdown(self) -> str:
        """Table, answers, conditions and rules."""
        lines = [f"# Summary on {self.system}", "", *([self.others_line, ""] if self.others_line else [])]
        if self.columns:
            head = ["model", *(column.quantity.title for column in self.columns)]
            lines += [_line(head), _line(["---"] * len(head))]
            lines += [_line([row.label, *(str(row.cells[c.key]) for c in self.columns)]) for row in self.models]
            lines += [text for note in self.notes() for text in ("", note)] + [""]
        for row in self.models:
            lines += [f"- **{row.label}** {row.verdict}"]
        for title, items in (
            ("Measured", self.conditions),
            ("Other tables", self.tables),
            ("Without a number", self.missing()),
            ("Rules", [f"{use}: {rule}" for use, rule in RULES.items()]),
        ):
            lines += ["", f"{title}:", *map(_item, items)] if items else []
        lines += ["", f"Not run: {', '.join(self.not_run)}."] if self.not_run else []
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """Tables with one quantity per line and as many models side by side as fit, then the answers and the paths of the files."""
        for models in self._side_by_side(console.width) if self.columns else ():
            table = Table(title=f"{self.system}")
            table.add_column("", no_wrap=True)
            for row in models:
                table.add_column(_broken(row.label), justify="right", no_wrap=True)
            for column in self.columns:
                table.add_row(column.quantity.title, *(str(row.cells[column.key]) for row in models))
            console.print(table)
        if self.others_line:
            console.print(self.others_line, highlight=False, markup=False)
        for note in self.notes() if self.columns else ():
            console.print(note, style="dim", highlight=False, markup=False)
        for row in self.models:
            console.print(f"[bold]{row.label}[/bold]", highlight=False)
            for one in row.judgements:
                if one.answer is not Answer.UNKNOWN:
                    text = Text.assemble(f"{one.use}: ", (str(one.answer), "bold"), f"; {one.evidence}")
                    # Lines that continue a sentence are indented more than its first.
                    console.print(Padding(text, (0, 0, 0, 2), expand=False), highlight=False)
        for line in (*(f"not in this table: {line}" for line in self.tables), *self.missing()):
            console.print(f"– {line}", style="dim", highlight=False, markup=False)
        if self.not_run:
            console.print(f"not run: {', '.join(self.not_run)}", style="dim", highlight=False, markup=False)
        for kind, path in self.files.items():
            console.print(f"{kind:9s}{path}", highlight=False, markup=False, soft_wrap=True)

    def _side_by_side(self, width: int) -> list[list[ModelSummary]]:
        """The models in groups whose columns fit into ``width`` characters; a wider one is a group of its own."""
        rest = width - max(cell_len(column.quantity.title) for column in self.columns) - FRAME
        groups: list[list[ModelSummary]] = []
        left = 0
        for row in self.models:
            texts = [*_broken(row.label).split("\n"), *(str(row.cells[column.key]) for column in self.columns)]
            needed = max(map(cell_len, texts)) + FRAME
            if not groups or needed > left:
                groups.append([])
                left = rest
            groups[-1].append(row)
            left -= needed
        return groups


def _broken(label: str) -> str:
    """``model:mode`` on two lines."""
    return label.replace(":", "\n:") if len(label) > 14 else label


def summarise(results: Path, out: Path | None = None, *, system: str | None = None) -> Summary:
    """Read ``results``, write ``summary.csv``, ``.md``, ``.png`` and ``.svg`` into ``out`` (``results`` itself by default).

    Args:
        results: the results folder.
        out: folder of the files.
        system: the system whose numbers are shown; by default the one that most numbers are of.

    Raises:
        UsageError: no such folder, no results in it, or none on this system.
        StoreError: a table that cannot be read, or a folder that cannot be written.
    """
    read_tables = read(results)
    folder = results if out is None else out
    main = read_tables.main_system()
    systems = [name for name in (main, *read_tables.other_systems(main)) if name is not None]
    if system is not None and system not in systems:
        near = did_you_mean(system, systems) or f"It has: {', '.join(systems)}."
        raise UsageError(f"The folder '{results}' has no results on '{system}'.", hint=near)
    system = system or main
    columns = aggregate.columns(read_tables)
    rows = tuple(_row(read_tables, columns, model, mode, system) for model, mode in read_tables.models())
    drawable = bool(panels(read_tables, rows))
    files = {"csv": "summary.csv", "markdown": "summary.md"} | (
        {"png": "summary.png", "svg": "summary.svg"} if drawable else {}
    )
    summary = Summary(
        system=system,
        others_line=read_tables.others_line(system),
        columns=columns,
        models=rows,
        conditions=_conditions(read_tables),
        tables=_other_tables(read_tables, columns),
        not_run=read_tables.not_run,
        files={kind: folder / name for kind, name in files.items()},
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        summary.frame().to_csv(summary.files["csv"], index=False)
        summary.files["markdown"].write_text(summary.markdown(), encoding="utf-8")
        if drawable:
            draw(read_tables, rows, system, [summary.files["png"], summary.files["svg"]])
    except OSError as error:
        raise StoreError(
            f"The summary cannot be written to '{folder}': {error.strerror}.", hint="Choose another --out."
        ) from error
    return summary


def _row(results: Results, columns: tuple[Column, ...], model: str, mode: str, system: str | None) -> ModelSummary:
    cells = {column.key: aggregate.cell(results, column, model, mode, system) for column in columns}
    return ModelSummary(model, mode, cells, judge(results, model, mode, system))


def _conditions(results: Results) -> tuple[str, ...]:
    """One line per diagnostic and model with its settings, to show differences such as run lengths."""
    lines = []
    for name in results.diagnostics:
        for model, mode in results.models():
            rows = results.rows(name, model, mode)
            values = [
                f"{key} {_values(rows[key])}"
                for key in ("system", *registry.get(name).conditions, "dtype")
                if key in rows and rows[key].notna().any()
            ]
            if len(rows):
                lines.append(f"{name}, {model}:{mode}: {', '.join(dict.fromkeys(values))}")
    return tuple(lines)


def _other_tables(results: Results, columns: tuple[Column, ...]) -> tuple[str, ...]:
    """Diagnostics without quantities in the summary: number of rows, models and statuses."""
    lines = []
    for name in results.diagnostics:
        if any(column.diagnostic == name for column in columns):
            continue
        frame = results.tables[name]
        models = dict.fromkeys(f"{m}:{f}" for m, f in zip(frame["model"], frame["force_mode"], strict=True))
        states = ", ".join(f"{count} {status}" for status, count in frame["status"].value_counts().items())
        lines.append(f"{name}: {states} in {name}.csv ({', '.join(models)})")
    return tuple(lines)


def _values(series: pd.Series[Any]) -> str:
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in series.dropna().unique()]
    return "/".join(texts[:6]) + ("/…" if len(texts) > 6 else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _item(text: str) -> str:
    """An entry of a list: the reason of a failure may be of several lines, which would end it."""
    return f"- {' '.join(text.split())}"
