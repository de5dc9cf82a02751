"""Means over blocks and replicas, with errors from their scatter.

Blocks are few, so that Student's t is in every error: five blocks widen it by 1.42, three by 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncbench.statistics.intervals import student_error

FloatArray = NDArray[np.float64]


def error_of_blocks(blocks: FloatArray) -> FloatArray:
    """Standard error of the mean over B independent blocks [B, …], with Student's t of B − 1 degrees; NaN for a single one."""
    count = len(blocks)
    if count < 2:
        return np.full(blocks.shape[1:], np.nan)
    return np.asarray(blocks.std(axis=0, ddof=1) / np.sqrt(count) * student_error(1.0, count - 1.0))


@dataclass(frozen=True)
class Curve:
    """A function measured on several blocks."""

    x: FloatArray
    """[X]"""
    value: FloatArray
    """[X]: mean over blocks."""
    error: FloatArray
    """[X]: standard error of the mean with Student's t, ±1.96 of it being the 95 % interval; NaN for a single block."""
    blocks: int

    @classmethod
    def of(cls, x: FloatArray, blocks: FloatArray) -> Curve:
        """From values [B, X] of B blocks, taken to be independent: choose them longer than what they hold is correlated."""
        count = len(blocks)
        return cls(x, blocks.mean(axis=0), error_of_blocks(blocks), count)

    def minus(self, reference: Curve) -> Curve:
        """The difference to a reference, errors added in squares; between the reference's points where they are not the same."""
        value: FloatArray = np.interp(self.x, reference.x, reference.value)
        error: FloatArray = np.interp(self.x, reference.x, reference.error)
        return Curve(self.x, self.value - value, np.hypot(self.error, error), min(self.blocks, reference.blocks))
