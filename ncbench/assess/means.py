"""What an assessment is asked, the means it has, and what it reports while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ncbench.assess.evidence import Use
from ncbench.assess.result import Assessment
from ncbench.types import Job, ModelRequest, SystemRequest


class Ran(Protocol):
    """Results of jobs: :class:`ncbench.run.local.Summary`."""

    @property
    def rows(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Main rows by diagnostic."""

    @property
    def n_run(self) -> int:
        """Jobs that were run now; the others were found finished."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The uses to decide of one model."""

    model: ModelRequest
    system: SystemRequest | None
    """``None`` for each diagnostic's own."""
    uses: tuple[Use, ...]
    n_atoms: int
    """Atoms of a structure, for estimates of time."""
    structures: Mapping[str, str] = field(default_factory=dict)
    """Digests of structures from a file by name, which tell them from others of the same names in the folder."""
    model_file: str = ""
    """Digest of the file that the model comes from; empty if it is installed."""
    molecules: bool = False
    """The structures are isolated molecules."""
    seed: int = 0
    timestep_fs: float | None = None
    """Of all dynamics; ``None`` for the system's own."""
    conservative: ModelRequest | None = None
    """The same model with conservative forces, if it has both kinds and the question is about the direct ones."""
    named: bool = True
    """The model has a name on a command line, so that commands with it can be shown."""


@dataclass(frozen=True)
class Moment:
    """Progress of an assessment, for a display."""

    question: Question
    assessment: Assessment
    running: str
    """The running job; empty at the end."""
    expected_s: float
    """Its expected time; 0 where it is not known."""
    left_s: float


@dataclass(frozen=True, kw_only=True)
class Means:
    """How jobs are run and looked up."""

    folder: Path
    run: Callable[[Sequence[Job]], Ran]
    """Runs jobs into the folder, or finds them there; what fails is a row."""
    finished: Callable[[Job], bool]
    """Whether the folder holds a job's results."""
    watch: Callable[[Moment], None] = lambda _: None
    run_again: Callable[[Sequence[Job]], Ran] | None = None
    """Measures jobs again and replaces their results; ``None``: the time of a step is measured once."""


class Clock:
    """The time that all models of an assessment share."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Time left, s; negative where more was spent."""
        return self._end - time.monotonic()
