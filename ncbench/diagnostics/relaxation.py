"""One relaxation: displaced start, ASE's optimiser, how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list, primitive_neighbor_list
from ase.optimize import FIRE, LBFGS
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ncbench.diagnostics.field_calculator import FieldCalculator
from ncbench.errors import UsageError
from ncbench.forcefields.base import ForceField
from ncbench.forcefields.checks import OVERLAP_A

FloatArray = NDArray[np.float64]

OPTIMIZERS: dict[str, Callable[..., Any]] = {"lbfgs": LBFGS, "fire": FIRE}

ESCAPE_A = 50.0
"""An atom farther than this from its start has left: the optimiser follows forces that lead nowhere, Å."""

_BOND_SCALE = 1.3
"""Atoms nearer than this times the sum of their covalent radii are bonded."""
_DRAWS = 100


class Ending(StrEnum):
    """How a relaxation ended."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not-converged"
    EXPLODED = "exploded"
    """Forces or positions no longer finite, or an atom beyond :data:`ESCAPE_A`."""


@dataclass(frozen=True)
class Relaxation:
    """What came of one relaxation."""

    ending: Ending
    steps: int
    fmax_trace: FloatArray
    """[steps + 1], eV/Å: the largest norm of a force on an atom at the start and after each step."""
    energy: float
    """eV at the end; NaN for a model without an energy."""
    positions: FloatArray
    """[N, 3], Å, at the end."""
    force_calls: int
    seconds: float


def relax(
    forcefield: ForceField,
    start: Atoms,
    optimizer: str,
    *,
    fmax: float,
    max_steps: int,
    report: Callable[[int, float], None] = lambda step, fmax: None,
) -> Relaxation:
    """Relax the positions of ``start`` at fixed cell until the largest force is below ``fmax`` (eV/Å).

    ASE's optimisers at their defaults (as the paper has it), constraints removed.

    Raises:
        StructureError, UnsupportedError: as :meth:`ForceField.bind` does.
    """
    began = time.perf_counter()
    atoms = start.copy()
    atoms.set_constraint()
    atoms.calc = calculator = FieldCalculator(forcefield, atoms)
    origin = atoms.get_positions()
    trace: list[float] = []
    # On a field without curvature, L-BFGS divides by yᵀs = 0; what follows is not finite, and is found below.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        dynamics = OPTIMIZERS[optimizer](atoms, logfile=None)
        ending = Ending.NOT_CONVERGED
        for converged in dynamics.irun(fmax=fmax, steps=max_steps):
            trace.append(float(np.linalg.norm(atoms.get_forces(), axis=1).max()))
            report(len(trace) - 1, trace[-1])
            if not np.isfinite(trace[-1]) or np.linalg.norm(atoms.positions - origin, axis=1).max() > ESCAPE_A:
                ending = Ending.EXPLODED
                break
            if converged:
                ending = Ending.CONVERGED
    return Relaxation(
        ending=ending,
        steps=len(trace) - 1,
        fmax_trace=np.array(trace),
        energy=float(calculator.results["energy"]),
        positions=atoms.get_positions(),
        force_calls=calculator.force_calls,
        seconds=time.perf_counter() - began,
    )


def displaced_start(atoms: Atoms, sigma_A: float, rng: np.random.Generator) -> tuple[Atoms, int]:
    """A copy with Gaussian displacements of ``sigma_A`` in every coordinate, and how many draws were thrown away.

    A draw with two nuclei within 0.25 Å is no geometry for any model, and is drawn again.

    Raises:
        UsageError: no draw is free of overlap.
    """
    for thrown in range(_DRAWS):
        start: Atoms = atoms.copy()
        start.positions += sigma_A * rng.normal(size=start.positions.shape)
        if not len(primitive_neighbor_list("i", start.pbc, start.get_cell(complete=True), start.positions, OVERLAP_A)):
            return start, thrown
        if sigma_A == 0.0:
            break
    raise UsageError(
        f"Displacements of {sigma_A} Å bring atoms of this structure within {OVERLAP_A} Å of each other in every draw.",
        hint="Choose a smaller displacement_A.",
    )


def pieces(atoms: Atoms) -> int:
    """Number of fragments whose atoms hang together by bonds."""
    first, second = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=_BOND_SCALE))
    bonds = coo_array((np.ones(len(first)), (first, second)), shape=(len(atoms), len(atoms)))
    count, _ = connected_components(bonds, directed=False)
    return int(count)
