"""Names that the families' packages know, so that next month's model needs no release of ncbench.

The packages' own tables are read as files: importing them would take torch and up to a quarter of a minute. Where a package is
not importable here (it lives in an isolated environment), the names of the version that ncbench was tested with are known from a file
of the family's folder, which ``docs/write_names.py`` writes. Another name of the family's shape is then passed on to the family's
loader, which runs where the package is and has the last word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ncbench.models.row import ModelRow


def _nothing(_source: str) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True, eq=False)
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

    stem: Callable[[str], str] = str.lower
    """A name, in any letters → the part of it that the package lists: without a version, say."""
    tested: Path | None = None
    """File with the names of the version that ncbench was tested with, one a line; lines that begin with # are comments."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Pattern of names that their authors have taken back → what to use instead, as a sentence."""

    def fits(self, name: str) -> bool:
        """The name, in small letters, can be of this family."""
        return re.fullmatch(self.shape, name) is not None

    def why_withdrawn(self, name: str) -> str:
        """The sentence for a name, in small letters, that has been taken back; else empty."""
        return next((why for pattern, why in self.withdrawn.items() if re.fullmatch(pattern, name)), "")

    def row_of(self, name: str) -> ModelRow | None:
        """The row of a name that fits; ``None`` where the package is importable here and does not list it."""
        exact = {self.stem(known): known for known in self.listed()}
        stem = self.stem(name)
        if stem in exact:
            # In the package's letters, with what is not part of the listed name.
            return self.row(exact[stem] + name[len(stem) :])
        return None if self.from_package() is not None else self.row(name)

    def listed(self) -> list[str]:
        """Names of the package importable here, or else of the version that ncbench was tested with; empty where neither is known."""
        return self.from_package() or self.from_tested_version()

    def from_package(self, site_packages: Path | None = None) -> list[str] | None:
        """Names of the package, importable here or in a folder ``site_packages``; ``None`` where it is not there, has no list or has moved it."""
        return _read_table(self, site_packages) if self.table else None

    def from_tested_version(self) -> list[str]:
        """Names in the file :attr:`tested`; none where there is no such file."""
        if self.tested is None or not self.tested.is_file():
            return []
        lines = self.tested.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]


@cache
def _read_table(names: PackageNames, site_packages: Path | None) -> list[str] | None:
    top, *rest = names.package.split(".")
    if site_packages is not None:
        folders = [str(site_packages / top)]
    else:
        spec = find_spec(top)
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder, *rest) / names.table
        if path.is_file():
            try:
                return list(dict.fromkeys(names.read(path.read_text(encoding="utf-8")))) or None
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


def list_items(source: str, variable: str) -> list[str]:
    """Texts of the list or tuple that Python source assigns to ``variable`` at its top level."""
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == variable and isinstance(value, ast.List | ast.Tuple):
            return [item.value for item in value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return []
