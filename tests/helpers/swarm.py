"""Forces invariant under translation, rotation and permutation that are not the gradient of any energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from known_fields import card

from ncbench.models.interface import Field
from ncbench.models.torch_field import TorchField, TorchForceField


class SwarmField(TorchField):
    """f_i = ρ_i Z_i Σ_j exp(−r_ij²/4) (r_i − r_j), ρ_i = Σ_j exp(−r_ij²/9): it depends on the surroundings."""

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        away = positions[:, :, None, :] - positions[:, None, :, :]
        squared = away.square().sum(-1)
        numbers = torch.as_tensor(np.stack([atoms.numbers for atoms in self.structures]), dtype=torch.float64)
        strength = numbers * (-squared / 9.0).exp().sum(-1)
        forces = strength[..., None] * ((-squared / 4.0).exp()[..., None] * away).sum(2)
        return positions.new_zeros(len(positions)), forces


class Swarm(TorchForceField):
    def __init__(self) -> None:
        self.card = card("swarm", differentiable=True)

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return SwarmField(structures, self.card)
