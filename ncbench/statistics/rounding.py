"""The rounding of numbers, estimated from the numbers themselves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def is_single(values: ArrayLike) -> bool:
    """Whether every value is one of float32, as the results of a model that computes in float32 are: by chance one value in 2^29 is."""
    numbers = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        return bool(np.array_equal(numbers.astype(np.float32).astype(np.float64), numbers))


def rounding_error(values: ArrayLike) -> float:
    """Standard deviation of the rounding of a value: q/√12 for a spacing q of floating-point numbers (float32 or float64) at the largest.

    Differences of values that lie nearer to each other than q say nothing of it: they are 0. NaN where a value is NaN.
    """
    largest = np.abs(np.asarray(values, dtype=np.float64)).max()
    spacing = np.spacing(np.float32(largest)) if is_single(values) else np.spacing(largest)
    return float(spacing) / math.sqrt(12.0)
