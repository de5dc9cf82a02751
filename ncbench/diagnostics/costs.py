"""Cost of a step in force calls, for estimates of a job's time."""

from __future__ import annotations

DIRECT_COST = 0.5
"""Time of direct forces over that of conservative ones: 1/1.925 in Table 10 of Bigi, Langer & Ceriotti 2025."""


def calls_per_step(stride: int | None) -> float:
    """Force calls per (fast) step; with multiple time stepping of stride M, one slow call every M fast ones."""
    return DIRECT_COST + 1.0 / stride if stride else 1.0
