"""Completion of names in the shell: functions from the typed beginning to the names that have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

Complete = Callable[[str], list[str]]
_CHOICE = re.compile(r"[a-z][a-z0-9-]*")


def models(incomplete: str) -> list[str]:
    """Names of models with this prefix, with their modes once a name is complete."""
    from ncbench.models.registry import models as rows

    names = [
        name
        for row in rows()
        for name in (row.name, *(f"{row.name}:{mode}" for mode in row.modes if len(row.modes) > 1))
    ]
    return _beginning(names, incomplete)


def systems(incomplete: str) -> list[str]:
    """Names of systems with this prefix."""
    from ncbench.structures.systems import systems as rows

    return _beginning(rows(), incomplete)


def families(incomplete: str) -> list[str]:
    """Families that take the user's own weights."""
    from ncbench.models.family import families as known

    return _beginning((one.name for one in known().values() if one.takes_own_weights), incomplete)


def own_models(incomplete: str) -> list[str]:
    """The user's own models."""
    from ncbench.models.user_models import rows

    return _beginning((row.name for row in rows()), incomplete)


def environments(incomplete: str) -> list[str]:
    """Isolated environments."""
    from ncbench.run.environments.table import environments as known

    return _beginning(known(), incomplete)


def paper_tables(incomplete: str) -> list[str]:
    """Tables of the paper."""
    from ncbench.paper import numbers

    return _beginning(numbers.names(), incomplete)


def targets(incomplete: str) -> list[str]:
    """Tables and figures that can be reproduced, and ``all``."""
    from ncbench.paper.reproduce.targets import ALL
    from ncbench.paper.reproduce.targets import targets as known

    return _beginning((*known(), ALL), incomplete)


def uses(incomplete: str) -> list[str]:
    """Uses of an assessment, comma-separated."""
    from ncbench.assess.evidence import Use

    return _after_comma(list(Use), incomplete)


def observables(incomplete: str) -> list[str]:
    """Observables of trajectories, comma-separated."""
    from ncbench.observables.analysis import OBSERVABLES

    return _after_comma(OBSERVABLES, incomplete)


def choices(metavar: str) -> dict[str, Any]:
    """Arguments ``metavar`` and ``autocompletion`` of an option that takes one of several words, such as ``cpu|cuda[:N]``."""
    return {"metavar": metavar, "autocompletion": of_metavar(metavar)}


def of_metavar(metavar: str) -> Complete | None:
    """Completion of the words in ``a|b[:X]``, without what is in brackets; ``None`` if the text is not of this form."""
    words = re.sub(r"\[.*?\]", "", metavar).split("|")
    if len(words) < 2 or not all(_CHOICE.fullmatch(word) for word in words):
        return None
    return lambda incomplete: _beginning(words, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [str(name) for name in names if name.startswith(incomplete)]


def _after_comma(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    listed = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in listed]
