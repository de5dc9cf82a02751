"""A penalty on the antisymmetric part of the force Jacobian, for training.

For a vector v of independent signs, E‖Jv‖² = ‖J‖² and E‖Jv − Jᵀv‖² = ‖J − Jᵀ‖² = 4‖A‖² (Hutchinson's estimator), so that their ratio tends to
4λ², λ = ‖A‖/‖J‖ (Bigi, Langer & Ceriotti 2025, Eq. 7), as probes are added.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ncbench.errors import NotDifferentiableError, UsageError


def antisymmetry_loss(
    forces_fn: Callable[[torch.Tensor], torch.Tensor],
    positions: torch.Tensor,
    probes: int = 1,
    *,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Σ‖Jv − Jᵀv‖²/Σ‖Jv‖² over random v: zero for conservative forces, 4λ² for many probes.

    The result is differentiable with respect to the weights in ``forces_fn``: three backward passes a probe and the one of training through them.

    Args:
        forces_fn: positions [..., 3] (Å) → forces of the same shape (eV/Å), by torch operations that can be differentiated twice.
        positions: where J is taken. No gradient reaches them.
        probes: random vectors.
        generator: of the vectors, on the positions' device; torch's own by default.

    Returns:
        A scalar, dimensionless.

    Raises:
        UsageError: fewer than one probe, or forces of another shape than the positions.
        NotDifferentiableError: autograd does not reach the positions.
    """
    if probes < 1:
        raise UsageError(f"probes is {probes}; the least is 1.")
    with torch.enable_grad():
        leaf = positions.detach().clone().requires_grad_()
        forces = forces_fn(leaf)
        if forces.shape != leaf.shape:
            raise UsageError(f"The forces have the shape {tuple(forces.shape)}, the positions {tuple(leaf.shape)}.")
        if not forces.requires_grad:
            raise NotDifferentiableError("Autograd does not reach the positions from the forces.")
        # Jᵀu is linear in u, so that Jv is the derivative of (Jᵀu)·v with respect to u.
        cotangent = torch.zeros_like(forces, requires_grad=True)
        (transposed,) = torch.autograd.grad(forces, leaf, cotangent, create_graph=True, allow_unused=True)
        if transposed is None:
            raise NotDifferentiableError("Autograd does not reach the positions from the forces.")
        difference, whole = forces.new_zeros(()), forces.new_zeros(())
        for _ in range(probes):
            draw = torch.randint(0, 2, forces.shape, generator=generator, device=forces.device)
            v = 2.0 * draw.to(forces.dtype) - 1.0
            (backward,) = torch.autograd.grad(forces, leaf, v, create_graph=True)
            (forward,) = torch.autograd.grad(transposed, cotangent, v, create_graph=True)
            difference = difference + (forward - backward).square().sum()
            whole = whole + forward.square().sum()
        return difference / whole
