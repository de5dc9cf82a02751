"""Names that the families' packages know, so that next month's model needs no release of ncbench.

The packages' own tables are read as files: importing them would take torch and up to a quarter of a minute. Where a package is
not importable here (it lives in an isolated environment), a name of the family's shape is taken at its word, and the family's
loader, which runs there, has the last word.
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
    """How a family's names look, where its package lists them, and the row that one of them gets."""

    shape: str
    """Pattern of the names, in small letters, that can be of this family. No name fits the patterns of two families."""
    row: Callable[[str], ModelRow]
    package: str
    """Module whose folder holds the list."""
    table: str = ""
    """File in that folder; empty where the package has no list."""
    read: Callable[[str], list[str]] = _nothing
    """The text of that file → the names, as they are typed after ``--model``."""

    def fits(self, name: str) -> bool:
        """The name, in small letters, can be of this family."""
        return re.fullmatch(self.shape, name) is not None

    def row_of(self, name: str) -> ModelRow | None:
        """The row of a name that fits; ``None`` where the package is here and does not list it."""
        exact = {known.lower(): known for known in self.listed() or [name]}
        return self.row(exact[name]) if name in exact else None

    def listed(self) -> list[str] | None:
        """The package's names; ``None`` where it is not here, has no list or has moved it: then nothing is known either way."""
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
    """Text keys of the dictionary that Python source assigns to ``variable`` at its top level."""
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == variable and isinstance(value, ast.Dict):
            return [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []
