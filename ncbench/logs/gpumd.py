"""GPUMD's ``thermo.out``: numbers, in some versions below comments that name the columns, whose times are in the ``run.in`` of the same folder.

Columns (GPUMD manual, ``thermo.out``): temperature K, kinetic and potential energy eV, six pressures GPa, then three (or nine) box lengths Å.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import UsageError
from ncbench.logs.log import Ensemble, LogOptions, Run
from ncbench.logs.table import Context, Printed, build_runs

WIDTHS = (9, 12, 18)
"""Columns of old files, and of orthogonal and triclinic boxes."""


@dataclass(frozen=True)
class _Part:
    """Lines that one ``run`` wrote."""

    lines: int
    timestep_fs: float
    every: int
    ensemble: str


def is_thermo(text: str, name: str) -> bool:
    """Whether a file of this name looks like ``thermo.out``."""
    first = next(_samples(text.split("\n")), "").split()
    return (
        name.startswith("thermo")
        and len(first) in WIDTHS
        and all(re.fullmatch(r"[-+\d.eEnaifNAIF]+", x) for x in first)
    )


def _samples(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are neither empty nor comments (``# col 1: T K``)."""
    return (line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def read_gpumd(text: str, path: Path, options: LogOptions) -> list[Run]:
    """The runs of ``thermo.out``, divided as ``run.in`` in the same folder says; without it by ``--timestep`` and ``--every`` as one run.

    Raises:
        UsageError: neither ``run.in`` nor the options give times; no number of atoms; ``run.in`` does not fit the file.
    """
    file, notes = path.name, []
    complete = text.endswith("\n")
    lines = text.rstrip("\n").split("\n")
    if not complete:
        lines.pop()
        notes.append("the last line is incomplete and is left out")
    lines = list(_samples(lines))
    width = len(lines[0].split()) if lines else 0
    rows = [row for row in (line.split() for line in lines) if len(row) == width]
    if not rows:
        raise UsageError(f"'{file}' has no samples.")
    n_atoms = options.n_atoms or _atoms_of(path.with_name("model.xyz"))
    parts = list(_parts(path.with_name("run.in")))
    if options.timestep_fs is not None and options.every is not None:
        parts = [_Part(len(rows), options.timestep_fs, options.every, "")]
    if not parts:
        raise UsageError(
            f"'{file}' has no times, and there is no run.in with dump_thermo beside it.",
            hint="Put run.in there, or give --timestep FS and --every STEPS.",
        )
    expected = sum(part.lines for part in parts)
    if len(rows) > expected:
        raise UsageError(
            f"'{file}' has {len(rows)} lines where run.in gives {expected}: GPUMD appends to files of earlier runs.",
            hint="Keep the lines of one run, or give --timestep FS and --every STEPS.",
        )
    runs: list[Run] = []
    start = 0
    for part in parts:
        chosen = rows[start : start + part.lines]
        start += part.lines
        if not chosen:
            break
        names = ("temperature", "kinetic", "potential")
        columns = {role: Printed(role, [row[at] for row in chosen], 1.0) for at, role in enumerate(names)}
        columns["step"] = Printed("line", [str(k * part.every) for k in range(1, len(chosen) + 1)], 1.0)
        ensemble = (
            Ensemble.NVE if part.ensemble == "nve" else Ensemble.THERMOSTAT if part.ensemble else Ensemble.UNKNOWN
        )
        exchange = (f"ensemble {part.ensemble}",) if ensemble is Ensemble.THERMOSTAT else ()
        context = Context(
            file, "gpumd", n_atoms, part.timestep_fs, ensemble, exchange, uncounted=bool(exchange), notes=tuple(notes)
        )
        runs += build_runs(columns, context, options)
    from dataclasses import replace

    return [replace(run, number=number) for number, run in enumerate(runs, 1)]


def _parts(path: Path) -> Iterator[_Part]:
    """The runs of ``run.in`` that print. ``dump_thermo`` and ``ensemble`` hold for the next ``run`` alone, ``time_step`` for all."""
    if not path.is_file():
        return
    timestep, every, ensemble = 1.0, 0, ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        try:
            match words[0]:
                case "time_step":
                    timestep = float(words[1])
                case "dump_thermo":
                    every = int(words[1])
                case "ensemble":
                    ensemble = words[1]
                case "run":
                    if every > 0:
                        yield _Part(int(words[1]) // every, timestep, every, ensemble)
                    every, ensemble = 0, ""
                case _:
                    pass
        except ValueError as error:
            raise UsageError(f"'{path.name}' has a line that cannot be read: {line.strip()[:80]}") from error


def _atoms_of(path: Path) -> int | None:
    """The number of atoms in the first line of an extended XYZ file; ``None`` without the file."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as stream:
        first = stream.readline().strip()
    return int(first) if first.isdecimal() else None
