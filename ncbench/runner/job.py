"""A job: one model, one system, one diagnostic, one seed. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ncbench.errors import UsageError
from ncbench.forcefields.request import ModelRequest


@dataclass(frozen=True, kw_only=True)
class SystemRequest:
    """Structures as asked for: a named system, or a file ASE reads."""

    name: str | None = None
    path: str | None = None
    structures: int | None = None
    """How many structures of it; ``None`` for the diagnostic's default at the budget."""
    repeat: tuple[int, int, int] = (1, 1, 1)

    @property
    def label(self) -> str:
        """What the ``system`` column says: the name, or the file's name without its folder."""
        return self.name if self.name is not None else str(self.path).replace("\\", "/").rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job takes of the machine it runs on. Only a cluster reads it; no number depends on it."""

    gpu: float | None = None
    """GPUs, a share of one below 1; ``None``: one for a job on CUDA, else none."""
    memory_GB: float = 0.0
    """Memory; 0 where it does not matter."""

    def __post_init__(self) -> None:
        for name, value in (("gpu", self.gpu), ("memory_GB", self.memory_GB)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"resources: {name} = {value} is no amount.")

    def needs(self, device: str) -> dict[str, float]:
        """Amounts by the names under which workers offer them: ``GPU``, and ``memory`` in bytes."""
        gpu = self.gpu if self.gpu is not None else float(device.startswith("cuda"))
        wanted = {"GPU": gpu, "memory": self.memory_GB * 1e9}
        return {name: amount for name, amount in wanted.items() if amount}


@dataclass(frozen=True, kw_only=True)
class Job:
    """The unit of planning, resuming and storing."""

    diagnostic: str
    model: ModelRequest
    system: SystemRequest
    settings: Any
    """The diagnostic's frozen settings dataclass."""
    seed: int = 0
    reference: ModelRequest | None = None
    """A second model, for diagnostics that combine or compare two."""
    default_structures: int = 1
    """How many structures to take where the system's request does not say; fewer where there are fewer."""
    resources: Resources = Resources()
