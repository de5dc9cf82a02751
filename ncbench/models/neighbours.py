"""Graphs with a limited number of neighbours, as used in the training of ORB, eSEN and EquiformerV2."""

from __future__ import annotations

import torch

from ncbench.models.verlet import Pairs

DEGENERATE_A2 = 0.01
"""fairchem-core's tolerance on squared distances, Å²: neighbours at nearly the same distance as the first excluded one are kept."""


def nearest(pairs: Pairs, count: int, *, tolerance_A2: float | None = None) -> Pairs:
    """The ``count`` shortest pairs of each first atom, in input order; of pairs of equal length the earlier.

    With a tolerance, an atom that has more than ``count`` neighbours keeps all whose squared distance is at most that of the
    neighbour of rank ``count`` + 1, plus the tolerance: symmetry-equivalent neighbours are kept or dropped together.
    """
    squares = pairs.vectors.detach().square().sum(-1)
    if not len(squares) or int(torch.bincount(pairs.first).max()) <= count:
        return pairs
    by_length = torch.sort(squares, stable=True).indices
    order = by_length[torch.sort(pairs.first[by_length], stable=True).indices]
    _, sizes = torch.unique_consecutive(pairs.first[order], return_counts=True)
    starts = torch.cumsum(sizes, 0) - sizes
    rank = torch.arange(len(order), device=order.device) - torch.repeat_interleave(starts, sizes)
    if tolerance_A2 is None:
        chosen = order[rank < count]
    else:
        limit = torch.full((int(pairs.first.max()) + 1,), torch.inf, dtype=squares.dtype, device=squares.device)
        beyond = order[rank == count]
        limit[pairs.first[beyond]] = squares[beyond] + tolerance_A2
        chosen = (squares <= limit[pairs.first]).nonzero()[:, 0]
    keep = torch.sort(chosen).values
    return Pairs(pairs.first[keep], pairs.second[keep], pairs.shifts[keep], pairs.replica[keep], pairs.vectors[keep])
