"""The isolated environments by name, as declared by the model families. Light imports only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from ncbench.errors import UsageError, did_you_mean
from ncbench.models.environment import BASE, EnvironmentSpec, pinned
from ncbench.models.family import families

__all__ = ["BASE", "EnvironmentSpec", "environments", "get", "pinned"]


@cache
def environments() -> Mapping[str, EnvironmentSpec]:
    """All environments by name: those of ncbench's own families, then those of installed packages."""
    by_name: dict[str, EnvironmentSpec] = {}
    for family in families().values():
        first = () if family.environment is None else (family.environment,)
        for environment in (*first, *family.more_environments):
            by_name.setdefault(environment.name, environment)
    return MappingProxyType(by_name)


def get(name: str) -> EnvironmentSpec:
    """The environment of this name.

    Raises:
        UsageError: no such environment.
    """
    known = environments()
    if name not in known:
        hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
        raise UsageError(f"There is no environment '{name}'.", hint=hint)
    return known[name]
