"""Plain values shared by all parts of the program: requests, jobs and results. Light imports only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from ncbench.errors import UsageError

if TYPE_CHECKING:
    from ase import Atoms


class Budget(StrEnum):
    """How much time the defaults may take; explicit settings override them one by one."""

    SMOKE = "smoke"
    """Seconds to a minute: does everything work?"""
    LAPTOP = "laptop"
    """Minutes on 2 cores: the finding, with error bars."""
    PAPER = "paper"
    """The paper's lengths: a GPU, hours."""


class Status(StrEnum):
    """How a case ended. Anything but ``ok`` carries a reason, and its numbers are absent unless they mean something."""

    OK = "ok"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    EXPLODED = "exploded"
    INCOMPLETE = "incomplete"


NOT_FINITE_AT_START = "the model's forces or energy are not finite at the initial structure"
"""Reason of a failed row of dynamics or a relaxation that could not begin."""


class ForceMode(StrEnum):
    """Where the forces come from."""

    CONSERVATIVE = "conservative"
    """−∂V/∂r by back-propagation."""
    DIRECT = "direct"
    """A force head of the network."""
    UNKNOWN = "unknown"
    """Not declared: an ASE calculator gives forces without a word on where they come from."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A requested model, before anything is loaded."""

    spec: str
    """``NAME``, a path to a checkpoint, ``module:factory`` or ``path/to/file.py:factory``, each with ``:mode`` behind it or without.
    :func:`ncbench.models.registry.parse_request` says what it means."""
    device: str = "cpu"
    dtype: str | None = None
    """``float32`` or ``float64``; ``None`` for the model's own."""
    checkpoint: str | None = None
    """Weights to load in place of the family's own lookup."""
    trust_checkpoint: bool = False
    """The user vouches for a file whose loading can run code."""
    options: tuple[tuple[str, str], ...] = ()
    """Family-specific switches as typed, sorted by name."""


def printable(name: str) -> str:
    r"""A file's name with line breaks, other control characters and bytes that are no text written as escapes such as ``\n``."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in name)


@dataclass(frozen=True, kw_only=True)
class SystemRequest:
    """Requested structures: a named system, or a file that ASE reads."""

    name: str | None = None
    path: str | None = None
    structures: int | None = None
    """How many structures of it; ``None`` for the diagnostic's default at the budget."""
    repeat: tuple[int, int, int] = (1, 1, 1)

    @property
    def label(self) -> str:
        """What the ``system`` column says: the name, or the file's name without its folder."""
        return self.name if self.name is not None else printable(str(self.path).replace("\\", "/").rsplit("/", 1)[-1])


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
                raise UsageError(f"resources: {name} = {value} is not a valid amount.")

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


@dataclass(frozen=True)
class Case:
    """A structure to run on, with the name its row will carry."""

    name: str
    atoms: Atoms


def replicated(cases: Sequence[Case], replicas: int) -> list[Case]:
    """Every structure ``replicas`` times, named ``NAME/0``, ``NAME/1``, …; unchanged for one replica."""
    if replicas == 1:
        return list(cases)
    return [Case(f"{case.name}/{number}", case.atoms) for case in cases for number in range(replicas)]


@dataclass
class Outcome:
    """Rows of the main table, and of the side tables by name (``series``, ``pairs``, …)."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    side: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a diagnostic with partial results. Its rows are recorded as incomplete, whatever their status."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Progress(Protocol):
    """Where a diagnostic says how far it is. ``note`` is a short live remark, such as the running temperature."""

    def start(self, total: float, unit: str) -> None:
        """Work of ``total`` units begins."""

    def update(self, done: float, note: str = "") -> None:
        """``done`` units are done in total."""


class Checkpoint(Protocol):
    """A place for the state of a run that may be killed. Saving is atomic; loading gives the last whole save or ``None``."""

    def load(self) -> dict[str, Any] | None:
        """Return the last whole save."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep ``state``: a flat mapping of names to NumPy arrays, numbers, strings, or JSON-like containers of these."""
        ...


Tick = Callable[[int], None]
"""Called with how many units were just done."""


def silent(_done: int) -> None:
    """A :data:`Tick` that reports nothing."""
