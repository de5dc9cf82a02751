"""Compares the measured cost of Jacobian products and central differences for a model and structure.

A row of the dense Jacobian is one vector-Jacobian product, a column two force calls. A product of conservative forces is a backward pass through a
backward pass, so that either may be cheaper. Products are more accurate by orders of magnitude: differences are chosen only if they
save a significant amount of time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from ase import Atoms

from ncbench.models.interface import ForceField

UNNOTICED_S = 20.0
"""Time below which the whole Jacobian by products is not worth a comparison, s."""
ASSUMED_COST = 5.0
"""Assumed cost of a product in force calls before it is measured; 1.3 to 2.3 were measured for SevenNet-0 on 8 atoms of diamond, with 1 to 24 copies per call."""
DIFFERENCES_WIN = 3.0
"""Cost of a product in force calls from which differences, two calls each, are chosen: they are then 1.5 times as fast, which timings on a busy
machine can resolve."""


def product_cost(
    forcefield: ForceField, atoms: Atoms, *, batch: int, clock: Callable[[], float] = time.perf_counter
) -> float | None:
    """Time of a vector-Jacobian product over that of a force call, at ``batch`` copies; ``None`` if the whole Jacobian takes only seconds.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    size = 3 * len(atoms)
    single = forcefield.bind([atoms])
    positions = single.initial_positions()
    if ASSUMED_COST * size * _timed(lambda: single(positions).forces, clock) < UNNOTICED_S:
        return None
    field = forcefield.bind([atoms] * min(batch, size))
    positions = field.initial_positions()
    force = _timed(lambda: field(positions).forces, clock)
    try:
        linearization = field.linearize(positions)
        product = _timed(lambda: linearization.vjp(torch.ones_like(linearization.forces)), clock)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return product / force if force > 0 else None


def _timed(call: Callable[[], torch.Tensor], clock: Callable[[], float]) -> float:
    """The shortest of three calls: the first may compile (TorchScript takes two for it), and the load of other programs only adds time."""
    times = []
    for _ in range(3):
        began = clock()
        # Copied to the CPU: calls on a GPU return before the computation has finished.
        call().cpu()
        times.append(clock() - began)
    return min(times)
