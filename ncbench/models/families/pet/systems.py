"""Bound structures as metatomic systems: one each, or replicas of one cell as a single system."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from metatomic.torch import System

from ncbench.models.families.pet.pieces import reach_A

if TYPE_CHECKING:
    from ncbench.models.families.pet.adapter import MetatomicField


def joinable(field: MetatomicField) -> bool:
    """Whether all replicas may be evaluated as one system.

    Atoms of different replicas are no neighbours, so that the forces and energies of the atoms of a model of finite range are those of separate
    systems. Needed are one cell, no data of the system beside its atoms (charge, spin), and energies of atoms, which are then added up.
    On a CPU the arithmetic takes the time, and separate systems reproduce earlier results bit by bit. On a GPU each system costs eight waits and some
    50 launches a call: of 128 systems of 192 atoms, 150 of 154 ms.
    """
    if field.device.type == "cpu" or field.n_replicas < 2 or field.inputs or not field.lists:
        return False
    capabilities = field.model.capabilities()
    if not math.isfinite(reach_A(capabilities, 0.0)):
        return False
    if field.card.has_energy and capabilities.outputs["energy"].sample_kind != "atom":
        return False
    first = field.structures[0]
    return all((a.pbc == first.pbc).all() and (a.cell[:] == first.cell[:]).all() for a in field.structures[1:])


def separate(field: MetatomicField, positions: torch.Tensor, cells: torch.Tensor) -> list[System]:
    """One system for each replica at ``positions`` [R, N, 3] (float64, Å) in ``cells`` [R, 3, 3]."""
    near, boxes = field.origin.near(positions, cells), (cells * field.periodic).to(field.dtype)
    at = near.positions.to(field.dtype)
    systems = [System(field.types[r], at[r], boxes[r], field.pbc[r]) for r in range(field.n_replicas)]
    for system in systems:
        for name, value in field.inputs.items():
            system.add_data(name, value)
    for options, verlet in field.lists:
        pairs = verlet(positions, cells)
        counts = pairs.per_replica
        if counts is None:
            counts = torch.bincount(pairs.replica, minlength=field.n_replicas).tolist()
        offset = pairs.replica * field.n_atoms
        shifts = near.shifts(pairs.first, pairs.second, pairs.shifts)
        samples = torch.column_stack([pairs.first - offset, pairs.second - offset, shifts]).to(torch.int32)
        vectors = pairs.vectors.to(field.dtype)[..., None]
        for system, values, labels in zip(
            systems, torch.split(vectors, counts), torch.split(samples, counts), strict=True
        ):
            system.add_neighbor_list(options, field.pair_block(labels, values))
    return systems


def joined(field: MetatomicField, positions: torch.Tensor, cells: torch.Tensor) -> list[System]:
    """All replicas as one system of R·N atoms in the cell of the first, without a gradient with respect to the cell."""
    near, box = field.origin.near(positions, cells), (cells[0] * field.periodic[0]).to(field.dtype)
    system = System(torch.cat(field.types), near.positions.to(field.dtype).reshape(-1, 3), box, field.pbc[0])
    for options, verlet in field.lists:
        pairs = verlet(positions, cells)
        shifts = near.shifts(pairs.first, pairs.second, pairs.shifts)
        samples = torch.column_stack([pairs.first, pairs.second, shifts]).to(torch.int32)
        system.add_neighbor_list(options, field.pair_block(samples, pairs.vectors.to(field.dtype)[..., None]))
    return [system]
