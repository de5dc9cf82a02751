"""Requested reading of logs: what they do not say themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncbench.errors import UsageError
from ncbench.logs.log import Ensemble, LogOptions
from ncbench.logs.read import is_log
from ncbench.logs.tabular import parse_columns
from ncbench.logs.units import parse_units

ENSEMBLES = ("nve", "thermostat")
"""Ensembles that can be requested."""


@dataclass(frozen=True)
class LogRequest:
    """Units, number of atoms and times as typed; ``None`` where they are taken from the log."""

    units: str | None = None
    """A LAMMPS style, or ``time=ps,energy=kJ/mol``."""
    atoms: int | None = None
    columns: str | None = None
    """``time=COLUMN,energy=COLUMN`` for tables of other programs."""
    ensemble: str | None = None
    every: int | None = None
    """Time steps between lines without times."""
    timesteps: tuple[float, ...] = ()
    """Of the integrator, fs: none, one for all logs or one for each."""
    skip_fs: float = 0.0
    """Left out at the start of each run, fs."""

    def given(self) -> tuple[str, ...]:
        """Command-line options that only logs have, and that were given."""
        typed = {
            "--units": self.units,
            "--atoms": self.atoms,
            "--columns": self.columns,
            "--ensemble": self.ensemble,
            "--every": self.every,
        }
        return tuple(name for name, value in typed.items() if value is not None)

    def options(self, n_logs: int) -> list[LogOptions]:
        """Reading options, one for each log.

        Raises:
            UsageError: a value is invalid, or the number of time steps is neither one nor that of the logs.
        """
        steps = self.timesteps
        if len(steps) not in (0, 1, n_logs):
            raise UsageError(f"--timestep has {len(steps)} values for {n_logs} logs; give one, or one for each.")
        if self.atoms is not None and self.atoms < 1:
            raise UsageError(f"--atoms {self.atoms} is not a positive number.")
        if self.ensemble is not None and self.ensemble not in ENSEMBLES:
            raise UsageError(f"--ensemble is {' or '.join(ENSEMBLES)}, not '{self.ensemble}'.")
        each: list[float | None] = [*steps] * n_logs if len(steps) == 1 else [*steps] or [None] * n_logs
        return [
            LogOptions(
                units=parse_units(self.units) if self.units else {},
                n_atoms=self.atoms,
                timestep_fs=step,
                every=self.every,
                columns=parse_columns(self.columns) if self.columns else {},
                ensemble=Ensemble(self.ensemble) if self.ensemble else Ensemble.UNKNOWN,
            )
            for step in each
        ]


def logs_among(paths: Sequence[str | Path], request: LogRequest) -> bool:
    """Whether the files are logs.

    Raises:
        UsageError: some are and some are not.
    """
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
