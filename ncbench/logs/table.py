"""From columns of printed numbers to runs: units, all atoms instead of one, time from steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.logs.digits import hidden_step, parse
from ncbench.logs.log import ENERGIES, Ensemble, LogOptions, Run, Series
from ncbench.statistics.rounding import printed_step
from ncbench.units import KB

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Printed:
    """A role's column as the log prints it."""

    name: str
    texts: Sequence[str]
    factor: float
    """To eV, fs or K; 1 for steps."""
    per_atom: bool = False


@dataclass(frozen=True)
class Context:
    """Information in a log besides its columns."""

    file: str
    engine: str
    n_atoms: int | None
    timestep_fs: float | None
    ensemble: Ensemble
    exchange: tuple[str, ...] = ()
    uncounted: bool = False
    notes: tuple[str, ...] = ()
    exploded: str = ""


def read_series(column: Printed, file: str) -> Series:
    """The column's numbers times its factor.

    Raises:
        UsageError: a text that is not a number.
    """
    values = parse(column.texts, f"The column {column.name} of '{file}'")
    printed = printed_step(column.texts, values)
    hidden = hidden_step(values, printed)
    return Series(values, max(printed, hidden), column.name, hidden).times(column.factor)


def build_runs(columns: Mapping[str, Printed], context: Context, options: LogOptions) -> list[Run]:
    """The runs in one table; time that goes back or stands still begins a new one.

    Raises:
        UsageError: no time, no number of atoms, or a text that is not a number.
    """
    series = {role: read_series(column, context.file) for role, column in columns.items()}
    if not series:
        raise UsageError(
            f"'{context.file}' has no column of a known name.", hint="Name them: --columns time=…,energy=…."
        )
    timestep_fs = options.timestep_fs or context.timestep_fs
    derived = None if timestep_fs else _timestep(series)
    times = _times(series, derived.exact_fs if derived else timestep_fs, context.file, options)
    timestep_fs = derived.rounded_fs if derived else timestep_fs
    n_atoms = options.n_atoms or context.n_atoms
    if not n_atoms:
        raise UsageError(f"'{context.file}' does not say how many atoms there are.", hint=_atoms_hint(series, columns))
    for role in ENERGIES:
        if role in series and columns[role].per_atom:
            series[role] = series[role].times(float(n_atoms))
    if options.ensemble is not Ensemble.UNKNOWN and context.ensemble is Ensemble.UNKNOWN:
        context = replace(
            context,
            ensemble=options.ensemble,
            exchange=("--ensemble",) if options.ensemble is Ensemble.THERMOSTAT else (),
        )
    values = {role: s for role, s in series.items() if role in (*ENERGIES, "temperature")}
    placed = np.isfinite(times.values)
    if not placed.all():
        times, values = times.part(placed), {role: s.part(placed) for role, s in values.items()}
    repeated = _repeated(times, values)
    notes = context.notes
    if repeated.any():
        times, values = times.part(~repeated), {role: s.part(~repeated) for role, s in values.items()}
        notes = (*notes, f"{int(repeated.sum())} samples that are printed twice are counted once")
    # A restart goes back to the last checkpoint, or prints its first step again with other energies.
    starts = [0, *(np.flatnonzero(~(np.diff(times.values) > 0)) + 1), len(times.values)]
    return [
        Run(
            file=context.file,
            number=number,
            engine=context.engine,
            times_fs=times.values[start:end],
            time_resolution_fs=times.resolution,
            series={role: s.part(slice(start, end)) for role, s in values.items()},
            n_atoms=n_atoms,
            timestep_fs=timestep_fs,
            ensemble=context.ensemble,
            exchange=context.exchange,
            uncounted=context.uncounted,
            notes=notes,
            exploded=context.exploded,
        )
        for number, (start, end) in enumerate(itertools.pairwise(starts), 1)
        if end > start
    ]


def _repeated(times: Series, values: Mapping[str, Series]) -> NDArray[np.bool_]:
    """[n], whether a sample is that before it once more: the same time, and the same values but for rounding.

    Programs that restart dynamics at each step, and exact restarts, print a step at the end of one run and at the
    beginning of the next. Their energies are summed in another order, hence a relative tolerance far above float64's 1e-16 and far below
    any change of interest.
    """
    same = np.diff(times.values) == 0
    for series in values.values():
        before, after = series.values[:-1], series.values[1:]
        same &= np.isclose(after, before, rtol=1e-12, atol=series.resolution, equal_nan=True)
    return np.concatenate([[False], same])


@dataclass(frozen=True)
class _Timestep:
    """The integrator's time step where the log prints both steps and times."""

    exact_fs: float
    """Time over steps, as precise as the printed times."""
    rounded_fs: float
    """With the digits of the printed times, so that rounding does not turn one time step into two."""


def _timestep(series: Mapping[str, Series]) -> _Timestep | None:
    """From the first sample to the last before steps or times go back; ``None`` where the log does not print both."""
    if not {"step", "time"} <= series.keys():
        return None
    steps, times = series["step"].values, series["time"].values
    back = np.flatnonzero(~((np.diff(steps) > 0) & (np.diff(times) >= 0)))
    last = int(back[0]) if len(back) else len(steps) - 1
    count, length = float(steps[last] - steps[0]), float(times[last] - times[0])
    if not (count > 0 and length > 0 and math.isfinite(length / count)):
        return None
    digits = math.floor(math.log10(length / max(series["time"].resolution, 1e-9 * length)))
    return _Timestep(length / count, float(f"{length / count:.{max(digits, 1)}g}"))


def _times(series: Mapping[str, Series], timestep_fs: float | None, file: str, options: LogOptions) -> Series:
    """Times of the samples in fs: counted steps before printed times, which are rounded."""
    if "step" in series and timestep_fs is not None:
        return replace(series["step"].times(timestep_fs), resolution=0.0)
    if "time" in series:
        return series["time"]
    length = len(next(iter(series.values())).values)
    if "step" not in series and timestep_fs is not None and options.every is not None:
        return Series(np.arange(length, dtype=np.float64) * timestep_fs * options.every, 0.0, "line")
    wanted = "--timestep FS" if "step" in series else "--timestep FS and --every STEPS"
    raise UsageError(f"'{file}' has no times.", hint=f"Give {wanted}.")


def _atoms_hint(series: Mapping[str, Series], columns: Mapping[str, Printed]) -> str:
    """``--atoms``, with the number that 2K = 3N k_B T gives where both are in the log."""
    if "kinetic" not in series or "temperature" not in series or columns["kinetic"].per_atom:
        return "Give --atoms N."
    kinetic, temperature = series["kinetic"].values, series["temperature"].values
    known = np.isfinite(kinetic) & np.isfinite(temperature) & (temperature > 0)
    if not known.any():
        return "Give --atoms N."
    # The last samples of a run that exploded would decide a mean.
    atoms = float(np.median(2.0 * kinetic[known] / (3.0 * KB * temperature[known])))
    return f"Give --atoms N (2K = 3N k_B T gives N = {atoms:.4g} without constraints)."
