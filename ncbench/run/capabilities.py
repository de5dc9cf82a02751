"""Capabilities of models, tested in this process or in their isolated environments."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ncbench.models.capabilities import Capabilities, capabilities_of
from ncbench.models.division.boot import command
from ncbench.models.registry import parse_request, parse_spec
from ncbench.run.environments import places, table
from ncbench.types import ModelRequest


def capabilities(requests: Sequence[ModelRequest]) -> list[Capabilities]:
    """One row per request, in order."""
    rows: dict[int, Capabilities] = {}
    elsewhere: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        row = parse_request(request).row
        if row is not None and not row.installed() and row.environment:
            elsewhere.setdefault(row.environment, []).append(index)
        else:
            rows[index] = capabilities_of([request])[0]
    for environment, members in elsewhere.items():
        rows |= zip(members, _in_environment(environment, [requests[i] for i in members]), strict=True)
    return [rows[index] for index in range(len(requests))]


def can_be_tried(name: str) -> bool:
    """Whether the model's package is importable here, or its environment exists."""
    row = parse_spec(name).row
    return row is None or row.installed() or bool(row.environment and places.find(table.get(row.environment)))


def _in_environment(name: str, requests: Sequence[ModelRequest]) -> list[Capabilities]:
    made = places.find(table.get(name))
    if made is None:
        return [_refused(request, f"Run: ncbench env create {name}") for request in requests]
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "asked.json", Path(folder) / "answer.json"
        asked.write_text(json.dumps([asdict(request) for request in requests]), encoding="utf-8")
        started = command(str(made.python), "ncbench.run.capabilities", str(asked), str(answer))
        done = subprocess.run(started, check=False, capture_output=True, text=True)  # noqa: S603 - ncbench's own interpreter
        if done.returncode or not answer.is_file():
            last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            return [_refused(request, f"The environment '{name}' failed: {last}") for request in requests]
        return [Capabilities(**row) for row in json.loads(answer.read_text(encoding="utf-8"))]


def main(asked: str, answer: str) -> None:
    """Entry point in the other interpreter: reads requests from one file and writes rows to another."""
    requests = [
        ModelRequest(**{**entry, "options": tuple(tuple(option) for option in entry["options"])})
        for entry in json.loads(Path(asked).read_text(encoding="utf-8"))
    ]
    rows = [asdict(row) for row in capabilities_of(requests)]
    Path(answer).write_text(json.dumps(rows), encoding="utf-8")


def _refused(request: ModelRequest, reason: str) -> Capabilities:
    return Capabilities(request.spec, "", "", "", "", "", "", None, "", 0.0, reason)
