"""The registry of diagnostics: every module of this folder that defines ``DIAGNOSTIC``, and those of installed packages.

A package offers more through the entry-point group ``ncbench.diagnostics``; each entry is a :class:`~ncbench.diagnostics.base.Diagnostic`.
"""

from __future__ import annotations

import importlib.metadata
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from ncbench.diagnostics.base import Diagnostic
from ncbench.errors import UsageError, did_you_mean

ENTRY_POINTS = "ncbench.diagnostics"


@cache
def diagnostics() -> Mapping[str, Diagnostic]:
    """All diagnostics by name, in the order of the command line's help.

    Raises:
        UsageError: two of the same name, or an entry point that is not a diagnostic.
    """
    import ncbench.diagnostics as folder

    modules = [import_module(f"{folder.__name__}.{module.name}") for module in pkgutil.iter_modules(folder.__path__)]
    offered = [(module.__name__, getattr(module, "DIAGNOSTIC", None)) for module in modules]
    offered += [(entry.value, entry.load()) for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)]
    by_name: dict[str, Diagnostic] = {}
    for source, diagnostic in offered:
        if diagnostic is None:
            continue
        if not isinstance(diagnostic, Diagnostic):
            raise UsageError(f"The entry point {source} of the group {ENTRY_POINTS} is not a Diagnostic.")
        if diagnostic.name in by_name:
            raise UsageError(f"Two diagnostics are named '{diagnostic.name}'; one of them is {source}.")
        by_name[diagnostic.name] = diagnostic
    return dict(sorted(by_name.items(), key=lambda item: (item[1].rank, item[0])))


def get(name: str) -> Diagnostic:
    """The diagnostic of this name.

    Raises:
        UsageError: no such diagnostic.
    """
    known = diagnostics()
    if name not in known:
        raise UsageError(
            f"There is no diagnostic '{name}'.", hint=did_you_mean(name, known) or f"There are {', '.join(known)}."
        )
    return known[name]
