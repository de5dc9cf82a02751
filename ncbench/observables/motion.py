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


def velocity_spectrum(trajectories: Sequence[Trajectory], symbol: str | None, *, blocks: int = 5) -> Curve:
    """ĉ_vv of an element's atoms, or of all, mass-weighted, in K cm: its trapezoidal integral over wavenumbers is their kinetic temperature.

    Each velocity component's periodogram with a Hann window over a block, times m/k_B, averaged over 3N_s components. The resolution is one over
    a block's length.

    Raises:
        UsageError: no velocities, no interval, no such element, or blocks of fewer than eight frames.
    """
    found, shared = [], None
    for trajectory in trajectories:
        velocities, interval = moving(trajectory)
        chosen = np.arange(len(trajectory.symbols)) if symbol is None else trajectory.of(symbol)
        if len(chosen) == 0:
            raise UsageError(f"'{trajectory.name}' has no {symbol}.")
        for block in trajectory.blocks(blocks):
            piece = velocities[block][:, chosen]
            if len(piece) < 8:
                raise UsageError(
                    f"'{trajectory.name}' is too short for a spectrum in {blocks} blocks.", hint="Ask for fewer blocks."
                )
            frequency, power = periodogram(piece, fs=1.0 / interval, window="hann", detrend=False, axis=0)
            # SciPy doubles a one-sided density but for ω = 0 and, of an even number of frames, the highest frequency, which have no
            # negative partner. As points of a curve they are half of what their neighbours are; the trapezoidal integral gives
            # both ends half weight again, and so the temperature.
            power[0] *= 2.0
            if len(piece) % 2 == 0:
                power[-1] *= 2.0
            weighted = np.einsum("fna,n->f", power, trajectory.masses[chosen]) * MASS / (3 * len(chosen) * KB)
            shared = frequency if shared is None else shared
            if len(frequency) != len(shared) or not np.allclose(frequency, shared):
                raise UsageError(
                    "The trajectories differ in length or interval, and so do the points of their spectra."
                )
            found.append(weighted / PER_CM)
    assert shared is not None
    return Curve.of(shared * PER_CM, np.array(found))


def mean_square_displacement(trajectories: Sequence[Trajectory], symbol: str, *, blocks: int = 5) -> Curve:
    """⟨|r(t) − r(0)|²⟩ in Å² against t in fs up to half a block, averaged over atoms and origins; the centre of mass's drift is taken out.

    Raises:
        UsageError: no interval, no such element, or blocks of fewer than eight frames.
    """
    found, shared = [], None
    for trajectory in trajectories:
        if trajectory.interval_fs is None:
            raise UsageError(
                f"'{trajectory.name}' does not say the time between frames.", hint="Give --timestep, in fs."
            )
        positions = unwrapped(trajectory)
        weights = trajectory.masses / trajectory.masses.sum()
        positions = positions - np.einsum("n,fna->fa", weights, positions)[:, None]
        chosen = trajectory.of(symbol)
        if len(chosen) == 0:
            raise UsageError(f"'{trajectory.name}' has no {symbol}.")
        for block in trajectory.blocks(blocks):
            piece = positions[block][:, chosen]
            if len(piece) < 8:
                raise UsageError(f"'{trajectory.name}' is too short for {blocks} blocks.", hint="Ask for fewer blocks.")
            lags = np.arange(1, len(piece) // 2 + 1)
            moved = [np.mean(np.sum((piece[lag:] - piece[:-lag]) ** 2, axis=2)) for lag in lags]
            times: FloatArray = lags.astype(np.float64) * trajectory.interval_fs
            shared = times if shared is None else shared
            if len(times) != len(shared) or not np.allclose(times, shared):
                raise UsageError("The trajectories differ in length or interval.")
            found.append(np.array(moved))
    assert shared is not None
    return Curve.of(shared, np.array(found))


def diffusion(trajectories: Sequence[Trajectory], symbol: str, *, blocks: int = 5) -> tuple[float, float]:
    """D = slope of the mean square displacement over six, Å²/ps, and its standard error over blocks.

    Fitted over the second half of the lags, beyond the ballistic start. Of a finite cell: no correction for its size (Yeh & Hummer, J. Phys. Chem.
    B 108, 15873, 2004, needs the viscosity).
    """
    each = []
    for trajectory in trajectories:
        for block in trajectory.blocks(blocks):
            curve = mean_square_displacement([_cut(trajectory, block)], symbol, blocks=1)
            late = slice(len(curve.x) // 2, None)
            each.append(np.polyfit(curve.x[late], curve.value[late], 1)[0] / 6.0 * 1000.0)
    values = np.array(each)
    return float(values.mean()), float(error_of_blocks(values))


def temperatures(trajectory: Trajectory, symbol: str | None) -> FloatArray:
    """[F], K: kinetic temperature of an element's atoms, or of all; the centre of mass's share of the degrees of freedom taken out
    where it is at rest.

    Raises:
        UsageError: no velocities, or no such element.
    """
    if trajectory.velocities is None:
        raise UsageError(f"'{trajectory.name}' has no velocities.", hint="Write them, as 'momenta' in extended XYZ.")
    chosen = np.arange(len(trajectory.symbols)) if symbol is None else trajectory.of(symbol)
    if len(chosen) == 0:
        raise UsageError(f"'{trajectory.name}' has no {symbol}.")
    kinetic = 0.5 * MASS * np.einsum("n,fna->f", trajectory.masses[chosen], trajectory.velocities[:, chosen] ** 2)
    momentum = np.abs(np.einsum("n,fna->fa", trajectory.masses, trajectory.velocities)).max()
    scale = np.abs(trajectory.velocities * trajectory.masses[:, None]).max() * len(trajectory.masses)
    at_rest = momentum < 1e-4 * scale
    share = trajectory.masses[chosen].sum() / trajectory.masses.sum() if at_rest else 0.0
    return np.asarray(2.0 * kinetic / ((3 * len(chosen) - 3 * share) * KB))


def moving(trajectory: Trajectory) -> tuple[FloatArray, float]:
    """Velocities [F, N, 3], Å/fs, and the interval, fs.

    Raises:
        UsageError: either is missing.
    """
    if trajectory.velocities is None:
        raise UsageError(f"'{trajectory.name}' has no velocities.", hint="Write them, as 'momenta' in extended XYZ.")
    if trajectory.interval_fs is None:
        raise UsageError(f"'{trajectory.name}' does not say the time between frames.", hint="Give --timestep, in fs.")
    return trajectory.velocities, trajectory.interval_fs


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
    )
