"""Objects that installed packages offer through entry points. One that cannot be loaded does not affect the others."""

from __future__ import annotations

import importlib.metadata
from typing import TypeVar

OfferedT = TypeVar("OfferedT")


def offered(group: str, kind: type[OfferedT]) -> tuple[tuple[OfferedT, ...], tuple[str, ...]]:
    """Objects of ``kind`` from the entry points of ``group``, and a sentence for each entry point that cannot be loaded.

    An entry point is an object of that kind, an iterable of them, or a function that returns either.
    """
    objects: list[OfferedT] = []
    broken: list[str] = []
    for entry in importlib.metadata.entry_points(group=group):
        try:
            value = entry.load()
            value = value() if callable(value) else value
            values = [value] if isinstance(value, kind) else list(value)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
            values, why = [], f"{type(error).__name__}: {error}"
        else:
            why = "" if all(isinstance(one, kind) for one in values) else f"it does not give a {kind.__name__}"
        if why:
            broken.append(f"The entry point '{entry.name}' of group {group} ({entry.value}) cannot be loaded: {why}.")
        else:
            objects += values
    return tuple(objects), tuple(broken)
