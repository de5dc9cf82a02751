"""Model names listed in the families' packages, so that a new model needs no release of ncbench.

The packages' own tables are read as files: importing them would take torch and up to a quarter of a minute. Where a package is
not importable here (it lives in an isolated environment), a name that matches the family's pattern is accepted, and the family's
loader, which runs in that environment, checks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ncbench.models.row import ModelRow


def _nothing(_source: str) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class PackageNames:
    """Pattern of a family's names, where its package lists them, and how a row is made from a name."""

    shape: str
    """Pattern of the lower-case names that can belong to this family. No name matches the patterns of two families."""
    row: Callable[[str], ModelRow]
    package: str
    """Module whose folder holds the list."""
    table: str = ""
    """File in that folder; empty where the package has no list."""
    read: Callable[[str], list[str]] = _nothing
    """Function from the text of that file to the names, as typed after ``--model``."""

    def fits(self, name: str) -> bool:
        """Whether the lower-case name can belong to this family."""
        return re.fullmatch(self.shape, name) is not None

    def row_of(self, name: str) -> ModelRow | None:
        """The row of a matching name; ``None`` if the package is installed and does not list it."""
        exact = {known.lower(): known for known in self.listed() or [name]}
        return self.row(exact[name]) if name in exact else None

    def listed(self) -> list[str] | None:
        """The package's names; ``None`` if the package is not installed or the list is not found: then the name can be neither confirmed nor refused."""
        return _listed(self) if self.table else None


@cache
def _listed(names: PackageNames) -> list[str] | None:
    top, *rest = names.package.split(".")
    spec = find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder, *rest) / names.table
        if path.is_file():
            try:
                return names.read(path.read_text(encoding="utf-8")) or None
            except (ValueError, KeyError, SyntaxError):
                return None
    return None


def dictionary_keys(source: str, variable: str) -> list[str]:
    """String keys of the dictionary assigned to ``variable`` at the top level of Python source."""
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == variable and isinstance(value, ast.Dict):
            return [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []
