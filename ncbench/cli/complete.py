"""Completion of names in the shell."""

from __future__ import annotations


def models(incomplete: str) -> list[str]:
    """Names of models with this prefix, with their modes once a name is complete."""
    from ncbench.models.registry import models as rows

    names = [
        name
        for row in rows()
        for name in (row.name, *(f"{row.name}:{mode}" for mode in row.modes if len(row.modes) > 1))
    ]
    return [name for name in names if name.startswith(incomplete)]


def systems(incomplete: str) -> list[str]:
    """Names of systems with this prefix."""
    from ncbench.structures.systems import systems as rows

    return [name for name in rows() if name.startswith(incomplete)]
