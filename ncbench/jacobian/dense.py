"""The force Jacobian J = ∂f/∂r of one structure, dense, by products or by differences.

All functions return J as a float64 array [3N, 3N] in eV/Å², row = force component, column = displacement, atoms in the
structure's order and x, y, z within an atom. For conservative forces J = −∂²V/∂r∂r is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import chi2

from ncbench import memory
from ncbench.jacobian.product_cost import FirstProducts
from ncbench.jacobian.shift import with_new_rounding
from ncbench.jacobian.step_scan import FEW_COLUMNS, KnownDirections, directions_at
from ncbench.models.interface import Field, ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]
STEP_A = {"float32": 5.0e-3, "float64": 1.0e-4}
"""Central-difference step per dtype, Å. It balances rounding ε|f|/h against truncation h²f‴/6: with |f| ~ 1 eV/Å,
f‴ ~ 500 eV/Å⁴ (an O-H bond) and ε|f| of some 1e-5 eV/Å in float32, h = (3ε|f|/f‴)^⅓ ≈ 4e-3 Å; in float64 truncation at
1e-4 Å is already below 1e-8 of J and rounding below 1e-9."""

CHECK_ROWS = 4
"""Rows of J that are computed again to measure their rounding error: 4 · 3N differences."""
SAME_ROWS = {"float32": 1.0e-3, "float64": 1.0e-8}
"""Root-mean-square deviation of these rows from a Jacobian that the model gave as a whole, relative to theirs, up to which it is used: a few thousand ε."""


@dataclass(frozen=True)
class Jacobian:
    """J with its cost and its error."""

    matrix: FloatArray
    """[3N, 3N], eV/Å²."""
    noise: float
    """Estimated root-mean-square error of an entry, of differences the upper end of its interval, eV/Å²."""
    force_calls: int
    """Force evaluations of single structures."""
    products: int
    """Rows of J: by vector-Jacobian products of single structures, or of a whole Jacobian that the model gave."""
    step_A: float | None = None
    """Difference step; ``None`` for the exact method."""
    noise_estimate: float | None = None
    """The error without a margin, where ``noise`` is the upper end of its interval."""


def exact(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    first: FirstProducts | None = None,
    tick: Tick = silent,
) -> Jacobian:
    """J by vector-Jacobian products, row by row: the k-th row is Jᵀe_k.

    ``batch`` copies of the structure are bound side by side, so that one backward pass yields ``batch`` rows. The batch
    is halved for as long as the device runs out of memory. ``first``: products that were computed to measure their cost.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    size = 3 * len(atoms)
    per_copy = None if first is None else first.memory_bytes // len(first.vectors)
    batch = fitting_batch(forcefield, atoms, min(batch, size), per_copy)
    while True:
        try:
            return _exact(forcefield, atoms, batch, rng, tick, first)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
            torch.cuda.empty_cache()


def fitting_batch(forcefield: ForceField, atoms: Atoms, batch: int, bytes_per_copy: int | None = None) -> int:
    """As many copies, up to ``batch``, as fit into half the free memory of a CPU's machine; a GPU raises an error when it is full.

    The memory of the graph and backward pass of one copy is measured, unless ``bytes_per_copy`` is given, and assumed to be proportional to the
    number of copies.
    """
    if batch == 1 or forcefield.card.device != "cpu":
        return batch
    free, one = memory.available(torch.device("cpu")), bytes_per_copy
    if one is None:
        before = memory.before_allocating(torch.device("cpu"))
        field = forcefield.bind([atoms])
        linearization = field.linearize(field.initial_positions())
        linearization.vjp(torch.ones_like(linearization.forces))
        one = memory.resident() - before
    if free is None or one <= 0:
        return batch
    return max(1, min(batch, free // (2 * one)))


def _exact(
    forcefield: ForceField, atoms: Atoms, batch: int, rng: np.random.Generator, tick: Tick, first: FirstProducts | None
) -> Jacobian:
    size = 3 * len(atoms)
    single = forcefield.bind([atoms])
    whole = single.whole_jacobian(single.initial_positions())
    if whole is None:
        return _checked(forcefield, atoms, _products(forcefield, atoms, batch, tick), batch, rng, tick, first)
    tick(size)
    result = _checked(forcefield, atoms, whole.cpu().numpy(), 1, rng, tick, first)
    typical = float(np.sqrt(np.mean(result.matrix**2)))
    if result.noise <= SAME_ROWS[forcefield.card.dtype] * typical:
        return result
    return _checked(forcefield, atoms, _products(forcefield, atoms, batch, tick), batch, rng, tick, first)


def _products(forcefield: ForceField, atoms: Atoms, batch: int, tick: Tick) -> FloatArray:
    """J by a vector-Jacobian product a row."""
    field = forcefield.bind([atoms] * batch)
    return _rows(field, field.initial_positions(), np.arange(3 * len(atoms)), tick)


def _checked(
    forcefield: ForceField,
    atoms: Atoms,
    matrix: FloatArray,
    copies: int,
    rng: np.random.Generator,
    tick: Tick,
    first: FirstProducts | None,
) -> Jacobian:
    """``matrix`` with its error from rows that are computed again, by products at positions with new rounding; ``copies`` force calls were made for it."""
    size = 3 * len(atoms)
    check = np.sort(rng.choice(size, size=min(size, CHECK_ROWS), replace=False))
    repeats = min(copies, len(check))
    shifted = with_new_rounding(forcefield, atoms, rng) if first is None else first.moved
    moved = forcefield.bind([shifted] * repeats)
    again = _rows(moved, moved.initial_positions(), check, tick)
    # Two draws of the rounding error differ by √2 σ.
    drawn = np.sqrt(np.mean((again - matrix[check]) ** 2) / 2)
    rounding = np.finfo(forcefield.card.dtype).eps * np.sqrt(np.mean(matrix**2))
    return Jacobian(
        matrix,
        float(np.hypot(drawn, rounding)),
        force_calls=copies + repeats + (2 if first is None else 0),
        products=size + len(check),
    )


def _rows(field: Field, positions: torch.Tensor, rows: NDArray[np.int64], tick: Tick) -> FloatArray:
    linearization = field.linearize(positions)
    batch, n_atoms = field.n_replicas, field.n_atoms
    out = np.empty((len(rows), 3 * n_atoms))
    wanted = torch.as_tensor(rows, device=field.device)
    for start in range(0, len(rows), batch):
        chunk = wanted[start : start + batch]
        cotangents = torch.zeros((batch, 3 * n_atoms), dtype=torch.float64, device=field.device)
        cotangents[torch.arange(len(chunk), device=field.device), chunk] = 1.0
        products = linearization.vjp(cotangents.reshape(batch, n_atoms, 3)).reshape(batch, -1)
        out[start : start + len(chunk)] = products[: len(chunk)].cpu().numpy()
        tick(len(chunk))
    return out


TYPICAL_A = 0.1
"""Displacement from a minimum that gives forces of ordinary size, Å."""
TEST_COLUMNS = 4
"""Columns that are measured again to test a matrix of few of them."""
TEST_DIRECTIONS = 2
"""Random directions along which a matrix of differences is tested if no products are known."""
TAIL = 0.025
"""Probability with which the error of a matrix of differences may exceed what is stated."""


def finite_difference(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    step_A: float | None = None,
    along: KnownDirections | None = None,
    tick: Tick = silent,
) -> Jacobian:
    """J by central differences, column by column, for any model: 6N force calls.

    Its error is estimated by :func:`error_along`; if there are at most :data:`~ncbench.jacobian.step_scan.FEW_COLUMNS`, by repeating :data:`TEST_COLUMNS` of them with twice the
    step: the difference contains three times the truncation error and all of the rounding error of a column.

    Args:
        forcefield: any model.
        atoms: N atoms.
        batch: columns in one model call.
        rng: generates directions.
        step_A: h, Å; the default of the dtype if ``None``.
        along: products along random directions at other steps; if ``None``, :data:`TEST_DIRECTIONS` are measured at half and at twice the step.
        tick: called after each batch with the number of columns.
    """
    step = STEP_A[forcefield.card.dtype] if step_A is None else step_A
    size = 3 * len(atoms)
    field = forcefield.bind([atoms] * (2 * batch))
    matrix = difference_columns(field, np.arange(size), step, tick).T
    calls = 2 * size
    if size <= FEW_COLUMNS:
        check = np.sort(rng.choice(size, size=min(size, TEST_COLUMNS), replace=False))
        wide = difference_columns(field, check, 2 * step, tick).T
        calls += 2 * len(check)
        estimate, values = float(np.sqrt(np.mean((wide - matrix[:, check]) ** 2))), wide.size
    else:
        if along is None:
            steps = np.array([step / 2, 2 * step])
            along = directions_at(forcefield, atoms, steps_A=steps, count=TEST_DIRECTIONS, rng=rng)
            calls += 4 * TEST_DIRECTIONS
        estimate, values = error_along(matrix, step, along), along.vectors.size
    # Forces of the size of those at TYPICAL_A round to ε of it, whatever happened to cancel in the columns that were compared.
    rounding = np.finfo(forcefield.card.dtype).eps * float(np.sqrt(np.mean(matrix**2))) * TYPICAL_A / step
    estimate = float(np.hypot(estimate, rounding))
    # The square of independent errors over its mean follows χ².
    upper = estimate * float(np.sqrt(values / chi2.ppf(TAIL, values)))
    return Jacobian(matrix, upper, force_calls=calls, products=0, step_A=step, noise_estimate=estimate)


def error_along(matrix: FloatArray, step_A: float, known: KnownDirections) -> float:
    """Root-mean-square error of an entry of J [3N, 3N] from products along random directions at other steps, eV/Å².

    With E the error of J, ⟨‖E v‖²⟩ = ‖E‖² for random signs v (Hutchinson, Commun. Stat. Simul. Comput. 19, 433, 1990): one direction contains the errors
    of all columns. The product's own error E' adds to it where the two are independent: rounding, more of it at shorter steps, and jumps. Truncation is of order h²:
    E' cancels a share (h'/h)² of E at a shorter step h', and the result is divided by the rest; at a longer step E' is the larger one. Each step thus bounds ‖E‖ from above,
    and the smaller result is taken. In a small molecule a direction may stretch a stiff bond from both ends, so that truncation along it is far larger than that of columns.

    Args:
        matrix: J by differences.
        step_A: their step h, Å.
        known: products at other steps.
    """
    size = len(matrix)
    missing = known.vectors @ matrix.T - known.products
    estimates = np.sqrt(np.mean(missing**2, axis=(1, 2)) / size)
    shorter = known.steps_A < step_A
    estimates[shorter] /= 1.0 - (known.steps_A[shorter] / step_A) ** 2
    finite = estimates[np.isfinite(estimates)]
    # A longer step may leave where the model is defined.
    return float(finite.min()) if len(finite) else float("inf")


def difference_columns(field: Field, columns: NDArray[np.int64], step: float, tick: Tick) -> FloatArray:
    """Columns of J by central differences, [columns, 3N], eV/Å²: row k is (f(r + h e_k) − f(r − h e_k)) / 2h.

    Args:
        field: an even number of copies of one structure; half of them are displaced forwards, half backwards.
        columns: coordinates to displace, 3·atom + axis.
        step: h, Å.
        tick: called after each batch with the number of columns.
    """
    half = field.n_replicas // 2
    start_positions = field.initial_positions()
    out = np.empty((len(columns), 3 * field.n_atoms))
    for start in range(0, len(columns), half):
        chunk = torch.as_tensor(columns[start : start + half], device=field.device)
        n = len(chunk)
        flat = start_positions.reshape(field.n_replicas, -1).clone()
        which = torch.arange(n, device=field.device)
        flat[which, chunk] += step
        flat[half + which, chunk] -= step
        # The actual displacement is h after rounding to float64 around r.
        width = flat[which, chunk] - flat[half + which, chunk]
        forces = field(flat.reshape(start_positions.shape)).forces.reshape(field.n_replicas, -1)
        out[start : start + n] = ((forces[:n] - forces[half : half + n]) / width[:, None]).cpu().numpy()
        tick(n)
    return out
