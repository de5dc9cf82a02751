"""Cost of a step in force calls, for estimates of a job's time, and the work that can be done at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ncbench.types import Case

if TYPE_CHECKING:
    from ncbench.md.settings import ReplicaSettings

DIRECT_COST = 0.5
"""Time of direct forces over that of conservative ones: 1/1.925 in Table 10 of Bigi, Langer & Ceriotti 2025."""


def calls_per_step(stride: int | None) -> float:
    """Force calls per (fast) step; with multiple time stepping of stride M, one slow call every M fast ones."""
    return DIRECT_COST + 1.0 / stride if stride else 1.0


def replicas_at_once(settings: ReplicaSettings, cases: Sequence[Case]) -> int:
    """Replicas of equal size whose steps are computed together; one with another engine."""
    if settings.engine != "own" or settings.batch == 1:
        return 1
    sizes = [len(case.atoms) for case in cases]
    return settings.replicas * max((sizes.count(size) for size in set(sizes)), default=0)


class _Batched(Protocol):
    @property
    def batch(self) -> int | None: ...


def rows_at_once(settings: _Batched, cases: Sequence[Case]) -> int:
    """Rows or columns of the smallest structure's Jacobian that are computed together."""
    return 1 if settings.batch == 1 else 3 * min((len(case.atoms) for case in cases), default=0)
