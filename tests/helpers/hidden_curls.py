"""Forces whose curl is detached from the autograd graph in four ways, and the same forces with the whole graph.

A repulsion −∇Σ exp(−r²/4), which is a gradient, and a part that is not. Hidden, the Jacobian products are those of a gradient, or nearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from known_fields import card

from ncbench.models.interface import Field
from ncbench.models.torch_field import TorchField, TorchForceField

WAYS = ("detached", "wrong backward", "neighbour limit", "no_grad branch")
STRENGTH = 6.0


def atoms_of(seed: int = 0, n: int = 8) -> Atoms:
    """Up to eight atoms 1.6 Å apart, displaced."""
    rng = np.random.default_rng(seed)
    corners = 1.6 * np.array([(x, y, z) for x in range(2) for y in range(2) for z in range(2)], dtype=float)
    return Atoms("C" * n, positions=corners[:n] + rng.uniform(-0.3, 0.3, (n, 3)))


def pairs(positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """r_i − r_j [R, N, N, 3] and its square."""
    away = positions[:, :, None, :] - positions[:, None, :, :]
    return away, away.square().sum(-1)


def repulsion(positions: torch.Tensor, weights: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Σ_j w_ij exp(−r_ij²/4) (r_i − r_j): with constant w a gradient."""
    away, squared = pairs(positions)
    return ((STRENGTH * weights * (-squared / 4.0).exp())[..., None] * away).sum(2)


def turn(positions: torch.Tensor, kappa: float = 0.08) -> torch.Tensor:
    """κ z × (r_i − mean of r)."""
    relative = positions - positions.mean(1, keepdim=True)
    return kappa * torch.stack([-relative[..., 1], relative[..., 0], torch.zeros_like(relative[..., 0])], dim=-1)


def swarm(positions: torch.Tensor) -> torch.Tensor:
    """A repulsion whose strength depends on the surroundings of one of the two atoms."""
    _, squared = pairs(positions)
    return repulsion(positions, 0.1 * (-squared / 9.0).exp().sum(-1)[..., None])


def within_reach(positions: torch.Tensor, *, hidden: bool) -> torch.Tensor:
    """A repulsion whose range depends on the third-nearest neighbour of both atoms."""
    _, squared = pairs(positions)
    reach = (squared + 1e-12).topk(3, dim=-1, largest=False).values[..., 2].sqrt()
    if hidden:
        reach = reach.detach()
    weights = 1.0 + 0.1 * reach
    return repulsion(positions, weights[:, :, None] * weights[:, None, :])


class _WrongBackward(torch.autograd.Function):
    """A kernel with a wrong backward pass: zero gradient."""

    @staticmethod
    def forward(_context: Any, positions: torch.Tensor) -> torch.Tensor:
        return turn(positions)

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(gradient)


class HiddenCurlField(TorchField):
    def __init__(self, structures: Sequence[Atoms], owner: HiddenCurl) -> None:
        super().__init__(structures, owner.card)
        self.owner = owner

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        r, hidden = positions.to(getattr(torch, self.card.dtype)), self.owner.hidden
        match self.owner.way:
            case "detached":
                forces = repulsion(r) + turn(r.detach() if hidden else r)
            case "wrong backward":
                forces = repulsion(r) + (_WrongBackward.apply(r) if hidden else turn(r))
            case "neighbour limit":
                forces = within_reach(r, hidden=hidden)
            case "no_grad branch":
                with torch.set_grad_enabled(torch.is_grad_enabled() and not hidden):
                    head = swarm(r)
                forces = repulsion(r) + head
            case _:
                raise ValueError(self.owner.way)
        return positions.new_zeros(len(positions)), forces.to(torch.float64)


class HiddenCurl(TorchForceField):
    """``hidden=False`` is the same model with its defect off."""

    def __init__(self, way: str, dtype: str = "float64", *, hidden: bool = True) -> None:
        self.card = card(f"{way} {hidden}", dtype=dtype, differentiable=True)
        self.way, self.hidden = way, hidden

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return HiddenCurlField(structures, self)
