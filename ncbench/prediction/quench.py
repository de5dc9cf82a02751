"""The structure a prediction starts from, and the force Jacobian there.

Only at a minimum are the vibrations those of a harmonic crystal: a hot snapshot has many imaginary frequencies. A direct model has no energy to
minimise, so the quench uses conservative forces that are close to it: its own conservative head, or a reference model. With neither, its own
forces are followed to where they vanish, which need not be a minimum of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ncbench.errors import NotDifferentiableError, UnsupportedError
from ncbench.jacobian.autograd_check import KnownProducts, check_products, confirmed
from ncbench.jacobian.coloured import coloured
from ncbench.jacobian.dense import exact, finite_difference
from ncbench.models.interface import ForceField
from ncbench.prediction.harmonic import FloatArray
from ncbench.relaxation.batch import relax
from ncbench.relaxation.relaxation import Ending
from ncbench.types import ForceMode, Tick, silent

OWN_FORCES = "quenched by the model's own non-conservative forces: not a minimum of an energy"


@dataclass(frozen=True)
class Quench:
    """The structure at the end of a quench."""

    atoms: Atoms
    label: str
    """``MODEL:MODE`` whose forces were followed; ``none`` where the structure was taken as it is."""
    fmax: float | None
    """Largest force there, eV/Å, of the model that was followed."""
    steps: int
    note: str
    """Caveats; empty for a converged quench by conservative forces."""


def quench_model(forcefield: ForceField, reference: ForceField | None) -> ForceField:
    """The reference where one is named, else the model's conservative forces, else the model itself."""
    if reference is not None:
        return reference
    try:
        return forcefield.sibling(ForceMode.CONSERVATIVE)
    except UnsupportedError:
        return forcefield


def quench(forcefield: ForceField, reference: ForceField | None, atoms: Atoms, *, fmax: float, steps: int) -> Quench:
    """Relax the positions by L-BFGS; with ``steps`` 0 the structure is taken as it is.

    Args:
        forcefield: the model whose heating is predicted.
        reference: a conservative model to quench with, or ``None``.
        atoms: N atoms.
        fmax: largest force at which the quench has converged, eV/Å.
        steps: most steps.

    Raises:
        UnsupportedError: forces that are not finite, or an atom that left the structure.
    """
    if steps == 0:
        return Quench(atoms, "none", None, 0, "not quenched")
    model = quench_model(forcefield, reference)
    result = relax(model, atoms, "lbfgs", fmax=fmax, max_steps=steps)
    if result.ending is Ending.EXPLODED:
        raise UnsupportedError(
            f"The quench by {model.card.label} diverged: non-finite forces, or an atom moved more than 50 Å.",
            hint="Name a conservative model with --reference.",
        )
    notes = [] if model.card.force_mode is ForceMode.CONSERVATIVE else [OWN_FORCES]
    if result.ending is not Ending.CONVERGED:
        notes.append(f"the quench stopped after {result.steps} steps at {result.fmax_trace[-1]:.2g} eV/Å")
    rested: Atoms = atoms.copy()
    rested.set_constraint()
    rested.positions[:] = result.positions
    return Quench(rested, model.card.label, float(result.fmax_trace[-1]), result.steps, "; ".join(notes))


@dataclass(frozen=True)
class ForceJacobian:
    """J of one structure."""

    matrix: FloatArray
    """[3N, 3N], eV/Å²."""
    noise: float
    """Root-mean-square error of an entry, eV/Å²."""
    method: str
    """``exact``, ``coloured`` or ``finite-difference``."""


CHECKED_PRODUCTS = 8
"""Random products of J that are compared with differences of the forces."""
COLOURED_ATOMS = 512
"""Above this, the coloured Jacobian takes fewer products than one a row."""


def force_jacobian(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int | None = None,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> ForceJacobian:
    """J by products, by colours above :data:`COLOURED_ATOMS` atoms, or by central differences where autograd does not reach the positions.

    Args:
        forcefield: the model.
        atoms: N atoms.
        batch: copies in one model call.
        rng: of the checks.
        tick: called with the number of rows after each pass.
    """
    batch = batch or max(1, min(32, 768 // len(atoms)))
    if forcefield.card.differentiable:
        try:
            jacobian = _by_products(forcefield, atoms, batch, rng, tick)
        except NotDifferentiableError:
            jacobian = None
        if jacobian is not None and _describes_the_forces(forcefield, atoms, jacobian, rng):
            return jacobian
    differences = finite_difference(forcefield, atoms, batch=batch, rng=rng, tick=tick)
    return ForceJacobian(differences.matrix, differences.noise, "finite-difference")


def _by_products(
    forcefield: ForceField, atoms: Atoms, batch: int, rng: np.random.Generator, tick: Tick
) -> ForceJacobian:
    card = forcefield.card
    if len(atoms) <= COLOURED_ATOMS or card.receptive_A is None or card.torque_removed:
        full = exact(forcefield, atoms, batch=batch, rng=rng, tick=tick)
        return ForceJacobian(full.matrix, full.noise, "exact")
    sparse = coloured(forcefield, atoms, batch=batch, rng=rng, tick=tick)
    blocks, size = sparse.jacobian, 3 * len(atoms)
    spread = np.zeros((len(atoms), 3, len(atoms), 3))
    spread[blocks.first, :, blocks.second, :] = blocks.blocks
    if blocks.mean_removed:
        spread -= spread.mean(axis=0)
    # What lies beyond the reach counts as an error of every entry.
    return ForceJacobian(spread.reshape(size, size), float(np.hypot(sparse.noise, sparse.leak / size)), "coloured")


def _describes_the_forces(
    forcefield: ForceField, atoms: Atoms, jacobian: ForceJacobian, rng: np.random.Generator
) -> bool:
    """Whether Jᵀu agrees with differences of the forces along random vectors."""
    vectors = rng.normal(size=(CHECKED_PRODUCTS, len(jacobian.matrix)))
    size = float(np.linalg.norm(jacobian.matrix))
    known = KnownProducts(
        vectors,
        vectors @ jacobian.matrix,
        transposed=True,
        error=jacobian.noise * len(jacobian.matrix) / size if size > 0 else 0.0,
    )
    check = check_products(forcefield, atoms, known, count=2, rng=rng)
    return not (check.wrong and confirmed(forcefield, atoms, rng).wrong)
