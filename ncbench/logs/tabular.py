"""Logs that are one table: ASE's MDLogger, i-PI's properties, OpenMM's StateDataReporter, and CSV files with columns named by the user."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ncbench.errors import UsageError, did_you_mean
from ncbench.logs.log import ENERGIES, ROLES, Ensemble, LogOptions, Run
from ncbench.logs.table import Context, Printed, build_runs
from ncbench.logs.units import PER_ATOM, factor, lammps_style

ASE_SIGNS = re.compile(r"^(?:Time\[ps\]\s+)?Etot(?:/N)?\[eV\]\s+Epot", re.MULTILINE)
IPI_SIGNS = re.compile(r"^#\s*(?:column|cols\.)\s+\d+(?:-\d+)?\s+--> ", re.MULTILINE)
OPENMM_SIGNS = re.compile(
    r'^(?:#"[^"\n]+"|"(?:Progress \(%\)|Step|Time \(ps\)|(?:Potential|Kinetic|Total) Energy \(kJ/mole\))")(?:[,\t; ]|$)'
)
"""The heading, also of a file whose ``#`` was removed for a program that reads CSV."""

_ASE = {"Time": "time", "Etot": "total", "Epot": "potential", "Ekin": "kinetic", "T": "temperature"}
_ASE_COLUMN = re.compile(r"([A-Za-z]+)(/N)?\s?\[([^\]]+)\]")
_IPI = {
    "step": "step", "time": "time", "conserved": "conserved", "potential": "potential", "kinetic_md": "kinetic", "temperature": "temperature"
}  # fmt: skip
_IPI_COLUMN = re.compile(r"^#\s*(?:column|cols\.)\s+(\d+)(?:-(\d+))?\s+--> ([a-z_]+)(\([^)]*\))?(?:\{([^}]*)\})?")
_OPENMM = {
    "Step": "step", "Time": "time", "Potential Energy": "potential", "Kinetic Energy": "kinetic", "Total Energy": "total",
    "Temperature": "temperature",
}  # fmt: skip
_OPENMM_COLUMN = re.compile(r"^#?(.*?)\s*(?:\(([^)]*)\))?$")
_DEFAULT_UNITS = {"time": "fs", "temperature": "K"}


@dataclass(frozen=True)
class _Table:
    rows: list[list[str]]
    notes: tuple[str, ...]

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]


def _table(
    lines: Sequence[str], width: int, *, cut: bool, separator: str | None = None, numeric: Sequence[int] = (0,)
) -> _Table:
    """Rows of ``width`` fields with numbers where numbers are needed; others are left out with a note.

    Args:
        lines: without headers and comments.
        width: fields of a row.
        cut: the last line has no line break at its end, so that its last number may be incomplete.
        separator: of the fields; white space by default.
        numeric: indices of the columns that must hold numbers; others may hold words, such as a progress in per cent.
    """
    notes = []
    if cut and lines:
        lines = lines[:-1]
        notes.append("the last line is incomplete and is left out")
    rows, others = [], []
    for line in lines:
        if not line.strip():
            continue
        row = (
            line.split()
            if separator is None
            else [field.strip() for field in next(csv.reader([line], delimiter=separator))]
        )
        if len(row) == width and all(_is_number(row[at]) for at in numeric):
            rows.append(row)
        else:
            others.append(line.strip())
    if others:
        notes.append(f"{len(others)} lines are not samples and are left out, the first: {others[0][:60]}")
    return _Table(rows, tuple(notes))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_ase(text: str, file: str, options: LogOptions) -> list[Run]:
    """The runs of an MDLogger file. ASE writes another header where it appends to a file: a new run begins there.

    Raises:
        UsageError: no samples, number of atoms unknown, or no times.
    """
    lines = text.split("\n")
    headers = [number for number, line in enumerate(lines) if ASE_SIGNS.match(line)]
    runs: list[Run] = []
    for start, end in zip(headers, [*headers[1:], len(lines)], strict=True):
        names = _ASE_COLUMN.findall(lines[start])
        # The stress takes six columns and stands at the end.
        width = len(names) + 5 * any(name == "stress" for name, _, _ in names)
        table = _table(lines[start + 1 : end], width, cut=end == len(lines) and bool(lines[-1].strip()))
        columns = {
            _ASE[name]: Printed(f"{name}{per}", table.column(at), factor(_ASE[name], unit), per_atom=bool(per))
            for at, (name, per, unit) in enumerate(names)
            if name in _ASE
        }
        if table.rows:
            context = Context(file, "ase", None, None, Ensemble.UNKNOWN, notes=table.notes)
            runs += build_runs(columns, context, options)
    return _numbered(runs, file)


def read_ipi(text: str, file: str, options: LogOptions) -> list[Run]:
    """The runs of a properties file. ``conserved`` is so in every ensemble of i-PI. Without a unit in braces a column is in atomic units.

    Raises:
        UsageError: no samples, number of atoms unknown, no times, or several beads.
    """
    lines = text.split("\n")
    described: dict[str, tuple[str, int, str]] = {}
    width = 0
    for line in lines:
        if match := _IPI_COLUMN.match(line):
            first, last, name, part, unit = match.groups()
            width = max(width, int(last or first))
            # With arguments it is the quantity of an element, an atom or a mode.
            if name in _IPI and not part:
                described[_IPI[name]] = (name, int(first) - 1, unit or "atomic_unit")
    body = [line for line in lines if not line.startswith("#")]
    table = _table(body, width, cut=bool(lines[-1].strip()))
    columns = {
        role: Printed(name, table.column(at), 1.0 if role == "step" else factor(role, unit))
        for role, (name, at, unit) in described.items()
    }
    context = Context(file, "i-pi", None, None, Ensemble.UNKNOWN, notes=table.notes)
    return _numbered(build_runs(columns, context, options) if table.rows else [], file)


def read_openmm(text: str, file: str, options: LogOptions) -> list[Run]:
    """The runs of a StateDataReporter file with any separator; units stand in the headings.

    Raises:
        UsageError: no samples, number of atoms unknown, or no times.
    """
    lines = text.split("\n")
    heading = lines[0]
    separator = next((s for s in (",", "\t", ";") if f'"{s}"' in heading), ",")
    names = next(csv.reader([heading.removeprefix("#")], delimiter=separator))
    # A reporter with append=True writes no second heading; one without writes it again.
    body = [line for line in lines[1:] if not line.startswith("#")]
    headings = [_OPENMM_COLUMN.match(name) for name in names]
    known = {at: match for at, match in enumerate(headings) if match and match[1] in _OPENMM}
    # Progress ("10.0%") and the remaining time ("--", "0:05") may stand in any column.
    table = _table(body, len(names), cut=bool(lines[-1].strip()), separator=separator, numeric=tuple(known))
    columns = {}
    for at, match in known.items():
        role = _OPENMM[match[1]]
        columns[role] = Printed(match[1], table.column(at), 1.0 if role == "step" else factor(role, match[2] or ""))
    context = Context(file, "openmm", None, None, Ensemble.UNKNOWN, notes=table.notes)
    return _numbered(build_runs(columns, context, options) if table.rows else [], file)


def read_columns(text: str, file: str, options: LogOptions) -> list[Run]:
    """The runs of a table whose columns and units the user names; fields are separated by commas, semicolons, tabs or white space.

    Raises:
        UsageError: a column that does not exist, no energy, no unit of the energy, no samples, number of atoms unknown, or no times.
    """
    lines = text.split("\n")
    cut = bool(lines[-1].strip())
    first = next((line for line in lines if line.strip()), "")
    separator = next((s for s in (",", ";", "\t") if s in first), None)
    fields = first.lstrip("# ")
    names = (
        fields.split()
        if separator is None
        else [name.strip() for name in next(csv.reader([fields], delimiter=separator))]
    )
    headed = not all(_is_number(name) for name in names)
    # A comment may hold words; the samples say how many columns there are.
    body = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    body = body[1:] if headed and body and body[0] == first else body
    width = len(names)
    if separator is None and headed and body and len(body[0].split()) != width:
        width = len(body[0].split())
        # Headings of several words, as CP2K's "Cons Qty[a.u.]", stand at least two blanks apart.
        apart = re.split(r"\s{2,}|\t", fields.strip())
        names = apart if len(apart) == width else []
    indices = {role: _index(wanted, names if headed else [], width, file) for role, wanted in options.columns.items()}
    table = _table(body, width, cut=cut, separator=separator, numeric=tuple(indices.values()))
    columns = {}
    for role, wanted in options.columns.items():
        at = indices[role]
        unit = options.units.get(role) or (
            options.units.get("energy") if role in ENERGIES else _DEFAULT_UNITS.get(role)
        )
        style = options.units.get("style")
        if role == "step":
            scale = 1.0
        elif style:
            known = lammps_style(style)
            scale = {"time": known.time, "temperature": known.temperature}.get(role, known.energy)
        elif unit:
            scale = factor(role, unit)
        else:
            raise UsageError(
                f"The unit of '{wanted}' in '{file}' is not known.", hint="Give --units time=fs,energy=eV."
            )
        columns[role] = Printed(wanted, table.column(at), scale, per_atom=bool(unit and unit.endswith(PER_ATOM)))
    if not table.rows:
        raise UsageError(f"'{file}' has no samples.")
    return _numbered(
        build_runs(columns, Context(file, "table", None, None, Ensemble.UNKNOWN, notes=table.notes), options), file
    )


def _index(wanted: str, names: Sequence[str], width: int, file: str) -> int:
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    known = ", ".join(names) or f"1 to {width}"
    raise UsageError(f"'{file}' has no column '{wanted}'.", hint=did_you_mean(wanted, names) or f"Columns: {known}.")


def parse_columns(typed: str) -> dict[str, str]:
    """``time=t,energy=E`` as role → column; ``energy`` means ``total``.

    Raises:
        UsageError: an unknown role.
    """
    from ncbench.logs.units import pairs

    columns = {("total" if role == "energy" else role): name for role, name in pairs(typed, "--columns").items()}
    for role in columns:
        if role not in ROLES:
            raise UsageError(
                f"--columns has no quantity '{role}'.",
                hint=did_you_mean(role, ROLES) or f"Known: energy, {', '.join(ROLES)}.",
            )
    return columns


def _numbered(runs: Sequence[Run], file: str) -> list[Run]:
    if not runs:
        raise UsageError(f"'{file}' has no samples.")
    return [replace(run, number=number) for number, run in enumerate(runs, 1)]
