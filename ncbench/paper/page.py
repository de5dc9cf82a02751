"""The report page: scorecards, the paper's tables with ours, figures, all result tables, and the provenance of every number."""

from __future__ import annotations

import base64
import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

import ncbench
from ncbench.errors import StoreError, UsageError
from ncbench.paper.claims import DECIDED, Verdict
from ncbench.paper.compare import Comparison, counterparts, labels_of, require_results
from ncbench.paper.grid import grid
from ncbench.paper.overview import claim_table, count_table, survey
from ncbench.report.aggregate import cell, columns
from ncbench.report.cards import cards
from ncbench.report.decide import Answer
from ncbench.report.figures import FIGURES, draw_figures
from ncbench.report.judge import RULES
from ncbench.report.read import Results, provenance, read

HIDDEN = ("job", "seed", "dtype", "device", "force_mode", "machine", "trajectory", "floor_from")
CLASSES = {Answer.YES: "yes", Answer.NO: "no", Answer.UNSURE: "unsure"}
VERDICTS = {Verdict.AGREES: "yes", Verdict.PARTLY: "yes", Verdict.DIFFERS: "no"}
"""Colours of verdicts; any other is uncertain."""
MOST_ROWS = 400
TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Entry:
    """A cell of a table of the page; every text is escaped by the template."""

    text: str
    marks: str = ""
    code: bool = False
    folded: bool = False
    """Collapsed by default."""


@dataclass(frozen=True)
class PageTable:
    """A table of the page."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    numeric_from: int
    sortable: bool = True


def report(
    folder: Path,
    out: Path | None = None,
    *,
    title: str = "",
    also: Sequence[Path] = (),
    stand_ins: Mapping[str, str] | None = None,
) -> Path:
    """Write the page on a results folder; returns its path, ``folder/report.html`` by default.

    Args:
        folder: results folder.
        out: file of the page.
        title: its heading.
        also: further results folders, for answers on its models and for numbers beside the paper's that ``folder`` does not have.
        stand_ins: key of a model of the paper → ``NAME:MODE`` to use instead.

    Raises:
        UsageError: no such folder, or no results in it.
        StoreError: a table that cannot be read, or a page that cannot be written.
    """
    results = read(folder)
    require_results(also)
    surveyed = survey([folder, *also], counterparts(stand_ins))
    decided = any(one.verdict in DECIDED for one in surveyed.answers)
    comparisons = surveyed.comparisons
    counts = count_table(comparisons)
    compared = [one for one in comparisons if any(cell.ours.value is not None for cell in one.cells)]
    page = _template().render(
        title=title or f"Non-conservative forces: {folder.name}",
        version=ncbench.__version__,
        date=datetime.now(UTC).strftime("%d %B %Y"),
        system=results.main_system(),
        others_line=results.others_line(results.main_system()),
        cards=cards(results, _others(folder, also)),
        classes=CLASSES,
        rules=RULES,
        not_run=results.not_run,
        measured=_measured(results),
        measured_notes=list(dict.fromkeys(one.quantity.note for one in columns(results) if one.quantity.note)),
        has_others=bool(also),
        claims=[one for one in surveyed.answers if one.verdict is not Verdict.MISSING] if decided else (),
        untested=[one for one in surveyed.answers if one.verdict is Verdict.MISSING],
        n_claims=len(surveyed.answers),
        claims_command=shlex.join(["ncbench", "paper", "claims", *map(str, (folder, *also))]),
        claim_notes=claim_table(surveyed.answers).notes,
        verdicts=VERDICTS,
        counts=PageTable(
            caption=counts.caption,
            head=counts.head[:-1],
            rows=[[Entry(text) for text in texts[:-1]] for texts in counts.lines],
            numeric_from=1,
        ),
        compared=[_comparison(one) for one in compared],
        others=[
            {"name": one.table.name, "title": one.table.title, "why": _why(one)}
            for one in comparisons
            if one not in compared
        ],
        figures=_figures(folder),
        results=_tables(results),
        jobs=_provenance(folder),
        style=_resource("style.css"),
        script=_resource("sort.js"),
    )
    path = out or folder / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"The report cannot be written to '{path}': {error.strerror}.") from error
    return path


def _others(folder: Path, also: Sequence[Path]) -> list[tuple[str, Results]]:
    """Further folders with results of diagnostics, by the names that remarks give them."""
    found = []
    for name, other in zip(labels_of([folder, *also])[1:], also, strict=True):
        try:
            found.append((name, read(other)))
        except UsageError:
            # Tables of training or figures alone, which judge no use.
            continue
    return found


def _measured(results: Results) -> PageTable:
    """Every quantity that the diagnostics declare, one column per quantity, one row per model."""
    shown, system = columns(results), results.main_system()
    rows = []
    for model, mode in results.models():
        cells = [cell(results, column, model, mode, system) for column in shown]
        rows.append([Entry(f"{model}:{mode}" if mode else model), *(Entry(str(one)) for one in cells)])
    return PageTable(
        caption=f"Measured quantities on {system}",
        head=["model", *(column.quantity.title for column in shown)],
        rows=rows,
        numeric_from=1,
    )


def _resource(name: str) -> str:
    return (files("ncbench.report.html") / name).read_text(encoding="utf-8")


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_resource(TEMPLATE))


def _comparison(comparison: Comparison) -> dict[str, Any]:
    texts = grid(comparison)
    table = PageTable(
        caption=texts.caption,
        head=texts.head,
        rows=[[Entry(entry.text, entry.marks) for entry in line] for line in texts.lines],
        numeric_from=texts.numeric_from,
        sortable=False,
    )
    return {"table": table, "sentence": comparison.sentence(), "remarks": texts.remarks}


def _why(comparison: Comparison) -> str:
    return "; ".join(dict.fromkeys(cell.remark for cell in comparison.cells if cell.remark))


def _figures(folder: Path) -> list[dict[str, str]]:
    titles = {figure.name: figure.title for figure in FIGURES}
    with tempfile.TemporaryDirectory() as scratch:
        drawn = [path for path in draw_figures(folder, Path(scratch)) if path.suffix == ".png"]
        return [{"title": titles[path.stem], "data": base64.b64encode(path.read_bytes()).decode()} for path in drawn]


def _tables(results: Results) -> list[dict[str, Any]]:
    return [
        {"summary": f"{name}: {len(results.tables[name])} rows", "table": _result_table(name, results.tables[name])}
        for name in results.diagnostics
    ]


def _result_table(name: str, frame: pd.DataFrame) -> PageTable:
    shown = frame.head(MOST_ROWS)
    labels = [f"{m}:{f}" if f else str(m) for m, f in zip(shown["model"], shown["force_mode"], strict=True)]
    names = [column for column in frame.columns if column not in (*HIDDEN, "model") and frame[column].notna().any()]
    names = [column for column in names if not (column == "reason" and (frame[column] == "").all())]
    rows = [
        [Entry(label), *(Entry(_value(row[column])) for column in names)]
        for label, (_, row) in zip(labels, shown.iterrows(), strict=True)
    ]
    rest = f", the first {MOST_ROWS} of {len(frame)} rows" if len(frame) > MOST_ROWS else ""
    return PageTable(caption=f"{name}.csv{rest}", head=["model", *names], rows=rows, numeric_from=1)


def _value(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NA:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


JOB_HEAD = (
    "job", "diagnostic", "model", "system", "command", "seconds", "threads", "machine", "versions", "settings",
)  # fmt: skip


def _provenance(folder: Path) -> PageTable:
    """One row per job: model, versions, machine and settings."""
    rows = [_job_row({"job": key, **record}) for key, record in provenance(folder).items()]
    return PageTable(caption="Jobs", head=JOB_HEAD, rows=rows, numeric_from=len(JOB_HEAD))


def _job_row(record: dict[str, Any]) -> list[Entry]:
    request, state = record["request"], record.get("torch_state") or {}
    model = request.get("model") or {}
    packages = record.get("packages") or {}
    card = record.get("model_card") or {}
    versions = {"ncbench": record.get("ncbench", ""), **packages, **(card.get("packages") or {})}
    command = record.get("command_line") or []
    settings = json.dumps(record.get("settings") or {}, ensure_ascii=False)
    seconds = f"{record['wall_s']:.1f}" if isinstance(record.get("wall_s"), int | float) else ""
    return [
        Entry(str(record.get("job") or record.get("key") or "")[:12], code=True),
        Entry(str(request.get("diagnostic", ""))),
        Entry(f"{model.get('spec', '')} {model.get('dtype') or ''} {model.get('device', '')}".strip()),
        Entry(str(request.get("system", ""))),
        Entry(shlex.join(map(str, command)), code=True),
        Entry(seconds),
        Entry(str(state.get("threads", ""))),
        Entry(str(record.get("gpu") or record.get("cpu", ""))),
        Entry(", ".join(f"{name} {version}" for name, version in versions.items())),
        Entry(settings, folded=True),
    ]
