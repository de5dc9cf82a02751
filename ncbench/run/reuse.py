"""When a finished result of the store stands for a new measurement."""

from __future__ import annotations

from enum import StrEnum

from ncbench.models.registry import parse_request
from ncbench.types import Job


class Reuse(StrEnum):
    """Which finished results are taken in place of a measurement."""

    NEVER = "never"
    """None, and no checkpoint: what ``check``, ``baseline`` and ``compare`` do."""
    KNOWN = "known"
    """Those of models whose job key holds all that decides the numbers."""
    ALL = "all"
    """Those of factories too (``--reuse``)."""

    def allows(self, job: Job) -> bool:
        """Whether a finished result of this job may be taken.

        A factory may read files, environment variables and modules that no key can list, so that only its user knows whether a
        result still belongs to it.

        Raises:
            UsageError: there is no such model.
        """
        if self is not Reuse.KNOWN:
            return self is Reuse.ALL
        models = [job.model] if job.reference is None else [job.model, job.reference]
        return not any(parse_request(model).factory for model in models)
