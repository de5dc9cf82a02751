"""Analytic force fields with closed-form reference values.

``analytic-harmonic``: an Einstein crystal, V = ½ k Σ |r_i − s_i|², about the sites s_i that a structure carries in
``atoms.arrays["sites"]``. Positions are taken as they are, without minimum image.

``analytic-solenoidal``: the same plus κ n × (r_i − s_i), which is not the gradient of any function. Per atom J = −k 1 + κ [n]×, so

* λ = (2κ² / (3k² + 2κ²))^½;
* the work around a planar loop r0 + a (cos s·u + sin s·v) is πa² (vᵀJu − uᵀJv) = 2πa²κ Σ_i n·(u_i × v_i);
* in the plane perpendicular to n the motion obeys m z̈ = (−k + iκ) z with z = x + iy: one sense of rotation grows with the rate
  Im ω, ω² = (k − iκ)/m, that is κ/(2 (km)^½) for κ ≪ k, and the other decays.

Its energy is the harmonic part, as the energy of a direct model is that of its energy head.

``analytic-lj``: Lennard-Jones pairs, 4ε((σ/r)¹² − (σ/r)⁶) times (1 − (r/r_c)²)³, twice continuously differentiable at r_c.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import StructureError, UsageError, did_you_mean
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.registry import ModelRow, ParsedSpec
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.verlet import VerletList
from ncbench.types import ForceMode, ModelRequest

DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "analytic-harmonic": {"k": 5.0},
    "analytic-solenoidal": {"k": 5.0, "kappa": 0.05},
    "analytic-lj": {"epsilon": 0.0104, "sigma": 3.4, "cutoff": 8.5},
}
"""Options of each field: k and κ in eV/Å², ε in eV, σ and cutoff in Å."""


class AnalyticForceField(TorchForceField):
    """One of the fields above, in float32 or float64 arithmetic."""

    def __init__(self, card: ModelCard, constants: Mapping[str, float]) -> None:
        self.card = card
        self.constants = constants

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        if self.card.name == "analytic-lj":
            return _LennardJones(structures, self.card, self.constants)
        return _Einstein(structures, self.card, self.constants)


class _Einstein(TorchField):
    def __init__(self, structures: Sequence[Atoms], card: ModelCard, constants: Mapping[str, float]) -> None:
        super().__init__(structures, card)
        if any("sites" not in atoms.arrays for atoms in structures):
            raise StructureError(
                f"{card.name} needs the lattice sites in atoms.arrays['sites'], and this structure has none.",
                hint="Use --system harmonic-crystal, or store the reference positions under that name.",
            )
        sites = np.stack([atoms.arrays["sites"] for atoms in structures])
        self.sites = torch.as_tensor(sites, dtype=torch.float64, device=self.device)
        self.k, self.kappa = constants["k"], constants.get("kappa", 0.0)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        displacement = (positions - self.sites).to(getattr(torch, self.card.dtype))
        energy = (0.5 * self.k * displacement.square().sum(dim=(1, 2))).double()
        if self.card.force_mode is ForceMode.CONSERVATIVE:
            return energy, None
        x, y, z = displacement.unbind(-1)
        swirl = torch.stack([-y, x, torch.zeros_like(z)], dim=-1)
        return energy, (-self.k * displacement + self.kappa * swirl).double()


class _LennardJones(TorchField):
    def __init__(self, structures: Sequence[Atoms], card: ModelCard, constants: Mapping[str, float]) -> None:
        super().__init__(structures, card)
        self.constants = constants
        self.pairs = VerletList(self.structures, constants["cutoff"], self.device)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        pairs = self.pairs(positions, cells)
        vectors = pairs.vectors.to(getattr(torch, self.card.dtype))
        squared = vectors.square().sum(dim=-1)
        attraction = (self.constants["sigma"] ** 2 / squared) ** 3
        window = (1.0 - squared / self.constants["cutoff"] ** 2).clamp(min=0.0) ** 3
        # Every pair is in the list twice.
        energies = 2.0 * self.constants["epsilon"] * (attraction**2 - attraction) * window
        total = torch.zeros(self.n_replicas, dtype=energies.dtype, device=self.device)
        return total.index_add(0, pairs.replica, energies).double(), None


def _number(name: str, key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"The option {key}={text} of {name} is not a number.") from None
    if not math.isfinite(value) or (value <= 0 and key not in ("k", "kappa", "epsilon")):
        raise UsageError(f"The option {key}={text} of {name} is not a finite, positive number.")
    return value


def load(request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
    """The field named by the row, with its options. Raises UsageError as :func:`analytic_field` does."""
    return analytic_field(request, row.name, parsed.mode or row.modes[0])


def analytic_field(request: ModelRequest, name: str, mode: ForceMode) -> ForceField:
    """The field ``name`` with its options.

    Raises:
        UsageError: an option that the field does not have, or one that is not a number.
    """
    constants = dict(DEFAULTS[name])
    for key, text in request.options:
        if key not in constants:
            raise UsageError(
                f"{name} has no option '{key}'; it has {', '.join(constants)}.", hint=did_you_mean(key, constants)
            )
        constants[key] = _number(name, key, text)
    pairwise = name == "analytic-lj"
    card = ModelCard(
        name=name,
        family="analytic",
        force_mode=mode,
        force_modes=(mode,),
        elements=None,
        cutoff_A=constants["cutoff"] if pairwise else None,
        receptive_A=constants["cutoff"] if pairwise else 0.0,
        dtype=request.dtype or "float64",
        device=request.device,
        has_stress=pairwise,
        differentiable=True,
        options={key: repr(value) for key, value in constants.items()},
    )
    return AnalyticForceField(card, constants)
