"""The structures of jobs, each set loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ncbench.structures.load import load_cases
from ncbench.types import Case, Job, SystemRequest


class CaseLoader:
    """Loads what jobs ask for and keeps it: many jobs of a suite are of the same structures."""

    def __init__(self, given: Mapping[SystemRequest, Sequence[Case]] | None = None) -> None:
        """``given`` holds structures that are at hand already, such as those of a baseline, by the request they answer."""
        self.given = dict(given or {})
        self._loaded: dict[Any, list[Case]] = {}

    def of(self, job: Job) -> list[Case]:
        """The job's structures, its own to change.

        Raises:
            DataError: they are not to be had.
        """
        wanted = (job.system, job.default_structures, job.seed)
        if wanted not in self._loaded:
            if job.system in self.given:
                self._loaded[wanted] = list(self.given[job.system])[: job.system.structures or job.default_structures]
            else:
                self._loaded[wanted] = load_cases(job.system, job.default_structures, job.seed)
        return [Case(case.name, case.atoms.copy()) for case in self._loaded[wanted]]
