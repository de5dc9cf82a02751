"""Means over blocks and replicas, with errors from their scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A function measured on several blocks."""

    x: FloatArray
    """[X]"""
    value: FloatArray
    """[X]: mean over blocks."""
    error: FloatArray
    """[X]: standard error of the mean; NaN for a single block."""
    blocks: int

    @classmethod
    def of(cls, x: FloatArray, blocks: FloatArray) -> Curve:
        """From values [B, X] of B blocks, taken to be independent: choose them longer than what they hold is correlated."""
        count = len(blocks)
        spread = blocks.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(blocks.shape[1:], np.nan)
        return cls(x, blocks.mean(axis=0), spread, count)

    def minus(self, reference: Curve) -> Curve:
        """The difference to a reference, errors added in squares; between the reference's points where they are not the same."""
        value: FloatArray = np.interp(self.x, reference.x, reference.value)
        error: FloatArray = np.interp(self.x, reference.x, reference.error)
        return Curve(self.x, self.value - value, np.hypot(self.error, error), min(self.blocks, reference.blocks))
