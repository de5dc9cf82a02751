"""How λ is to be measured, and which method that means for a model and a structure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ncbench.errors import NotDifferentiableError, UsageError
from ncbench.models.interface import ModelCard

Method = Literal["auto", "exact", "stochastic", "coloured", "finite-difference"]
Resolve = Literal["none", "atoms", "pairs"]
DENSE_ATOMS = 512
"""Largest structure whose Jacobian ``auto`` makes dense where blocks are asked for; larger ones are coloured."""


@dataclass(frozen=True, kw_only=True)
class LambdaSettings:
    """How λ is measured."""

    method: Method = "auto"
    """``auto``: the whole Jacobian up to ``exact_max_atoms`` or where blocks are asked for, by products, by colours above 512 atoms, or,
    where autograd does not reach the positions, by differences; random probes otherwise."""
    resolve: Resolve = "none"
    """``atoms`` writes λ_i, pairs of elements and modes; ``pairs`` also λ_ij against distance. Both need the whole Jacobian."""
    exact_max_atoms: int = 64
    step_A: float | None = None
    """Central-difference step, Å; ``None`` finds the one that suits the model."""
    scan_step: bool = False
    """Also λ against the step, over four decades."""
    reach_A: float | None = None
    """Coloured: where blocks end, Å; ``None`` for the model's receptive field."""
    stress: bool = False
    """Also the asymmetry of forces against strain and stresses against positions."""
    probes: int = 16
    target_error: float | None = None
    """Relative standard error at which the stochastic method stops."""
    batch: int | None = None
    """Copies of the structure in one model call; ``None`` fits it to structure and device."""
    memory_GiB: float = 10.0
    """Above this, stochastic products go in one direction only, which takes less than half."""
    sibling_floor: bool = True
    """Also ask the conservative mode of a model with direct forces what it reads, and raise the floor to it."""

    def __post_init__(self) -> None:
        for name in ("step_A", "reach_A", "target_error", "memory_GiB"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} = {value} is not a positive number.")
        for name in ("probes", "exact_max_atoms", "batch"):
            value = getattr(self, name)
            if value is not None and value < (0 if name == "exact_max_atoms" else 1):
                raise UsageError(f"{name} = {value} is too small.")


def choose_method(card: ModelCard, n_atoms: int, settings: LambdaSettings, *, black_box: str = "") -> str:
    """The method that ``auto`` stands for here.

    Args:
        card: of the model.
        n_atoms: of the structure.
        settings: what was asked for.
        black_box: why its Jacobian products cannot be used although the card declares them; empty where they can.

    Raises:
        NotDifferentiableError: a method by products, and a model without them.
        UsageError: blocks are asked of the stochastic method, which has none.
    """
    if settings.resolve != "none" and settings.method == "stochastic":
        raise UsageError(
            f"--resolve {settings.resolve} needs blocks of the Jacobian, which --method stochastic does not make.",
            hint="Use --method exact, coloured or finite-difference.",
        )
    differentiable = card.differentiable and not black_box
    if settings.method in ("exact", "coloured") and not differentiable:
        why = black_box or "autograd does not reach the positions"
        raise NotDifferentiableError(
            f"--method {settings.method} needs Jacobian products, and {card.label} has none: {why.rstrip('.')}.",
            hint="Use --method finite-difference or stochastic.",
        )
    if settings.method != "auto":
        return settings.method
    if settings.resolve == "none" and n_atoms > settings.exact_max_atoms:
        return "stochastic"
    if not differentiable:
        return "finite-difference"
    can_colour = card.receptive_A is not None and not card.torque_removed
    return "coloured" if n_atoms > DENSE_ATOMS and can_colour else "exact"


def fitting_batch(card: ModelCard, n_atoms: int, settings: LambdaSettings) -> int:
    """Copies of the structure in one model call: as many as keep the device busy, and no more than 32 on a CPU, 128 on a GPU."""
    if settings.batch is not None:
        return settings.batch
    on_gpu = card.device.startswith("cuda")
    atoms, most = (8192, 128) if on_gpu else (192, 32)
    return max(1, min(most, atoms // n_atoms))
