"""Rules for reusing finished results of the store."""

from __future__ import annotations

from enum import StrEnum

from ncbench.models.registry import parse_request
from ncbench.types import Job


class Reuse(StrEnum):
    """The finished results that are reused instead of a new measurement."""

    NEVER = "never"
    """None, and no checkpoint: what ``check``, ``baseline`` and ``compare`` do."""
    KNOWN = "known"
    """Those of models whose job key contains everything that determines the results."""
    ALL = "all"
    """Also those of factories (``--reuse``)."""

    def allows(self, job: Job) -> bool:
        """Whether a finished result of this job may be reused.

        A factory may read files, environment variables and modules that are not in the key, so that only its user knows whether a
        result is still valid.

        Raises:
            UsageError: there is no such model.
        """
        if self is not Reuse.KNOWN:
            return self is Reuse.ALL
        models = [job.model] if job.reference is None else [job.model, job.reference]
        return not any(parse_request(model).factory for model in models)
