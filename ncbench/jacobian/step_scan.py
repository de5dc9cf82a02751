"""λ against the step of the central differences: is there a range of steps in which λ does not depend on it?

Rounding of size σ causes an error σ/h in J v, truncation one of order h². Forces that jump when neighbours enter or leave cause neither: over
a step the jumps add up like a random walk, to an error that falls as h^(−½), and no step is suitable. The error of a step is estimated from
the next one: D(h) = ‖(J_h − J_h')v‖ / ‖J_h' v‖ for neighbouring steps h < h', with the same random vectors v for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.jacobian.probe_estimates import PairProbes
from ncbench.models.interface import Field, ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]
STEPS_A = {"float32": np.logspace(-4.5, -0.5, 13), "float64": np.logspace(-5.0, -1.0, 13)}
"""Four decades per dtype, three steps per decade, with both ends of the plateau inside for forces of some eV/Å, Å."""
PLATEAU = 0.03
"""A step lies on a plateau if J v changes by less than this share to the next step."""
NOISE_SLOPE = -0.75
"""Between D ∝ 1/h of noise and D ∝ h^(−½) of jumps."""


class Verdict(StrEnum):
    """The verdict on λ(h)."""

    PLATEAU = "plateau"
    NOISE = "noise-dominated"
    JUMPS = "no plateau: the forces jump"


@dataclass(frozen=True)
class StepScan:
    """λ(h)."""

    steps_A: FloatArray
    """[S], ascending."""
    lam: FloatArray
    """[S]: λ from the same pairs of probes at every step; NaN where forces are not finite."""
    change: FloatArray
    """[S − 1]: D between each step and the next."""
    verdict: Verdict
    best_step_A: float
    """Å: between the two steps that differ least."""
    force_calls: int

    @property
    def noise(self) -> FloatArray:
        """[S]: λ expected for conservative forces from the error at that step: the smaller change to a neighbour, over √2."""
        padded = np.concatenate([[np.inf], self.change, [np.inf]])
        return np.asarray(np.fmin(padded[:-1], padded[1:]) / np.sqrt(2.0))


def scan(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    steps_A: FloatArray | None = None,
    probes: int = 8,
    tick: Tick = silent,
) -> StepScan:
    """λ(h) by ``probes`` random vectors with entries ±1, two force calls each and step.

    Args:
        forcefield: any model.
        atoms: N atoms.
        batch: vectors in one model call.
        rng: generates the vectors.
        steps_A: steps in ascending order, at least three; ``None`` for the dtype's four decades.
        probes: vectors; λ is computed from pairs of them, so at least three.
        tick: called after each step.
    """
    steps = STEPS_A[forcefield.card.dtype] if steps_A is None else steps_A
    batch = min(batch, probes)
    vectors, products = _along_signs(forcefield, atoms, batch, rng, steps, probes, tick)
    lam = np.array([PairProbes(vectors, p, 0.0).lam for p in products])
    difference, change = _changes(products)
    verdict, best = judge(steps, change, difference)
    return StepScan(steps, lam, change, verdict, best, force_calls=2 * probes * len(steps))


def judge(steps_A: FloatArray, change: FloatArray, difference: FloatArray) -> tuple[Verdict, float]:
    """The verdict on D(h), and the step between the two that differ least, Å.

    ``difference`` is D's numerator: if only noise is present, D is one, and only the numerator decreases.
    """
    middle = np.sqrt(steps_A[1:] * steps_A[:-1])
    known = np.where(np.isfinite(change), change, np.inf)
    least = int(np.argmin(known))
    if known[least] <= PLATEAU:
        return Verdict.PLATEAU, float(middle[least])
    falling = slice(0, max(least + 1, 3))
    usable = np.isfinite(difference[falling]) & (difference[falling] > 0)
    if usable.sum() < 2:
        return Verdict.JUMPS, float(middle[least])
    slope, _ = np.polyfit(np.log(middle[falling][usable]), np.log(difference[falling][usable]), 1)
    return (Verdict.NOISE if slope < NOISE_SLOPE else Verdict.JUMPS), float(middle[least])


@dataclass(frozen=True)
class StepChoice:
    """The step of central differences, and what was measured to choose it."""

    step_A: float
    along: KnownDirections | None
    """Products at the next shorter and longer step; ``None`` where none was measured."""
    force_calls: int


@dataclass(frozen=True)
class KnownDirections:
    """Products J v along random directions at other steps than that of a dense Jacobian, which they test."""

    steps_A: FloatArray
    """[s]: h, Å."""
    vectors: FloatArray
    """[n, 3N]: v, entries ±1."""
    products: FloatArray
    """[s, n, 3N]: (f(r + hv) − f(r − hv))/2h, eV/Å²."""


CHOICE_STEPS = 7
"""Steps over a decade above and below the default, among which one is chosen."""
FEW_COLUMNS = 48
"""Up to this many columns of J, one random direction is compared instead of two: a scan takes 14 force calls along each, the columns two each."""
RESOLVED = 0.3
"""Without a plateau, the step at which J v changes least is still taken if it changes by no more than this share: of noise alone it changes by one or more."""


def choose_step(
    forcefield: ForceField, atoms: Atoms, *, rng: np.random.Generator, default_A: float, directions: int | None = None
) -> StepChoice:
    """The step at which this model's J v changes least, from two directions, or one if J has at most :data:`FEW_COLUMNS` columns.

    Searches a decade above and below ``default_A``, which is returned if there is no plateau and nothing below :data:`RESOLVED`.

    Args:
        forcefield: any model.
        atoms: N atoms.
        rng: generates the directions.
        default_A: the default step, Å.
        directions: number of random directions instead of that.
    """
    count = directions or (1 if 3 * len(atoms) <= FEW_COLUMNS else 2)
    steps = default_A * np.logspace(-1.0, 1.0, CHOICE_STEPS)
    vectors, products = _along_signs(forcefield, atoms, 1, rng, steps, count, silent)
    difference, change = _changes(products)
    verdict, best = judge(steps, change, difference)
    least = int(np.argmin(np.where(np.isfinite(change), change, np.inf)))
    taken = verdict is Verdict.PLATEAU or change[least] <= RESOLVED
    chosen = best if taken else default_A
    near = [least, least + 1] if taken else [CHOICE_STEPS // 2 - 1, CHOICE_STEPS // 2 + 1]
    known = KnownDirections(steps[near], vectors, products[near])
    return StepChoice(chosen, known, force_calls=2 * count * len(steps))


def _along_signs(
    forcefield: ForceField,
    atoms: Atoms,
    batch: int,
    rng: np.random.Generator,
    steps_A: FloatArray,
    probes: int,
    tick: Tick,
) -> tuple[FloatArray, FloatArray]:
    """Random v with entries ±1 [probes, 3N], and J v at every step [S, probes, 3N]."""
    field = forcefield.bind([atoms] * (2 * batch))
    vectors: FloatArray = rng.integers(0, 2, size=(probes, 3 * len(atoms))).astype(np.float64) * 2.0 - 1.0
    products = np.empty((len(steps_A), *vectors.shape))
    for index, step in enumerate(steps_A.tolist()):
        products[index] = products_along(field, vectors, step)
        tick(1)
    return vectors, products


def _changes(products: FloatArray) -> tuple[FloatArray, FloatArray]:
    """‖(J_h − J_h')v‖ between each step and the next, eV/Å², and D, relative to the longer step's product, which contains less noise."""
    difference: FloatArray = np.linalg.norm(np.diff(products, axis=0), axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        change: FloatArray = difference / np.linalg.norm(products[1:], axis=(1, 2))
    return difference, change


def directions_at(
    forcefield: ForceField, atoms: Atoms, *, steps_A: FloatArray, count: int, rng: np.random.Generator
) -> KnownDirections:
    """Products along ``count`` random directions at these steps: two force calls each."""
    return KnownDirections(steps_A, *_along_signs(forcefield, atoms, 1, rng, steps_A, count, silent))


def products_along(field: Field, vectors: FloatArray, step: float) -> FloatArray:
    """(f(r + hv) − f(r − hv))/2h for each row v of ``vectors`` [n, 3N], eV/Å²; half of the field's copies are displaced forwards, half backwards."""
    start, batch = field.initial_positions(), field.n_replicas // 2
    out = np.empty_like(vectors)
    for first in range(0, len(vectors), batch):
        chunk = vectors[first : first + batch]
        signs = np.zeros((batch, *vectors.shape[1:]))
        signs[: len(chunk)] = chunk
        along = torch.as_tensor(signs, device=field.device).reshape(batch, field.n_atoms, 3)
        forces = field(start + step * torch.cat([along, -along])).forces
        difference = (forces[:batch] - forces[batch:]).reshape(batch, -1) / (2.0 * step)
        out[first : first + len(chunk)] = difference[: len(chunk)].cpu().numpy()
    return out
