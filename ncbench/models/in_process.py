"""Models that exist only in this process, under a text that jobs can name: plans and keys of jobs hold texts, not objects."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ncbench.models.interface import ForceField

_MODELS: dict[str, ForceField] = {}


@contextmanager
def named(forcefield: ForceField) -> Iterator[str]:
    """Give the model a text as after ``--model``, valid in this process until the context ends.

    Each text is new, so that results of one object are never reused for another.
    """
    name = f"model_{uuid.uuid4().hex}"
    _MODELS[name] = forcefield
    try:
        yield f"{__name__}:{name}"
    finally:
        del _MODELS[name]


def __getattr__(name: str) -> Callable[[], ForceField]:
    """The factory of a model; see :mod:`ncbench.models.factories`."""
    if name in _MODELS:
        return lambda: _MODELS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
