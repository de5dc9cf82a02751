"""The services of a diagnostic's context in a notebook: progress on a terminal or none, and no stored state."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ncbench.errors import UsageError
from ncbench.types import ForceMode, Job


class Silent:
    """Progress that is not shown."""

    def start(self, total: float, unit: str) -> None:
        """Do nothing."""

    def update(self, done: float, note: str = "") -> None:
        """Do nothing."""


class Bar:
    """A progress bar with the time that is left, on standard error; a context manager."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn()
        )
        self._task = self._bar.add_task(title, total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, total: float, unit: str) -> None:
        """Work of ``total`` units begins."""
        self._bar.reset(self._task, total=total, description=f"{self._title} ({unit})", note="")

    def update(self, done: float, note: str = "") -> None:
        """``done`` units are done in total."""
        self._bar.update(self._task, completed=done, note=note)


class JobBars(Bar):
    """A :class:`ncbench.run.reporter.Reporter` with a progress bar titled by the running job; a context manager."""

    def begin(self, job: Job, number: int, of: int) -> None:
        """A job begins."""
        self._title = job.diagnostic

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """Do nothing."""

    def note(self, text: str, *, passing: bool = False) -> None:
        """Do nothing."""


def is_watched() -> bool:
    """Standard error is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class NotKept:
    """A checkpoint that keeps nothing: a measurement in Python is not resumed."""

    def load(self) -> dict[str, Any] | None:
        """Return ``None``: every run starts from the beginning."""
        return None

    def save(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


def force_mode(name: str | None) -> ForceMode:
    """The mode of this name, unknown for ``None``. Raises UsageError for any other."""
    try:
        return ForceMode(name or ForceMode.UNKNOWN)
    except ValueError:
        raise UsageError(f"'{name}' is not a force mode.", hint=f"Modes: {', '.join(ForceMode)}.") from None
