"""LAMMPS logs: thermo output of the styles one, multi, yaml and custom, of several runs, with what the echoed commands say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ncbench.errors import UsageError
from ncbench.logs.fixes import exchange_of
from ncbench.logs.log import Ensemble, LogOptions, Run
from ncbench.logs.table import Context, Printed, build_runs
from ncbench.logs.units import UnitStyle, lammps_style, reduced_style

ROLE_OF = {
    "Step": "step", "Time": "time", "Temp": "temperature", "PotEng": "potential", "KinEng": "kinetic", "TotEng": "total",
    "Econserve": "conserved",
}  # fmt: skip
"""Column heading → role."""
TIMESTEPS = {
    "lj": 0.005, "real": 1.0, "metal": 0.001, "si": 1e-8, "cgs": 1e-8, "electron": 0.001, "micro": 2.0, "nano": 0.00045
}  # fmt: skip
"""Time step of each ``units`` style where no ``timestep`` command changes it, in the style's unit (LAMMPS manual, ``units``)."""
SIGNS = re.compile(
    r"^LAMMPS \(|^Loop time of |^Per MPI rank memory allocation|^\s*Step\s+[A-Z]\S*\s|^keywords: \[|^-+ Step ",
    re.MULTILINE,
)
"""Content of a LAMMPS log."""
_STOPPED = "LAMMPS stopped"
_EXPLODED = re.compile(r"lost atoms|non-numeric|out of range atoms|atoms missing", re.IGNORECASE)
"""Messages of LAMMPS about lost atoms."""
_SETUP = ("Per MPI rank memory", "Memory usage per processor")
_LOOP = re.compile(r"^Loop time of \S+ on .* for (\d+) steps with (\d+) atoms")
_ATOMS = re.compile(r"^\s*(?:Created\s+)?(\d+) atoms\s*$")
_SETTING = re.compile(r"^\s+(Unit style|Time step)\s+: (\S+)")
_MULTI = re.compile(r"^-+ Step\s+(\d+) -")
_PAIR = re.compile(r"(\S+)\s*=\s*(\S+)")
_NUMBER = re.compile(r"[-+]?(?:\d|\.\d|nan|inf)", re.IGNORECASE)
CHANGES = frozenset(
    {
        "fix", "unfix", "fix_modify", "velocity", "timestep", "minimize", "run_style", "reset_timestep", "set", "displace_atoms", "change_box",
        "delete_atoms", "create_atoms", "pair_style", "pair_coeff", "kspace_style", "bond_coeff", "angle_coeff", "read_restart", "read_data",
        "clear", "units", "thermo", "thermo_style", "thermo_modify", "rerun",
    }
)  # fmt: skip
"""Commands between two runs after which the second does not go on as the first."""


@dataclass(frozen=True)
class _State:
    """State set by the commands so far."""

    units: str = ""
    timestep: float | None = None
    norm: bool | None = None
    fixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    n_atoms: int | None = None
    dynamics: bool = True
    variable_timestep: bool = False
    respa: bool = False


@dataclass
class _Block:
    """The lines of one run."""

    names: list[str]
    rows: list[list[str]]
    state: _State
    continues: bool
    """Nothing was changed since the block before."""
    notes: list[str]
    multi: bool = False
    """A sample takes several lines of ``name = value``."""

    def finished(self) -> _Block:
        """Without a last sample that was not written to its end."""
        self.rows = [row for row in self.rows if len(row) == len(self.names)]
        return self


def read_lammps(text: str, file: str, options: LogOptions) -> list[Run]:
    """The runs of a log, consecutive ones between which nothing was changed joined.

    Raises:
        UsageError: no thermo output, units or number of atoms unknown, or no times.
    """
    blocks = _joined([block for block in _blocks(text) if block.rows])
    if not blocks:
        raise UsageError(f"'{file}' is a LAMMPS log without thermo output.")
    runs = [run for block in blocks for run in _runs(block, file, options)]
    return [replace(run, number=number) for number, run in enumerate(runs, 1)]


def _runs(block: _Block, file: str, options: LogOptions) -> list[Run]:
    state = block.state
    if not state.dynamics:
        # Neither times nor energies of a minimisation are used.
        return [_without_dynamics(block, file, options)]
    style, notes = _style(state, file, options), list(block.notes)
    reduced = (options.units.get("style") or state.units) == "lj"
    norm = reduced if state.norm is None else state.norm
    roles = {name: role for name, role in ROLE_OF.items() if name in block.names}
    roles |= {name: role for role, name in options.columns.items() if name in block.names}
    factors = {"step": 1.0, "time": style.time, "temperature": style.temperature}
    columns = {
        role: Printed(
            name,
            [row[block.names.index(name)] for row in block.rows],
            factors.get(role, style.energy),
            per_atom=norm and role not in factors,
        )
        for name, role in roles.items()
    }
    timestep = state.timestep if state.timestep is not None else TIMESTEPS.get(state.units)
    if state.respa:
        notes.append("run_style respa: the time step is the outermost")
    if state.variable_timestep:
        notes.append("fix dt/reset: the time step varies")
    exchange = exchange_of(state.fixes)
    # A log that does not repeat its commands says nothing of thermostats.
    ensemble = Ensemble.THERMOSTAT if exchange.names else Ensemble.NVE if exchange.integrated else Ensemble.UNKNOWN
    context = Context(
        file=file,
        engine="lammps",
        n_atoms=state.n_atoms,
        timestep_fs=None if timestep is None or state.variable_timestep else timestep * style.time,
        ensemble=ensemble,
        exchange=exchange.names,
        uncounted=exchange.uncounted,
        notes=tuple(notes),
        exploded=next((note for note in notes if note.startswith(_STOPPED) and _EXPLODED.search(note)), ""),
    )
    return build_runs(columns, context, options)


def _without_dynamics(block: _Block, file: str, options: LogOptions) -> Run:
    import numpy as np

    n_atoms = options.n_atoms or block.state.n_atoms or 0
    times = np.arange(len(block.rows), dtype=np.float64)
    return Run(file, 0, "lammps", times, 0.0, {}, n_atoms, None, Ensemble.MINIMISATION)


def _style(state: _State, file: str, options: LogOptions) -> UnitStyle:
    name = options.units.get("style") or state.units
    if not name:
        raise UsageError(
            f"'{file}' does not say its units.", hint="Give --units metal, real, … as in the LAMMPS input."
        )
    return reduced_style(options.units) if name == "lj" and "epsilon" in options.units else lammps_style(name)


def _joined(blocks: list[_Block]) -> list[_Block]:
    joined: list[_Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last is not None and block.continues and block.names == last.names and "Step" in block.names:
            at = block.names.index("Step")
            if block.rows[0][at] == last.rows[-1][at]:
                last.rows += block.rows[1:]
                last.notes += [note for note in block.notes if note not in last.notes]
                continue
        joined.append(block)
    return joined


def _blocks(text: str) -> Iterator[_Block]:
    """The tables of the log, each with the state when it was printed."""
    lines = text.split("\n")
    # What follows the last line break was not written to its end.
    cut = lines.pop()
    state, changed, header_next = _State(), True, False
    block: _Block | None = None
    for line in lines:
        words = line.split()
        if block is not None:
            loop = _LOOP.match(line)
            if loop:
                block.state = state = replace(state, n_atoms=int(loop[2]))
                yield block.finished()
                block, state, changed = None, replace(state, dynamics=True), False
                continue
            if not line.startswith(_SETUP) and not line.startswith("LAMMPS ("):
                _add(block, line, words)
                continue
            yield block.finished()
            block, changed = None, True
        if line.startswith("LAMMPS ("):
            state, changed = _State(), True
        elif line.startswith(_SETUP):
            header_next = True
        elif words == ["---"]:
            continue
        elif words and not line.startswith("WARNING") and (header_next or words[0] == "Step"):
            block, header_next = _opened(line, words, state, continues=not changed), False
        elif words:
            state, new = _after(state, line, words)
            changed |= new
    if block is not None:
        if cut.strip():
            block.notes.append("the last line is incomplete and is left out")
        block.notes.append("the log ends before the run")
        yield block.finished()


def _opened(line: str, words: list[str], state: _State, *, continues: bool) -> _Block:
    if line.startswith("keywords:"):
        names = [name.strip(" '\"") for name in line.partition("[")[2].rpartition("]")[0].split(",")]
        return _Block([name for name in names if name], [], state, continues, [])
    if multi := _MULTI.match(line):
        return _Block(["Step"], [[multi[1]]], state, continues, [], multi=True)
    return _Block(words, [], state, continues, [])


def _add(block: _Block, line: str, words: list[str]) -> None:
    """Take a line of a run: a row, a part of one, or something else that is left out with a note."""
    if not words or words[0] in ("data:", "...", "---"):
        return
    if multi := _MULTI.match(line):
        block.rows.append([multi[1]])
    elif block.multi and (fields := _PAIR.findall(line)):
        if len(block.rows) == 1:
            block.names += [name for name, _ in fields]
        block.rows[-1] += [value for _, value in fields]
    elif words[0] == "-" and "[" in line:
        row = [value.strip() for value in line.partition("[")[2].rpartition("]")[0].rstrip(" ,").split(",")]
        if len(row) == len(block.names):
            block.rows.append(row)
    elif len(words) == len(block.names) and all(_NUMBER.match(word) for word in words):
        block.rows.append(words)
    elif any(note.startswith(_STOPPED) for note in block.notes):
        return
    elif line.startswith("ERROR"):
        block.notes.append(f"{_STOPPED}: {line.strip()[:100]}")
    else:
        note = "lines between the samples are left out, the first: " + line.strip()[:60]
        if not any(known.startswith(note[:40]) for known in block.notes):
            block.notes.append(note)


def _after(state: _State, line: str, words: list[str]) -> tuple[_State, bool]:
    """The state after a line outside the tables, and whether it changes how the run goes on."""
    command, arguments = words[0], words[1:]
    if atoms := _ATOMS.match(line):
        return replace(state, n_atoms=int(atoms[1])), False
    if setting := _SETTING.match(line):
        # Repeated for every run; a log without its commands has only these.
        if setting[1] == "Unit style":
            return replace(state, units=state.units or setting[2]), False
        return replace(state, timestep=_number(setting[2]) if state.timestep is None else state.timestep), False
    match command:
        case "units" if len(arguments) == 1:
            state = replace(state, units=arguments[0])
        case "clear":
            state = _State()
        case "timestep" if arguments:
            # The line with variables in it is repeated with their values.
            state = replace(state, timestep=_number(arguments[0]))
        case "fix" | "unfix" if arguments:
            state = _after_fix(state, command, arguments)
        case "run_style" if arguments:
            state = replace(state, respa=arguments[0].startswith("respa"))
        case "minimize" | "rerun":
            state = replace(state, dynamics=False)
        case "thermo_modify" if "norm" in arguments[:-1]:
            state = replace(state, norm=arguments[arguments.index("norm") + 1] in ("yes", "on", "true"))
        case _:
            pass
    return state, command in CHANGES


def _after_fix(state: _State, command: str, arguments: list[str]) -> _State:
    fixes = {name: fix for name, fix in state.fixes.items() if name != arguments[0]}
    if command == "fix" and len(arguments) > 2:
        fixes[arguments[0]] = tuple(arguments[2:])
    varies = any(style == "dt/reset" for style, *_ in fixes.values())
    return replace(state, fixes=fixes, variable_timestep=varies)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
