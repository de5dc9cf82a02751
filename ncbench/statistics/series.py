"""Error bars of correlated series: means and drifts.

Every function takes one-dimensional float64 series at equal intervals and draws no random number.

**Convention.** ``error`` is the standard error, scaled so that ±1.96 ``error`` is the 95 % interval: it includes Student's t if few blocks or
frequencies determine the estimate. ``dof`` is their number, so that :func:`ncbench.statistics.intervals.half_width` can give an interval at any
other level. ``known`` is false if the series is too short to determine its error; ``error`` is then a lower bound.

**Assumptions of each estimator**, from the weakest to the strongest:

- :func:`slope` assumes noise that is white, a vibration, a random walk or slow noise under either, with the slowest part either forgotten within
  an eighth of the series or equivalent to a walk; no time scale is needed.
- :func:`blocking_mean` assumes a stationary series that contains at least 20 of its slowest relaxation times. A memory longer than the
  series cannot be detected, so that ``relaxation`` must be given if it is known otherwise (a thermostat's τ, see
  :mod:`ncbench.statistics.floors`); then the error is widened to the ``floor`` and ``known`` is false.
- The estimators of :mod:`ncbench.statistics.heating` assume equipartition, or stationarity under a thermostat whose law is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.fft import dct

from ncbench.statistics.drift_noise import noise_of_slope
from ncbench.statistics.intervals import Z_95

FloatArray = NDArray[np.float64]

_SURE = 0.8
_NO_WALK = 0.1
"""Posterior probabilities of a random walk above and below which the kind of noise of a slope counts as known."""
_LEAST_SAMPLES = 32
RELAXATIONS = 20.0
"""Relaxation times that a series must contain for a known blocking error: at ten, blocks are too few to show a plateau."""
_LOW_FREQUENCIES = 12
_LOW_EXCESS = 1.5
"""Noise at low frequency beyond this many blocking errors means that the blocks are not independent: with 12 frequencies the ratio has a
standard error of 20 %, so that 2.5 of them are needed."""


@dataclass(frozen=True)
class Mean:
    """A time average with its standard error."""

    value: float
    error: float
    """NaN if the series is too short."""
    blocks: int
    """Number of blocks at the level used for the error."""
    plateau: bool
    """Whether the error stopped growing with the block length while enough blocks were left."""
    correlation_time: float
    """Integrated autocorrelation time τ in samples, from error² = 2τ·variance/n; 1/2 for independent samples."""
    dof: float = math.nan
    """Degrees of freedom of the error; infinite if it is a theoretical floor."""

    @property
    def known(self) -> bool:
        """The error is an estimate, not a lower bound: the same as :attr:`plateau`."""
        return self.plateau


@dataclass(frozen=True)
class Slope:
    """A straight line through a series."""

    value: float
    """Per unit of time."""
    error: float
    """NaN if the series is too short."""
    plateau: bool
    """Whether the series is long enough to distinguish noise with short memory from a random walk."""
    walk: float
    """Posterior probability of a random walk (1) rather than noise with short memory (0); NaN if the error is NaN."""
    dof: float = math.nan
    """Degrees of freedom of the error."""
    persistent: float = 0.0
    """Posterior probability of a random walk whose steps keep their sign over a third of the series or more."""
    bound: bool = False
    """Whether the error is an upper bound (:func:`ncbench.statistics.heating.drawn_power`), which covers at least as often as stated."""

    @property
    def known(self) -> bool:
        """The error is an estimate, not a lower bound: the same as :attr:`plateau`."""
        return self.plateau


def blocking_mean(
    series: FloatArray,
    *,
    confidence: float = 0.9,
    least_blocks: int = 16,
    relaxation: float = 0.0,
    floor: float = 0.0,
) -> Mean:
    """Mean of a stationary series with the blocking error of Flyvbjerg and Petersen (J. Chem. Phys. 91, 461, 1989).

    Neighbouring values are averaged in pairs again and again; the error √(variance/blocks) grows until the blocks are
    independent. The level is chosen as in Jonsson (Phys. Rev. E 98, 043304, 2018): the first at which the lag-one covariances of
    this and all longer block lengths are together compatible with zero (χ² test at ``confidence``). The remaining correlation ρ of
    neighbouring blocks enters as 1 + 2ρ, never below 1: without it the 95 % interval of a series of 200
    correlation times covers in 88 %, with it in 94 %. Student's t for the blocks left is part of the error. The mean power of the twelve lowest
    frequencies of the cosine transform is a second estimate, of slow noise under fast, which the χ² test does not detect; if
    it is clearly larger than the first, it is used instead.

    No plateau is reported if the level has fewer than ``least_blocks`` blocks, if the low frequencies disagree, and if the series
    contains fewer than :data:`RELAXATIONS` of ``relaxation``. The error is then a lower bound, and ``floor`` is added in quadrature: blocking
    measures fluctuations within the series, the floor accounts for slower ones. With a plateau the error is the larger of both.

    Args:
        series: [n], at equal steps.
        confidence: of the χ² test.
        least_blocks: for a plateau.
        relaxation: slowest known relaxation time of the series, in samples.
        floor: least standard error that theory allows, in the unit of the series.
    """
    series = np.asarray(series, dtype=np.float64)
    n = len(series)
    if n < 2 or not np.isfinite(series).all():
        return Mean(float(np.mean(series)) if n else math.nan, math.nan, n, False, math.nan)
    levels = _blocking_levels(series)
    counts, variances, covariances = (np.array(column) for column in zip(*levels, strict=True))
    variance = variances[0]
    if variance <= 0.0:
        return Mean(float(series.mean()), floor, n, n >= RELAXATIONS * relaxation, 0.5, math.inf)
    safe = np.where(variances > 0.0, variances, 1.0)
    terms = np.where(variances > 0.0, counts * ((counts - 1) * variances / counts**2 + covariances) ** 2 / safe**2, 0.0)
    remaining = np.cumsum(terms[::-1])[::-1]
    thresholds = stats.chi2.ppf(confidence, np.arange(len(levels), 0, -1))
    passed = np.flatnonzero(remaining <= thresholds)
    # If no level is compatible, the longest blocks are the best estimate.
    level = int(passed[0]) if len(passed) else len(levels) - 1
    blocks = int(counts[level])
    # The χ² statistic uses 1/n for the variance; the error uses the unbiased one.
    # Centring on the sample mean biases a lag-one correlation by −1/n.
    correlation = covariances[level] / safe[level] + 1.0 / blocks
    squared = variances[level] / (blocks - 1) * max(1.0, 1.0 + 2.0 * correlation)
    dof = blocks - 1.0
    plateau = len(passed) > 0 and blocks >= least_blocks and n >= RELAXATIONS * relaxation
    slow = _low_frequency_variance(series)
    if slow > _LOW_EXCESS**2 * squared:
        squared, dof, plateau = slow, float(_LOW_FREQUENCIES), False
    inflation = float(stats.t.ppf(0.975, dof)) / Z_95
    error, dof = _with_floor(math.sqrt(squared) * inflation, dof, floor, plateau=plateau)
    return Mean(float(series.mean()), error, blocks, plateau, 0.5 * squared * n / variance, dof)


def _with_floor(error: float, dof: float, floor: float, *, plateau: bool) -> tuple[float, float]:
    """The error with its floor, and its degrees of freedom (Welch and Satterthwaite; a floor from theory has infinitely many)."""
    if floor <= 0.0:
        return error, dof
    if plateau:
        return (error, dof) if error >= floor else (floor, math.inf)
    total = math.hypot(error, floor)
    return total, dof * (total / error) ** 4 if error > 0.0 else math.inf


def _low_frequency_variance(series: FloatArray) -> float:
    """Squared error of the mean from the mean power of the lowest frequencies; 0 for a series too short for low frequencies."""
    if len(series) < 8 * _LOW_FREQUENCIES:
        return 0.0
    power = np.asarray(dct(series - series.mean(), norm="ortho"), dtype=np.float64)[1 : _LOW_FREQUENCIES + 1] ** 2
    return float(power.mean()) / len(series)


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


def slope(times: FloatArray, series: FloatArray, *, floor: float = 0.0) -> Slope:
    """Least-squares slope of ``series`` against ``times`` (equal steps) with an error corrected for autocorrelation.

    The error comes from the slowest frequencies of the series (:mod:`ncbench.statistics.drift_noise`). Work done by non-conservative
    forces makes the energy a random walk about its drift, and the fit absorbs most of a walk: its error is not in the residuals but
    in the 1/f² part of their spectrum. A vibration conserved in the mean has no power at low frequency.
    For a walk the least-squares slope has 6/5 of the variance of the best estimate, its end minus its start.

    Args:
        times: [n], at equal steps.
        series: [n].
        floor: least standard error that theory allows (:func:`ncbench.statistics.floors.power_error`); the error is at least that.
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
    # Residuals at rounding level have no structure to model, and would cause a division by zero.
    rounding = float(np.finfo(np.float64).eps * np.abs(series).max())
    if float(residuals @ residuals) <= n * (4.0 * rounding) ** 2:
        return Slope(value, max(floor, rounding / float(np.linalg.norm(centred))), True, 0.0, math.inf)
    noise = noise_of_slope(centred, residuals)
    plateau = n >= _LEAST_SAMPLES and not _NO_WALK < noise.walk < _SURE
    error, dof = _with_floor(noise.half_width / Z_95, noise.dof, floor, plateau=True)
    return Slope(value, error, plateau, noise.walk, dof, noise.persistent)
