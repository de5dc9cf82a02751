"""What a diagnostic is: settings, a pure function, its table schemas.

A diagnostic is a function of a force field, structures, settings and a seed. It yields rows and touches no file: what it
wants kept for a resumed run goes through the :class:`Context` it is handed, and so does its progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ase import Atoms

from ncbench.forcefields.base import ForceField
from ncbench.results.schema import TableSchema


class Budget(StrEnum):
    """How much time the defaults may take; explicit settings override them one by one."""

    SMOKE = "smoke"
    """Seconds to a minute: does everything work?"""
    LAPTOP = "laptop"
    """Minutes on 2 cores: the finding, with error bars."""
    PAPER = "paper"
    """The paper's lengths: a GPU, hours."""


class Progress(Protocol):
    """Where a diagnostic says how far it is. ``note`` is a short live remark, such as the running temperature."""

    def start(self, total: float, unit: str) -> None:
        """Work of ``total`` units begins."""

    def update(self, done: float, note: str = "") -> None:
        """``done`` units are done, all told."""


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
    """A :data:`Tick` for whoever does not ask for progress."""


@dataclass
class Context:
    """What a diagnostic may use of the outside world."""

    progress: Progress
    checkpoint: Checkpoint
    reference: ForceField | None = None
    """The second model, where the job names one."""
    files: Path | None = None
    """A folder for what is too large for tables, such as trajectories; ``None`` where there is none."""


@dataclass(frozen=True)
class Case:
    """A structure to run on, with the name its row will carry."""

    name: str
    atoms: Atoms


def replicated(cases: Sequence[Case], replicas: int) -> list[Case]:
    """Every structure ``replicas`` times, named ``NAME/0``, ``NAME/1``, …; as it is where once is asked for."""
    if replicas == 1:
        return list(cases)
    return [Case(f"{case.name}/{number}", case.atoms) for case in cases for number in range(replicas)]


@dataclass
class Outcome:
    """Rows of the main table, and of the side tables by name (``series``, ``pairs``, …)."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    side: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a diagnostic that can say what it found so far. Its rows are recorded as incomplete, whatever status they have."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Run(Protocol):
    """The diagnostic itself."""

    def __call__(
        self, forcefield: ForceField, cases: Sequence[Case], settings: Any, *, seed: int, context: Context
    ) -> Outcome:
        """Measure, and hand back rows."""


@dataclass(frozen=True)
class Diagnostic:
    """An entry of the table of diagnostics.

    ``version`` goes into the key of every result: raise it when the meaning of a number changes. ``settings`` is a frozen
    dataclass of plain values; ``presets`` gives one instance a budget; ``default_system`` is used where none is named.
    """

    name: str
    version: int
    summary: str
    settings: type
    presets: Mapping[Budget, Any]
    run: Callable[..., Outcome]
    schema: TableSchema
    side_schemas: Mapping[str, TableSchema] = field(default_factory=dict)
    default_system: str = "water64"
    default_structures: Mapping[Budget, int] = field(default_factory=lambda: dict.fromkeys(Budget, 1))
    """How many structures of the system are used, a budget."""
