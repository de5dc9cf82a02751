"""λ of forces against stress: the mixed block of the generalised Hessian.

Let F(r, ε) = E(r(1 + ε), h(1 + ε)) with ε symmetric. Its generalised forces are g = −∂F/∂r = f(1 + ε), with f at the strained structure,
and −Vσ = −∂F/∂ε. If both derive from one energy the mixed derivatives agree, at ε = 0

    P_ic,ab = ∂g_ic/∂ε_ab = ∂f_ic/∂ε_ab + (δ_ca f_ib + δ_cb f_ia)/2   equals   Q_ic,ab = −V ∂σ_ab/∂r_ic

(differentiate g = f(1 + ε) by the product rule). As for forces alone (Bigi, Langer & Ceriotti 2025, Eq. 7), the antisymmetric share of the
matrix that holds P and Qᵀ off its diagonal is

    λ_stress = ‖P − Q‖ / (2 (‖P‖² + ‖Q‖²))^½

over all i, c, a, b: 0 for a conservative pair of forces and stress, 1 where the stress has the wrong sign, |1 − s|/(2(1 + s²))^½ where it
is s times the right one. A direct stress violates the conservation of enthalpy as direct forces violate that of energy (Figure 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import NotDifferentiableError, UnsupportedError
from ncbench.jacobian.dense import STEP_A
from ncbench.models.interface import ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]
STRAIN = {"float32": 2.0e-3, "float64": 5.0e-5}
"""Strain of the central differences per dtype: 2e-3 moves atoms 2.5 Å apart by 0.005 Å, the step of :data:`STEP_A`."""
COMPONENTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
CHECK_TOLERANCE = 0.05
"""Gradients of a stress through a complete graph agree with differences to rounding; a detached part causes a deviation of its size."""
CHUNK_ATOMS = 4096


@dataclass(frozen=True)
class StressAsymmetry:
    """λ_stress with its errors and cost."""

    value: float
    """NaN where P and Q are zero."""
    standard_error: float
    """Standard error over probes; without probes, the numerical error."""
    floor: float
    """λ_stress expected from rounding and truncation alone."""
    calls: int
    """Evaluations of forces or stresses of single structures."""
    products: int
    """Vector-Jacobian products of the stress."""
    note: str = ""
    """Why no products were used; empty if they were."""


def stress_asymmetry(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    rng: np.random.Generator,
    probes: int,
    exact_max_atoms: int,
    tick: Tick = silent,
) -> StressAsymmetry:
    """λ_stress of a structure of N atoms.

    P by central differences over six strains. Q by products where autograd reaches the positions from the stress; else by central
    differences of the stress, along every coordinate up to ``exact_max_atoms`` atoms and along ``probes`` random directions above.

    Args:
        forcefield: a model with stress.
        atoms: three cell vectors.
        rng: generates directions.
        probes: random directions, at least two.
        exact_max_atoms: see above.
        tick: called with the number of evaluations.

    Raises:
        UnsupportedError: the model has no stress, or the structure no volume.
    """
    if not forcefield.card.has_stress:
        raise UnsupportedError(f"{forcefield.card.label} has no stress.")
    if atoms.cell.rank < 3 or not atoms.pbc.all():
        raise UnsupportedError("A structure that is not periodic in three directions has no stress.")
    strain, step = STRAIN[forcefield.card.dtype], STEP_A[forcefield.card.dtype]
    mixed = _strain_derivative(forcefield, atoms, strain, tick)
    # A doubled step holds four times the truncation error: its change bounds the error of the one used from above.
    noise = float(np.linalg.norm(mixed - _strain_derivative(forcefield, atoms, 2 * strain, tick)))
    try:
        gradient = _by_products(forcefield, atoms, rng, step)
    except NotDifferentiableError as error:
        drawn = max(2, probes) if len(atoms) > exact_max_atoms else 0
        part, whole, more, calls = _by_differences(forcefield, atoms, mixed, rng, step, drawn, tick)
        noise = float(np.hypot(noise, more))
        return _judged(part, whole, drawn, noise, calls=24 + calls, products=0, note=error.message)
    noise = float(np.hypot(noise, np.finfo(forcefield.card.dtype).eps * np.linalg.norm(gradient)))
    part = np.array([np.sum((mixed - gradient) ** 2)])
    whole = np.array([np.sum(mixed**2) + np.sum(gradient**2)])
    return _judged(part, whole, 0, noise, calls=28, products=6, note="")


def _judged(
    part: FloatArray, whole: FloatArray, probes: int, noise: float, *, calls: int, products: int, note: str
) -> StressAsymmetry:
    """``part`` and ``whole`` are unbiased values of ‖P − Q‖² and ‖P‖² + ‖Q‖², one per probe, or a single one."""

    def root_ratio(a: float, b: float) -> float:
        return float(np.sqrt(a / (2 * b))) if b > 0 else float("nan")

    value, norm = root_ratio(part.mean(), whole.mean()), float(np.sqrt(2 * whole.mean()))
    floor = noise / norm if norm > 0 else float("nan")
    if not probes:
        return StressAsymmetry(value, floor, floor, calls, products, note)
    left = [root_ratio(part.sum() - a, whole.sum() - b) for a, b in zip(part, whole, strict=True)]
    error = float(np.sqrt((probes - 1) * np.var(left)))
    return StressAsymmetry(value, error, floor, calls, products, note)


def _strain_derivative(forcefield: ForceField, atoms: Atoms, size: float, tick: Tick) -> FloatArray:
    """P, [N, 3, 3, 3], eV/Å."""
    out = np.empty((len(atoms), 3, 3, 3))
    for a, b in COMPONENTS:
        epsilon = np.zeros((3, 3))
        epsilon[a, b] += size / 2
        epsilon[b, a] += size / 2
        # One at a time: twelve copies of a large cell would not fit into memory.
        up, down = (
            forcefield.evaluate([_strained(atoms, sign * epsilon)])[0].forces @ (np.eye(3) + sign * epsilon)
            for sign in (1.0, -1.0)
        )
        out[:, :, a, b] = out[:, :, b, a] = (up - down) / (2 * size)
        tick(2)
    return out


def _strained(atoms: Atoms, strain: FloatArray) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.set_cell(np.asarray(atoms.cell) @ (np.eye(3) + strain), scale_atoms=False)
    moved.set_positions(atoms.get_positions() @ (np.eye(3) + strain))
    if "sites" in moved.arrays:
        moved.arrays["sites"] = moved.arrays["sites"] @ (np.eye(3) + strain)
    return moved


def _by_products(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator, step: float) -> FloatArray:
    """Q, [N, 3, 3, 3], eV/Å.

    Raises:
        NotDifferentiableError: autograd does not reach the positions, or reaches them only through a part of the stress.
    """
    field = forcefield.bind([atoms])
    gradients = field.stress_gradients(field.initial_positions())[0].cpu().numpy()
    derivatives: FloatArray = -atoms.get_volume() * gradients.transpose(2, 3, 0, 1)
    signs: FloatArray = rng.integers(0, 2, size=(len(atoms), 3)).astype(np.float64) * 2.0 - 1.0
    seen, wide = (_along(forcefield, atoms, [signs], h)[0] for h in (step, 2 * step))
    claimed = np.einsum("ic,icab->ab", signs, derivatives)
    # Rounding and truncation of the difference itself do not count as a deviation.
    allowed = CHECK_TOLERANCE * np.linalg.norm(seen) + 3 * np.linalg.norm(wide - seen)
    if np.linalg.norm(seen - claimed) > allowed:
        raise NotDifferentiableError(
            f"autograd misses part of the dependence of the stress of {forcefield.card.label} on positions"
        )
    return derivatives


def _by_differences(
    forcefield: ForceField,
    atoms: Atoms,
    mixed: FloatArray,
    rng: np.random.Generator,
    step: float,
    probes: int,
    tick: Tick,
) -> tuple[FloatArray, FloatArray, float, int]:
    """(‖P − Q‖², ‖P‖² + ‖Q‖², numerical error of ‖Q‖, calls); one value per probe, or a single one without probes."""
    size = 3 * len(atoms)
    vectors: FloatArray = np.eye(size)
    if probes:
        vectors = rng.integers(0, 2, size=(probes, size)).astype(np.float64) * 2.0 - 1.0
    directions = list(vectors.reshape(len(vectors), -1, 3))
    seen = np.stack(_along(forcefield, atoms, directions, step, tick))
    part = np.sum((np.einsum("kic,icab->kab", np.stack(directions), mixed) - seen) ** 2, axis=(1, 2))
    own = np.sum(seen**2, axis=(1, 2))
    check = rng.choice(len(directions), size=min(4, len(directions)), replace=False)
    wide = np.stack(_along(forcefield, atoms, [directions[k] for k in check], 2 * step, tick))
    square = float(np.mean(np.sum((wide - seen[check]) ** 2, axis=(1, 2))))
    calls = 2 * (len(directions) + len(check))
    if probes:
        return part, np.sum(mixed**2) + own, float(np.sqrt(square)), calls
    whole = np.array([np.sum(mixed**2) + own.sum()])
    return np.array([part.sum()]), whole, float(np.sqrt(size * square)), calls


def _along(
    forcefield: ForceField, atoms: Atoms, directions: list[FloatArray], step: float, tick: Tick = silent
) -> list[FloatArray]:
    """−V (σ(r + hv) − σ(r − hv))/2h, [3, 3], for each v [N, 3]."""
    derivatives: list[FloatArray] = []
    chunk = max(1, CHUNK_ATOMS // (2 * len(atoms)))
    for start in range(0, len(directions), chunk):
        moved = []
        for direction in directions[start : start + chunk]:
            for sign in (1.0, -1.0):
                copy = atoms.copy()
                copy.positions += sign * step * direction
                moved.append(copy)
        stresses = [np.asarray(e.stress, dtype=np.float64) for e in forcefield.evaluate(moved, stress=True)]
        derivatives += [
            -atoms.get_volume() * (up - down) / (2 * step)
            for up, down in zip(stresses[::2], stresses[1::2], strict=True)
        ]
        tick(len(moved))
    return derivatives
