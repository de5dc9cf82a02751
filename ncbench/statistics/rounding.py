"""The rounding of numbers, estimated from the numbers themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_RARE = 0.05
"""Share of the samples below which a decade of values does not decide about the printed digits."""

_ENOUGH = 20_000
"""Samples that are looked at for their digits, spread over the log."""


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


def printed_step(texts: Sequence[str], values: FloatArray) -> float:
    """Distance of neighbouring numbers that the column can print, in its unit; 0 for whole numbers of a counter or no numbers.

    Formats of significant digits (%g) drop zeros at the end and change the place of the last digit with the decade. So the place is the
    lowest seen within a decade, and the highest of the decades that hold a share of the samples.
    """
    places: dict[int, list[int]] = {}
    thinned = slice(None, None, 1 + len(texts) // _ENOUGH)
    for text, value in zip(texts[thinned], values[thinned], strict=True):
        if not math.isfinite(value):
            continue
        mantissa, _, exponent = text.lower().partition("e")
        place = int(exponent or 0) - len(mantissa.partition(".")[2])
        decade = math.floor(math.log10(abs(value))) if value else -400
        places.setdefault(decade, []).append(place)
    if not places:
        return 0.0
    total = sum(map(len, places.values()))
    kept = [min(seen) for seen in places.values() if len(seen) >= max(_RARE * total, 5)] or [
        min(min(seen) for seen in places.values())
    ]
    return float(10.0 ** max(kept))


def printed_unit(values: ArrayLike) -> float:
    """Distance of neighbouring numbers that the text of these values could express, from the shortest decimals that give the values.

    0 where all are zero or not finite. Repeated values count once: symmetry repeats a value whose last digits are zeros by chance.
    """
    numbers = np.abs(np.asarray(values, dtype=np.float64))
    distinct = np.unique(numbers[np.isfinite(numbers) & (numbers > 0.0)])
    return printed_step([repr(value) for value in distinct.tolist()], distinct)
