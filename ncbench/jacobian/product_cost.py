"""Measured cost of a Jacobian product, and the decision between products and central differences.

A row of the dense Jacobian is one vector-Jacobian product, a column two force calls. A product of conservative forces is a backward pass through a
backward pass, so that either may be cheaper. Products are more accurate by orders of magnitude, and two runs must take the same method:
differences are chosen only if they save a third of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from ncbench import memory
from ncbench.jacobian.shift import with_new_rounding
from ncbench.models.interface import Field, ForceField

Draw = Callable[[Field, np.random.Generator], torch.Tensor]
"""Random vectors [R, N, 3] of zero mean and unit variance for a field of R copies of N atoms."""
DIFFERENCES_WIN = 1.5
"""Ratio of the time by products to the time by differences above which differences are chosen: more than timings scatter by, so that repeated runs choose alike."""
ROUNDING_COMPONENTS = 24
"""Components of products whose scatter gives the rounding error: a standard deviation of 24 normal numbers is known to 15 %."""
DIFFERENCES_OVERHEAD = 28
"""Force calls of differences besides those of the columns or probes, which choose the step and give the error: along two directions; small structures take one."""
REPEATS = 3
"""Measurements where the first one favours differences: TorchScript compiles in its first two calls. The shortest counts."""


@dataclass(frozen=True)
class FirstProducts:
    """The first Jacobian products of a measurement, at positions with new rounding errors, and what they cost."""

    vectors: torch.Tensor
    """[R, N, 3]: v."""
    products: torch.Tensor
    """[R, N, 3]: Jᵀv, eV/Å²."""
    moved: Atoms
    """The structure with new rounding errors."""
    draw: Draw
    """The distribution of v."""
    memory_bytes: int
    """Growth of the process on a CPU; 0 where nothing new had to be allocated."""
    force_calls: int
    """Force evaluations of single structures, of which R are in the graph of the products. Repetitions are not counted: they depend on timings, and rows do not."""
    cost: float | None = None
    """Time of a product over that of a force call; ``None`` if it was not measured."""


def rounding_copies(n_atoms: int, batch: int) -> int:
    """Copies of a structure whose products give :data:`ROUNDING_COMPONENTS` components, but at most ``batch``."""
    return max(1, min(batch, -(-ROUNDING_COMPONENTS // (3 * n_atoms))))


def first_products(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    draw: Draw,
    suspicious: float | None = None,
    clock: Callable[[], float] | None = None,
) -> FirstProducts:
    """Vector-Jacobian products at a position whose rounding errors are new, for the rounding error and the cost of products.

    Args:
        forcefield: the model.
        atoms: the structure, N atoms.
        batch: most copies in one call.
        rng: moves the structure and draws the vectors.
        draw: their distribution.
        suspicious: cost from which the measurement is repeated; ``None`` measures no cost, and saves a force call.
        clock: returns seconds; by default CPU time on a CPU, which the load of other programs does not change much, and wall time on a GPU.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
        torch.OutOfMemoryError: a GPU without space for a product.
    """
    copies = rounding_copies(len(atoms), batch)
    moved = with_new_rounding(forcefield, atoms, rng)
    field = forcefield.bind([moved] * copies)
    positions = field.initial_positions()
    vectors = draw(field, rng)
    on_cpu = forcefield.card.device == "cpu"
    seconds = clock or (time.process_time if on_cpu else time.perf_counter)
    before = memory.before_allocating(torch.device("cpu")) if on_cpu else 0
    linearization = field.linearize(positions)
    products, product_s = _timed(lambda: linearization.vjp(vectors), seconds)
    # Processes that share the copies use as much each.
    grown = min(forcefield.card.processes, copies) * max(0, memory.resident() - before) if on_cpu else 0
    if suspicious is None:
        return FirstProducts(vectors, products, moved, draw, grown, copies)
    _, force_s = _timed(lambda: field(positions).forces, seconds)
    calls = 2 * copies
    if product_s >= suspicious * force_s:
        for _ in range(REPEATS - 1):
            product_s = min(product_s, _timed(lambda: linearization.vjp(vectors), seconds)[1])
            force_s = min(force_s, _timed(lambda: field(positions).forces, seconds)[1])
    cost = product_s / force_s if force_s > 0 else None
    return FirstProducts(vectors, products, moved, draw, grown, calls, cost)


def largest_cost(products: int, differences: int) -> float:
    """Cost of a product in force calls from which ``differences``, two calls each, are preferred to ``products``."""
    return DIFFERENCES_WIN * (2 * differences + DIFFERENCES_OVERHEAD) / products


def _timed(call: Callable[[], torch.Tensor], clock: Callable[[], float]) -> tuple[torch.Tensor, float]:
    began = clock()
    result = call()
    # Copied to the CPU: calls on a GPU return before the computation has finished.
    result.cpu()
    return result, clock() - began
