"""Removal of the net force and, for isolated structures, the net torque, which a structure cannot exert on itself.

Conservative, translation-invariant energies have neither; a force head has both. Removal is a linear map of the forces, applied
only if the card records it, and it enters the Jacobian like any other part of the model.
"""

from __future__ import annotations

import torch


def remove_net_force(forces: torch.Tensor) -> torch.Tensor:
    """Forces [R, N, 3] minus their mean over atoms; differentiable."""
    return forces - forces.mean(dim=1, keepdim=True)


def remove_torque(positions: torch.Tensor, forces: torch.Tensor) -> torch.Tensor:
    """Forces [R, N, 3] minus the part ω × (r − r̄) that carries the net torque about the centroid; differentiable.

    ω solves Σ d × (ω × d) = Σ d × f. The least-squares solution is taken, so that a linear molecule, which has no torque
    about its own axis, needs no special treatment.
    """
    arms = positions - positions.mean(dim=1, keepdim=True)
    torque = torch.linalg.cross(arms, forces).sum(dim=1)
    eye = torch.eye(3, dtype=arms.dtype, device=arms.device)
    inertia = arms.square().sum(dim=(1, 2))[:, None, None] * eye - torch.einsum("rna,rnb->rab", arms, arms)
    omega: torch.Tensor = torch.einsum("rab,rb->ra", torch.linalg.pinv(inertia, hermitian=True), torque)
    rigid: torch.Tensor = torch.linalg.cross(omega[:, None, :].expand_as(arms), arms)
    return forces - rigid
