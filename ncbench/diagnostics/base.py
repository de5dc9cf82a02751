"""What a diagnostic is: settings, a pure function, its table schemas.

A diagnostic is a function of a force field, structures, settings and a seed. It yields rows and touches no file: what it
wants kept for a resumed run goes through the :class:`Context` it is handed, and so does its progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ncbench.models.interface import ForceField
from ncbench.schema import TableSchema
from ncbench.types import Budget, Case, Checkpoint, Outcome, Progress


@dataclass
class Context:
    """What a diagnostic may use of the outside world."""

    progress: Progress
    checkpoint: Checkpoint
    reference: ForceField | None = None
    """The second model, where the job names one."""
    files: Path | None = None
    """A folder for what is too large for tables, such as trajectories; ``None`` where there is none."""


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
