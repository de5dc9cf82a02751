"""What an isolated environment of a model family holds. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

SCHEME = 1
"""Version of how an environment is made: raising it marks all existing environments as outdated."""

BASE = (
    "torch>=2.6,<2.14",
    "ase>=3.23",
    "numpy>=1.26",
    "scipy>=1.11",
    "pandas>=2.2",
    "pyarrow>=15",
    "matplotlib>=3.8",
    "pooch>=1.8",
    "filelock>=3.13",
    "platformdirs>=4",
    "typer>=0.12",
    "rich>=13.7",
    "jinja2>=3.1",
    # For constant pressure (npt), also where a model's stress is a head of its own.
    "ipi>=3.3,<4",
    # Not required by ncbench itself: neighbour lists are an order of magnitude faster with it.
    "vesin>=0.6.1,<0.7",
)
"""What ncbench itself imports: its source is not installed in an environment but put on its path."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """Specification of an environment."""

    name: str
    """Letters and digits: it becomes part of a folder's name."""
    summary: str
    requirements: tuple[str, ...]
    pins: str | Path
    """The constraints, one ``name==version`` per line: the path of the file, or the text itself."""
    overrides: tuple[str, ...] = ()
    """Requirements that override those that packages declare (supported by uv only)."""
    python: tuple[tuple[int, int], tuple[int, int] | None] = ((3, 11), None)
    """First supported version of Python, and first unsupported one."""

    disk_MB: int = 0
    """Disk space that it took where it was tested, 10⁶ bytes; 0 where that is not known. With torch for the CPU alone, unless
    ``summary`` says otherwise."""

    @property
    def constraints(self) -> str:
        """Text of the constraints."""
        return self.pins.read_text(encoding="utf-8") if isinstance(self.pins, Path) else self.pins

    @property
    def digest(self) -> str:
        """Changes with everything that determines what is installed: a new digest means a new environment."""
        content = [SCHEME, self.requirements, self.overrides, self.python, sorted(pinned(self.constraints).items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

    @property
    def python_range(self) -> str:
        """As a version specifier: ``>=3.11,<3.13``."""
        least, below = self.python
        return f">={least[0]}.{least[1]}" + ("" if below is None else f",<{below[0]}.{below[1]}")

    def takes_python(self, version: tuple[int, int]) -> bool:
        """Whether this version of Python is supported."""
        least, below = self.python
        return least <= version and (below is None or version < below)


def pinned(constraints: str) -> dict[str, str]:
    """Name → version of a constraints text."""
    lines = (line.partition("#")[0].strip() for line in constraints.splitlines())
    return {name: version for line in lines if line for name, _, version in [line.partition("==")]}
