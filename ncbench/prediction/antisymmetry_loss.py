"""A penalty on the antisymmetric part of the force Jacobian, for training.

For a vector v of independent signs, E‖Jv‖² = ‖J‖² and E‖Jv − Jᵀv‖² = ‖J − Jᵀ‖² = 4‖A‖² (Hutchinson's estimator), so that their ratio tends to
4λ², λ = ‖A‖/‖J‖ (Bigi, Langer & Ceriotti 2025, Eq. 7), as probes are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ncbench.errors import NotDifferentiableError, UsageError


def antisymmetry_loss(
    forces_fn: Callable[[torch.Tensor], torch.Tensor],
    positions: torch.Tensor,
    probes: int = 1,
    *,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Σ‖Jv − Jᵀv‖²/Σ‖Jv‖² over random v: zero for conservative forces, 4λ² for many probes, with λ of Eq. 7 (Bigi, Langer & Ceriotti 2025).

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
    require_probes(probes)
    with torch.enable_grad():
        products = JacobianProducts(forces_fn, positions)
        difference, whole = products.forces.new_zeros(()), products.forces.new_zeros(())
        for _ in range(probes):
            v = signs(products.forces.shape, products.forces, generator)
            forward = products.forward(v)
            difference = difference + (forward - products.backward(v)).square().sum()
            whole = whole + forward.square().sum()
        return difference / whole


def require_probes(probes: int) -> None:
    """Refuse fewer than one probe.

    Raises:
        UsageError: fewer than one.
    """
    if probes < 1:
        raise UsageError(f"probes is {probes}; the least is 1.")


def signs(shape: Sequence[int], like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Independent signs ±1 of a shape, of the type and on the device of ``like``."""
    draw = torch.randint(0, 2, tuple(shape), generator=generator, device=like.device)
    return 2.0 * draw.to(like.dtype) - 1.0


class JacobianProducts:
    """Products Jv and Jᵀv of the force Jacobian, differentiable with respect to the weights in ``forces_fn``.

    Args:
        forces_fn: positions [..., 3] (Å) → forces of the same shape (eV/Å), by torch operations that can be differentiated twice.
        positions: where J is taken.

    Raises:
        UsageError: forces of another shape than the positions.
        NotDifferentiableError: autograd does not reach the positions.
    """

    def __init__(self, forces_fn: Callable[[torch.Tensor], torch.Tensor], positions: torch.Tensor) -> None:
        self._leaf = positions.detach().clone().requires_grad_()
        self.forces = forces_fn(self._leaf)
        if self.forces.shape != self._leaf.shape:
            raise UsageError(
                f"The forces have the shape {tuple(self.forces.shape)}, the positions {tuple(self._leaf.shape)}."
            )
        if not self.forces.requires_grad:
            raise NotDifferentiableError("Autograd does not reach the positions from the forces.")
        # Jᵀu is linear in u, so that Jv is the derivative of (Jᵀu)·v with respect to u.
        self._cotangent = torch.zeros_like(self.forces, requires_grad=True)
        (transposed,) = torch.autograd.grad(
            self.forces, self._leaf, self._cotangent, create_graph=True, allow_unused=True
        )
        if transposed is None:
            raise NotDifferentiableError("Autograd does not reach the positions from the forces.")
        self._transposed = transposed

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """Jv, of the positions' shape."""
        (product,) = torch.autograd.grad(self._transposed, self._cotangent, v, create_graph=True)
        return product

    def backward(self, v: torch.Tensor) -> torch.Tensor:
        """Jᵀv, of the positions' shape."""
        (product,) = torch.autograd.grad(self.forces, self._leaf, v, create_graph=True)
        return product
