"""What the slowest frequencies of a series say about the error of its slope.

The cosine transform (DCT-II) makes white noise, and a random walk, exactly uncorrelated from one frequency k = 1, 2, … to the next: flat
the one, falling as 1/k² the other (the Karhunen-Loève basis of Brownian motion about its mean). A line lives in the odd k and falls as 1/k⁴
in power, so that the slope is read from k = 1 and 3 and its error is the noise there, which only the frequencies above can tell. Low-frequency
inference of this kind is Müller and Watson's (Econometrica 76, 979, 2008); the fit with the noise's strength integrated out is restricted
maximum likelihood (Patterson & Thompson, Biometrika 58, 545, 1971), averaged over the shapes of spectra below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.special import stdtr

FloatArray = NDArray[np.float64]

MOST_FREQUENCIES = 40
SHARE_OF_FREQUENCIES = 4
"""A series of n samples gives n/4 frequencies, up to the most: above, vibrations have the word."""
_LEAST_FREQUENCIES = 6
_CORNERS = ((0.0, 5.0), (8.0, 0.2), (16.0, 1.0))
"""(c, belief) of slow noise 1/(k² + c²): memory of n/πc samples, and 0 for a random walk. A memory of more than an eighth of the series is
as good as a walk: what lies between cannot be told from one."""
_RESONANCES = (5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 60.0)
_QUALITIES = (1.0, 4.0)
"""Of damped vibrations, [1 − (k/p)²]² + (k/pQ)² in the denominator: an energy that goes up and down and is conserved in the mean."""
_RESONANT = 3.0
"""Belief in all of them together, white noise having 1."""
_FLOORS = (0.003, 0.03, 0.3)
"""Strengths of fast noise under slow noise."""
_FLOORED = 0.01
"""Belief in each. The beliefs of this table were chosen so that 95 % intervals cover in 92 to 98 % for white noise, first- and second-order
autoregressive series and random walks alike: more for slow noise under fast noise would widen every interval."""
_COVERAGE = 0.95


@dataclass(frozen=True)
class _Shapes:
    """M spectra at K frequencies."""

    weights: FloatArray
    """[M, K]: one over the spectrum."""
    log_belief: FloatArray
    """[M], with the spectra's share of the likelihood, Σ ln(weight)/2."""
    walks: FloatArray
    """[M]: 1 for those with a random walk in them."""


@lru_cache(maxsize=64)
def _shapes(count: int) -> _Shapes:
    k = np.arange(1.0, count + 1.0)
    peaks = [(p, q) for p in _RESONANCES if p <= 1.6 * count for q in _QUALITIES]
    fast = [(np.ones(count), 1.0)]
    fast += [(1.0 / ((1.0 - (k / p) ** 2) ** 2 + (k / (p * q)) ** 2), _RESONANT / len(peaks)) for p, q in peaks]
    table = [(spectrum, belief, 0.0) for spectrum, belief in fast]
    for corner, belief in _CORNERS:
        slow, walk = (1.0 + corner**2) / (k**2 + corner**2), float(corner == 0.0)
        table.append((slow, belief, walk))
        table += [
            (slow + floor * spectrum, belief * share * _FLOORED, walk) for floor in _FLOORS for spectrum, share in fast
        ]
    weights = 1.0 / np.array([spectrum for spectrum, _, _ in table])
    log_belief = np.log([belief for _, belief, _ in table]) + 0.5 * np.log(weights).sum(axis=1)
    return _Shapes(weights, log_belief, np.array([walk for _, _, walk in table]))


def half_width_of_slope(centred: FloatArray, residuals: FloatArray) -> tuple[float, float]:
    """Half the 95 % interval of a least-squares slope, and how far its noise is believed to be a random walk.

    Args:
        centred: [n], times less their mean, at equal steps; n ≥ 8.
        residuals: [n], of the least-squares line; not all zero.
    """
    n = len(residuals)
    count = min(MOST_FREQUENCIES, max(_LEAST_FREQUENCIES, n // SHARE_OF_FREQUENCIES))
    line: FloatArray = np.asarray(dct(centred, norm="ortho"), dtype=np.float64)[1 : count + 1]
    noise: FloatArray = np.asarray(dct(residuals, norm="ortho"), dtype=np.float64)[1 : count + 1]
    shapes = _shapes(count)
    degrees = count - 1
    precision = shapes.weights @ line**2
    shift = shapes.weights @ (line * noise) / precision
    scatter = np.maximum(shapes.weights @ noise**2 - shift**2 * precision, np.finfo(np.float64).tiny)
    log_likelihood = shapes.log_belief - 0.5 * (np.log(precision) + degrees * np.log(scatter))
    belief = np.exp(log_likelihood - log_likelihood.max())
    belief /= belief.sum()
    error = np.sqrt(scatter / (degrees * precision))
    return _half_width(belief, shift, error, degrees), float(belief @ shapes.walks)


def _half_width(belief: FloatArray, shift: FloatArray, error: FloatArray, degrees: int) -> float:
    """h such that |slope − least-squares slope| < h is believed by 95 %: a mixture of Student's t, halved to ten digits."""
    told = belief > 1e-5
    belief, shift, error = belief[told] / belief[told].sum(), shift[told], error[told]
    # Twenty errors hold all but 1e-5 of a t distribution of five degrees of freedom.
    low, high = 0.0, float((np.abs(shift) + 20.0 * error).max())
    for _ in range(40):
        half = 0.5 * (low + high)
        inside = float(belief @ (stdtr(degrees, (half - shift) / error) - stdtr(degrees, (-half - shift) / error)))
        low, high = (half, high) if inside < _COVERAGE else (low, half)
    return high
