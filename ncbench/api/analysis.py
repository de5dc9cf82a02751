"""Analysis of trajectories and logs of any program as a Python function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncbench.api.arguments import checked
from ncbench.api.frames import described
from ncbench.api.plots import Plot
from ncbench.diagnostics.displaced_frames import displaced_among, displaced_rows, refuse_options, summary
from ncbench.errors import UsageError
from ncbench.jacobian.schemas import DISPLACED
from ncbench.logs.drift import measured
from ncbench.logs.read import read_log
from ncbench.logs.request import LogRequest, logs_among
from ncbench.logs.tables import SCHEMA as LOG_SCHEMA
from ncbench.logs.verdict import Verdict, verdict
from ncbench.observables import analysis as observables_of_files
from ncbench.observables.tables import SCHEMAS
from ncbench.observables.trajectory import read_trajectory
from ncbench.report.decide import HEATING_POWER
from ncbench.report.figures import structure
from ncbench.report.figures.intervals import Interval, draw_intervals
from ncbench.schema import TableSchema
from ncbench.statistics.intervals import Z_95
from ncbench.store import tables
from ncbench.store.analysis_tables import write_tables
from ncbench.structures.repeats import refuse_repeats

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("rdf", "orientation", "spectrum")
"""Curves that a figure shows."""
Files = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Analysis:
    """Numbers computed from files: observables of trajectories, drifts of logs, or λ of displaced structures."""

    label: str
    """What the columns ``model`` and ``system`` say."""
    verdict: Verdict | None
    """Cause of the drift in logs, with the reason and the run that would decide; ``None`` for other files."""
    rows: tuple[dict[str, Any], ...]
    """Rows of the main table: a run of a log, a species in trajectories, or a file of displaced structures."""
    side: dict[str, tuple[dict[str, Any], ...]]
    """Rows of the curves of trajectories by name: ``rdf``, ``orientation``, ``spectrum``, ``msd``, those that were computed."""
    displaced: bool = False
    """Whether the files are displaced structures with forces."""

    def to_frame(self, table: str = "") -> pd.DataFrame:
        """The main table, or a curve by name, with ``attrs["units"]`` and ``attrs["meanings"]`` by column.

        Raises:
            UsageError: no such curve was computed.
        """
        if table and table not in self.side:
            raise UsageError(f"The analysis has no curve '{table}'.", hint=f"It has: {', '.join(self.side) or 'none'}.")
        schema = DISPLACED if self.displaced else LOG_SCHEMA if self.verdict is not None else SCHEMAS[table]
        common = {"model": self.label, "force_mode": "", "system": self.label, "seed": 0, "dtype": "", "device": ""}
        arrow = tables.table_of(schema, self.side[table] if table else self.rows, common, "")
        frame = tables.frame(arrow.drop_columns([tables.JOB.name]))
        return described(frame, schema.all_columns)

    def plot(self) -> Plot:
        """Of trajectories the curves (g(r), orientations, spectra) as panels; of logs the power of each run, meV/atom/ps, with 95 % intervals, an
        open marker where the error is a lower bound, and the limit of constant energy, dashed; of displaced structures λ with its 95 % interval and floor.

        Raises:
            UsageError: only the table of temperatures or mean squared displacements was computed, or no run has a power.
        """
        if self.verdict is not None or self.displaced:
            return self._plot_of_intervals()
        frames = {f"analyse-{name}": self.to_frame(name) for name in CURVES if name in self.side}
        if not frames:
            raise UsageError(
                "There is nothing to draw.",
                hint=f"Figures are drawn of {', '.join(CURVES)}; to_frame() has the numbers.",
            )
        return Plot("analysis", "Structure and spectra of trajectories", partial(structure.draw, frames))

    def _plot_of_intervals(self) -> Plot:
        name = "lambda" if self.displaced else "power_meV_per_atom_per_ps"
        frame = self.to_frame()
        frame = frame[frame[name].notna()]
        if not len(frame):
            raise UsageError("There is nothing to draw.", hint="to_frame() has the reasons.")
        rows = frame.to_dict("records")
        if self.displaced:
            shown = [
                Interval(
                    str(row["structure"]),
                    row["lambda"],
                    row["lambda_low"],
                    row["lambda_high"],
                    floor=row["lambda_floor"],
                )
                for row in rows
            ]
            title = "λ of displaced structures and its floor"
            return Plot("analysis", title, partial(draw_intervals, shown, axis="λ", logarithmic=True))
        shown = []
        for number, row in enumerate(rows, 1):
            value, error = row[name], row[f"{name}_se"]
            half = 0.0 if math.isnan(error) else Z_95 * error
            known = bool(row["power_error_known"])
            shown.append(Interval(f"run {number}", value, value - half, value + half, known=known))
        drawing = partial(draw_intervals, shown, axis="power (meV/atom/ps)", limit=HEATING_POWER)
        return Plot("analysis", "Power of the runs in logs", drawing)

    def __str__(self) -> str:
        """The verdict on logs; the names of the tables for trajectories; mean and largest λ of displaced structures."""
        if self.displaced:
            return f"{self.label}: {summary(self.rows)}"
        if self.verdict is None:
            return f"{self.label}: {', '.join(['summary', *self.side])}"
        following = f" Next: {self.verdict.next_run}" if self.verdict.next_run else ""
        return f"{self.label}: {self.verdict.cause}: {self.verdict.because}{following}"


@checked
def analyse(
    files: Files,
    *,
    reference: Files = (),
    observables: Sequence[str] | None = None,
    timestep_fs: float | Sequence[float] | None = None,
    skip_fs: float = 0.0,
    blocks: int = 5,
    bin_A: float = 0.05,
    units: str | None = None,
    n_atoms: int | None = None,
    columns: str | None = None,
    ensemble: str | None = None,
    every: int | None = None,
    label: str = "",
    out: str | Path | None = None,
) -> Analysis:
    """Observables of trajectories, or drifts of logs and their cause: what ``ncbench analyse`` computes.

    Temperatures are in K, drifts in meV/atom/ps and K/ps, distances in Å, times in fs; ``to_frame().attrs["units"]`` has the unit of each column.

    Args:
        files: a trajectory that ASE reads, or several replicas of one system; a log of energies, or several of one system; or displaced structures with forces, as ml-peg writes them.
        reference: trajectories to subtract.
        observables: of ``temperature``, ``rdf``, ``orientation``, ``spectrum``, ``msd``; by default all that the files allow.
        timestep_fs: trajectories: time between frames where they do not have it, fs. Logs: time step of the integrator, one or one for each, fs.
        skip_fs: left out at the start of each file or run, fs.
        blocks: per file, for the errors.
        bin_A: width of the bins of g(r), Å.
        units: of logs, as after ``--units``: a LAMMPS style, or ``time=ps,energy=kJ/mol``.
        n_atoms: of logs that do not have it.
        columns: of tables of other programs, as after ``--columns``: ``time=COLUMN,energy=COLUMN``.
        ensemble: of logs that do not have it: ``nve`` or ``thermostat``.
        every: time steps between lines of a log without times.
        label: what the columns ``model`` and ``system`` say; by default the name of the first file.
        out: folder for the tables and their record; by default nothing is written.

    Raises:
        UsageError: a file is missing, of another kind or given twice, an option of logs for trajectories or the reverse, or an invalid value.
        StoreError: ``out`` cannot be written.
    """
    paths, references = _paths(files), _paths(reference)
    if not paths:
        raise UsageError("There are no files to analyse.")
    refuse_repeats(paths)
    refuse_repeats(references)
    steps = (
        () if timestep_fs is None else (timestep_fs,) if isinstance(timestep_fs, int | float) else tuple(timestep_fs)
    )
    if not all(0.0 < step < float("inf") for step in steps):
        raise UsageError(f"timestep_fs = {timestep_fs} is not a positive time.")
    if not 0.0 <= skip_fs < float("inf") or not 0.0 < bin_A < float("inf") or blocks < 1:
        raise UsageError("skip_fs must be ≥ 0, bin_A > 0 (both finite) and blocks ≥ 1.")
    request = LogRequest(units, n_atoms, columns, ensemble, every, steps, skip_fs)
    name = label or paths[0].name
    written: list[tuple[TableSchema, Sequence[dict[str, Any]]]]
    record: dict[str, Any]
    if displaced_among(paths):
        refuse_options(request.given(), references=bool(references), observables=observables is not None)
        schema, rows = displaced_rows(paths)
        result = Analysis(label or paths[0].absolute().parent.name, None, tuple(rows), {}, displaced=True)
        written, record = [(schema, rows)], {"options": {}}
    elif logs_among(paths, request):
        if references or observables:
            raise UsageError("reference and observables are of trajectories; a log holds no positions.")
        options = request.options(len(paths))
        runs = [run for path, option in zip(paths, options, strict=True) for run in read_log(path, option)]
        rows = [measured(run, skip_fs=skip_fs) for run in runs]
        result = Analysis(name, verdict(rows), tuple(rows), {})
        written = [(LOG_SCHEMA, rows)]
        record = {"options": asdict(request), "verdict": asdict(verdict(rows))}
    else:
        if request.given():
            raise UsageError(f"{', '.join(request.given())} are of logs, and '{paths[0]}' is none.")
        if len(steps) > 1:
            raise UsageError("timestep_fs takes one time for trajectories.")
        interval = steps[0] if steps else None
        samples, others = (
            [read_trajectory(path, interval_fs=interval, skip_fs=skip_fs) for path in group]
            for group in (paths, references)
        )
        names = observables_of_files.what_there_is(samples, blocks) if observables is None else list(observables)
        if not names:
            raise UsageError("observables is empty.", hint="Leave it out for all that the files allow.")
        by_table = observables_of_files.analyse(samples, names, reference=others, blocks=blocks, bin_A=bin_A)
        result = Analysis(
            name, None, tuple(by_table[""]), {side: tuple(rows) for side, rows in by_table.items() if side}
        )
        written = [(SCHEMAS[side], rows) for side, rows in by_table.items()]
        record = {
            "options": {
                "timestep": interval, "skip": skip_fs, "blocks": blocks, "bin_A": bin_A, "observables": names,
            }
        }  # fmt: skip
    if out is not None:
        write_tables(Path(out), written, label=name, files=[*paths, *references], record=record)
    return result


def _paths(files: Files) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
