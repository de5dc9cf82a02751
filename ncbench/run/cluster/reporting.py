"""Reporter of the progress of a batch of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ncbench.run.reporter import Reporter
from ncbench.types import Job


class BatchReporter(Reporter, Protocol):
    """A reporter that also receives jobs finished on workers, in any order."""

    def batch(self, total: int, done: int) -> None:
        """A batch of ``total`` jobs continues with ``done`` of them finished."""

    def finished(self, job: Job, rows: Sequence[Mapping[str, Any]], seconds: float, *, reused: bool) -> None:
        """A job is recorded; it took ``seconds`` on its worker."""
