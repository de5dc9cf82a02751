"""Closed paths through configuration space, with exact tangents.

A path maps s in [0, 2π) to displacements from its start [N, 3] (Å) and to their derivative dr/ds [N, 3] (Å). Both are smooth and
periodic, so the trapezoid rule for ∮ f·(dr/ds) ds converges faster than any power of the number of points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import build_neighbor_list, natural_cutoffs
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ncbench.errors import UnsupportedError

FloatArray = NDArray[np.float64]


BOND_TOLERANCE = 1.3
"""Two atoms are bonded if closer than this multiple of the sum of their covalent radii: 1.26 Å for O-H, more than vibrations at 300 K reach, while
hydrogen bonds begin at 1.4 Å."""


@dataclass(frozen=True)
class ClosedPath:
    """A closed path and the area it encloses, where that is defined."""

    name: str
    at: Callable[[float], tuple[FloatArray, FloatArray]]
    """s → (displacement from the structure's positions, tangent), [N, 3] each. Displacements, not positions: they are known to a rounding of
    their own small size, and an origin can be moved under them."""
    area_A2: float | None = None
    """πa² of a planar loop, Å²."""


def planar_loop(atoms: Atoms, radius_A: float, rng: np.random.Generator, name: str) -> ClosedPath:
    """r0 + a (cos s·u + sin s·v) with u, v a random orthonormal pair in the 3N coordinates.

    For J constant over the loop W = πa² (vᵀJu − uᵀJv) = 2πa² vᵀAu. Averaged over planes,
    ⟨(vᵀAu)²⟩ = ‖A‖_F² / (3N (3N − 1)), so that loops estimate the norm in λ.
    """
    start = atoms.get_positions()
    plane, _ = np.linalg.qr(rng.normal(size=(start.size, 2)))
    u, v = (plane[:, k].reshape(start.shape) * radius_A for k in (0, 1))

    def at(s: float) -> tuple[FloatArray, FloatArray]:
        return np.cos(s) * u + np.sin(s) * v, -np.sin(s) * u + np.cos(s) * v

    return ClosedPath(name, at, float(np.pi * radius_A**2))


def molecule_loop(atoms: Atoms, amplitude: float, rng: np.random.Generator, name: str = "molecule") -> ClosedPath:
    """One molecule turns once about an axis through its centre of mass while it is strained periodically; all other atoms are fixed.

    x(s) = c + R(s) (1 + ε(s)) x0 with R a rotation by s and ε(s) = amplitude·(cos s·E1 + sin s·E2), E1 and E2 random
    symmetric tensors of unit norm: bonds and angles stretch as in the paper's Figure 6.

    Raises:
        UnsupportedError: no molecule of two atoms or more can be identified in this structure.
    """
    members = _molecules(atoms)
    chosen = members[int(rng.integers(len(members)))]
    x0 = atoms.get_distances(chosen[0], chosen, mic=True, vector=True)
    masses = atoms.get_masses()[chosen]
    centre = masses @ x0 / masses.sum()
    x0 = x0 - centre
    # The molecule may be cut by a cell's boundary: the stored positions differ from those in the whole molecule by lattice vectors.
    centred = atoms.get_positions()[chosen] - atoms.get_positions()[chosen[0]] - centre
    axis = rng.normal(size=3)
    cross = np.cross(np.eye(3), axis / np.linalg.norm(axis)).T
    strains = [_unit_symmetric(rng) * amplitude for _ in range(2)]

    def at(s: float) -> tuple[FloatArray, FloatArray]:
        # Rodrigues: R = 1 + sin s K + (1 − cos s) K²
        turn = np.eye(3) + np.sin(s) * cross + (1 - np.cos(s)) * cross @ cross
        turn_rate = np.cos(s) * cross + np.sin(s) * cross @ cross
        deform = np.eye(3) + np.cos(s) * strains[0] + np.sin(s) * strains[1]
        deform_rate = -np.sin(s) * strains[0] + np.cos(s) * strains[1]
        displacement, tangent = np.zeros((len(atoms), 3)), np.zeros((len(atoms), 3))
        displacement[chosen] = x0 @ (turn @ deform).T - centred
        tangent[chosen] = x0 @ (turn_rate @ deform + turn @ deform_rate).T
        return displacement, tangent

    return ClosedPath(name, at)


def _molecules(atoms: Atoms) -> list[NDArray[np.int64]]:
    # Without ASE's skin of 0.3 Å per atom, with which a hydrogen bond of 1.57 Å counted as a bond and a dimer was rotated.
    cutoffs = natural_cutoffs(atoms, mult=BOND_TOLERANCE)
    neighbours = build_neighbor_list(atoms, cutoffs=cutoffs, self_interaction=False, skin=0.0)
    count, labels = connected_components(neighbours.get_connectivity_matrix(sparse=True), directed=False)
    members = [np.flatnonzero(labels == k) for k in range(count)]
    molecules = [m for m in members if 2 <= len(m) <= 60]
    # A dense atomic solid has short contacts too: if most atoms are isolated or in one fragment, a pair is not a molecule.
    if 2 * sum(len(m) for m in molecules) < len(atoms) or set(atoms.symbols) == {atoms.symbols[0]}:
        raise UnsupportedError(
            "The structure has no molecule that can be rotated separately.",
            hint="Use --path planar for this structure.",
        )
    return molecules


def _unit_symmetric(rng: np.random.Generator) -> FloatArray:
    tensor = rng.normal(size=(3, 3))
    tensor = (tensor + tensor.T) / 2
    unit: FloatArray = tensor / np.linalg.norm(tensor)
    return unit
