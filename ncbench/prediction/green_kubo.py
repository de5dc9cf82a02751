"""Heating power from the work of the non-conservative forces along a conservative trajectory.

To second order in f_nc = f_direct − f_conservative the power is (Green–Kubo; Kubo, Toda & Hashitsume, *Statistical Physics II*, Ch. 4)

    P = β ∫₀^∞ ⟨w(0) w(s)⟩ ds,    w = v·f_nc,

an equilibrium average over the *conservative* dynamics, which are safe to run. Equivalently, with W(t) = ∫₀ᵗ w ds, the variance D(t) = ⟨W²⟩ ends in a
straight line, D(t) → 2 k_B T P t + D₀. A part of f_nc that is a gradient, −∇φ, adds W = φ(0) − φ(t), which is bounded: it enters D₀ and not P.

P is taken from the growth between two windows, (D(t) − D(t/2))/(t/2), in which a constant D₀ cancels. For overlapping windows m ≤ n of a diffusive path of N
steps Cov(D_m, D_n) = 2 (m²n − m³/3) σ⁴/N (Qian, Sheetz & Elson, Biophys. J. 60, 910, 1991, for m = n), hence the relative errors √(4t/3L) of D(t) and √(8t/3L) of
that growth in a run of length L, t ≪ L. The latter is a floor: the stated error is that of the mean over starts of the windows, a correlated series.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.statistics.series import blocking_mean
from ncbench.units import KB, MEV

FloatArray = NDArray[np.float64]
LONGEST_SHARE = 0.25
"""Longest window over the length of the run."""
LONGEST_FS = 100.0
"""Longest window by default, fs: several times the memory of the vibrations of a liquid, and the error grows with the window."""
LEAST_SAMPLES = 40
"""Samples below which no line is fitted."""


@dataclass(frozen=True)
class GreenKubo:
    """P from the growth of the variance of the work."""

    power: float
    """P, meV/atom/ps."""
    standard_error: float
    transient_meV: float
    """√(D₀/2), meV: root-mean-square of φ where all of D₀ is a gradient's; 0 where D₀ ≤ 0."""
    lags_fs: FloatArray
    """[L]: t."""
    variances: FloatArray
    """[L]: D(t), eV²."""
    powers: FloatArray
    """[L]: D(t)/(2 k_B T t N), meV/atom/ps, the gradient part included."""
    fit_from_fs: float
    """The growth is taken from here to the last lag."""


def relative_error(window_fs: float, length_fs: float) -> float:
    """Of ⟨W²⟩ in overlapping windows t of one diffusive path of length L: √(4t/3L)."""
    return math.sqrt(4.0 * window_fs / (3.0 * length_fs))


def work_growth(
    work_rates: FloatArray, spacing_fs: float, *, n_atoms: int, temperature_K: float, longest_fs: float | None = None
) -> GreenKubo:
    """P from samples of w along one run.

    Args:
        work_rates: [S], w, eV/fs, evenly spaced in time.
        spacing_fs: time between them, fs.
        n_atoms: N.
        temperature_K: T of the run.
        longest_fs: longest window, fs; by default a quarter of the run, :data:`LONGEST_FS` at most. P is the growth over its second half.

    Raises:
        UsageError: too few samples.
    """
    samples = len(work_rates)
    if samples < LEAST_SAMPLES:
        raise UsageError(f"{samples} samples of the work are too few; {LEAST_SAMPLES} is the least.")
    length_fs = (samples - 1) * spacing_fs
    longest = min(LONGEST_SHARE * length_fs, LONGEST_FS) if longest_fs is None else longest_fs
    # Trapezoidal rule: exact for the differences of a smooth potential to second order in the spacing.
    work = np.concatenate([[0.0], np.cumsum((work_rates[1:] + work_rates[:-1]) / 2) * spacing_fs])
    counts = np.arange(1, max(2, int(longest / spacing_fs)) + 1)
    if counts[-1] >= samples - 1:
        raise UsageError(f"Windows of {longest:g} fs do not fit a run of {length_fs:g} fs.")
    variances = np.array([np.mean((work[count:] - work[:-count]) ** 2) for count in counts])
    lags = counts * spacing_fs
    half, last = int(counts[len(counts) // 2 - 1]) if len(counts) > 1 else 0, int(counts[-1])
    # One term for each start of the longest window, so that the error of their mean is that of a correlated series.
    starts = len(work) - last
    grown = (work[last:] - work[:starts]) ** 2 - (work[half : half + starts] - work[:starts]) ** 2
    slopes = grown / ((last - half) * spacing_fs)
    scale = 1000.0 / (2.0 * KB * temperature_K * n_atoms * MEV)
    diffusive = abs(float(slopes.mean())) * math.sqrt(8.0 * lags[-1] / (3.0 * length_fs))
    slope = blocking_mean(slopes, relaxation=float(last), floor=diffusive)
    offset = float(np.mean((work[last:] - work[:starts]) ** 2)) - slope.value * float(lags[-1])
    return GreenKubo(
        power=slope.value * scale,
        standard_error=slope.error * scale,
        transient_meV=math.sqrt(max(0.0, offset) / 2) / MEV,
        lags_fs=lags.astype(np.float64),
        variances=variances,
        powers=scale * variances / lags,
        fit_from_fs=half * spacing_fs,
    )
