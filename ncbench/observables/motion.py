"""Velocity spectra, diffusion and temperatures.

Power spectra are SciPy's periodograms, block by block (Wiener-Khinchin: the spectrum of the velocities is the transform of their
autocorrelation).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import periodogram

from ncbench.errors import UsageError
from ncbench.observables.averages import Curve, error_of_blocks
from ncbench.observables.trajectory import Trajectory, unwrapped
from ncbench.units import KB

FloatArray = NDArray[np.float64]
PER_CM = 1.0 / 2.99792458e-5
"""1/cm for a frequency of 1/fs: 1/(c · 1 fs)."""
MASS = 103.642696
"""eV for 1 u (Å/fs)²."""
LEAST_FRAMES = 8
"""Least number of frames in a block, for a spectrum or a displacement."""


def velocity_spectrum(trajectories: Sequence[Trajectory], symbol: str | None, *, blocks: int = 5) -> Curve:
    """ĉ_vv of an element's atoms, or of all, mass-weighted, in K cm: its trapezoidal integral over wavenumbers is their kinetic temperature.

    Each velocity component's periodogram with a Hann window over a block, times m/k_B, averaged over 3N_s components. The resolution is one over
    a block's duration.

    Raises:
        UsageError: no velocities, no interval, no such element, or blocks of fewer than eight frames.
    """
    results, shared = [], None
    for trajectory in trajectories:
        velocities, between_fs = moving(trajectory)
        require_frames(trajectory, blocks, "a velocity spectrum")
        chosen = np.arange(len(trajectory.symbols)) if symbol is None else trajectory.of(symbol)
        if len(chosen) == 0:
            raise UsageError(f"'{trajectory.name}' has no {symbol}.")
        for block in trajectory.blocks(blocks):
            piece = velocities[block][:, chosen]
            frequency, power = periodogram(piece, fs=1.0 / between_fs, window="hann", detrend=False, axis=0)
            # SciPy doubles a one-sided density except at ω = 0 and, for an even number of frames, at the highest frequency, which have no
            # negative counterpart. They are doubled here; the trapezoidal integral then gives
            # both ends half weight, and so the temperature.
            power[0] *= 2.0
            if len(piece) % 2 == 0:
                power[-1] *= 2.0
            weighted = np.einsum("fna,n->f", power, trajectory.masses[chosen]) * MASS / (3 * len(chosen) * KB)
            shared = frequency if shared is None else shared
            if len(frequency) != len(shared) or not np.allclose(frequency, shared):
                raise UsageError(
                    "The trajectories differ in length or interval, so that their spectra have different frequencies."
                )
            results.append(weighted / PER_CM)
    assert shared is not None
    return Curve.of(shared * PER_CM, np.array(results))


def mean_square_displacement(trajectories: Sequence[Trajectory], symbol: str, *, blocks: int = 5) -> Curve:
    """⟨|r(t) − r(0)|²⟩ in Å² against t in fs up to half a block, averaged over atoms and origins; the drift of the centre of mass is removed.

    Raises:
        UsageError: no interval, no such element, or blocks of fewer than eight frames.
    """
    results, shared = [], None
    for trajectory in trajectories:
        between_fs = interval(trajectory)
        require_frames(trajectory, blocks, "a mean square displacement")
        positions = unwrapped(trajectory)
        weights = trajectory.masses / trajectory.masses.sum()
        positions = positions - np.einsum("n,fna->fa", weights, positions)[:, None]
        chosen = trajectory.of(symbol)
        if len(chosen) == 0:
            raise UsageError(f"'{trajectory.name}' has no {symbol}.")
        for block in trajectory.blocks(blocks):
            piece = positions[block][:, chosen]
            lags = np.arange(1, len(piece) // 2 + 1)
            moved = [np.mean(np.sum((piece[lag:] - piece[:-lag]) ** 2, axis=2)) for lag in lags]
            times: FloatArray = lags.astype(np.float64) * between_fs
            shared = times if shared is None else shared
            if len(times) != len(shared) or not np.allclose(times, shared):
                raise UsageError("The trajectories differ in length or interval.")
            results.append(np.array(moved))
    assert shared is not None
    return Curve.of(shared, np.array(results))


def diffusion(trajectories: Sequence[Trajectory], symbol: str, *, blocks: int = 5) -> tuple[float, float]:
    """D = slope of the mean square displacement over six, Å²/ps, and its standard error over blocks.

    Fitted over the second half of the lags, beyond the ballistic start. The error includes half the difference of the slopes of that
    window's two halves: for a bounded displacement, as in a crystal, the blocks agree on a slope without diffusion.
    For the finite cell: no size correction (Yeh & Hummer, J. Phys. Chem. B 108, 15873, 2004, needs the viscosity).
    """
    each = []
    for trajectory in trajectories:
        interval(trajectory)
        require_frames(trajectory, blocks, "a diffusion coefficient")
        for block in trajectory.blocks(blocks):
            curve = mean_square_displacement([_cut(trajectory, block)], symbol, blocks=1)
            first = len(curve.x) // 2
            middle = (first + len(curve.x)) // 2
            windows = (slice(first, None), slice(first, middle + 1), slice(middle, None))
            each.append([_slope(curve.x[part], curve.value[part]) / 6.0 * 1000.0 for part in windows])
    whole, early, late = np.array(each).T
    spread = float(error_of_blocks(whole)) if len(whole) > 1 else float("nan")
    return float(whole.mean()), float(np.hypot(spread, (early.mean() - late.mean()) / 2.0))


def _slope(x: FloatArray, y: FloatArray) -> float:
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else float("nan")


def require_frames(trajectory: Trajectory, blocks: int, what: str) -> None:
    """Refuse a trajectory with fewer than :data:`LEAST_FRAMES` frames in each block.

    Raises:
        UsageError: with the number of frames and the required number.
    """
    count = max(1, min(blocks, trajectory.n_frames))
    if trajectory.n_frames // count < LEAST_FRAMES:
        fewer = " Ask for fewer blocks." if blocks > 1 and trajectory.n_frames >= LEAST_FRAMES else ""
        raise UsageError(
            f"'{trajectory.name}' has {trajectory.n_frames} frames; {what} in {blocks} block{'s' if blocks > 1 else ''} "
            f"needs {LEAST_FRAMES * blocks}.{fewer}"
        )


def temperatures(trajectory: Trajectory, symbol: str | None) -> FloatArray:
    """[F], K: kinetic temperature of an element's atoms, or of all; without the degrees of freedom of the centre of mass if
    that is at rest.

    Raises:
        UsageError: no velocities, or no such element.
    """
    if trajectory.velocities is None:
        raise UsageError(f"'{trajectory.name}' has no velocities.", hint="Write them, as 'momenta' in extended XYZ.")
    chosen = np.arange(len(trajectory.symbols)) if symbol is None else trajectory.of(symbol)
    if len(chosen) == 0:
        raise UsageError(f"'{trajectory.name}' has no {symbol}.")
    kinetic = 0.5 * MASS * np.einsum("n,fna->f", trajectory.masses[chosen], trajectory.velocities[:, chosen] ** 2)
    degrees = _degrees_of_freedom(trajectory, chosen)
    if degrees < 1e-9:
        raise UsageError(f"'{trajectory.name}' has no {symbol or 'atom'} that moves: all are constrained.")
    return np.asarray(2.0 * kinetic / (degrees * KB))


def _degrees_of_freedom(trajectory: Trajectory, chosen: NDArray[np.int64]) -> float:
    """Number of free coordinates of the chosen atoms, minus their share by mass of a centre of mass at rest if no atom is constrained."""
    assert trajectory.velocities is not None
    held = int(trajectory.held[chosen].sum()) if len(trajectory.held) else 0
    if trajectory.held.any():
        return float(3 * len(chosen) - held)
    momentum = np.abs(np.einsum("n,fna->fa", trajectory.masses, trajectory.velocities)).max()
    scale = np.abs(trajectory.velocities * trajectory.masses[:, None]).max() * len(trajectory.masses)
    share = trajectory.masses[chosen].sum() / trajectory.masses.sum() if momentum < 1e-4 * scale else 0.0
    return float(3 * len(chosen) - 3 * share)


def moving(trajectory: Trajectory) -> tuple[FloatArray, float]:
    """Velocities [F, N, 3], Å/fs, and the interval, fs.

    Raises:
        UsageError: either is missing.
    """
    if trajectory.velocities is None:
        raise UsageError(f"'{trajectory.name}' has no velocities.", hint="Write them, as 'momenta' in extended XYZ.")
    return trajectory.velocities, interval(trajectory)


def interval(trajectory: Trajectory) -> float:
    """Time between frames, fs.

    Raises:
        UsageError: it is not known.
    """
    if trajectory.interval_fs is None:
        raise UsageError(
            f"'{trajectory.name}' does not contain the time between frames.", hint="Give --timestep, in fs."
        )
    return trajectory.interval_fs


def _cut(trajectory: Trajectory, block: slice) -> Trajectory:
    return Trajectory(
        trajectory.name,
        trajectory.symbols,
        trajectory.masses,
        trajectory.positions[block],
        None if trajectory.velocities is None else trajectory.velocities[block],
        trajectory.cells[block],
        trajectory.pbc,
        trajectory.interval_fs,
        trajectory.held,
    )
