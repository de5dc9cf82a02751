"""A row of the table of models. Imports nothing heavy."""

from __future__ import annotations

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
    """A model that can be named. Loaders are one a family; everything else about a model is its row."""

    name: str
    family: str
    """The family's name, or a third party's ``package.module`` with a ``load`` like a family's adapter."""
    modes: tuple[ForceMode, ...]
    summary: str
    aliases: tuple[str, ...] = ()
    extra: str = ""
    """Optional group of ncbench that brings the package."""
    package: str = ""
    """Module whose presence says that the package is installed."""
    install: str = ""
    """What pip installs to bring the package, where no group of ncbench does."""
    environment: str = ""
    """Isolated environment the family runs in where its package is not importable here."""
    weights: Literal["bundled", "in package", "download", "file", "none"] = "none"
    source: str = ""
    """What the family's loader finds the weights by: a file name, a path or the package's own key."""
    url: str = ""
    """Where the weights can be fetched by hand, where the family's package does not say."""
    sha256: str = ""
    """Digest of the weights, where it is known: what has it is unpickled without ``--trust-checkpoint``."""
    maybe: tuple[ForceMode, ...] = ()
    """Modes that some checkpoints of this name have: loading the weights tells."""
    elements: str = "any"
    system: str = "al-fcc"
    """A system of ncbench that holds what the model is for, to try it on."""
    training: str = ""
    """Data that the model was trained on."""
    licence: str = ""
    citation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options the family takes for this model, with what they mean."""
    preset: Mapping[str, str] = field(default_factory=dict)
    """Options that this name stands for; what is typed goes before them."""

    def installed(self) -> bool:
        """The package is importable here (found, not imported)."""
        return not self.package or importable(self.package)

    def how_to_install(self) -> str:
        """Command that brings the package; empty where there is none to name."""
        if self.extra:
            return f"pip install 'ncbench[{self.extra}]'"
        return f"pip install '{self.install}'" if self.install else ""

    def weights_present(self) -> bool | None:
        """The weights are on this machine; ``None`` where only the package can tell."""
        if self.weights == "bundled":
            return (WEIGHTS / self.source).is_file()
        if self.weights == "file":
            return Path(self.source).is_file()
        return self.installed() if self.weights in ("in package", "none") else None

    def asked(self, options: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Options in force: those that the name stands for, then those that were typed, sorted by name."""
        return tuple(sorted({**self.preset, **dict(options)}.items()))


def importable(module: str) -> bool:
    """Whether a dotted module is there to be imported. Nothing is imported, parents included: some take seconds."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or not rest:
        return spec is not None
    inside = Path(*rest)
    folders = [Path(folder) / inside for folder in spec.submodule_search_locations or ()]
    return any(folder.is_dir() or folder.with_suffix(".py").is_file() for folder in folders)
