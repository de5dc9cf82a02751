"""Number of force calls of a job, by its diagnostic's cost model."""

from __future__ import annotations

from collections.abc import Sequence

from ncbench.diagnostics import registry
from ncbench.types import Job


def force_calls(job: Job, sizes: Sequence[int]) -> list[float]:
    """Force calls per structure, in the order of ``sizes`` (atoms per structure)."""
    cost = registry.get(job.diagnostic).cost
    return [float(cost(job.settings, n_atoms)) for n_atoms in sizes]
