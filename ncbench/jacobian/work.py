"""Work of a model's forces along a closed path, with its quadrature and rounding errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.jacobian.closed_paths import ClosedPath
from ncbench.jacobian.shift import shifted
from ncbench.models.interface import ForceField
from ncbench.statistics.intervals import CONFIDENCE, SIGMAS, half_width, student_error
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]

CHECKED_PAIRS = 8
"""Most pairs of opposite points that the rounding error is measured at."""

_FINE_POINTS = 4096
"""Points of the interpolated |f·dr/ds|: kinks leave a relative error of 1e-6 of each oscillation's share."""


@dataclass(frozen=True)
class Quadrature:
    """The integral and its error estimates, in eV."""

    work: float
    halving_error: float
    rounding_error: float
    """Standard error of ``rounding_dof`` degrees of freedom, ±1.96 of it being the 95 % interval."""
    rounding_dof: int
    gross: float
    s: FloatArray
    cumulative: FloatArray
    energy: FloatArray
    converged: bool
    force_calls: int

    @property
    def error(self) -> float:
        """The larger of the quadrature's and the rounding's, not both: halves of a converged sum differ by rounding alone."""
        return max(self.halving_error, self.rounding_error)

    @property
    def nonzero(self) -> bool:
        """W differs from zero by :data:`SIGMAS` standard errors, as Student's t widens them; the quadrature's error is a bound and is not widened."""
        rounding = half_width(self.rounding_error, self.rounding_dof, confidence=CONFIDENCE)
        return bool(abs(self.work) > max(rounding, SIGMAS * self.halving_error))


def integrate(
    forcefield: ForceField,
    atoms: Atoms,
    path: ClosedPath,
    *,
    points: int,
    max_points: int,
    tolerance: float,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> Quadrature:
    """∮ f·(dr/ds) ds by the trapezoid rule, doubling the points (old ones are reused) until W converges. Energies in eV.

    The rounding error is measured: some points are evaluated again after a rigid shift of the whole structure, and the
    scatter of f·dr/ds is propagated through the sum, as an upper bound where float64 positions are rounded (see ``_rounding``).
    ``points`` is the initial number, one more if odd, since halves of the points are compared.
    """
    points += points % 2
    sampler = _Sampler(forcefield, atoms, path, batch)
    s: FloatArray = np.arange(points, dtype=np.float64) * (2 * np.pi / points)
    power, energy = sampler(s)
    tick(len(s))
    while True:
        n = len(s)
        work = float(power.mean() * 2 * np.pi)
        halving = abs(work - float(power[::2].mean() * 2 * np.pi))
        converged = halving <= max(tolerance, 0.01 * abs(work))
        if converged or 2 * n > max_points or not np.isfinite(work):
            break
        between = (s + np.pi / n).astype(np.float64)
        new_power, new_energy = sampler(between)
        s = np.stack([s, between], axis=1).ravel()
        power = np.stack([power, new_power], axis=1).ravel()
        energy = np.stack([energy, new_energy], axis=1).ravel()
        tick(len(s))
    pairs = min(CHECKED_PAIRS, len(s) // 2)
    rounding = _rounding(forcefield, atoms, path, batch, s, power, pairs, rng) if np.isfinite(work) else np.nan
    closed = np.append(power, power[0])
    step = 2 * np.pi / len(s)
    cumulative = np.concatenate([[0.0], np.cumsum((closed[1:] + closed[:-1]) / 2 * step)])
    return Quadrature(
        work=work,
        halving_error=halving,
        rounding_error=rounding,
        rounding_dof=pairs,
        gross=_mean_magnitude(power) * 2 * np.pi,
        s=np.append(s, 2 * np.pi),
        cumulative=cumulative,
        energy=np.append(energy, energy[0]) - energy[0],
        converged=bool(converged),
        force_calls=sampler.force_calls + 2 * pairs,
    )


def _mean_magnitude(power: FloatArray) -> float:
    """Mean of |f·dr/ds| over the path, eV: of the trigonometric interpolant, whose kinks at changes of sign fine points resolve.

    The mean over n points alone is low by up to (π²/3)/n² of it for each pair of changes of sign: 1.3 % for a cosine and 16 points.
    """
    n = len(power)
    fine = max(1, -(-_FINE_POINTS // n)) * n
    interpolated = np.fft.irfft(np.fft.rfft(power), fine) * (fine / n)
    return float(np.abs(interpolated).mean())


class _Sampler:
    """f·dr/ds (eV) and V (eV) at points of a path, ``batch`` of them per model call."""

    def __init__(self, forcefield: ForceField, atoms: Atoms, path: ClosedPath, batch: int) -> None:
        self.field = forcefield.bind([atoms] * batch)
        self.start = atoms.get_positions()
        self.move = np.zeros(3)
        self.path = path
        self.batch = batch
        self.force_calls = 0

    def __call__(self, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        power, energy = np.empty(len(s)), np.empty(len(s))
        for start in range(0, len(s), self.batch):
            chunk = s[start : start + self.batch]
            places = [self.path.at(float(x)) for x in chunk]
            # An incomplete last batch is filled up with its last point.
            places += [places[-1]] * (self.batch - len(chunk))
            # The move is added to the small displacement, whose last digits the rounding of the sum removes again.
            positions = self.start + (np.stack([displacement for displacement, _ in places]) + self.move)
            tangents = np.stack([tangent for _, tangent in places])
            out = self.field(torch.as_tensor(positions, device=self.field.device))
            done = (out.forces.cpu().numpy() * tangents).sum(axis=(1, 2))
            power[start : start + len(chunk)] = done[: len(chunk)]
            energy[start : start + len(chunk)] = out.energy.cpu().numpy()[: len(chunk)]
            self.force_calls += len(chunk)
        return power, energy


def _rounding(
    forcefield: ForceField,
    atoms: Atoms,
    path: ClosedPath,
    batch: int,
    s: FloatArray,
    power: FloatArray,
    pairs: int,
    rng: np.random.Generator,
) -> float:
    """Standard error of ∮ f·dr from rounding, eV, measured at ``pairs`` of the points ``s`` and those opposite to them.

    The start's coordinates have no digits below their last, so that start + d and start − d round to opposite sides. The tangents of a planar loop are
    opposite there too: f·dr/ds errs alike, by σ, at s and s + π, and so does the mean of the two. In the moved structure, whose coordinates have
    digits below, the two roundings are independent and their mean has σ²/2: the change between both structures has 1.5 of the wanted variance.
    Roundings within the model (float32) are independent in both; 1.5 is then less than the 2 of two alike draws, and the error 15 % too large.
    """
    half = len(s) // 2
    chosen = rng.choice(half, size=pairs, replace=False)
    moved = shifted(atoms, rng)
    sampler = _Sampler(forcefield, moved, path, batch)
    sampler.start, sampler.move = atoms.get_positions(), moved.positions[0] - atoms.positions[0]
    again, _ = sampler(np.concatenate([s[chosen], s[chosen + half]]))
    change = 0.5 * (again[:pairs] - power[chosen] + again[pairs:] - power[chosen + half])
    sigma = np.sqrt(np.mean(change**2) / 1.5)
    least = np.finfo(forcefield.card.dtype).eps * np.sqrt(np.mean(power**2))
    measured = student_error(float(2 * np.pi * sigma / np.sqrt(half)), pairs)
    return float(np.hypot(measured, 2 * np.pi * least / np.sqrt(len(s))))
