"""The heating power to second order of a large structure, without its modes: Chebyshev moments of the coupling between vibrations.

The power of :mod:`ncbench.prediction.resonances` is a double sum over modes, P = k_B T Σ_ij a_ij² W(ω_i, ω_j) = k_B T ∫∫ ρ(μ, μ') W(ω(μ), ω(μ')) dμ dμ' with

    ρ(μ, μ') = Σ_ij a_ij² δ(μ − μ_i) δ(μ' − μ_j),    μ_i the eigenvalues of the dynamical matrix D.

With D mapped on [−1, 1] and Chebyshev polynomials T_m (Weiße, Wellein, Alvermann & Fehske, Rev. Mod. Phys. 78, 275, 2006, Sec. II and III.B), moments of ρ are
traces, estimated with random signs ξ (Hutchinson, Commun. Stat. Simul. Comput. 19, 433, 1990):

    μ_mn = tr T_m(D) a T_n(D) aᵀ = ⟨(a T_m ξ)·(T_n a ξ)⟩,    P = k_B T Σ_mn c_mn μ_mn,

c the Chebyshev coefficients of W. Every width, window and frequency floor is another W of the same moments. W is not smoothed; its series converges where it resolves
the width: with μ = c + h cos θ and a lower end near zero, ω = ω_max sin(θ/2), so that M terms resolve frequencies of ω_max/M. What the last quarter of the terms changes is part
of the error. Each application of D costs O(N), and the relative error of a trace falls as 1/√N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn

from ncbench.prediction.harmonic import FloatArray, Imaginary
from ncbench.prediction.sparse_modes import SparseModes
from ncbench.types import Tick, silent

PROBES = (8, 64)
"""Fewest and most random vectors. The scatter of eight traces gives their error to a quarter."""
COMPONENTS = 60_000
"""Random numbers of all vectors together: 3N p ≥ this gives errors of a few per cent."""
LEAST_TERMS, MOST_TERMS = 192, 2048
FLOOR_TERMS = 8.0
"""Terms over ω_max/ω_floor: W has a kink at the frequency floor, where the soft modes that heat most are."""
RESOLVED = 1.25
"""Terms over ω_max t, t the longest time that W resolves: coefficients of cos ωt vanish beyond ω_max t."""
STORED_GIB = 2.0
"""Memory for polynomials of several vectors at once; one vector is taken where more do not fit."""
SHORTER = 0.75
"""Share of the terms in a shorter series. A kink leaves an error of order 1/M or less, of which the difference is a third: three times it counts as the error."""

Weight = Callable[[FloatArray], FloatArray]
"""Frequencies ω [K], internal unit of 1/time → W [K, K], symmetric, P_ij/(k_B T a_ij²)."""


@dataclass(frozen=True)
class Estimated:
    """A sum over pairs of modes."""

    value: float
    standard_error: float
    """From the scatter of the random vectors."""
    truncation: float
    """Error of the series, by the change with the last quarter of the terms."""

    @property
    def error(self) -> float:
        """Both."""
        return math.hypot(self.standard_error, self.truncation)


@dataclass(frozen=True)
class Moments:
    """Moments of the coupling, one matrix a random vector."""

    low: float
    """Lower bound of the spectrum of D, internal unit of 1/time²."""
    high: float
    values: FloatArray
    """[p, M, M]: μ_mn of each vector."""

    @property
    def terms(self) -> int:
        """M."""
        return int(self.values.shape[1])

    def frequencies(self, count: int, floor: float, imaginary: Imaginary) -> FloatArray:
        """[count]: ω at the Chebyshev nodes θ_k = π (k + ½)/K, with imaginary frequencies and the floor treated as for single modes."""
        theta = math.pi * (np.arange(count) + 0.5) / count
        squared = (self.high + self.low) / 2 + (self.high - self.low) / 2 * np.cos(theta)
        frequency = np.sqrt(np.abs(squared))
        if imaginary == "floor":
            frequency[squared < 0] = 0.0
        return np.maximum(frequency, floor)

    def density(self) -> FloatArray:
        """[2M, 2M]: Σ_ij a_ij² at each pair of Chebyshev nodes, smoothed over ω_max π/M: for sums over bands that are wider than that."""
        damped = np.outer(_jackson(self.terms), _jackson(self.terms)) * self.values.mean(axis=0)
        count = 2 * self.terms
        padded = np.zeros((count, count))
        padded[: self.terms, : self.terms] = damped
        density: FloatArray = dctn(padded, type=3) / count**2
        return density

    def total(self, weight: Weight, *, floor: float, imaginary: Imaginary = "absolute") -> Estimated:
        """Σ_ij a_ij² W(ω_i, ω_j).

        Args:
            weight: W.
            floor: least frequency, internal unit of 1/time.
            imaginary: frequency of an unstable mode, as in :func:`ncbench.prediction.harmonic.harmonic_model`.
        """
        count = 2 * self.terms
        # c_mn = γ_m γ_n/K² Σ_kl W_kl cos mθ_k cos nθ_l, γ_0 = 1 and 2 otherwise; SciPy's transform has a factor of two for each axis.
        series = dctn(weight(self.frequencies(count, floor, imaginary)), type=2) / (4.0 * count**2)
        coefficients = 4.0 * series[: self.terms, : self.terms]
        coefficients[0] /= 2.0
        coefficients[:, 0] /= 2.0
        drawn = np.einsum("mn,pmn->p", coefficients, self.values)
        shorter = max(1, round(SHORTER * self.terms))
        less = np.einsum("mn,pmn->p", coefficients[:shorter, :shorter], self.values[:, :shorter, :shorter])
        spread = float(drawn.std(ddof=1)) / math.sqrt(len(drawn)) if len(drawn) > 1 else math.inf
        return Estimated(float(drawn.mean()), spread, 3.0 * abs(float(drawn.mean() - less.mean())))


def _jackson(terms: int) -> FloatArray:
    """[M]: Jackson's kernel, which keeps densities positive (Weiße et al., Sec. II.C.3)."""
    m, step = np.arange(terms), math.pi / (terms + 1)
    factors: FloatArray = ((terms - m + 1) * np.cos(m * step) + np.sin(m * step) / math.tan(step)) / (terms + 1)
    return factors


def terms_for(bounds: tuple[float, float], times: Sequence[float], floor: float) -> int:
    """M for weights that resolve these times and the frequency floor.

    Polynomials resolve μ to (π/M) √((μ − low)(high − μ)), finest at the ends: where unstable modes lie below, μ = 0 is not at the end.

    Args:
        bounds: of the spectrum of D, internal unit of 1/time².
        times: time constants and windows, internal unit.
        floor: least frequency, internal unit of 1/time.
    """
    largest, below = math.sqrt(max(bounds[1], 0.0)), math.sqrt(max(-bounds[0], 0.0))
    kink = FLOOR_TERMS * largest * max(1.0, below / floor) / floor
    wanted = max(RESOLVED * largest * max(times, default=0.0), kink)
    return int(min(MOST_TERMS, max(LEAST_TERMS, math.ceil(wanted))))


def probes_for(size: int) -> int:
    """Random vectors for 3N = ``size`` coordinates."""
    return int(min(PROBES[1], max(PROBES[0], math.ceil(COMPONENTS / size))))


def bytes_of(size: int, terms: int, probes: int) -> float:
    """Memory of the moments and of their polynomials at once, bytes."""
    return 8.0 * (_at_once(size, terms, probes) * terms * size + probes * terms**2 + 6.0 * (2 * terms) ** 2)


def moments(
    modes: SparseModes,
    bounds: tuple[float, float],
    terms: int,
    *,
    rng: np.random.Generator,
    probes: int,
    tick: Tick = silent,
) -> Moments:
    """μ_mn from ``probes`` random vectors: three sparse products a term and vector.

    Args:
        modes: D and a.
        bounds: of the spectrum of D, internal unit of 1/time².
        terms: M.
        rng: draws the vectors.
        probes: their number.
        tick: called with the number of finished vectors.
    """
    values = np.empty((probes, terms, terms))
    together = _at_once(modes.size, terms, probes)
    for start in range(0, probes, together):
        count = min(together, probes - start)
        drawn: FloatArray = rng.integers(0, 2, size=(modes.size, count)).astype(np.float64) * 2.0 - 1.0
        values[start : start + count] = _of_vectors(modes, bounds, terms, modes.project(drawn))
        tick(count)
    return Moments(*bounds, values)


BLOCK = 32
"""Polynomials that are multiplied by all others in one matrix product."""


def _of_vectors(modes: SparseModes, bounds: tuple[float, float], terms: int, vectors: FloatArray) -> FloatArray:
    """[b, M, M] of vectors [3N, b]."""
    size, count = vectors.shape
    driven = np.empty((count, terms, size))
    for m, polynomial in enumerate(_polynomials(modes, bounds, terms, vectors)):
        driven[:, m] = modes.apply_coupling(polynomial).T
    values = np.empty((count, terms, terms))
    block = np.empty((count, min(BLOCK, terms), size))
    for n, polynomial in enumerate(_polynomials(modes, bounds, terms, driven[:, 0].T.copy())):
        place = n % BLOCK
        block[:, place] = polynomial.T
        if place + 1 == BLOCK or n + 1 == terms:
            values[:, :, n - place : n + 1] = driven @ block[:, : place + 1].transpose(0, 2, 1)
    return values


def _polynomials(
    modes: SparseModes, bounds: tuple[float, float], terms: int, vectors: FloatArray
) -> Iterator[FloatArray]:
    """T_m(D) v for m = 0, 1, …: T_(m+1) = 2 x T_m − T_(m−1), x = (2 D − high − low)/(high − low)."""
    low, high = bounds
    scale, shift = 2.0 / (high - low), (high + low) / (high - low)
    before, now = vectors, scale * modes.apply_stiffness(vectors) - shift * vectors
    yield before
    for _ in range(terms - 1):
        yield now
        before, now = now, 2.0 * (scale * modes.apply_stiffness(now) - shift * now) - before


def _at_once(size: int, terms: int, probes: int) -> int:
    return int(max(1, min(probes, STORED_GIB * 2**30 // (8.0 * size * terms))))
