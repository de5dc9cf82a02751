"""Intervals: of rates by Clopper and Pearson, of means by Student's t, and the number of standard errors required for a significant difference."""

from __future__ import annotations

import math

SIGMAS = 3.0
"""Number of standard errors beyond which a difference counts as significant, in the whole program."""
CONFIDENCE = math.erf(SIGMAS / math.sqrt(2.0))
"""Of an interval of :data:`SIGMAS` standard errors to either side, 99.73 %."""
Z_95 = 1.959963984540054
"""Standard errors of a normal distribution to either side of a 95 % interval."""


def rate_interval(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a success probability by Clopper and Pearson (Biometrika 26, 404, 1934).

    It covers at least as stated for every probability and every number of trials, and therefore more than stated in the mean: a bound, whose ends
    support "above" and "below" and whose width is no estimate of an error. Wilson's interval covers
    as stated in the mean over probabilities alone: one trial at p = 0.9 in 90 %, five in 92 %. A single trial gives (0.025, 1) or (0, 0.975):
    it is no rate. (0, 1) without trials.

    Raises:
        ValueError: more successes than trials, or negative counts.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence_level=confidence, method="exact")
    return float(interval.low), float(interval.high)


def half_width(error: float, dof: float, *, confidence: float = 0.95) -> float:
    """Half the interval of a value at a level of confidence.

    Args:
        error: standard error in this package's convention, ±1.96 of it being the 95 % interval.
        dof: its degrees of freedom; infinite for a normal distribution. NaN is treated as infinite, since the 95 % interval does not need it.
        confidence: between 0 and 1.

    The 95 % interval is exact whatever ``dof`` is; others widen as Student's t does: three standard errors (99.73 %) of 3 degrees of freedom
    are 5.7 ``error``, not 3.

    Raises:
        ValueError: a level outside (0, 1), or no positive degrees of freedom.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1.")
    if dof <= 0.0:
        raise ValueError(f"dof is {dof}; it must be positive.")
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * confidence
    if math.isnan(dof) or math.isinf(dof):
        return error * float(ndtri(upper))
    return error * Z_95 * float(stdtrit(dof, upper) / stdtrit(dof, 0.975))


def student_interval(value: float, error: float, dof: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of a value; see :func:`half_width`."""
    half = half_width(error, dof, confidence=confidence)
    return value - half, value + half


def student_error(plain_error: float, dof: float) -> float:
    """The standard error in this package's convention from the plain one, s/√n with ``dof`` = n − 1; NaN without degrees of freedom."""
    if not dof > 0.0:
        return math.nan
    from scipy.special import stdtrit

    return plain_error * float(stdtrit(dof, 0.975)) / Z_95
