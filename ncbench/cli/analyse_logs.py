"""``analyse`` for thermodynamic logs: drift of the conserved quantity and its cause."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncbench.cli.characters import print_json
from ncbench.errors import UsageError

if TYPE_CHECKING:
    from ncbench.logs.verdict import Verdict

LOG_ENSEMBLES = ("nve", "thermostat")
"""What ``--ensemble`` takes."""


@dataclass(frozen=True)
class LogRequest:
    """The options as typed."""

    units: str | None
    atoms: int | None
    columns: str | None
    ensemble: str | None
    every: int | None
    timesteps: tuple[float, ...]
    skip_fs: float

    def given(self) -> tuple[str, ...]:
        """Options that only logs have, and that were typed."""
        typed = {
            "--units": self.units,
            "--atoms": self.atoms,
            "--columns": self.columns,
            "--ensemble": self.ensemble,
            "--every": self.every,
        }
        return tuple(name for name, value in typed.items() if value is not None)


def logs_among(paths: Sequence[str], request: LogRequest) -> bool:
    """Whether the files are logs.

    Raises:
        UsageError: some are and some are not.
    """
    from ncbench.logs.read import is_log

    kinds = [Path(path).is_file() and is_log(Path(path), columns=request.columns is not None) for path in paths]
    if any(kinds) and not all(kinds):
        log, other = paths[kinds.index(True)], paths[kinds.index(False)]
        if not Path(other).exists():
            raise UsageError(f"There is no file '{other}'.")
        raise UsageError(
            f"'{log}' is a log and '{other}' is not.",
            hint="Analyse logs and trajectories apart; name the columns of a table with --columns time=…,energy=….",
        )
    return any(kinds)


def analyse_logs(paths: Sequence[str], request: LogRequest, *, label: str, out: Path, as_json: bool) -> int:
    """Measure, judge, write and print; the exit code: 1 where no run could be measured.

    Raises:
        UsageError: a log does not say what an option could.
    """
    from ncbench.logs.drift import measured
    from ncbench.logs.read import read_log
    from ncbench.logs.verdict import verdict
    from ncbench.types import Status

    options = _options(paths, request)
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


def _options(paths: Sequence[str], request: LogRequest) -> list[Any]:
    from ncbench.logs.log import Ensemble, LogOptions
    from ncbench.logs.tabular import parse_columns
    from ncbench.logs.units import parse_units

    steps = request.timesteps
    if len(steps) not in (0, 1, len(paths)):
        raise UsageError(f"--timestep has {len(steps)} values for {len(paths)} logs; give one, or one for each.")
    if request.atoms is not None and request.atoms < 1:
        raise UsageError(f"--atoms {request.atoms} is not a positive number.")
    if request.ensemble is not None and request.ensemble not in LOG_ENSEMBLES:
        raise UsageError(f"--ensemble is {' or '.join(LOG_ENSEMBLES)}, not '{request.ensemble}'.")
    each: list[float | None] = [*steps] * len(paths) if len(steps) == 1 else [*steps] or [None] * len(paths)
    return [
        LogOptions(
            units=parse_units(request.units) if request.units else {},
            n_atoms=request.atoms,
            timestep_fs=step,
            every=request.every,
            columns=parse_columns(request.columns) if request.columns else {},
            ensemble=Ensemble(request.ensemble) if request.ensemble else Ensemble.UNKNOWN,
        )
        for step in each
    ]


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
    import ncbench
    from ncbench.logs.tables import SCHEMA
    from ncbench.store.files import file_digest, make_folder, write_atomic
    from ncbench.store.tables import csv_bytes, parquet_bytes, table_of

    make_folder(out)
    common = {"model": label, "force_mode": "", "system": label, "seed": 0, "dtype": "", "device": ""}
    table = table_of(SCHEMA, rows, common, "")
    stem = SCHEMA.name
    write_atomic(out / f"{stem}.parquet", parquet_bytes(table))
    write_atomic(out / f"{stem}.csv", csv_bytes(table))
    record = {
        "ncbench": ncbench.__version__,
        "options": asdict(request),
        "files": {Path(path).name: file_digest(Path(path)) for path in paths},
        "verdict": asdict(answer),
    }
    write_atomic(out / f"{stem}.provenance.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    return [f"{stem}.csv", f"{stem}.parquet"]
