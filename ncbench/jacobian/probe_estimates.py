"""λ and its 95 % interval from random probes.

For independent v of zero mean and unit covariance, E‖Mv‖² = ‖M‖_F² for any matrix M (Hutchinson 1989). With T the estimate of ‖A‖², D that
of ‖J‖² and λ² = T/D, the interval is that of a scaled χ²: νT/(Dχ²_ν) with ν = 2/V, V the relative variance of T/D (Satterthwaite 1946).
It is asymmetric in λ, because T is: for a single antisymmetric pair of entries and n normal probes, T is distributed as a product of χ² of n and of n − 1
degrees of freedom.

The scatter of few probes is a poor estimate of V where A has few large parts: most samples miss its tail. V is therefore computed from the
products of all probes with each other, which contain the spectra of A and J (below), and from the scatter, and the larger is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

FloatArray = NDArray[np.float64]
MIN_PROBES = 8
"""Products in both directions: least number of probes whose interval covers 92 to 98 % (benchmarked in tests/jacobian/test_coverage.py)."""
MIN_PAIR_PROBES = 16
"""The same for products in one direction."""


class Estimate(Protocol):
    """λ from probes."""

    @property
    def n_probes(self) -> int:
        """Probes drawn."""

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²."""

    @property
    def noise(self) -> float:
        """‖A‖_F expected from numerical error alone, eV/Å²."""

    @property
    def lam(self) -> float:
        """λ; NaN where J is zero."""

    @property
    def relative_variance(self) -> float:
        """V: variance of λ² over its square."""


def standard_error(estimate: Estimate) -> float:
    """Of λ over probes: λ √V/2."""
    return estimate.lam * float(np.sqrt(estimate.relative_variance)) / 2


def bound(estimate: Estimate, probability: float) -> float:
    """Quantile of λ for this probability."""
    variance = estimate.relative_variance
    if not np.isfinite(variance) or not np.isfinite(estimate.lam):
        return float("nan")
    # A variance at rounding level: χ²_ν/ν is one.
    if variance < 1e-12:
        return estimate.lam
    degrees = 2.0 / variance
    return min(1.0, estimate.lam * float(np.sqrt(degrees / chi2.ppf(1.0 - probability, degrees))))


def interval95(estimate: Estimate) -> tuple[float, float]:
    """The 95 % interval of λ, asymmetric and cut at 1; NaN for a single probe."""
    return bound(estimate, 0.025), bound(estimate, 0.975)


def three_sigma_low(estimate: Estimate) -> float:
    """The value that λ exceeds with the probability of three standard deviations, 99.87 %."""
    return bound(estimate, float(norm.cdf(-3.0)))


def is_zero(estimate: Estimate) -> bool:
    """The upper end of the interval is below three times what rounding alone would give."""
    return interval95(estimate)[1] * estimate.jacobian_norm <= 3.0 * estimate.noise


@dataclass(frozen=True)
class ProductProbes:
    """Jacobian products in both directions with v of independent ±1: Av = (Jv − Jᵀv)/2.

    With K = (JᵀJ + JJᵀ)/2 and Q = AAᵀ/T − K/D, the relative deviation of λ² is the mean of vᵀQv over probes. For ±1 vectors its variance is
    2(tr Q² − Σ_i Q_ii²)/n. The mean of (v_kᵀQv_l)² over k ≠ l is tr Q² without bias, and Q_ii is the mean of (Av)_i²/T − ((Jv)_i² + (Jᵀv)_i²)/2D.
    """

    vectors: FloatArray
    """[n, 3N]: v."""
    forward: FloatArray
    """[n, 3N]: Jv, eV/Å²."""
    backward: FloatArray
    """[n, 3N]: Jᵀv, eV/Å²."""
    noise: float
    """‖Av‖ expected from rounding alone, eV/Å²."""
    widening: float = 1.0
    """Factor of :attr:`relative_variance`; see :meth:`chosen`."""

    def chosen(self) -> ProductProbes:
        """The same with the error that holds where the number of probes was chosen by it: V is larger by two of its standard errors.

        V is an average over n(n − 1)/2 products of two probes with each other, of relative variance 2 each (of dense matrices), and so known to 2/n. Probes end where it happens
        to be small: without the factor 1 + 4/n, intervals of few probes cover less than 90 %.
        """
        return replace(self, widening=1.0 + 4.0 / self.n_probes)

    @property
    def n_probes(self) -> int:
        """Probes drawn."""
        return len(self.forward)

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²; the mean of both directions has the smaller variance."""
        return float(np.sqrt(self._jacobian_square))

    @property
    def lam(self) -> float:
        """The root of the ratio of means."""
        return _root_ratio(self._antisymmetric_square, self._jacobian_square)

    @cached_property
    def relative_variance(self) -> float:
        """See the class; NaN below two probes."""
        n, t, d = self.n_probes, self._antisymmetric_square, self._jacobian_square
        if n < 2 or not d > 0:
            return float("nan")
        if t == 0.0:
            return 0.0
        odd = self._antisymmetric
        q = (odd @ odd.T) / t - (self.forward @ self.forward.T + self.backward @ self.backward.T) / (2 * d)
        diagonal = np.square(odd) / t - (np.square(self.forward) + np.square(self.backward)) / (2 * d)
        # Over k ≠ l, because the square of a mean over probes is biased.
        squared_diagonal = np.sum(np.square(diagonal.sum(axis=0)) - np.square(diagonal).sum(axis=0)) / (n * (n - 1))
        spectral = max(0.0, 2.0 * (_off_diagonal_mean(np.square(q)) - float(squared_diagonal)) / n)
        return self.widening * max(spectral, float(np.var(np.diag(q), ddof=1)) / n)

    @cached_property
    def _antisymmetric(self) -> FloatArray:
        return (self.forward - self.backward) / 2

    @cached_property
    def _antisymmetric_square(self) -> float:
        return float(np.square(self._antisymmetric).sum(axis=1).mean())

    @cached_property
    def _jacobian_square(self) -> float:
        return float((np.square(self.forward).sum(axis=1) + np.square(self.backward).sum(axis=1)).mean() / 2)


@dataclass(frozen=True)
class PairProbes:
    """Products in one direction with v of independent normal entries: (u·Jv − v·Ju)/2 = uᵀAv, E(uᵀAv)² = ‖A‖², from n(n − 1)/2 pairs.

    The normal distribution is rotation invariant, so that the distribution of B = VᵀAV depends on the singular values of A alone (of ±1 vectors, those that
    agree on the two coordinates of an antisymmetric pair give zero for it). With M = AAᵀ, T = tr M and q = tr M²/T²,
    from the fourth moments of normal vectors and the variance of a U-statistic (Hoeffding 1948)

        V_T = (8(n − ½)q + 4)/(n(n − 1)),
        E tr(BBᵀBBᵀ) = n(n − 1)((n − 2)(n − 3)q + (2n − 1)(1 + 2q))T²,

    the second of which gives q from the observed B, at most ½ because singular values of A come in pairs. D adds
    2 tr(JᵀJ)²/(nD²) to the variance, and their covariance subtracts 8 tr(MJᵀJ)/(nTD).
    """

    vectors: FloatArray
    """[n, 3N]: v."""
    products: FloatArray
    """[n, 3N]: Jv, or Jᵀv for all, eV/Å²."""
    noise: float
    """|uᵀAv| expected from rounding and truncation alone, eV/Å²."""

    @property
    def n_probes(self) -> int:
        """Probes drawn."""
        return len(self.vectors)

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²."""
        return float(np.sqrt(self._jacobian_square))

    @property
    def lam(self) -> float:
        """Mean of (v_kᵀ A v_l)² over pairs k < l, against the mean of ‖Jv‖²; NaN below two probes."""
        return _root_ratio(self._antisymmetric_square, self._jacobian_square)

    @cached_property
    def relative_variance(self) -> float:
        """See the class; NaN below four probes."""
        n, t, d = self.n_probes, self._antisymmetric_square, self._jacobian_square
        if n < 4 or not d > 0:
            return float("nan")
        if t == 0.0:
            return 0.0
        crossed, gram = self._crossed @ self._crossed.T, self.products @ self.products.T
        fourth = float(np.sum(np.square(crossed)) / np.trace(crossed) ** 2)
        # E tr(BBᵀBBᵀ) over E(tr BBᵀ)² = n²(n − 1)²T²(1 + V_T), solved for q: linear, since V_T is.
        q = (fourth * (n * n - n + 4) - (2 * n - 1)) / ((n - 2) * (n - 3) + 2 * (2 * n - 1) - 8 * fourth * (n - 0.5))
        q = min(max(q, 0.0), 0.5)
        whole = _off_diagonal_mean(np.square(gram)) / d**2
        whole /= 1.0 + 2.0 * whole / n
        # (Σ_m B_km B_lm)/(n − 2) is v_kᵀMv_l without bias.
        shared = _off_diagonal_mean(crossed * gram) / ((n - 2) * t * d)
        pairs = 4.0 / (n * (n - 1))
        spectral = pairs * (1.0 + 2.0 * (n - 0.5) * q) + 2.0 * whole / n - 8.0 * shared / n
        # The scatter of the pairs is not reduced by the covariance with D.
        return max(spectral, pairs * max(0.0, 1.0 - t / d) ** 2, self._scatter(t, d))

    def _scatter(self, t: float, d: float) -> float:
        """V from g_kl = B_kl²/T − (‖Jv_k‖² + ‖Jv_l‖²)/2D alone.

        (4(n − 2) ζ₁ + 2 ζ₂)/(n(n − 1)) with ζ₂ its variance and ζ₁ the covariance of two that share a probe.
        """
        n = self.n_probes
        norms = np.square(self.products).sum(axis=1) / d
        apart = ~np.eye(n, dtype=bool)
        g = np.where(apart, np.square(self._crossed) / t - (norms[:, None] + norms[None, :]) / 2, 0.0)
        pairs = float(np.sum(np.square(g)) / (n * (n - 1)))
        rows = g.sum(axis=1) / (n - 1)
        shared = max(0.0, (float(np.sum(np.square(rows))) - pairs) / (n - 2))
        return (4 * (n - 2) * shared + 2 * pairs) / (n * (n - 1))

    @cached_property
    def _crossed(self) -> FloatArray:
        """[n, n]: B."""
        cross = self.vectors @ self.products.T
        return (cross - cross.T) / 2

    @cached_property
    def _antisymmetric_square(self) -> float:
        n = self.n_probes
        return float(np.square(self._crossed).sum() / (n * (n - 1))) if n > 1 else float("nan")

    @cached_property
    def _jacobian_square(self) -> float:
        return float(np.square(self.products).sum(axis=1).mean())


def _off_diagonal_mean(matrix: FloatArray) -> float:
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1)))


def _root_ratio(part: float, whole: float) -> float:
    return float(np.sqrt(part / whole)) if whole > 0 else float("nan")
