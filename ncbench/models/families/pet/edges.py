"""Edges of a neighbour list in the order in which :mod:`.network` evaluates them, grouped by the number of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

TOKENS = 1024
"""Most tokens (an atom and its edges) of a group of several atoms. Of pet-m and 192 atoms of water, 512 and 2048 take a tenth longer."""


@dataclass(frozen=True)
class Group:
    """g atoms of at most M edges each, whose P_g edges follow each other."""

    atoms: slice
    """Of the atoms in the order of evaluation."""
    edges: slice
    shape: tuple[int, int]
    """(g, M)"""
    mask: torch.Tensor
    """[g, M] bool: slots that hold an edge. The edges of an atom fill its first slots."""
    edge: torch.Tensor | None
    """[g·M] int64: edge in each slot, counted from the first of the group, P_g in empty ones; ``None`` where no slot is empty."""
    slot: torch.Tensor | None
    """[P_g] int64: slot of each edge; ``None`` where no slot is empty."""

    def to_slots(self, values: torch.Tensor, empty: float = 0.0) -> torch.Tensor:
        """[g, M, …]: ``values`` [P, …] of all edges in the slots of the group."""
        own = values[self.edges]
        shape = (*self.shape, *own.shape[1:])
        if self.edge is None:
            return own.reshape(shape)
        padded = torch.cat([own, own.new_full((1, *own.shape[1:]), empty)])
        return padded.index_select(0, self.edge).reshape(shape)

    def from_slots(self, values: torch.Tensor) -> torch.Tensor:
        """[P_g, …]: the edges' values of ``values`` [g, M, …]."""
        flat = values.reshape(-1, *values.shape[2:])
        return flat if self.slot is None else flat.index_select(0, self.slot)


@dataclass(frozen=True)
class Edges:
    """P directed edges sorted by their first atoms; A atoms sorted by their number of edges."""

    order: torch.Tensor
    """[A] int64: atoms in the order of evaluation."""
    listed: torch.Tensor
    """[P] int64: place of each edge in the neighbour list."""
    first: torch.Tensor
    """[P] int64: place of the first atom in :attr:`order`."""
    reverse: torch.Tensor
    """[P] int64: the edge in the opposite direction."""
    groups: Sequence[Group]


def sorted_edges(first: torch.Tensor, second: torch.Tensor, shifts: torch.Tensor, n_atoms: int) -> Edges | None:
    """Edges of a neighbour list sorted by (first, second, shifts); ``None`` unless it holds each pair in both directions.

    Args:
        first: [P] int64, atoms numbered 0 … ``n_atoms`` − 1.
        second: [P] int64.
        shifts: [P, 3] int64, cell vectors added to the second atom's position.
        n_atoms: A.
    """
    opposite = _opposite(first, second, shifts, n_atoms)
    if opposite is None:
        return None
    counts = torch.bincount(first, minlength=n_atoms)
    order = torch.argsort(counts, stable=True)
    rank, edges = torch.empty_like(order), torch.arange(len(first))
    rank[order] = torch.arange(n_atoms)
    new_first = rank[first]
    listed = torch.argsort(new_first, stable=True)
    place = torch.empty_like(edges)
    place[listed] = edges
    reverse = place[opposite][listed]
    return Edges(order, listed, new_first[listed], reverse, _groups(counts[order]))


def _opposite(first: torch.Tensor, second: torch.Tensor, shifts: torch.Tensor, n_atoms: int) -> torch.Tensor | None:
    """[P]: place in the neighbour list of the pair in the opposite direction; ``None`` if one is missing."""
    if not len(first):
        return first
    base = 2 * int(shifts.abs().max()) + 1
    digits = shifts @ torch.tensor([base * base, base, 1])
    keys = (first * n_atoms + second) * base**3 + digits
    wanted = (second * n_atoms + first) * base**3 - digits
    found = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return found if torch.equal(keys[found], wanted) else None


def _groups(counts: torch.Tensor) -> list[Group]:
    """Groups of atoms with ascending ``counts`` [A] of edges."""
    numbers, ends = counts.tolist(), torch.cumsum(counts, 0).tolist()
    groups, start = [], 0
    while start < len(numbers):
        stop = start + 1
        while stop < len(numbers) and (stop + 1 - start) * (numbers[stop] + 1) <= TOKENS:
            stop += 1
        edges, most = slice(ends[start] - numbers[start], ends[stop - 1]), numbers[stop - 1]
        mask = torch.arange(most) < counts[start:stop, None]
        edge = slot = None
        if numbers[start] < most:
            slot = mask.reshape(-1).nonzero()[:, 0]
            edge = torch.full((mask.numel(),), len(slot))
            edge[slot] = torch.arange(len(slot))
        groups.append(Group(slice(start, stop), edges, (stop - start, most), mask, edge, slot))
        start = stop
    return groups
