"""Vibrational frequencies by finite displacements of several lengths: a smooth energy gives the same ones for every short length.

The force constants Φ(h) = −(J(h) + J(h)ᵀ)/2 are made of central differences of the forces over ±h, as phonon programs make them. For a smooth
energy Φ(h) = Φ(0) + O(h²), so that the change from one length to the next falls with h² until the rounding of the forces, σ/h, covers it.
Forces with kinks or jumps give changes that do not fall, or grow, as h becomes shorter (Fu et al., ICML 2025, arXiv:2502.12147, compare
phonons of smooth and of direct models in this way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from ncbench.jacobian.dense import CHECK_ROWS, difference_columns
from ncbench.jacobian.shift import with_new_rounding
from ncbench.models.interface import ForceField
from ncbench.prediction.harmonic import centre_of_mass_basis, held_translations
from ncbench.types import Tick, silent
from ncbench.units import WAVENUMBER

FloatArray = NDArray[np.float64]
CONVERGED = 0.01
"""Φ has converged if its relative change between two neighbouring lengths, with three times its floor, is below this: frequencies are
then known to 0.5 %."""


class Smoothness(StrEnum):
    """The verdict on Φ(h)."""

    CONVERGES = "converges"
    ROUGH = "rough"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class Displacements:
    """Force constants and frequencies at each length."""

    lengths_A: FloatArray
    """[L], ascending."""
    frequencies_per_cm: FloatArray
    """[L, n], ascending at each length, cm⁻¹; those of unstable modes are negative: −√|ω²|. n = 3N − 3 plus the translations that something
    outside of the structure holds."""
    change: FloatArray
    """[L − 1]: ‖Φ(h) − Φ(h')‖/‖Φ(h')‖ for each length h and the next longer one h'."""
    floor: FloatArray
    """[L − 1]: the change expected from the rounding of the forces alone."""
    force_calls: int

    @property
    def verdict(self) -> Smoothness:
        """The verdict on these changes, by :func:`judge`."""
        return judge(self.change, self.floor)


def judge(change: FloatArray, floor: FloatArray) -> Smoothness:
    """Whether Φ(h) converges as h becomes shorter.

    ``converges``: at some pair of lengths the change, with three times its floor, is below :data:`CONVERGED`, and no shorter pair has a
    resolved change above it. ``rough``: the shortest pair whose change is above three times its floor changes by more than
    :data:`CONVERGED`, and by no less than the next pair. ``unresolved``: neither; rounding hides the change, or all lengths are too long.

    Args:
        change: [L − 1], of neighbouring lengths, the shortest first.
        floor: [L − 1], from rounding.
    """
    if not (np.isfinite(change).all() and np.isfinite(floor).all()):
        return Smoothness.UNRESOLVED
    resolved = change > 3.0 * floor
    large = resolved & (change > CONVERGED)
    small = change + 3.0 * floor <= CONVERGED
    if small.any() and not large[: int(np.argmax(small))].any():
        return Smoothness.CONVERGES
    if resolved.any():
        first = int(np.argmax(resolved))
        if large[first] and first + 1 < len(change) and change[first] >= change[first + 1]:
            return Smoothness.ROUGH
    return Smoothness.UNRESOLVED


def displace(
    forcefield: ForceField,
    atoms: Atoms,
    lengths_A: Sequence[float],
    *,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> Displacements:
    """Φ and frequencies at each length: 6N force calls each, and some for the rounding.

    Args:
        forcefield: any model.
        atoms: N ≥ 2 atoms, near a minimum or a symmetric saddle; unrelaxed ones give frequencies of no physical meaning.
        lengths_A: at least two different lengths, Å.
        batch: pairs of displaced structures in one model call.
        rng: chooses the columns that are measured twice, and the translation that changes their rounding.
        tick: called after each batch with the number of columns.

    Raises:
        StructureError, UnsupportedError: the model refuses the structure.
    """
    lengths = np.sort(np.asarray(lengths_A, dtype=np.float64))
    size = 3 * len(atoms)
    batch = min(batch, size)
    field = forcefield.bind([atoms] * (2 * batch))
    check = np.sort(rng.choice(size, size=min(size, CHECK_ROWS), replace=False))
    moved = forcefield.bind([_with_new_rounding(forcefield, atoms, rng)] * (2 * min(batch, len(check))))
    constants, noise = np.empty((len(lengths), size, size)), np.empty(len(lengths))
    for index, length in enumerate(lengths.tolist()):
        columns = difference_columns(field, np.arange(size), length, tick)
        again = difference_columns(moved, check, length, silent)
        constants[index] = -(columns + columns.T) / 2.0
        # Two draws of the rounding error differ by √2 σ; the mean of an entry and its transpose has an error of σ/√2.
        noise[index] = np.sqrt(np.mean((again - columns[check]) ** 2) / 2.0) / np.sqrt(2.0)
    norm = np.linalg.norm(constants[1:], axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.linalg.norm(np.diff(constants, axis=0), axis=(1, 2)) / norm
        floor = size * np.hypot(noise[:-1], noise[1:]) / norm
    masses = atoms.get_masses()
    # The longest displacement has the least noise: whether a translation is held is the same for all lengths.
    finite = bool(np.isfinite(constants[-1]).all())
    held = held_translations(-constants[-1], masses) if finite else np.empty((3, 0))
    return Displacements(
        lengths_A=lengths,
        frequencies_per_cm=np.array([_frequencies(one, masses, held) for one in constants]),
        change=change,
        floor=floor,
        force_calls=2 * len(lengths) * (size + len(check)) + 2,
    )


NUDGE_A = 16.0
"""Random displacement that changes the rounding, in units of ε, Å: 2e-6 Å in float32. Third derivatives of some 500 eV/Å³ change Φ by 1e-5 of it."""


def _with_new_rounding(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A translated copy whose atoms are nudged as well: a model that forms pair vectors in float64 rounds the same after a translation alone."""
    moved = with_new_rounding(forcefield, atoms, rng)
    epsilon = float(np.finfo(forcefield.card.dtype).eps)
    moved.positions += NUDGE_A * epsilon * rng.uniform(-1.0, 1.0, size=moved.positions.shape)
    return moved


def _frequencies(constants: FloatArray, masses: FloatArray, held: FloatArray) -> FloatArray:
    """[n] signed wavenumbers, cm⁻¹, ascending; NaN if a force constant is not finite."""
    basis = centre_of_mass_basis(masses)
    basis = np.hstack([basis, np.kron(np.sqrt(masses / masses.sum())[:, None], held)])
    if not np.isfinite(constants).all():
        return np.full(basis.shape[1], np.nan)
    roots = np.sqrt(np.repeat(masses, 3))
    squared = np.asarray(eigvalsh(basis.T @ (constants / np.outer(roots, roots)) @ basis), dtype=np.float64)
    return np.asarray(np.sign(squared) * np.sqrt(np.abs(squared)) / WAVENUMBER, dtype=np.float64)
