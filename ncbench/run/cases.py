"""The structures of jobs, each set loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ncbench.structures.load import load_cases
from ncbench.types import Case, Job, SystemRequest


class CaseLoader:
    """Loads and caches the structures of jobs: many jobs of a suite use the same ones."""

    def __init__(self, given: Mapping[SystemRequest, Sequence[Case]] | None = None) -> None:
        """``given`` maps requests to structures that are already available, such as those of a baseline."""
        self.given = dict(given or {})
        self._loaded: dict[Any, list[Case]] = {}

    def of(self, job: Job) -> list[Case]:
        """A copy of the job's structures.

        Raises:
            DataError: they are not available.
        """
        wanted = (job.system, job.default_structures, job.seed)
        if wanted not in self._loaded:
            if job.system in self.given:
                self._loaded[wanted] = list(self.given[job.system])[: job.system.structures or job.default_structures]
            else:
                self._loaded[wanted] = load_cases(job.system, job.default_structures, job.seed)
        return [Case(case.name, case.atoms.copy()) for case in self._loaded[wanted]]
