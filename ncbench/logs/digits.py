"""Printed numbers: their values, the distance of values that were rounded before, and what rounding does to a slope.

**Rounding.** A printed series is y_i = x_i + e_i with |e_i| ≤ q/2. The least-squares slope Σ c_i y_i/Σ c_i² (c_i: centred times) is then wrong by at most
(q/2) Σ|c_i|/Σ c_i² → 3q/2t for a long series over a time t. That is reached only where the errors are the same over half the series: a series that
varies by less than q between neighbouring samples. Noise of standard deviation σ turns rounding errors into noise of their own
(dither), which the residuals show like any other noise; what stays systematic falls as exp(−2π²σ²/q²), the first harmonic of the
characteristic function of Gaussian noise (Widrow & Kollár, Quantization Noise, 2008, ch. 4). Its amplitude is q/π; q/2 is used, which holds at σ = 0
too. Fast noise is read from differences of neighbouring samples, which hold q²/12 of dithered rounding themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ncbench.errors import UsageError

FloatArray = NDArray[np.float64]


def parse(texts: Sequence[str], where: str) -> FloatArray:
    """[n] numbers as printed; ``nan`` and ``inf`` are numbers.

    Raises:
        UsageError: a text that is not a number.
    """
    try:
        return np.array([float(text) for text in texts])
    except ValueError as error:
        bad = str(error).rpartition(": ")[2][:60]
        raise UsageError(f"{where} holds {bad} where a number is expected.") from error


def repeated_step(values: FloatArray) -> float:
    """Smallest distance of distinct values where values repeat: energies rounded before they were printed (single precision); else 0."""
    finite = values[np.isfinite(values)]
    distinct = np.unique(finite)
    if len(distinct) < 2 or 2 * len(distinct) > len(finite):
        return 0.0
    return float(np.diff(distinct).min())


def hidden_step(values: FloatArray, printed: float) -> float:
    """:func:`repeated_step` where it is coarser than ``printed``, the distance of neighbouring values that the log can print; else 0."""
    repeated = repeated_step(values)
    return repeated if repeated > 1.5 * printed else 0.0


def rounding_error_of_slope(times: FloatArray, values: FloatArray, step: float) -> float:
    """Bound of what rounding to ``step`` does to a least-squares slope, in units of the values per unit of time.

    Args:
        times: [n], at equal steps.
        values: [n], as printed.
        step: q.
    """
    if step <= 0.0 or len(values) < 2:
        return 0.0
    centred = times - times.mean()
    line = centred * (centred @ values) / (centred @ centred)
    fast = float(np.mean(np.diff(values - line) ** 2)) / 2.0 - step**2 / 12.0
    exponent = 2.0 * math.pi**2 * max(fast, 0.0) / step**2
    amplitude = 0.5 * step * math.exp(-exponent) if exponent < 50.0 else 0.0
    return amplitude * float(np.abs(centred).sum() / (centred @ centred))
