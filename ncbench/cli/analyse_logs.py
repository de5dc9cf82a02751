"""``analyse`` for thermodynamic logs: drift of the conserved quantity and its cause."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncbench.cli.characters import print_json

if TYPE_CHECKING:
    from ncbench.logs.request import LogRequest
    from ncbench.logs.verdict import Verdict


def analyse_logs(paths: Sequence[str], request: LogRequest, *, label: str, out: Path, as_json: bool) -> int:
    """Measure, judge, write and print; the exit code: 1 where no run could be measured.

    Raises:
        UsageError: a log does not say what an option could.
    """
    from ncbench.logs.drift import measured
    from ncbench.logs.read import read_log
    from ncbench.logs.verdict import verdict
    from ncbench.types import Status

    options = request.options(len(paths))
    runs = [run for path, option in zip(paths, options, strict=True) for run in read_log(Path(path), option)]
    rows = [measured(run, skip_fs=request.skip_fs) for run in runs]
    answer = verdict(rows)
    written = _write(rows, answer, out, label, paths, request)
    if as_json:
        print_json({"runs": rows, "verdict": asdict(answer)})
    else:
        _print(rows, answer, label)
        sys.stdout.write(f"Tables: {', '.join(written)} in {out}\n")
    return 0 if any(row["status"] == Status.OK for row in rows) else 1


def _print(rows: Sequence[Mapping[str, Any]], answer: Verdict, label: str) -> None:
    from ncbench.cli.tables import print_rows

    shown = [
        {
            **row,
            "model": label or row["engine"],
            "structure": f"{row['structure']}#{row['run']}",
            # A dash alone would look like a number that was not requested.
            "power_meV_per_atom_per_ps": f"below print, < {row['power_limit_meV_per_atom_per_ps']:.1g}"
            if row["below_resolution"]
            else row["power_meV_per_atom_per_ps"],
        }
        for row in rows
    ]
    print_rows("analyse-logs", shown)
    for sentence in answer.evidence:
        sys.stdout.write(f"- {sentence}\n")
    sys.stdout.write(f"Verdict: {answer.cause}: {answer.because}\n")
    if answer.next_run:
        sys.stdout.write(f"Next: {answer.next_run}\n")


def _write(
    rows: list[dict[str, Any]], answer: Verdict, out: Path, label: str, paths: Sequence[str], request: LogRequest
) -> list[str]:
    from ncbench.logs.tables import SCHEMA
    from ncbench.store.analysis_tables import write_tables

    written = write_tables(
        out,
        [(SCHEMA, rows)],
        label=label,
        files=map(Path, paths),
        record={"options": asdict(request), "verdict": asdict(answer)},
    )
    return [*written, f"{SCHEMA.name}.parquet"]
