"""Reporter of the progress of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ncbench.types import Job


class Reporter(Protocol):
    """Receives the start and end of every job; also the :class:`ncbench.diagnostics.base.Progress` of the job that runs."""

    def begin(self, job: Job, number: int, of: int) -> None:
        """Job ``number`` of ``of`` begins."""

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """The job's rows were recorded or reused."""

    def note(self, text: str, *, passing: bool = False) -> None:
        """A message before a job starts; a ``passing`` one is replaced by the next."""

    def start(self, total: float, unit: str) -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""

    def update(self, done: float, note: str = "") -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""


class SilentReporter:
    """Says nothing."""

    def begin(self, job: Job, number: int, of: int) -> None:
        """See :class:`Reporter`."""

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """See :class:`Reporter`."""

    def note(self, text: str, *, passing: bool = False) -> None:
        """See :class:`Reporter`."""

    def start(self, total: float, unit: str) -> None:
        """See :class:`Reporter`."""

    def update(self, done: float, note: str = "") -> None:
        """See :class:`Reporter`."""
