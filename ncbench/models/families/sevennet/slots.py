"""Edges in the slots of their first atoms: as many slots for each atom as any has edges."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class Slots:
    """M slots for each of A atoms, and P edges sorted by their first atoms."""

    edge: torch.Tensor
    """[A·M] int64: the edge in each slot, P in empty ones."""
    _filled: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, first: torch.Tensor, n_atoms: int) -> Slots:
        """Slots of edges whose first atoms are ``first`` [P] int64, ascending, numbered 0 … ``n_atoms`` − 1."""
        counts = torch.bincount(first, minlength=n_atoms)
        # At least one: an empty tensor has no shape to infer.
        most = int(counts.max()) if len(first) else 1
        slot = torch.arange(most)
        start = torch.cumsum(counts, 0) - counts
        edges = torch.where(slot < counts[:, None], start[:, None] + slot, len(first))
        return cls(edges.reshape(-1))

    def filled(
        self, embedding: torch.Tensor, harmonics: torch.Tensor, second: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Radial functions [A·M, …], harmonics [A·M, S] and second atoms [A·M] of the slots, zero in empty ones; made once for all layers."""
        if self._filled is None:
            self._filled = self.to_slots(embedding), self.to_slots(harmonics), self.to_slots(second)
        return self._filled

    def to_slots(self, values: torch.Tensor) -> torch.Tensor:
        """[A·M, …] of ``values`` [P, …] of the edges, zero in empty slots."""
        empty = values.new_zeros((1, *values.shape[1:]))
        return torch.cat([values, empty]).index_select(0, self.edge)
