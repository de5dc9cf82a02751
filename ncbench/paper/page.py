"""The page: scorecards, the paper's tables beside ours, figures, all result tables, how every number was made."""

from __future__ import annotations

import base64
import json
import shlex
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

import ncbench
from ncbench.errors import StoreError
from ncbench.paper import numbers
from ncbench.paper.compare import Comparison, compare, counterparts, result_tables
from ncbench.paper.grid import Entry, grid
from ncbench.report.figures import FIGURES, draw_figures
from ncbench.report.html.elements import element, section, table, text
from ncbench.report.html.scorecard import RULES, Answer, Card, scorecards
from ncbench.report.read import MAIN, OTHERS, Results, read

HIDDEN = ("job", "seed", "dtype", "device", "force_mode", "machine", "trajectory", "floor_from")
CLASSES = {Answer.YES: "yes", Answer.NO: "no", Answer.UNSURE: "unsure", Answer.UNKNOWN: "unknown"}
MOST_ROWS = 400


def report(folder: Path, out: Path | None = None, *, title: str = "") -> Path:
    """Write the page on a results folder; returns its path, ``folder/report.html`` by default.

    Raises:
        UsageError: no such folder, or no results in it.
        StoreError: a table that cannot be read, or a page that cannot be written.
    """
    results = read(folder)
    cards = scorecards(results)
    compared = [c for c in _comparisons(folder) if any(cell.ours.value is not None for cell in c.cells)]
    others = [c for c in _comparisons(folder) if c not in compared]
    main = [
        _head(results, title or f"Non-conservative forces: {folder.name}"),
        section("What each model may be used for", _cards(cards), _rules(), name="scorecards"),
        section("The paper's tables beside ours", *map(_comparison, compared), _left(others), name="paper"),
        section("Figures", *_figures(folder), name="figures"),
        section("All results", *_tables(results), name="results"),
        section("How every number was made", *_provenance(folder), name="provenance"),
    ]
    page = _page("".join(main), title or f"ncbench report: {folder.name}")
    path = out or folder / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"The report cannot be written to '{path}': {error.strerror}.") from error
    return path


def _page(body: str, title: str) -> str:
    here = files("ncbench.report.html")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("style.css", "sort.js"))
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head>\n"
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _head(results: Results, title: str) -> str:
    links = (
        ("scorecards", "Scorecards"),
        ("paper", "The paper"),
        ("figures", "Figures"),
        ("results", "Results"),
        ("provenance", "Provenance"),
    )
    made = datetime.now(UTC).strftime("%d %B %Y")
    return element(
        "header",
        element("h1", text(title)),
        element(
            "p",
            text(
                "Forces that a model predicts directly are not the gradient of an energy: work round a closed loop is not zero, and a simulation gains "
                "or loses energy out of nowhere. This page says how far each model is from a gradient and what that does to simulations, after "
                "Bigi, Langer and Ceriotti, The dark side of the forces (ICML 2025)."
            ),
        ),
        element(
            "p",
            text(
                f"{len(results.models())} models, ncbench {ncbench.__version__}, {made}. Errors in brackets are one standard error in the last digits."
            ),
            class_="soft",
        ),
        element("nav", *(element("a", text(label), href=f"#{name}") for name, label in links)),
    )


def _cards(cards: Sequence[Card]) -> str:
    return element("div", *(_card(card) for card in cards), class_="cards")


def _card(card: Card) -> str:
    items = "".join(
        element("dt", element("span", text(use.answer), class_=f"answer {CLASSES[use.answer]}"), " ", text(use.name))
        + element("dd", text(use.evidence))
        for use in card.uses
    )
    items += element("dt", "cost") + element("dd", text(card.cost))
    return element("article", element("h3", text(card.label)), element("dl", items), class_="card")


def _rules() -> str:
    rules = "".join(element("li", element("b", text(name)), ": ", text(rule)) for name, rule in RULES.items())
    return element("details", element("summary", "The rules of these verdicts"), element("ul", rules))


def _comparisons(folder: Path) -> list[Comparison]:
    wanted = [numbers.table(name) for name in numbers.names()]
    found = result_tables(folder, wanted)
    return [compare(one, found, counterparts()) for one in wanted]


def _comparison(comparison: Comparison) -> str:
    found = grid(comparison)
    rows = [[_entry(entry) for entry in line] for line in found.lines]
    remarks = "".join(element("li", element("sup", text(letter)), " ", text(said)) for letter, said in found.remarks)
    return (
        table(found.head, rows, caption=found.caption, numeric_from=found.numeric_from, sortable=False)
        + element("p", text(comparison.sentence()), class_="soft")
        + element("details", element("summary", "Remarks"), element("ol", remarks, class_="remarks"))
    )


def _entry(entry: Entry) -> str:
    return text(entry.text) + (element("sup", text(entry.marks)) if entry.marks else "")


def _left(others: Sequence[Comparison]) -> str:
    if not others:
        return ""
    items = "".join(
        element("li", element("b", text(one.table.name)), ": ", text(f"{one.table.title}. {_why(one)}"))
        for one in others
    )
    return element("details", element("summary", "Tables without a number of ours, and why"), element("ul", items))


def _why(comparison: Comparison) -> str:
    return "; ".join(dict.fromkeys(cell.remark for cell in comparison.cells if cell.remark))


def _figures(folder: Path) -> Iterable[str]:
    titles = {figure.name: figure.title for figure in FIGURES}
    with tempfile.TemporaryDirectory() as scratch:
        drawn = [path for path in draw_figures(folder, Path(scratch)) if path.suffix == ".png"]
        for path in drawn:
            title = titles[path.stem]
            data = base64.b64encode(path.read_bytes()).decode()
            yield element(
                "figure",
                element("img", src=f"data:image/png;base64,{data}", alt=title, loading="lazy").replace("</img>", ""),
                element("figcaption", text(title)),
            )
    if not drawn:
        yield element("p", "No table here has a figure.")


def _tables(results: Results) -> Iterable[str]:
    found = {name: results.tables[name] for name in (*MAIN, *OTHERS) if name in results.tables}
    for name, frame in found.items():
        yield element("details", element("summary", text(f"{name}: {len(frame)} rows")), _result_table(name, frame))


def _result_table(name: str, frame: pd.DataFrame) -> str:
    shown = frame.head(MOST_ROWS)
    labels = [f"{m}:{f}" if f else str(m) for m, f in zip(shown["model"], shown["force_mode"], strict=True)]
    names = [column for column in frame.columns if column not in (*HIDDEN, "model") and frame[column].notna().any()]
    names = [column for column in names if not (column == "reason" and (frame[column] == "").all())]
    rows = [
        [text(label), *(text(_value(row[column])) for column in names)]
        for label, (_, row) in zip(labels, shown.iterrows(), strict=True)
    ]
    rest = f", the first {MOST_ROWS} of {len(frame)} rows" if len(frame) > MOST_ROWS else ""
    return table(["model", *names], rows, caption=f"{name}.csv{rest}", numeric_from=1)


def _value(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NA:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _provenance(folder: Path) -> Iterable[str]:
    """A row a job: how it was typed, where and on what it ran, with which settings."""
    records = [
        _read_json(path) for path in sorted([*folder.glob("*.provenance.json"), *folder.glob("jobs/*/provenance.json")])
    ]
    records = [record for record in records if isinstance(record.get("request"), dict)]
    if not records:
        yield element("p", "The folder holds no provenance files.")
        return
    rows = [_job_row(record) for record in records]
    head = ("job", "diagnostic", "model", "system", "command", "seconds", "threads", "machine", "versions", "settings")
    yield element(
        "p",
        text(
            "The same command with the same --out repeats nothing that is finished; with another --out it measures again. Keys of jobs are the column "
        ),
        element("code", "job"),
        " of the CSV tables.",
    )
    yield element(
        "details", element("summary", text(f"{len(rows)} jobs")), table(head, rows, caption="Jobs", numeric_from=99)
    )


def _job_row(record: dict[str, Any]) -> list[str]:
    request, state = record["request"], record.get("torch_state") or {}
    model = request.get("model") or {}
    packages = record.get("packages") or {}
    card = record.get("model_card") or {}
    versions = {"ncbench": record.get("ncbench", ""), **packages, **(card.get("packages") or {})}
    command = record.get("command_line") or []
    settings = json.dumps(record.get("settings") or {}, ensure_ascii=False)
    return [
        element("code", text(str(record.get("job") or record.get("key") or "")[:12])),
        text(request.get("diagnostic", "")),
        text(f"{model.get('spec', '')} {model.get('dtype') or ''} {model.get('device', '')}".strip()),
        text(request.get("system", "")),
        element("code", text(shlex.join(map(str, command)))),
        text(f"{record['wall_s']:.1f}" if isinstance(record.get("wall_s"), int | float) else ""),
        text(state.get("threads", "")),
        text(record.get("gpu") or record.get("cpu", "")),
        text(", ".join(f"{name} {version}" for name, version in versions.items())),
        element("details", element("summary", "show"), element("code", text(settings))),
    ]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {"job": path.parent.name if path.name == "provenance.json" else path.name.partition(".")[0], **found}
