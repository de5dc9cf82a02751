"""Choice of the random Jacobian products that give λ at the least cost."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from ncbench import memory
from ncbench.jacobian.probe_estimates import MIN_PAIR_PROBES, MIN_PROBES, PairProbes, ProductProbes, is_zero
from ncbench.jacobian.probes import product_probes, transposed_probes
from ncbench.jacobian.product_cost import FirstProducts
from ncbench.models.interface import ForceField
from ncbench.types import ForceMode, Tick, silent

LARGE = 1024
"""Number of atoms from which memory is checked before products in both directions are computed."""
GRAPH_OF_GRAPH = 2.6
"""Memory of a product in the forward direction over that of one backward, both without the model's own memory: 2.5 to 2.6 for PET in both modes at
1,536 and 5,184 atoms."""


def products(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    rng: np.random.Generator,
    memory_GiB: float,
    first: FirstProducts | None = None,
    tick: Tick = silent,
) -> ProductProbes | PairProbes:
    """λ from Jacobian products with random vectors.

    Forces declared conservative are first measured by :func:`gradient_probes`. All others, and those that fail, are measured by products in both directions, at least :data:`MIN_PROBES`, or, where their graph
    would not fit into ``memory_GiB`` or what is free, by twice as many in one, at least :data:`MIN_PAIR_PROBES`. ``first``: products that were computed
    to measure their cost.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    if forcefield.card.force_mode is ForceMode.CONSERVATIVE:
        gradient = gradient_probes(forcefield, atoms, batch=batch, rng=rng, first=first, tick=tick)
        if is_zero(gradient):
            return gradient
        first = None
    if graph_fits(forcefield, atoms, batch=batch, memory_GiB=memory_GiB):
        return product_probes(
            forcefield,
            atoms,
            probes=max(MIN_PROBES, probes),
            target_error=target_error,
            batch=batch,
            rng=rng,
            first=first,
            tick=tick,
        )
    return transposed_probes(
        forcefield,
        atoms,
        probes=max(MIN_PAIR_PROBES, 2 * probes),
        target_error=target_error,
        batch=batch,
        rng=rng,
        first=first,
        tick=tick,
    )


def gradient_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    batch: int,
    rng: np.random.Generator,
    first: FirstProducts | None = None,
    tick: Tick = silent,
) -> PairProbes:
    """λ by :data:`MIN_PROBES` products in one direction, which cost a third of those in both: enough where λ is at rounding level (:func:`is_zero`).

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    return transposed_probes(
        forcefield,
        atoms,
        probes=MIN_PROBES,
        target_error=None,
        batch=min(batch, MIN_PROBES),
        rng=rng,
        first=first,
        tick=tick,
    )


def graph_fits(forcefield: ForceField, atoms: Atoms, *, batch: int, memory_GiB: float) -> bool:
    """Whether the graph of a backward pass fits into memory; tested with a single backward product, only for large cells."""
    if len(atoms) * batch < LARGE:
        return True
    device = torch.device(forcefield.card.device)
    free, before = memory.available(device), memory.before_allocating(device)
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    linearization.vjp(torch.ones_like(linearization.forces))
    # Processes that share the batch use as much each.
    wanted = min(forcefield.card.processes, batch) * GRAPH_OF_GRAPH * (memory.in_use(device) - before)
    return before + wanted < memory_GiB * memory.GIB and (free is None or wanted < 0.9 * free)
