"""Types of a relaxation: the displaced start, the status at the end, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list, primitive_neighbor_list
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ncbench.errors import UnsupportedError, UsageError
from ncbench.models.checks import OVERLAP_A

FloatArray = NDArray[np.float64]

ESCAPE_A = 50.0
"""Distance of an atom from its start beyond which a relaxation counts as diverged, Å."""

HELD = ("FixAtoms", "FixCartesian", "FixScaled", "FixedLine", "FixedPlane")
"""Constraints that a relaxation supports, by ASE's names."""

_BOND_SCALE = 1.3
"""Atoms closer than this times the sum of their covalent radii are bonded."""
_DRAWS = 100


class Ending(StrEnum):
    """How a relaxation ended."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not-converged"
    EXPLODED = "exploded"
    """Forces or positions no longer finite, or an atom beyond :data:`ESCAPE_A`."""
    FAILED = "failed"
    """The model raised an exception for this structure."""


@dataclass(frozen=True)
class Start:
    """A structure to relax, and the ASE optimiser: ``lbfgs`` or ``fire``."""

    atoms: Atoms
    optimizer: str


@dataclass(frozen=True)
class Relaxation:
    """Result of one relaxation."""

    ending: Ending
    steps: int
    history: FloatArray
    """[steps + 1, 3], at the start and after each step: the largest norm of a force on an atom along free coordinates, and the root mean square of these
    norms, eV/Å; the energy, eV, NaN for a model without one."""
    positions: FloatArray
    """[N, 3], Å, at the end."""
    force_calls: int
    seconds: float
    """Its share of the wall time of its rounds."""
    path_steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """[F]: steps with saved positions, including the first and the last; empty if no path was requested."""
    path: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 3)))
    """[F, N, 3], Å."""
    failure: str = ""
    """The exception with which the model refused the structure or one of its steps."""

    @property
    def fmax_trace(self) -> FloatArray:
        """[steps + 1], eV/Å: the largest norm of a force on an atom at the start and after each step."""
        return self.history[:, 0]

    @property
    def unusable(self) -> bool:
        """The forces at the start were not finite, which is a failure of the model or structure and no divergence."""
        return self.steps == 0 and not np.isfinite(self.fmax_trace[0])

    @property
    def energy(self) -> float:
        """eV at the end; NaN for a model without an energy."""
        return float(self.history[-1, 2])


def displaced_start(atoms: Atoms, sigma_A: float, rng: np.random.Generator) -> tuple[Atoms, int]:
    """A copy with Gaussian displacements of ``sigma_A`` in every coordinate, and the number of rejected draws.

    Constrained coordinates are not displaced. A draw with two nuclei within 0.25 Å is rejected and drawn again.

    Raises:
        UsageError: all draws have overlapping atoms.
    """
    for thrown in range(_DRAWS):
        start: Atoms = atoms.copy()
        moved = start.positions + sigma_A * rng.normal(size=start.positions.shape)
        if start.constraints:
            require_known_constraints(start)
            start.set_positions(moved)
        else:
            start.positions = moved
        if not len(primitive_neighbor_list("i", start.pbc, start.get_cell(complete=True), start.positions, OVERLAP_A)):
            return start, thrown
        if sigma_A == 0.0:
            break
    raise UsageError(
        f"Displacements of {sigma_A} Å bring atoms of this structure within {OVERLAP_A} Å of each other in every draw.",
        hint="Choose a smaller displacement_A.",
    )


def require_known_constraints(atoms: Atoms) -> None:
    """Refuse constraints other than those on single coordinates, which ASE's optimisers support by projection.

    Raises:
        UnsupportedError: a constraint of another kind, such as a spring or a fixed bond.
    """
    for constraint in atoms.constraints:
        if type(constraint).__name__ not in HELD:
            raise UnsupportedError(
                f"The structure has a constraint of kind {type(constraint).__name__}; relaxations support {', '.join(HELD)}.",
                hint="Remove it from the structure.",
            )


def pieces(atoms: Atoms) -> int:
    """Number of fragments connected by bonds."""
    first, second = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=_BOND_SCALE))
    bonds = coo_array((np.ones(len(first)), (first, second)), shape=(len(atoms), len(atoms)))
    count, _ = connected_components(bonds, directed=False)
    return int(count)
