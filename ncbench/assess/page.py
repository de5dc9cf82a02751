"""The assessment as files: an HTML page and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import ncbench
from ncbench.assess.result import ERRORS, OPEN, PREDICTED, VERIFIED, Assessment, legend
from ncbench.errors import StoreError

CLASSES = {"safe": "yes", "unsafe": "no", "open": "unsure", VERIFIED: "yes", PREDICTED: "unsure", OPEN: "unsure"}
"""Answers of uses and states of remedies → classes of the page's style."""
PAGE, DATA = "assess.html", "assess.json"
TEMPLATE = "assess.html.j2"


def write(assessments: Sequence[Assessment], folder: Path) -> Path:
    """Write ``assess.html`` and ``assess.json`` (``docs/assess.schema.json``) into the folder; returns the page.

    Raises:
        StoreError: a file cannot be written.
    """
    data = json.dumps([one.plain() for one in assessments], indent=1, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((DATA, data), (PAGE, page(assessments))):
            (folder / name).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"The assessment cannot be written to '{folder}': {error.strerror}.") from error
    return folder / PAGE


def page(assessments: Sequence[Assessment]) -> str:
    """One page on all models, which needs no network and no other file. Every text is escaped by the template."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    judged = {use: judgement for one in assessments for use, judgement in one.judgements.items()}
    rules = {one.use: one.rule.replace("no: ", "unsafe: ", 1).replace(" Yes: ", " Safe: ") for one in judged.values()}
    rendered: str = environment.from_string(_resource(TEMPLATE)).render(
        assessments=assessments,
        rules=rules,
        legend=legend(tuple(judged)) if judged else ERRORS,
        classes=CLASSES,
        version=ncbench.__version__,
        date=datetime.now(UTC).strftime("%d %B %Y"),
        style=_resource("style.css"),
    )
    return rendered


def _resource(name: str) -> Any:
    return (files("ncbench.report.html") / name).read_text(encoding="utf-8")
