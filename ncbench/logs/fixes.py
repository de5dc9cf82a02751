"""What LAMMPS fixes do to the energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTED = ("nvt", "npt", "nph", "temp/", "gle", "rigid/nvt", "rigid/npt", "rigid/nph")
"""Beginnings of styles whose exchange is in ``econserve`` (LAMMPS manual, ``thermo_style``: ecouple)."""
NOT_COUNTED = (
    "press/", "nve/limit", "nve/noforce", "viscous", "heat", "ehex", "thermal/conductivity", "gld", "qtb", "qbmsst", "ttm", "msst",
    "nphug", "addforce", "aveforce", "addtorque", "efield", "drag", "smd", "spring", "move", "deform", "setforce", "wall", "brownian",
    "momentum", "recenter", "propel", "box/relax", "deposit", "evaporate", "gcmc", "atom/swap", "append/atoms", "indent", "neb",
)  # fmt: skip
"""Beginnings of styles that do work, damp or remove atoms, which ``econserve`` does not hold."""

EXTENDED = ("nvt", "npt", "nph", "rigid/nvt", "rigid/npt", "rigid/nph")
"""Beginnings of styles of Nosé and Hoover. Their quantity contains the target temperature and pressure and is conserved where these are constant;
styles that add up the heat they exchange conserve theirs in a ramp too."""
TARGETS = frozenset({"temp", "iso", "aniso", "tri", "x", "y", "z", "xy", "yz", "xz"})
"""Words that a start and a stop of a target follow."""
INTEGRATORS = ("nve", "nvt", "npt", "nph", "rigid", "gle", "gld")
"""Beginnings of styles that move atoms."""


@dataclass(frozen=True)
class Exchange:
    """The fixes that add or remove energy."""

    names: tuple[str, ...]
    """As ``fix nvt``, in the order of the input."""
    uncounted: bool
    """``econserve`` does not hold all of it."""
    integrated: bool
    """One of the fixes moves atoms."""


def exchange_of(fixes: Mapping[str, Sequence[str]]) -> Exchange:
    """The exchange of the active fixes.

    Args:
        fixes: ID → style and its arguments.
    """
    names, uncounted = [], False
    for style, *arguments in fixes.values():
        plain = _without_accelerator(style)
        if plain.startswith("langevin"):
            names.append(f"fix {style}")
            at = arguments.index("tally") + 1 if "tally" in arguments[:-1] else 0
            uncounted |= not at or arguments[at] not in ("yes", "on", "true")
        elif plain.startswith(COUNTED):
            names.append(f"fix {style}")
            uncounted |= plain.startswith(EXTENDED) and _changes_target(arguments)
        elif plain.startswith(NOT_COUNTED):
            names.append(f"fix {style}")
            uncounted = True
    styles = [style for style, *_ in fixes.values()]
    return Exchange(tuple(dict.fromkeys(names)), uncounted, any(style.startswith(INTEGRATORS) for style in styles))


def _changes_target(arguments: Sequence[str]) -> bool:
    """Start and stop of a temperature or pressure differ."""
    return any(word in TARGETS and arguments[at + 1] != arguments[at + 2] for at, word in enumerate(arguments[:-2]))


def _without_accelerator(style: str) -> str:
    """``nvt/kk`` → ``nvt``."""
    head, _, tail = style.rpartition("/")
    return head if head and tail in ("kk", "omp", "intel", "gpu", "opt") else style
