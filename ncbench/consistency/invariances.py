"""Operations that must not change a model's forces: translation, periodic images, a supercell, reordering, batching.

Each probe evaluates a structure that is physically the same and compares forces atom by atom, as the root mean square of a component,
eV/Å. All are compared with one floor: the change under rotations by about 1e-5 rad, which is almost only rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ncbench.errors import UnsupportedError
from ncbench.models.interface import Evaluation, ForceField
from ncbench.structures.content import CHARGES, SPINS

FloatArray = NDArray[np.float64]

_HINT_RAD = 1.0e-5
_SHIFT_A = 1000.0
"""Largest translation along each axis. Such positions occur in unwrapped trajectories and in files of large crystals."""
_GHOST_A = 60.0
"""Smallest distance of the added atom where the model declares no interaction range."""


PROBES = {
    "translation": 2,
    "images": 2,
    "supercell": 1,
    "ghost": 3,
    "permutation": 1,
    "repetition": 2,
    "company": 3,
}
"""Name of each probe → number of structures that it evaluates."""
FLOOR_CALLS = 4


@dataclass(frozen=True)
class Invariance:
    """Change of a result that should be invariant."""

    force: float
    """Rms component, eV/Å."""
    energy_per_atom: float
    """eV; NaN without an energy."""


def rounding_floor(
    forcefield: ForceField, atoms: Atoms, original: Evaluation, *, rng: np.random.Generator, turns: int = FLOOR_CALLS
) -> float:
    """Rms change of a force component under rotations by about 1e-5 rad, eV/Å; at least four units in the last place of the forces."""
    matrices = Rotation.from_rotvec(_HINT_RAD * rng.normal(size=(turns, 3))).as_matrix()
    results = forcefield.evaluate([_turned(atoms, matrix) for matrix in matrices])
    difference = [result.forces @ matrix - original.forces for result, matrix in zip(results, matrices, strict=True)]
    last_place = float(np.finfo(np.float32 if forcefield.card.dtype == "float32" else np.float64).eps)
    return max(_rms(np.array(difference)), 4.0 * last_place * _rms(original.forces))


def translation(forcefield: ForceField, atoms: Atoms, *, rng: np.random.Generator) -> Invariance:
    """All atoms moved together by up to 1000 Å in each direction."""
    return _moved(forcefield, atoms, np.tile(rng.uniform(-_SHIFT_A, _SHIFT_A, size=3), (len(atoms), 1)))


def images(forcefield: ForceField, atoms: Atoms, *, rng: np.random.Generator) -> Invariance | None:
    """Every atom replaced by one of its periodic images; ``None`` for non-periodic structures."""
    if not atoms.pbc.any():
        return None
    return _moved(forcefield, atoms, (rng.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc) @ np.asarray(atoms.cell))


def _moved(forcefield: ForceField, atoms: Atoms, by: FloatArray) -> Invariance:
    moved, base = _copy(atoms), _copy(atoms)
    moved.positions += by
    # The reference has the same rounded positions: rounding of 1e-13 Å at 1000 Å is not an error of the model.
    base.positions = moved.positions - by
    first, second = forcefield.evaluate([base, moved])
    return Invariance(_rms(second.forces - first.forces), abs(second.energy - first.energy) / len(atoms))


def permutation(
    forcefield: ForceField, atoms: Atoms, original: Evaluation, *, rng: np.random.Generator
) -> Invariance | None:
    """The atoms in another order; ``None`` for one atom."""
    if len(atoms) < 2:
        return None
    order = rng.permutation(len(atoms))
    if (order == np.arange(len(atoms))).all():
        order = order[::-1]
    return _compared(forcefield, _copy(atoms)[order], original, lambda forces: forces[np.argsort(order)])


def supercell(forcefield: ForceField, atoms: Atoms, original: Evaluation) -> Invariance | None:
    """Two cells along the shortest periodic vector, with twice the energy; ``None`` for structures without one, or with an open shell."""
    if not atoms.pbc.any() or any(float(atoms.info.get(name, closed)) != closed for name, closed in SPINS.items()):
        return None
    lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
    repeat = np.ones(3, dtype=int)
    repeat[int(np.argmin(lengths))] = 2
    large = _copy(atoms).repeat(tuple(repeat))
    for name in CHARGES:
        if name in large.info:
            large.info[name] = 2 * large.info[name]
    result = forcefield.evaluate([large])[0]
    difference = result.forces - np.tile(original.forces, (2, 1))
    return Invariance(_rms(difference), abs(result.energy / 2 - original.energy) / len(atoms))


def ghost(forcefield: ForceField, atoms: Atoms) -> Invariance | None:
    """One more atom, of an element of the structure, outside the cutoff of all others. ``None`` if all directions are periodic.

    A change means that the forces are not local: global attention, charge distributed over all atoms, a normalisation by the number of atoms.
    The net force is not removed by ncbench in this probe, since its mean would include the added atom.
    """
    if atoms.pbc.all():
        return None
    lightest = int(min(atoms.numbers, key=lambda number: covalent_radii[number]))
    normal = _open_direction(atoms)
    distance = max(_GHOST_A, 1.2 * (forcefield.card.receptive_A or 0.0))
    top = atoms.positions[int(np.argmax(atoms.positions @ normal))]
    alone = Atoms([lightest], positions=[top + distance * normal], cell=atoms.cell, pbc=atoms.pbc)
    both = _copy(atoms) + alone
    both.info = dict(atoms.info)
    with suppress(UnsupportedError):
        forcefield = forcefield.without_net_force_removal()
    original, single, result = (forcefield.evaluate([structure])[0] for structure in (_copy(atoms), alone, both))
    difference = result.forces[: len(atoms)] - original.forces
    return Invariance(_rms(difference), abs(result.energy - single.energy - original.energy) / len(atoms))


def probe(
    name: str, forcefield: ForceField, atoms: Atoms, original: Evaluation, rng: np.random.Generator
) -> Invariance | None:
    """The probe of this name, of :data:`PROBES`; ``None`` if it does not apply to the structure, or the model does not support the other structures of the probe."""
    with suppress(UnsupportedError):
        return _probe(name, forcefield, atoms, original, rng)
    return None


def _probe(
    name: str, forcefield: ForceField, atoms: Atoms, original: Evaluation, rng: np.random.Generator
) -> Invariance | None:
    if name in ("translation", "images"):
        return {"translation": translation, "images": images}[name](forcefield, atoms, rng=rng)
    if name == "ghost":
        return ghost(forcefield, atoms)
    if name == "supercell":
        return supercell(forcefield, atoms, original)
    return {"permutation": permutation, "repetition": repetition, "company": company}[name](
        forcefield, atoms, original, rng=rng
    )


def repetition(forcefield: ForceField, atoms: Atoms, original: Evaluation, *, rng: np.random.Generator) -> Invariance:
    """The same structure again, after another one was evaluated: a model with internal state, or with random numbers, differs."""
    other = _copy(atoms)
    other.positions += 0.01 * rng.normal(size=other.positions.shape)
    forcefield.evaluate([other])
    return _compared(forcefield, _copy(atoms), original, lambda forces: forces)


def company(forcefield: ForceField, atoms: Atoms, original: Evaluation, *, rng: np.random.Generator) -> Invariance:
    """The structure in a batch with others of equal and different size."""
    displaced = _copy(atoms)
    displaced.positions += 0.05 * rng.normal(size=displaced.positions.shape)
    others = [displaced]
    if atoms.pbc.all() and len(atoms) <= 64:
        others.append(_copy(atoms).repeat((2, 1, 1)))
    elif len(atoms) > 1 and not atoms.pbc.any():
        others.append(_copy(atoms)[:-1])
    result = forcefield.evaluate([others[0], _copy(atoms), *others[1:]])[1]
    return Invariance(_rms(result.forces - original.forces), abs(result.energy - original.energy) / len(atoms))


def _compared(
    forcefield: ForceField, moved: Atoms, original: Evaluation, back: Callable[[FloatArray], FloatArray]
) -> Invariance:
    result = forcefield.evaluate([moved])[0]
    difference = back(result.forces) - original.forces
    return Invariance(_rms(difference), abs(result.energy - original.energy) / len(moved))


def _copy(atoms: Atoms) -> Atoms:
    copied: Atoms = atoms.copy()
    copied.set_constraint()
    return copied


def _turned(atoms: Atoms, matrix: FloatArray) -> Atoms:
    turned = _copy(atoms)
    turned.set_cell(np.asarray(atoms.cell) @ matrix.T)
    turned.positions = atoms.positions @ matrix.T
    if "sites" in turned.arrays:
        turned.arrays["sites"] = turned.arrays["sites"] @ matrix.T
    return turned


def _open_direction(atoms: Atoms) -> FloatArray:
    """A unit vector perpendicular to every periodic cell vector."""
    periodic = np.asarray(atoms.cell)[atoms.pbc]
    basis = np.linalg.svd(periodic)[2][len(periodic) :] if len(periodic) else np.eye(3)
    return np.asarray(basis[0], dtype=np.float64)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
