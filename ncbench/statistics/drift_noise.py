"""The error of the slope of a series from its lowest frequencies.

The cosine transform (DCT-II) makes white noise, and a random walk, exactly uncorrelated from one frequency k = 1, 2, … to the next: flat
the one, falling as 1/k² the other (the Karhunen-Loève basis of Brownian motion about its mean). A line has power at odd k only, which falls as 1/k⁴,
so that the slope is determined at k = 1 and 3 and its error is the noise there, which is inferred from the frequencies above. Low-frequency
inference of this kind is Müller and Watson's (Econometrica 76, 979, 2008); the fit with the noise's strength integrated out is restricted
maximum likelihood (Patterson & Thompson, Biometrika 58, 545, 1971), averaged over the shapes of spectra below.

Molecular series contain slow noise, which causes the error of a slope, under vibrations that are tens of times stronger. No set of spectra fits
several vibrations, and a misfit there would determine the slow noise by its likelihood. Part of the shapes therefore describe only the lowest k below a
cutoff, with a free power for every frequency above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.special import gammaln, stdtr

FloatArray = NDArray[np.float64]

MOST_FREQUENCIES = 64
SHARE_OF_FREQUENCIES = 4
"""A series of n samples gives n/4 frequencies, up to the most: those above are due to vibrations."""
_LEAST_FREQUENCIES = 6
_CORNERS = ((0.0, 5.0), (8.0, 0.2), (16.0, 1.0))
"""(c, belief) of slow noise 1/(k² + c²): memory of n/πc samples, and 0 for a random walk. A memory of more than an eighth of the series is
equivalent to a walk: the cases in between cannot be distinguished from one."""
_RESONANCES = (5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 60.0)
_QUALITIES = (1.0, 4.0)
"""Of damped vibrations, [1 − (k/p)²]² + (k/pQ)² in the denominator: an energy that oscillates and is conserved in the mean."""
_RESONANT = 3.0
"""Prior weight of all of them together, relative to 1 for white noise."""
_FLOORS = (0.003, 0.03, 0.3)
"""Strengths of fast noise under slow noise, if all frequencies are described."""
_FLOORED = 0.01
"""Prior weight of each."""
_CUTOFFS = (5, 7, 10, 14, 20, 28)
"""Frequencies that a shape of the lowest ones describes: flat noise, a walk, and a walk over flat noise (vibrations that are cut off by the
window's ends are flat below their frequency)."""
_LOW_FLOORS = (0.01, 0.03, 0.1, 0.3, 1.0)
_LOW_FLOORED = 1.0
"""Prior weight of a walk over flat noise, all strengths together."""
_DECADES = 2.0
"""The power of a frequency above the cutoff is anything within this many decades of amplitude about the rest, 1/|x| in each. That costs the
likelihood 0.2 a frequency where the noise is white, and much less than a misfit where it is not. With three decades intervals of slow noise under
vibrations covered in 0.65 to 0.97; with two in 0.87 to 1.00, at a width for white noise of 1.2 to 1.4 times the spread from 300 samples
and 3 times at 100, where white and slow noise cannot be distinguished."""
_SMOOTH_CORNERS = (1.0, 4.0, 12.0)
"""c of walks that are smooth at short times, 1/(k²(k² + c²)): the power of a force acts steadily for n/πc samples before it changes. Within that time
the work is almost a straight line with a different slope."""
_SMOOTH = 1.0
"""Prior weight of all of them together, at each cutoff and if all frequencies are described."""
_TWO_MEMORIES = tuple((corner, excess) for corner in (2.0, 6.0) for excess in (1.0, 3.0, 10.0))
"""(c, A) of walks whose steps are the sum of one without memory and one with a memory of n/πc samples, (1 + A c²/(k² + c²))/k²: where a few soft modes
do much of the work, a part of a heating power fluctuates slowly. Such a walk is stronger at the lowest frequencies, which determine the slope, than at those above."""
_TWO = 1.5
"""Prior weight of all of them together, at each cutoff and if all frequencies are described. Intervals of a pure walk are 1.08 times as wide as without these
shapes. Where three quarters of a walk's variance have a memory of a twentieth of the series, they cover 0.91 in place of 0.85."""
_PERSISTENT_CORNER = 1.0
"""Of smooth walks: a memory of a third of the series or more."""
_COVERAGE = 0.95


@dataclass(frozen=True)
class _Shapes:
    """M spectra at K frequencies."""

    weights: FloatArray
    """[M, K]: one over the spectrum; 0 at frequencies that the shape does not describe."""
    log_belief: FloatArray
    """[M], with the spectra's share of the likelihood, Σ ln(weight)/2."""
    walks: FloatArray
    """[M]: 1 for those with a random walk in them."""
    persistent: FloatArray
    """[M]: 1 for walks whose steps are remembered over a third of the series or more."""
    described: NDArray[np.int64]
    """[M]: frequencies that the shape describes, from the lowest."""


class _Shape(NamedTuple):
    """One spectrum."""

    spectrum: FloatArray
    """[K]"""
    belief: float
    """Prior weight."""
    described: int
    walk: bool = True
    persistent: bool = False


@lru_cache(maxsize=64)
def _shapes(count: int) -> _Shapes:
    k = np.arange(1.0, count + 1.0)
    peaks = [(p, q) for p in _RESONANCES if p <= 1.6 * count for q in _QUALITIES]
    fast = [(np.ones(count), 1.0)]
    fast += [(1.0 / ((1.0 - (k / p) ** 2) ** 2 + (k / (p * q)) ** 2), _RESONANT / len(peaks)) for p, q in peaks]
    table = [_Shape(spectrum, belief, count, walk=False) for spectrum, belief in fast]
    for corner, belief in _CORNERS:
        slow, walk = (1.0 + corner**2) / (k**2 + corner**2), corner == 0.0
        table.append(_Shape(slow, belief, count, walk))
        table += [
            _Shape(slow + floor * spectrum, belief * share * _FLOORED, count, walk)
            for floor in _FLOORS
            for spectrum, share in fast
        ]
    cutoffs = [c for c in _CUTOFFS if c < count]
    for described in (count, *cutoffs):
        for c in _SMOOTH_CORNERS:
            smooth = (1.0 + c**2) / (k**2 * (k**2 + c**2))
            belief = _SMOOTH / len(_SMOOTH_CORNERS)
            table.append(_Shape(smooth, belief, described, persistent=c <= _PERSISTENT_CORNER))
        for c, excess in _TWO_MEMORIES:
            two = (1.0 + excess * c**2 / (k**2 + c**2)) / k**2
            table.append(_Shape(two, _TWO / len(_TWO_MEMORIES), described))
    for cutoff in cutoffs:
        table.append(_Shape(np.ones(count), 1.0, cutoff, walk=False))
        table.append(_Shape(1.0 / k**2, _CORNERS[0][1], cutoff))
        table += [_Shape(1.0 / k**2 + floor, _LOW_FLOORED / len(_LOW_FLOORS), cutoff) for floor in _LOW_FLOORS]
    n_described = np.array([shape.described for shape in table])
    below = np.arange(count) < n_described[:, None]
    weights = 1.0 / np.array([shape.spectrum for shape in table])
    log_belief = np.log([shape.belief for shape in table]) + 0.5 * np.where(below, np.log(weights), 0.0).sum(axis=1)
    walks, persistent = (np.array(kind, dtype=np.float64) for kind in zip(*(s[3:] for s in table), strict=True))
    return _Shapes(np.where(below, weights, 0.0), log_belief, walks, persistent, n_described)


@dataclass(frozen=True)
class SlopeNoise:
    """The error of a least-squares slope from the low frequencies."""

    half_width: float
    """Half the 95 % interval."""
    walk: float
    """Posterior probability that the noise is a random walk (1) rather than noise with short memory (0)."""
    persistent: float
    """Posterior probability of a walk that is smooth over a third of the series or more: its steps keep their sign that long."""
    dof: float
    """Degrees of freedom of the strength of the noise, harmonic mean over the shapes."""


def noise_of_slope(centred: FloatArray, residuals: FloatArray) -> SlopeNoise:
    """The error of a least-squares slope.

    Args:
        centred: [n], times minus their mean, at equal steps; n ≥ 8.
        residuals: [n], of the least-squares line; not all zero.
    """
    n = len(residuals)
    count = min(MOST_FREQUENCIES, max(_LEAST_FREQUENCIES, n // SHARE_OF_FREQUENCIES))
    line: FloatArray = np.asarray(dct(centred, norm="ortho"), dtype=np.float64)[1 : count + 1]
    noise: FloatArray = np.asarray(dct(residuals, norm="ortho"), dtype=np.float64)[1 : count + 1]
    # Normalised, since the likelihood of the undescribed frequencies depends on the unit of the series.
    scale = float(np.sqrt(np.mean(noise**2))) or 1.0
    noise /= scale
    shapes = _shapes(count)
    degrees: FloatArray = np.asarray(shapes.described - 1.0, dtype=np.float64)
    precision = shapes.weights @ line**2
    shift = shapes.weights @ (line * noise) / precision
    scatter = np.maximum(shapes.weights @ noise**2 - shift**2 * precision, np.finfo(np.float64).tiny)
    # ∫ dσ/σ ∫ d(slope) of the Gaussian likelihood: Γ(ν/2)/2 · (π·scatter)^(−ν/2) · precision^(−1/2) · Π weight^(1/2).
    log_likelihood = shapes.log_belief - 0.5 * np.log(precision) - 0.5 * degrees * np.log(np.pi * scatter)
    log_likelihood += gammaln(0.5 * degrees)
    tiny = np.finfo(np.float64).eps
    open_terms = -np.log(2.0 * _DECADES * math.log(10.0) * np.maximum(np.abs(noise), tiny))
    log_likelihood += np.concatenate([np.cumsum(open_terms[::-1])[::-1], [0.0]])[shapes.described]
    belief = np.exp(log_likelihood - log_likelihood.max())
    belief /= belief.sum()
    error = np.sqrt(scatter / (degrees * precision))
    half_width = scale * _half_width(belief, shift, error, degrees)
    dof = float(1.0 / (belief @ (1.0 / degrees)))
    return SlopeNoise(half_width, float(belief @ shapes.walks), float(belief @ shapes.persistent), dof)


def _half_width(belief: FloatArray, shift: FloatArray, error: FloatArray, degrees: FloatArray) -> float:
    """h such that |slope − least-squares slope| < h has 95 % posterior probability: a mixture of Student's t, halved to ten digits."""
    kept = belief > 1e-5
    belief, shift, error, degrees = belief[kept] / belief[kept].sum(), shift[kept], error[kept], degrees[kept]
    # Thirty errors contain all but 1e-5 of a t distribution of four degrees of freedom.
    low, high = 0.0, float((np.abs(shift) + 30.0 * error).max())
    for _ in range(40):
        half = 0.5 * (low + high)
        inside = float(belief @ (stdtr(degrees, (half - shift) / error) - stdtr(degrees, (-half - shift) / error)))
        low, high = (half, high) if inside < _COVERAGE else (low, half)
    return high
