"""Who hears how a run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ncbench.types import Job


class Reporter(Protocol):
    """Told of every job; also the :class:`ncbench.diagnostics.base.Progress` of the job that runs."""

    def begin(self, job: Job, number: int, of: int) -> None:
        """Job ``number`` of ``of`` begins."""

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """The job's rows are recorded, or were found recorded."""

    def note(self, text: str, *, passing: bool = False) -> None:
        """What goes on before a job can begin; ``passing`` is of interest only until the next."""

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
