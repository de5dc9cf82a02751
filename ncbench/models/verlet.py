"""Verlet neighbour lists with a skin, shared by the native adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray

from ncbench.models.coordinates import is_somewhere, periodic_directions
from ncbench.models.dense_search import DenseSearch


@dataclass(frozen=True)
class Pairs:
    """Directed pairs within the cutoff, all replicas one after another, atoms numbered 0 … R·N − 1."""

    first: torch.Tensor
    second: torch.Tensor
    """[P] int64"""
    shifts: torch.Tensor
    """[P, 3] int64: cell vectors added to the second atom's position"""
    replica: torch.Tensor
    """[P] int64"""
    vectors: torch.Tensor
    """[P, 3] float64: r_second + shift·cell − r_first, Å, attached to the graph of the positions"""
    per_replica: list[int] | None = None
    """[R], pairs of each replica, where the host had to wait for them already"""


class VerletList:
    """All pairs within ``cutoff`` of R structures, searched again only when an atom has moved by half the skin.

    The result depends on the positions alone, not on when the list was last built: pairs beyond the cutoff are dropped
    and the order is that of (first, second, shift). A run resumed from a checkpoint is therefore bitwise identical.
    """

    def __init__(self, structures: Sequence[Atoms], cutoff: float, device: torch.device, skin: float = 1.0) -> None:
        self.structures = structures
        self.cutoff, self.skin, self.device = cutoff, skin, device
        cells = np.stack([np.asarray(atoms.cell) for atoms in structures])
        self.cells = torch.as_tensor(cells, dtype=torch.float64, device=device)
        self.periodic = periodic_directions(structures, device)
        self.reference: torch.Tensor | None = None
        self.dense = self._dense() if device.type != "cpu" else None

    def _dense(self) -> DenseSearch | None:
        cells = np.stack([np.asarray(atoms.cell.complete()) for atoms in self.structures])
        periodic = np.stack([atoms.pbc for atoms in self.structures])
        search = DenseSearch(cells, periodic, self.cutoff + self.skin, self.device)
        return search if search.suits(len(self.structures[0])) else None

    def __call__(self, positions: torch.Tensor, cells: torch.Tensor | None = None) -> Pairs:
        """Pairs at ``positions`` [R, N, 3] float64; ``cells`` [R, 3, 3] if a gradient with respect to them is needed."""
        at = positions.detach()
        flat = positions.reshape(-1, 3)
        cells = self.cells if cells is None else cells
        with torch.no_grad():
            keep, per_replica = self._kept(at, cells.detach())
        return Pairs(
            self.first[keep],
            self.second[keep],
            self.shifts[keep],
            self.replica[keep],
            self._vectors(flat, cells, keep),
            per_replica,
        )

    def _kept(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, list[int] | None]:
        """Indices of the pairs within the cutoff, after a new search if it is needed, and ``Pairs.per_replica``."""
        on_cpu, reference = positions.device.type == "cpu", self.reference
        if reference is None or (on_cpu and not bool(self._valid(positions, reference))):
            self._rebuild(positions)
            reference = positions
        within = self._within(positions, cells)
        if on_cpu:
            return within.nonzero()[:, 0], None
        # The host needs the validity of the list and the numbers of pairs, and waits for the device once.
        valid, *counts = torch.cat([self._valid(positions, reference)[None].long(), self._counts(within)]).tolist()
        if not valid:
            self._rebuild(positions)
            within = self._within(positions, cells)
            counts = self._counts(within).tolist()
        return _true_indices(within, sum(counts)), counts

    def _valid(self, positions: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Whether no atom has moved by more than half the skin from the reference: a number on the device, false for positions that are not finite."""
        return (positions - reference).square().sum(-1).max() <= (self.skin / 2) ** 2

    def _counts(self, within: torch.Tensor) -> torch.Tensor:
        """[R], pairs of each replica."""
        counts = torch.zeros(len(self.structures), dtype=torch.int64, device=self.device)
        return counts.index_add_(0, self.replica, within.long())

    def _within(self, positions: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """[pairs of the last search], whether each is within the cutoff."""
        return self._vectors(positions.reshape(-1, 3), cells, slice(None)).square().sum(-1) <= self.cutoff**2

    def _vectors(self, flat: torch.Tensor, cells: torch.Tensor, which: torch.Tensor | slice) -> torch.Tensor:
        offsets = torch.einsum("pa,pab->pb", self.float_shifts[which], cells[self.replica[which]])
        return flat[self.second[which]] - flat[self.first[which]] + offsets

    def _rebuild(self, positions: torch.Tensor) -> None:
        table = self._table(positions) if self.dense is None else self.dense(positions)
        self.first, self.second, self.shifts, self.replica = table[:, 0], table[:, 1], table[:, 2:5], table[:, 5]
        self.float_shifts = self.shifts.double()
        self.reference = positions.clone()

    def _table(self, positions: torch.Tensor) -> torch.Tensor:
        """Pairs found on the host, as of :meth:`DenseSearch.__call__`."""
        n_atoms = positions.shape[1]
        parts: list[NDArray[np.int64]] = []
        known = is_somewhere(positions, self.periodic).tolist()
        for index, (atoms, at) in enumerate(zip(self.structures, positions.cpu().numpy(), strict=True)):
            if not known[index]:
                continue
            i, j, shift = _neighbours(atoms, at, self.cutoff + self.skin)
            order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], j, i))
            block = np.column_stack([i + index * n_atoms, j + index * n_atoms, shift, np.full(len(i), index)])
            parts.append(block[order])
        return torch.as_tensor(np.concatenate(parts) if parts else np.zeros((0, 6), dtype=np.int64), device=self.device)


def _true_indices(mask: torch.Tensor, count: int) -> torch.Tensor:
    """``mask.nonzero()[:, 0]`` for a known number of true entries, without the wait that :meth:`torch.Tensor.nonzero` takes to count them."""
    place = torch.where(mask, mask.cumsum(0) - 1, count)
    found = torch.empty(count + 1, dtype=torch.int64, device=mask.device)
    return found.scatter_(0, place, torch.arange(len(mask), device=mask.device))[:count]


def _neighbours(atoms: Atoms, positions: NDArray[np.float64], reach: float) -> tuple[NDArray[np.int64], ...]:
    try:
        from vesin import NeighborList
    except ImportError:
        i, j, shift = primitive_neighbor_list("ijS", atoms.pbc, atoms.get_cell(complete=True), positions, reach)
        return i, j, shift
    finder = NeighborList(cutoff=reach, full_list=True)
    i, j, shift = finder.compute(positions, np.asarray(atoms.cell), atoms.pbc.tolist(), quantities="ijS")
    return i.astype(np.int64), j.astype(np.int64), shift.astype(np.int64)
