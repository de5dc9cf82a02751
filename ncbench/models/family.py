"""Definition of a model family, and the families available. Light imports only."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ncbench.errors import MissingPackageError, UsageError, did_you_mean
from ncbench.models.environment import EnvironmentSpec
from ncbench.models.offers import offered
from ncbench.models.package_names import PackageNames
from ncbench.models.row import BOTH, ModelRow

if TYPE_CHECKING:
    from ncbench.models.interface import ForceField
    from ncbench.models.registry import ParsedSpec
    from ncbench.types import ModelRequest

ENTRY_POINTS = "ncbench.families"
"""Group in which an installed package offers a :class:`Family` of its own."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that are loaded in the same way, with everything that ncbench needs to know about them."""

    name: str
    adapter: str
    """Module with ``load(request, parsed, row) -> ForceField``. It is imported when a model is loaded, and may import the
    family's package at its top."""
    summary: str = ""
    rows: tuple[ModelRow, ...] = ()
    """Models that can be named. Fields that all of them share are best filled by a function of the family."""
    names: PackageNames | None = None
    """Patterns of further names, which are listed in the family's package."""
    environment: EnvironmentSpec | None = None
    """Isolated environment in which the package runs where it is not importable here."""
    more_environments: tuple[EnvironmentSpec, ...] = ()
    """Further environments that some rows name, with another version of the package."""
    reads_weights: bool = True
    """Whether ``--checkpoint`` is supported."""
    takes_own_weights: bool = False
    """Whether ``ncbench models add --family`` takes the user's own weights; they are loaded as the first row is."""
    tried: Literal["released weights", "tiny checkpoints", "no weights", "untried"] = "untried"
    """What the family's tests load: weights distributed in a package; checkpoints with random weights; models without weights; or
    nothing, if the weights could not be obtained: then the adapter was written from the package's documentation."""
    file_packages: Mapping[str, str] = field(default_factory=dict)
    """File suffix accepted directly after ``--model`` → the package that reads it."""

    def load(self, request: ModelRequest, parsed: ParsedSpec, row: ModelRow) -> ForceField:
        """Import the adapter and load a model; what it raises is documented in :func:`ncbench.models.loading.load_forcefield`.

        Raises:
            MissingPackageError: the package is installed and cannot be imported.
        """
        try:
            adapter = importlib.import_module(self.adapter)
        except (AttributeError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            # Packages that are incompatible with the installed torch or numpy raise many kinds of errors while they are imported.
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MissingPackageError(
                f"The package of {parsed.label} cannot be imported: {type(error).__name__}: {first.rstrip('.')}.",
                hint="Its dependencies are incompatible here: install it in an environment of its own.",
            ) from error
        forcefield: ForceField = adapter.load(request, parsed, row)
        return forcefield

    def row_of_file(self, path: Path) -> ModelRow:
        """The row of a file of :attr:`file_packages`: as the family's first row, without declared force modes."""
        like = self.rows[0]
        return replace(
            like, name=path.name, aliases=(), modes=BOTH, summary="", weights="none", source=str(path), sha256="",
            elements="any", licence="", citation="",
        )  # fmt: skip


@cache
def built_in() -> Mapping[str, Family]:
    """Families of ncbench by name: one per folder of ``ncbench/models/families``, from its attribute ``FAMILY``."""
    folder = importlib.import_module("ncbench.models.families")
    modules = [entry.name for entry in pkgutil.iter_modules(folder.__path__) if entry.ispkg]
    families = [importlib.import_module(f"{folder.__name__}.{name}").FAMILY for name in sorted(modules)]
    return MappingProxyType({family.name: family for family in families})


@cache
def _third_parties() -> tuple[tuple[Family, ...], tuple[str, ...]]:
    return offered(ENTRY_POINTS, Family)


@cache
def families() -> Mapping[str, Family]:
    """All families by name: ncbench's own, then those of installed packages."""
    by_name = dict(built_in())
    for family in _third_parties()[0]:
        by_name.setdefault(family.name, family)
    return MappingProxyType(by_name)


def broken_entry_points() -> tuple[str, ...]:
    """A sentence for each entry point of :data:`ENTRY_POINTS` that cannot be loaded."""
    return _third_parties()[1]


def get(name: str) -> Family:
    """The family of this name. A dotted name is a third-party module with ``load``, for rows offered without a family.

    Raises:
        UsageError: no such family.
    """
    known = families()
    if name in known:
        return known[name]
    if "." in name:
        return Family(name=name, adapter=name)
    raise UsageError(
        f"There is no model family '{name}'.", hint=did_you_mean(name, known) or f"There are {', '.join(known)}."
    )


def reading(suffix: str) -> Family | None:
    """The family that reads model files of this ending."""
    return next((family for family in families().values() if suffix in family.file_packages), None)


def forget() -> None:
    """Clear the caches: packages with families were installed or removed in the meantime."""
    families.cache_clear()
    _third_parties.cache_clear()
