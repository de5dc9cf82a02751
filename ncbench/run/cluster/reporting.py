"""Who hears how a batch goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ncbench.run.reporter import Reporter
from ncbench.types import Job


class BatchReporter(Reporter, Protocol):
    """A reporter that is also told of jobs that end elsewhere, in any order."""

    def batch(self, total: int, done: int) -> None:
        """A batch of ``total`` jobs goes on, ``done`` of them done."""

    def finished(self, job: Job, rows: Sequence[Mapping[str, Any]], seconds: float, *, reused: bool) -> None:
        """A job is recorded; ``seconds`` on its worker."""
