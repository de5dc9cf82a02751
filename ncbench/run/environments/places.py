"""Locations and states of environments. Light imports only.

::

    ROOT/<name>-<digest>/                     a complete environment, renamed to this name at the end
    ROOT/<name>-<digest>/ncbench.json         time, origin and disk space
    ROOT/.<name>.<token>.building/            an unfinished one, in progress or left by a killed process
    ROOT/.<name>.lock                         lock during creation or removal
    ROOT/<name>.log                           output of the last attempt to create it
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
"""Variable with the folder of all environments, by default in the user's data folder; on a cluster a shared one."""
MARK = "ncbench.json"


def root() -> Path:
    """The folder of all environments."""
    if chosen := os.environ.get(ROOT_VARIABLE):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("ncbench")) / "environments"


def folder(spec: EnvironmentSpec) -> Path:
    """The folder of the environment with the current pins."""
    return root() / f"{spec.name}-{spec.digest}"


def interpreter(environment: Path) -> Path:
    """The Python interpreter in an environment's folder."""
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
        """Whether its interpreter still works: it does not after removal of the Python it was made from."""
        return self.python.exists()


def made() -> Iterator[Made]:
    """All complete environments by name, including outdated ones."""
    top = root()
    for entry in sorted(top.iterdir()) if top.is_dir() else ():
        if not entry.name.startswith(".") and (mark := _read_mark(entry)) is not None:
            yield Made(entry.name.rpartition("-")[0], entry, mark)


def find(spec: EnvironmentSpec) -> Made | None:
    """The environment with the current pins, or ``None`` if it does not exist or its Python is gone."""
    place = folder(spec)
    mark = _read_mark(place)
    made = None if mark is None else Made(spec.name, place, mark)
    return made if made is not None and made.works else None


def state(spec: EnvironmentSpec) -> str:
    """``ready``, ``missing``, ``outdated`` (has earlier pins) or ``broken`` (its Python is gone)."""
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
