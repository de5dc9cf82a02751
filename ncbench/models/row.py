"""A row of the table of models. Light imports only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ncbench.types import ForceMode

CONSERVATIVE, DIRECT, UNKNOWN = ForceMode.CONSERVATIVE, ForceMode.DIRECT, ForceMode.UNKNOWN
BOTH = (CONSERVATIVE, DIRECT)
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model that can be named. There is one loader per family; everything else specific to a model is in its row."""

    name: str
    family: str
    """The family's name, or a third-party ``package.module`` with a ``load`` like a family's adapter."""
    modes: tuple[ForceMode, ...]
    summary: str
    aliases: tuple[str, ...] = ()
    extra: str = ""
    """Optional dependency group of ncbench that installs the package."""
    package: str = ""
    """Module that is importable if the package is installed."""
    install: str = ""
    """Argument of ``pip install`` that installs the package, if no dependency group of ncbench does."""
    environment: str = ""
    """Isolated environment the family runs in where its package is not importable here."""
    weights: Literal["bundled", "in package", "download", "file", "none"] = "none"
    source: str = ""
    """What identifies the weights for the family's loader: a file name, a path or the package's own key."""
    url: str = ""
    """Address of the weights, for messages when the family's package cannot download them."""
    weights_MB: float = 0.0
    """Size of the file of weights, 10⁶ bytes; 0 where it is not known."""
    sha256: str = ""
    """Digest of the weights, if known: a file with this digest is unpickled without ``--trust-checkpoint``."""
    maybe: tuple[ForceMode, ...] = ()
    """Modes that some checkpoints of this name offer, which is known only after loading."""
    elements: str = "any"
    system: str = "al-fcc"
    """A system of ncbench that suits the model's training data, used in the example command of ``models show``."""
    training: str = ""
    """Training data."""
    licence: str = ""
    citation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options the family takes for this model, with their meaning."""
    needed: Mapping[str, str] = field(default_factory=dict)
    """Options without which these weights cannot be used, with a value to try."""
    preset: Mapping[str, str] = field(default_factory=dict)
    """Options implied by this name; typed options take precedence."""

    def installed(self) -> bool:
        """Whether the package is importable (searched, not imported)."""
        return not self.package or importable(self.package)

    def how_to_install(self) -> str:
        """Command that installs the package; empty if none is known."""
        if self.extra:
            return f"pip install 'ncbench[{self.extra}]'"
        return f"pip install '{self.install}'" if self.install else ""

    def weights_present(self) -> bool | None:
        """Whether the weights are on this machine; ``None`` if only the package can determine it."""
        if self.weights == "bundled":
            return (WEIGHTS / self.source).is_file()
        if self.weights == "file":
            return Path(self.source).is_file()
        return self.installed() if self.weights in ("in package", "none") else None

    def asked(self, options: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Effective options: those implied by the name, overridden by those typed, sorted by name."""
        return tuple(sorted({**self.preset, **dict(options)}.items()))


def first_match(table: Mapping[str, str], name: str) -> str:
    """The value of the first pattern in ``table`` that is found in ``name``, in lower case; empty if none is."""
    return next((value for pattern, value in table.items() if re.search(pattern, name.lower())), "")


def first_size(table: Mapping[str, float], name: str) -> float:
    """As :func:`first_match`, for sizes; 0 if no pattern is found."""
    return next((value for pattern, value in table.items() if re.search(pattern, name.lower())), 0.0)


def importable(module: str) -> bool:
    """Whether a dotted module can be imported. Nothing is imported, not even parent packages: some take seconds."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or not rest:
        return spec is not None
    inside = Path(*rest)
    folders = [Path(folder) / inside for folder in spec.submodule_search_locations or ()]
    return any(folder.is_dir() or folder.with_suffix(".py").is_file() for folder in folders)
