"""What a user asks for when naming a model. Imports nothing heavy: the command line reads this without torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ForceMode(StrEnum):
    """Where the forces come from."""

    CONSERVATIVE = "conservative"
    """−∂V/∂r by back-propagation."""
    DIRECT = "direct"
    """A force head of the network."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A model as asked for, before anything is loaded."""

    spec: str
    """``NAME``, ``NAME:mode``, a path to a checkpoint (``:mode`` allowed), or ``package.module:factory``."""
    device: str = "cpu"
    dtype: str | None = None
    """``float32`` or ``float64``; ``None`` for the model's own."""
    checkpoint: str | None = None
    """Weights to load in place of the family's own lookup."""
    trust_checkpoint: bool = False
    """The user vouches for a file whose loading can run code."""
    options: tuple[tuple[str, str], ...] = ()
    """Family-specific switches as typed, sorted by name."""
