"""Where environments are, and in what state. Imports nothing heavy.

::

    ROOT/<name>-<digest>/                     an environment, whole: it gets this name by one rename
    ROOT/<name>-<digest>/ncbench.json         when and how it was made, and how much disk it took
    ROOT/.<name>.<token>.building/            one that is being made, or what a killed process left of it
    ROOT/.<name>.lock                         held while it is created or removed
    ROOT/<name>.log                           what the last attempt to make it said
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncbench.run.environments.table import EnvironmentSpec

ROOT_VARIABLE = "NCBENCH_ENV_DIR"
"""Folder of all environments in place of the user's data folder: on a cluster, one that all machines see."""
MARK = "ncbench.json"


def root() -> Path:
    """The folder of all environments."""
    if chosen := os.environ.get(ROOT_VARIABLE):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("ncbench")) / "environments"


def folder(spec: EnvironmentSpec) -> Path:
    """Where the environment belongs with the pins as they are now."""
    return root() / f"{spec.name}-{spec.digest}"


def interpreter(environment: Path) -> Path:
    """The Python of an environment's folder."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@dataclass(frozen=True)
class Made:
    """An environment on this machine."""

    name: str
    folder: Path
    mark: dict[str, Any]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return interpreter(self.folder)

    @property
    def works(self) -> bool:
        """Its interpreter is still there: it goes when the Python it was made from is removed."""
        return self.python.exists()


def made() -> Iterator[Made]:
    """All whole environments, outdated ones too, by name."""
    top = root()
    for entry in sorted(top.iterdir()) if top.is_dir() else ():
        if not entry.name.startswith(".") and (mark := _read_mark(entry)) is not None:
            yield Made(entry.name.rpartition("-")[0], entry, mark)


def find(spec: EnvironmentSpec) -> Made | None:
    """The environment with the pins as they are now, or ``None`` where it is not there or its Python is gone."""
    place = folder(spec)
    mark = _read_mark(place)
    found = None if mark is None else Made(spec.name, place, mark)
    return found if found is not None and found.works else None


def state(spec: EnvironmentSpec) -> str:
    """``ready``, ``missing``, ``outdated`` (there with earlier pins) or ``broken`` (its Python is gone)."""
    if find(spec) is not None:
        return "ready"
    if _read_mark(folder(spec)) is not None:
        return "broken"
    return "outdated" if any(one.name == spec.name for one in made()) else "missing"


def _read_mark(place: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads((place / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None
