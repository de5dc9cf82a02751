"""Model names listed in the families' packages, so that a new model needs no release of ncbench.

The packages' own tables are read as files: importing them would take torch and up to a quarter of a minute. Where a package is
not importable here (it lives in an isolated environment), a file in the family's folder lists the names of the package version that
ncbench was tested with; ``docs/write_names.py`` writes it. Any other name that matches the family's pattern is accepted, and the
family's loader, which runs in that environment, checks it.
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

    stem: Callable[[str], str] = str.lower
    """Function from a name, in upper or lower case, to the lower-case part of it that the package lists, for example without a version."""
    tested: Path | None = None
    """File with the names of the package version that ncbench was tested with, one per line; lines that begin with # are comments."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """Pattern of lower-case names that their authors have withdrawn → a sentence that says what to use instead."""

    def fits(self, name: str) -> bool:
        """Whether the lower-case name can belong to this family."""
        return re.fullmatch(self.shape, name) is not None

    def why_withdrawn(self, name: str) -> str:
        """The sentence for a lower-case name that has been withdrawn; otherwise empty."""
        return next((why for pattern, why in self.withdrawn.items() if re.fullmatch(pattern, name)), "")

    def row_of(self, name: str) -> ModelRow | None:
        """The row of a matching lower-case name; ``None`` if the package is importable here and does not list it."""
        exact = {self.stem(known): known for known in self.listed()}
        stem = self.stem(name)
        if stem in exact:
            # In the package's upper and lower case, followed by the part that the package does not list.
            return self.row(exact[stem] + name[len(stem) :])
        return None if self.from_package() is not None else self.row(name)

    def listed(self) -> list[str]:
        """Names from the package if it is importable here, otherwise from :attr:`tested`; empty if neither exists."""
        return self.from_package() or self.from_tested_version()

    def from_package(self, site_packages: Path | None = None) -> list[str] | None:
        """Names from the package importable here, or from the one in the folder ``site_packages``; ``None`` if it or its list is not found."""
        return _read_table(self, site_packages) if self.table else None

    def from_tested_version(self) -> list[str]:
        """Names in the file :attr:`tested`; empty if there is none."""
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
    """String keys of the dictionary assigned to ``variable`` at the top level of Python source."""
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
