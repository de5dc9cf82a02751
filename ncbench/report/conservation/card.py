"""The conservation card of a model: every number with error and unit, how it was measured, and the judge's answers, as one JSON file.

Two numbers can be compared if their ``protocol`` is equal: a digest of the diagnostic and its version, the settings, and the structures to the last bit.
``docs/card.schema.json`` describes the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import ncbench
from ncbench.diagnostics import registry
from ncbench.errors import StoreError, UsageError
from ncbench.report import aggregate
from ncbench.report.judge import judge
from ncbench.report.read import Results, provenance
from ncbench.statistics.cells import Cell
from ncbench.store.files import store_errors, write_atomic

FORMAT = 1
"""Of the file: raised when the meaning of a key changes."""
SUFFIX = ".card.json"
_DIGITS = 12
"""Hexadecimal digits of a protocol's digest: 48 bits, so that a chance agreement among millions of cards is below one in 10."""


def cards(results: Results) -> list[dict[str, Any]]:
    """A card for each model and force mode of a results folder, in the folder's order."""
    system = results.main_system()
    records = provenance(results.folder)
    return [_card(results, records, model, mode, system) for model, mode in results.models()]


def file_name(card: Mapping[str, Any]) -> str:
    """``MODEL-MODE.card.json``, with characters that file names may not have replaced."""
    label = "-".join(filter(None, (str(card["model"]), str(card["force_mode"]))))
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in label) + SUFFIX


def write(card: Mapping[str, Any], folder: Path) -> Path:
    """Write the card into the folder; returns the file.

    Raises:
        StoreError: it cannot be written.
    """
    path = folder / file_name(card)
    with store_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read(path: Path) -> dict[str, Any]:
    """A card from its file.

    Raises:
        UsageError: no such file.
        StoreError: it is not a card, or one of a newer ncbench.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"There is no card '{path}'.", hint="ncbench card DIR writes those of a results folder."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"'{path}' is not a card of ncbench: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), list) or "format" not in content:
        raise StoreError(f"'{path}' is not a card of ncbench: it has no metrics.")
    if content["format"] != FORMAT:
        raise StoreError(f"'{path}' has the format {content['format']}; this ncbench reads {FORMAT}.")
    return content


def _card(
    results: Results, records: Mapping[str, Mapping[str, Any]], model: str, mode: str, system: str | None
) -> dict[str, Any]:
    metrics = [
        _metric(column, *aggregate.cell_and_rows(results, column, model, mode, system), records)
        for column in aggregate.columns(results)
    ]
    jobs = sorted({job for metric in metrics for job in metric["jobs"]})
    known = [records[job] for job in jobs if job in records]
    loaded: Mapping[str, Any] = next((record["model_card"] for record in known if record.get("model_card")), {})
    return {
        "format": FORMAT,
        "ncbench": ncbench.__version__,
        "model": model,
        "force_mode": mode,
        "family": loaded.get("family"),
        "weights_sha256": loaded.get("checkpoint_sha256") or None,
        "dtype": loaded.get("dtype"),
        "device": loaded.get("device"),
        "packages": loaded.get("packages") or {},
        "options": loaded.get("options") or {},
        "licence": loaded.get("licence") or None,
        "citation": loaded.get("citation") or None,
        "system": system,
        "answers": [
            {"use": one.use, "answer": str(one.answer), "evidence": one.evidence, "rule": one.rule}
            for one in judge(results, model, mode, system)
        ],
        "metrics": metrics,
        "provenance_sha256": _digest([records.get(job, {}) for job in jobs]),
    }


def _metric(
    column: aggregate.Column, cell: Cell, rows: pd.DataFrame, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    diagnostic = registry.get(column.diagnostic)
    jobs = sorted({str(job) for job in rows["job"]}) if "job" in rows else []
    known = [records[job] for job in jobs if job in records]
    settings = known[0].get("settings") or {} if known else {}
    structures = {name: digest for one in known for name, digest in (one["request"].get("structures") or {}).items()}
    value = None if cell.value is None or not math.isfinite(cell.value) else float(cell.value)
    error = None if cell.error is None or not math.isfinite(cell.error) else float(cell.error)
    return {
        "name": column.quantity.name,
        "title": column.quantity.heading,
        "unit": column.quantity.unit,
        "better": column.quantity.better,
        "value": value,
        "standard_error": error,
        "error_known": value is not None and error is not None and not cell.loose,
        "significant": cell.significant,
        "text": str(cell),
        "missing": cell.missing,
        "diagnostic": diagnostic.name,
        "version": known[0]["request"].get("version", diagnostic.version) if known else diagnostic.version,
        "structures": structures,
        "settings": settings,
        "protocol": _protocol(known) if known else None,
        "jobs": jobs,
    }


def _protocol(records: Sequence[Mapping[str, Any]]) -> str:
    """Digest of what was measured and how, without the model, the machine and the seed."""
    parts = [
        {
            "diagnostic": one["request"].get("diagnostic"),
            "version": one["request"].get("version"),
            "structures": sorted((one["request"].get("structures") or {}).values()),
            "settings": one.get("settings"),
        }
        for one in records
    ]
    texts = sorted({json.dumps(part, sort_keys=True) for part in parts})
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_DIGITS]


def _digest(records: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()
