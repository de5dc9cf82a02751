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
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Quadrature:
    """The integral and its error estimates, in eV."""

    work: float
    halving_error: float
    rounding_error: float
    gross: float
    s: FloatArray
    cumulative: FloatArray
    energy: FloatArray
    converged: bool
    force_calls: int


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
    scatter of f·dr/ds is propagated through the sum.
    """
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
    rounding = _rounding(forcefield, atoms, path, batch, s, power, rng) if np.isfinite(work) else np.nan
    closed = np.append(power, power[0])
    step = 2 * np.pi / len(s)
    cumulative = np.concatenate([[0.0], np.cumsum((closed[1:] + closed[:-1]) / 2 * step)])
    return Quadrature(
        work=work,
        halving_error=halving,
        rounding_error=rounding,
        gross=float(np.abs(power).mean() * 2 * np.pi),
        s=np.append(s, 2 * np.pi),
        cumulative=cumulative,
        energy=np.append(energy, energy[0]) - energy[0],
        converged=bool(converged),
        force_calls=sampler.force_calls + min(8, len(s)),
    )


class _Sampler:
    """f·dr/ds (eV) and V (eV) at points of a path, ``batch`` of them per model call."""

    def __init__(self, forcefield: ForceField, atoms: Atoms, path: ClosedPath, batch: int) -> None:
        self.field = forcefield.bind([atoms] * batch)
        self.path = path
        self.batch = batch
        self.force_calls = 0

    def __call__(self, s: FloatArray, move: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        power, energy = np.empty(len(s)), np.empty(len(s))
        for start in range(0, len(s), self.batch):
            chunk = s[start : start + self.batch]
            pairs = [self.path.at(float(x)) for x in chunk]
            # An incomplete last batch is filled up with its last point.
            pairs += [pairs[-1]] * (self.batch - len(chunk))
            positions = np.stack([r for r, _ in pairs]) + (0.0 if move is None else move)
            tangents = np.stack([t for _, t in pairs])
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
    rng: np.random.Generator,
) -> float:
    moved = shifted(atoms, rng)
    check = rng.choice(len(s), size=min(8, len(s)), replace=False)
    again, _ = _Sampler(forcefield, moved, path, batch)(s[check], move=moved.positions[0] - atoms.positions[0])
    # Two draws differ by √2 σ; n independent errors σ in the mean of n points times 2π.
    sigma = np.sqrt(np.mean((again - power[check]) ** 2) / 2)
    least = np.finfo(forcefield.card.dtype).eps * np.sqrt(np.mean(power**2))
    return float(2 * np.pi * np.hypot(sigma, least) / np.sqrt(len(s)))
