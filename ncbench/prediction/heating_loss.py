"""The heating power as a penalty for training: an estimate from few Jacobian products, differentiable with respect to weights.

To second order (:mod:`ncbench.prediction.resonances`) two vibrations near resonance heat by k_B T a_ij²/(ω_i ω_j) · L(ω_i − ω_j), L a Lorentzian of half width
Γ and area π. With a Gaussian of the same area and height in its place, L(Δ) = √(π/2)/σ · exp(−Δ²/2σ²), σ = √(π/2) Γ, the sum over pairs is an integral
over bands of vibrations about a frequency c,

    P = (k_B T/σ²) ∫ ‖diag(g_c) a diag(g_c)‖² dc,    g_c(ω) = exp(−(ω − c)²/2σ²)/√ω,

because ∫ exp(−(ω_i − c)²/σ² − (ω_j − c)²/σ²) dc = σ√(π/2) exp(−(ω_i − ω_j)²/2σ²). A band is drawn at random and weighted by the inverse of its
probability density; the norm is estimated with random signs v, E‖X v‖² = ‖X‖² (Hutchinson, Commun. Stat. Simul. Comput. 19, 433, 1990).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ncbench.prediction.antisymmetry_loss import JacobianProducts, require_probes, signs
from ncbench.prediction.harmonic import FloatArray, harmonic_model
from ncbench.prediction.heating import in_meV
from ncbench.units import FS, KB


@dataclass(frozen=True)
class HeatingBands:
    """The vibrations of one structure, and the bands of them that heat each other."""

    modes: torch.Tensor
    """[n, 3N], u^(−½): eigenvectors over the roots of the masses, one a row."""
    omega: torch.Tensor
    """[n], ω, internal unit of 1/time."""
    width: float
    """σ, the same unit."""
    scale: float
    """k_B T/σ² in the unit that turns the integral into meV/atom/ps."""

    @classmethod
    def from_jacobian(
        cls,
        jacobian: FloatArray,
        masses: FloatArray,
        *,
        temperature_K: float = 300.0,
        tau_fs: float = 100.0,
        floor_per_cm: float = 50.0,
    ) -> HeatingBands:
        """From the force Jacobian of a conservative model, or the one that is trained; only its symmetric part counts.

        Args:
            jacobian: J [3N, 3N], eV/Å².
            masses: [N], u.
            temperature_K: T.
            tau_fs: 1/Γ, the life time of a vibration.
            floor_per_cm: least frequency.

        Raises as :func:`ncbench.prediction.harmonic.harmonic_model`.
        """
        model = harmonic_model(jacobian, masses, floor_per_cm=floor_per_cm)
        width = math.sqrt(math.pi / 2) / (tau_fs * FS)
        rows = model.modes.T / np.sqrt(np.repeat(model.masses, 3))
        scale = in_meV(KB * temperature_K / width**2, model)
        return cls(torch.as_tensor(rows), torch.as_tensor(model.omega), width, scale)

    def draw(self, generator: torch.Generator | None = None) -> tuple[torch.Tensor, float]:
        """A random band: diag(g_c) times the modes [n, 3N], and the factor that makes ‖·‖² an estimate of P, meV/atom/ps.

        c is a frequency of the structure, soft ones more often (∝ 1/ω), with a normal deviate of width σ.

        Args:
            generator: of the random numbers, on the CPU; torch's own by default.
        """
        shares = (1.0 / self.omega) / (1.0 / self.omega).sum()
        chosen = int(torch.multinomial(shares, 1, generator=generator))
        centre = self.omega[chosen] + self.width * torch.randn((), dtype=self.omega.dtype, generator=generator)
        distance = (self.omega - centre) / self.width
        density = (shares * torch.exp(-(distance**2) / 2)).sum() / (self.width * math.sqrt(2 * math.pi))
        weights = torch.exp(-(distance**2) / 2) / self.omega.sqrt()
        return weights[:, None] * self.modes, self.scale / float(density)


def heating_loss(
    forces_fn: Callable[[torch.Tensor], torch.Tensor],
    positions: torch.Tensor,
    bands: HeatingBands,
    probes: int = 1,
    *,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Estimate of the heating power of ``forces_fn``, meV/atom/ps: zero for conservative forces, differentiable with respect to weights.

    Its expectation is the second-order power of :mod:`ncbench.prediction.resonances`.

    Args:
        forces_fn: positions [N, 3] or [1, N, 3] (Å) → forces of the same shape (eV/Å), by torch operations that can be differentiated twice.
        positions: where J is taken: the structure of ``bands``. No gradient reaches them.
        bands: vibrations of that structure.
        probes: random bands and vectors.
        generator: of both, on the CPU; torch's own by default.

    Returns:
        A scalar, meV/atom/ps.

    Raises:
        UsageError: fewer than one probe, or forces of another shape than the positions.
        NotDifferentiableError: autograd does not reach the positions.
    """
    require_probes(probes)
    with torch.enable_grad():
        products = JacobianProducts(forces_fn, positions)
        like = products.forces
        power = like.new_zeros(())
        for _ in range(probes):
            band, factor = bands.draw(generator)
            v = signs((len(band),), band, generator)
            direction = (band.T @ v).to(like).reshape(like.shape)
            antisymmetric = (products.forward(direction) - products.backward(direction)) / 2
            power = power + factor * (band.to(like) @ antisymmetric.reshape(-1)).square().sum()
        return power / probes
