"""What each model can do, determined by loading and running it: the table of ``ncbench models capabilities``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from ncbench.errors import NcbenchError, NotDifferentiableError
from ncbench.models.interface import ForceField
from ncbench.models.loading import DTYPES, load_forcefield
from ncbench.models.registry import parse_request
from ncbench.models.trial import trial_structure
from ncbench.types import ModelRequest

REPLICAS = 4
GRADIENT_STEP_A = {"float32": 1e-2, "float64": 1e-3}
GRADIENT_AGREEMENT = 0.05
"""Relative to the rms slope; central differences with a step of 0.01 Å have an error below 1 % of a bond's force."""
AGREEMENT_EV_PER_A = {"float32": 1e-4, "float64": 1e-6}
"""Between a batch and single evaluations: float32 rounding, and single-precision tables within a float64 model."""


@dataclass(frozen=True)
class Capabilities:
    """One model in one force mode."""

    model: str
    modes: str
    """All modes that the checkpoint offers."""
    jacobian: str
    """``autograd`` where products by autograd agree with differences of forces, else ``black box``."""
    batch: str
    """``yes`` if several structures are evaluated in one call with the results of single evaluations."""
    dtypes: str
    stress: str
    net_force: str
    """Net force on an isolated molecule in ncbench's results: ``removed``, ``none`` or ``left in``."""
    cutoff_A: float | None
    options: str
    seconds: float
    """Time to load the model and run all these checks."""
    reason: str = ""
    """Why the model could not be run; the other fields are empty then."""
    gradient: str = ""
    """Whether the forces are minus the gradient of the energy on four atoms: ``yes``, ``no``, or ``no energy``."""


def capabilities_of(requests: Iterable[ModelRequest]) -> list[Capabilities]:
    """One row per request, in order. A model that cannot be loaded is a row with the reason."""
    rows = []
    for request in requests:
        clock = time.perf_counter()
        try:
            fields = _capabilities_of(request)
        except NcbenchError as error:
            rows.append(Capabilities(request.spec, "", "", "", "", "", "", None, "", 0.0, str(error)))
            continue
        rows.append(Capabilities(**fields, seconds=round(time.perf_counter() - clock, 1)))
    return rows


def _capabilities_of(request: ModelRequest) -> dict[str, Any]:
    forcefield = load_forcefield(request)
    card = forcefield.card
    atoms = trial_structure(card.elements)
    return {
        "model": card.label,
        "modes": ", ".join(card.force_modes),
        "jacobian": "autograd" if _linearizes(forcefield, atoms) else "black box",
        "batch": "yes" if _batches(forcefield, atoms) else "no",
        "dtypes": ", ".join(_dtypes(request, card.dtype)),
        "stress": "yes" if card.has_stress and _gives_stress(forcefield) else "no",
        "net_force": _net_force(forcefield, atoms),
        "gradient": _gradient(forcefield, atoms),
        "cutoff_A": card.cutoff_A,
        "options": " ".join(f"{key}={value}" for key, value in sorted({**card.precision, **card.options}.items())),
    }


def _gradient(forcefield: ForceField, atoms: Atoms) -> str:
    """Compares energy differences along random directions with the forces along them."""
    if not forcefield.card.has_energy:
        return "no energy"
    rng, step = np.random.default_rng(0), GRADIENT_STEP_A[forcefield.card.dtype]
    directions = rng.choice([-1.0, 1.0], size=(8, len(atoms), 3))
    moved = []
    for direction in directions:
        for sign in (1.0, -1.0):
            other = atoms.copy()
            other.positions += sign * step * direction
            moved.append(other)
    undisplaced, *results = forcefield.evaluate([atoms, *moved])
    slopes = np.array([(a.energy - b.energy) / (2 * step) for a, b in zip(results[::2], results[1::2], strict=True)])
    along = np.einsum("kia,ia->k", directions, undisplaced.forces)
    # float32 energies of molecules round at some 1e-5 eV, a difference over the step at that over the step.
    # A calculator declares no dtype; energies that are float32 numbers were computed as such.
    dtype = "float32" if np.float32(undisplaced.energy) == undisplaced.energy else forcefield.card.dtype
    rounding = 100 * np.finfo(dtype).eps * max(1.0, abs(undisplaced.energy)) / step
    gap, size = np.sqrt(np.mean((slopes + along) ** 2)), np.sqrt(np.mean(slopes**2))
    return "yes" if gap <= GRADIENT_AGREEMENT * size + rounding else "no"


def _linearizes(forcefield: ForceField, atoms: Atoms) -> bool:
    field = forcefield.bind([atoms])
    try:
        field.linearize(field.initial_positions())
    except NotDifferentiableError:
        return False
    return forcefield.card.differentiable


def _batches(forcefield: ForceField, atoms: Atoms) -> bool:
    rng = np.random.default_rng(0)
    moved = []
    for _ in range(REPLICAS):
        other = atoms.copy()
        other.positions += rng.normal(scale=0.05, size=other.positions.shape)
        moved.append(other)
    together = forcefield.evaluate(moved)
    worst = max(
        float(np.abs(result.forces - forcefield.evaluate([other])[0].forces).max())
        for other, result in zip(moved, together, strict=True)
    )
    return worst < AGREEMENT_EV_PER_A[forcefield.card.dtype]


def _dtypes(request: ModelRequest, loaded: str) -> list[str]:
    if parse_request(request).factory:
        # Asking for another dtype changes nothing inside an ASE calculator.
        return [loaded]
    there = []
    for dtype in DTYPES:
        try:
            if dtype == loaded or load_forcefield(_in(request, dtype)).card.dtype == dtype:
                there.append(dtype)
        except NcbenchError:
            continue
    return there


def _in(request: ModelRequest, dtype: str) -> ModelRequest:
    return ModelRequest(**{**asdict(request), "dtype": dtype})


def _gives_stress(forcefield: ForceField) -> bool:
    number = min(forcefield.card.elements or {13})
    crystal = bulk("Al", "fcc", a=4.05, cubic=True)
    crystal.numbers[:] = number
    crystal.positions[0] += 0.05
    stress = forcefield.evaluate([crystal], stress=True)[0].stress
    return stress is not None and bool(np.isfinite(stress).all())


def _net_force(forcefield: ForceField, atoms: Atoms) -> str:
    if forcefield.card.net_force_removed:
        return "removed"
    forces = forcefield.evaluate([atoms])[0].forces
    return "none" if np.abs(forces.sum(axis=0)).max() < 1e-4 * max(1.0, np.abs(forces).max()) else "left in"
