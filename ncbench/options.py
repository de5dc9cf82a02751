"""How a settings field is offered on the command line: declared beside the field, read by the command line. Imports nothing.

timestep_fs: Annotated[float, Option("Time step, fs.", flag="--timestep", metavar="FS")] = 0.5
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KEYED_IF_SET = "keyed_if_set"
"""Metadata of a settings field, ``field(default=…, metadata={KEYED_IF_SET: True})``: it is part of a job's key unless it has its default."""


RESULTS_FOLDER = "ncbench-results"
"""Default of ``--out``."""


@dataclass(frozen=True)
class Option:
    """A command-line option of a settings field."""

    help: str
    flag: str = ""
    """``--name``; by default the field's name with dashes."""
    metavar: str = ""
    """What is shown in place of the value, such as ``FS`` or ``own|i-pi``."""
    minimum: float | None = None
    """Least value that is accepted."""
    maximum: float | None = None
    """Largest value that is accepted."""
    comma: bool = False
    """A tuple is typed as one comma-separated value (``1,2,4``); otherwise the option is repeated."""
    file: bool = False
    """The value is the path of a file that decides the numbers: its content is part of a job's key."""
    parse: Callable[[Any], Any] | None = None
    """Turns what was typed into the field's value, where the types alone do not tell."""
