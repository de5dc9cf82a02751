"""Error bars of correlated series: means, drifts, rates.

Every function takes one-dimensional float64 series at equal intervals and draws no random number. Errors are made for intervals: ±1.96
of one is the 95 % interval, Student's t being in it where few blocks or frequencies speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ncbench.statistics.drift_noise import half_width_of_slope

FloatArray = NDArray[np.float64]

Z_95 = 1.96
_SURE = 0.8
"""A share of belief that settles what the noise of a slope is."""
_LEAST_SAMPLES = 32


@dataclass(frozen=True)
class Mean:
    """A time average with its standard error."""

    value: float
    error: float
    """NaN where the series is too short to say."""
    blocks: int
    """Blocks at the level the error was read from."""
    plateau: bool
    """The error had stopped growing with the block length while enough blocks were left to say so."""
    correlation_time: float
    """Integrated autocorrelation time τ in samples, from error² = 2τ·variance/n; 1/2 for independent samples."""


@dataclass(frozen=True)
class Slope:
    """A straight line through a series."""

    value: float
    """Per unit of time."""
    error: float
    """NaN where the series is too short to say."""
    plateau: bool
    """The series is long enough to tell what its noise is: one that forgets within it, or a random walk."""
    walk: float
    """How far the noise is believed to be a random walk (1) rather than to forget within the series (0); NaN with the error."""


def blocking_mean(series: FloatArray, *, confidence: float = 0.9, least_blocks: int = 16) -> Mean:
    """Mean of a stationary series with the blocking error of Flyvbjerg and Petersen (J. Chem. Phys. 91, 461, 1989).

    Neighbouring values are averaged in pairs again and again; the error √(variance/blocks) grows until the blocks are
    independent. The level is chosen as in Jonsson (Phys. Rev. E 98, 043304, 2018): the first at which the lag-one covariances of
    this and all longer block lengths are together compatible with zero (χ² test at ``confidence``). What correlation ρ the
    neighbouring blocks there still show enters as 1 + 2ρ, never below 1: without it the 95 % interval of a series of 200
    correlation times covers in 88 %, with it in 94 %. Student's t for the blocks left is part of the error. No plateau is reported
    where the level leaves fewer than ``least_blocks`` blocks; the error is then a lower bound.
    """
    series = np.asarray(series, dtype=np.float64)
    n = len(series)
    if n < 2 or not np.isfinite(series).all():
        return Mean(float(np.mean(series)) if n else math.nan, math.nan, n, False, math.nan)
    levels = _blocking_levels(series)
    counts, variances, covariances = (np.array(column) for column in zip(*levels, strict=True))
    variance = variances[0]
    if variance <= 0.0:
        return Mean(float(series.mean()), 0.0, n, True, 0.5)
    safe = np.where(variances > 0.0, variances, 1.0)
    terms = np.where(variances > 0.0, counts * ((counts - 1) * variances / counts**2 + covariances) ** 2 / safe**2, 0.0)
    remaining = np.cumsum(terms[::-1])[::-1]
    thresholds = stats.chi2.ppf(confidence, np.arange(len(levels), 0, -1))
    passed = np.flatnonzero(remaining <= thresholds)
    # With no level compatible, the longest blocks are the least wrong.
    level = int(passed[0]) if len(passed) else len(levels) - 1
    blocks = int(counts[level])
    # The χ² statistic takes 1/n for the variance; the error wants the unbiased one.
    # Centring on the sample mean pulls a lag-one correlation down by 1/n.
    correlation = covariances[level] / safe[level] + 1.0 / blocks
    squared = variances[level] / (blocks - 1) * max(1.0, 1.0 + 2.0 * correlation)
    plateau = len(passed) > 0 and blocks >= least_blocks
    error = math.sqrt(squared) * float(stats.t.ppf(0.975, blocks - 1)) / Z_95
    return Mean(float(series.mean()), error, blocks, plateau, 0.5 * squared * n / variance)


def _blocking_levels(series: FloatArray) -> list[tuple[float, float, float]]:
    """(blocks, variance of the block means, their lag-one covariance) from single samples up to two blocks."""
    levels = []
    mean = float(series.mean())
    blocks = series - mean
    while len(blocks) >= 2:
        centred = blocks - blocks.mean()
        levels.append(
            (float(len(blocks)), float(np.mean(centred**2)), float(np.sum(centred[1:] * centred[:-1]) / len(blocks)))
        )
        even = len(blocks) // 2 * 2
        blocks = 0.5 * (blocks[0:even:2] + blocks[1:even:2])
    return levels


def slope(times: FloatArray, series: FloatArray) -> Slope:
    """Least-squares slope of ``series`` against ``times`` (equal steps) with an error that knows of correlation.

    The error comes from the slowest frequencies of the series (:mod:`ncbench.statistics.drift_noise`). Work done by non-conservative
    forces makes the energy a random walk about its drift, and the fit absorbs most of a walk: its error is not in the residuals but
    in the 1/f² of their spectrum. A vibration that is conserved in the mean has no power at low frequency, whatever it has above.
    For a walk the least-squares slope has 6/5 of the variance of the best estimate, its end less its start.
    """
    times = np.asarray(times, dtype=np.float64)
    series = np.asarray(series, dtype=np.float64)
    n = len(series)
    if n < 2 or not np.isfinite(series).all():
        return Slope(math.nan, math.nan, False, math.nan)
    centred = times - times.mean()
    value = float(centred @ (series - series.mean()) / (centred @ centred))
    residuals = series - series.mean() - value * centred
    if n < 8:
        return Slope(value, math.nan, False, math.nan)
    # Residuals of rounding alone have no structure worth a model, and would divide by zero.
    rounding = float(np.finfo(np.float64).eps * np.abs(series).max())
    if float(residuals @ residuals) <= n * (4.0 * rounding) ** 2:
        return Slope(value, rounding / float(np.linalg.norm(centred)), True, 0.0)
    half_width, walk = half_width_of_slope(centred, residuals)
    plateau = n >= _LEAST_SAMPLES and not 1.0 - _SURE < walk < _SURE
    return Slope(value, half_width / Z_95, plateau, walk)


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a success probability (Wilson, J. Am. Stat. Assoc. 22, 209, 1927); (0, 1) without trials.

    Raises:
        ValueError: more successes than trials, or negative counts.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + 0.5 * confidence))
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    # At the ends the bound is 0 or 1 exactly, which the subtraction misses by a rounding.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)
