"""Means over blocks and replicas, with errors from their scatter.

Since blocks are few, all errors include Student's t: a factor of 1.42 for five blocks, 2.2 for three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncbench.statistics.intervals import student_error

FloatArray = NDArray[np.float64]


def error_of_blocks(blocks: FloatArray) -> FloatArray:
    """Standard error of the mean over B independent blocks [B, …], with Student's t of B − 1 degrees; NaN for a single block."""
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
        """From values [B, X] of B blocks, assumed independent: choose them longer than the correlation time."""
        count = len(blocks)
        return cls(x, blocks.mean(axis=0), error_of_blocks(blocks), count)

    def minus(self, reference: Curve) -> Curve:
        """The difference to a reference, errors added in quadrature; the reference is interpolated if its points differ."""
        value: FloatArray = np.interp(self.x, reference.x, reference.value)
        error: FloatArray = np.interp(self.x, reference.x, reference.error)
        return Curve(self.x, self.value - value, np.hypot(self.error, error), min(self.blocks, reference.blocks))
