"""The table of models, and how what is typed after ``--model`` is understood. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ncbench.errors import UsageError, did_you_mean
from ncbench.forcefields.request import ForceMode, ModelRequest

CONSERVATIVE, DIRECT = ForceMode.CONSERVATIVE, ForceMode.DIRECT
BOTH = (CONSERVATIVE, DIRECT)
ENTRY_POINTS = "ncbench.models"
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model that can be named. Loaders are one a family; everything else about a model is its row."""

    name: str
    family: str
    """Module of ``ncbench.forcefields`` with the family's ``load``, or ``package.module`` of a third party."""
    modes: tuple[ForceMode, ...]
    summary: str
    aliases: tuple[str, ...] = ()
    extra: str = ""
    """Optional group of ncbench that brings the package."""
    package: str = ""
    """Module whose presence says that the package is installed."""
    weights: Literal["bundled", "in package", "download", "none"] = "none"
    source: str = ""
    """What the family's loader finds the weights by: a file name or the package's own key."""
    sha256: str = ""
    elements: str = "any"
    licence: str = ""
    citation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options the family takes for this model, with what they mean."""

    def installed(self) -> bool:
        """The package is importable here (found, not imported)."""
        return not self.package or find_spec(self.package) is not None

    def weights_present(self) -> bool | None:
        """The weights are on this machine; ``None`` where only the package can tell."""
        if self.weights == "bundled":
            return (WEIGHTS / self.source).is_file()
        return self.installed() if self.weights in ("in package", "none") else None


_SEVENNET = "Park, Kim, Hwang, Han, J. Chem. Theory Comput. 20, 4857 (2024)"
_BIGI = "Bigi, Langer, Ceriotti, The dark side of the forces, ICML 2025"


def _sevennet(
    name: str, summary: str, *, source: str = "", aliases: tuple[str, ...] = (), modal: str = "", download: bool = False
) -> ModelRow:
    return ModelRow(
        name=name,
        aliases=(*aliases, name.replace("sevennet", "7net")),
        family="sevennet",
        modes=(CONSERVATIVE,),
        summary=summary,
        extra="sevennet",
        package="sevenn",
        weights="download" if download else "in package",
        source=source or name,
        elements="89 elements",
        licence="GPL-3.0 (package)",
        citation=_SEVENNET,
        options={"modal": f"task of a multi-task model: {modal}"} if modal else {},
    )


_BUILT_IN: tuple[ModelRow, ...] = (
    ModelRow(
        name="pet-m",
        family="pet",
        modes=BOTH,
        summary="small PET for liquid water with an energy head and a direct-force head, made by this project",
        extra="pet",
        package="metatomic_ase",
        weights="bundled",
        source="pet-m.pt",
        elements="H, O",
        licence="BSD-3-Clause; trained on the DeePMD-kit water set (LGPL-3.0)",
        citation=_BIGI,
    ),
    _sevennet("sevennet-0", "SevenNet-0 (11Jul2024), the paper's SevenNet", aliases=("sevennet",)),
    _sevennet("sevennet-0-22may2024", "SevenNet-0, first release", source="sevennet-0_22may2024"),
    _sevennet("sevennet-l3i5", "SevenNet with l = 3 and five interactions"),
    _sevennet("sevennet-mf-0", "SevenNet of two fidelities", modal="PBE or R2SCAN"),
    _sevennet("sevennet-mf-ompa", "SevenNet trained on OMat24 and MPtrj + sAlex", modal="mpa or omat24", download=True),
    _sevennet("sevennet-omat", "SevenNet trained on OMat24", download=True),
    _sevennet("sevennet-omni", "SevenNet of many fidelities", modal="mpa, omat24, omol25_low, …", download=True),
    ModelRow(
        name="analytic-harmonic",
        family="analytic",
        modes=(CONSERVATIVE,),
        summary="Einstein crystal: λ = 0, W = 0, no drift, in closed form",
        options={"k": "spring constant, eV/Å² (5)"},
    ),
    ModelRow(
        name="analytic-solenoidal",
        family="analytic",
        modes=(DIRECT,),
        summary="Einstein crystal with a swirling force of dialled strength: λ, W and heating in closed form",
        options={"k": "spring constant, eV/Å² (5)", "kappa": "strength of the swirl, eV/Å² (0.05)"},
    ),
    ModelRow(
        name="analytic-lj",
        family="analytic",
        modes=(CONSERVATIVE,),
        summary="Lennard-Jones argon with a smooth cutoff",
        options={"epsilon": "well depth, eV (0.0104)", "sigma": "Å (3.4)", "cutoff": "Å (8.5)"},
    ),
)


@dataclass(frozen=True)
class ParsedSpec:
    """What ``--model`` means."""

    kind: Literal["named", "file", "factory"]
    name: str
    """The model's name (aliases resolved), the file's path, or ``package.module:factory``."""
    mode: ForceMode | None
    row: ModelRow | None = None

    @property
    def label(self) -> str:
        """What the ``model`` column says: no folders, no mode."""
        return Path(self.name).name if self.kind == "file" else self.name


@cache
def models() -> tuple[ModelRow, ...]:
    """All models that can be named: ours, then those of installed packages.

    A third party's entry point in the group ``ncbench.models`` is a :class:`ModelRow`, an iterable of them, or a function
    that returns either. One that cannot be loaded takes nothing from the others: :func:`broken_entry_points` names it.
    """
    return (*_BUILT_IN, *_third_parties()[0])


def broken_entry_points() -> tuple[str, ...]:
    """A sentence for each entry point that cannot be loaded."""
    return _third_parties()[1]


def _third_parties() -> tuple[tuple[ModelRow, ...], tuple[str, ...]]:
    rows: list[ModelRow] = []
    broken: list[str] = []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            found = entry.load()
            found = found() if callable(found) else found
            offered = [found] if isinstance(found, ModelRow) else list(found)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
            offered, why = [], f"{type(error).__name__}: {error}"
        else:
            why = "" if all(isinstance(row, ModelRow) for row in offered) else "it does not give rows of models"
        if why:
            broken.append(
                f"The entry point '{entry.name}' of group {ENTRY_POINTS} ({entry.value}) cannot be loaded: {why}."
            )
        else:
            rows += offered
    return tuple(rows), tuple(broken)


def find(name: str) -> ModelRow:
    """The row of this name or alias.

    Raises:
        UsageError: there is none.
    """
    for row in models():
        if name.lower() in (row.name, *row.aliases):
            return row
    known = [known for row in models() for known in (row.name, *row.aliases)]
    raise UsageError(
        " ".join([f"There is no model '{name}'.", *broken_entry_points()]),
        hint=did_you_mean(name, known) or "`ncbench models list` shows the models there are.",
    )


def parse_spec(spec: str) -> ParsedSpec:
    """``NAME[:mode]``, ``path/to/file[:mode]`` or ``package.module:factory``.

    Raises:
        UsageError: an unknown name or mode, a mode the model lacks, or a file that is missing, empty or a folder.
    """
    head, separator, tail = spec.rpartition(":")
    # `package.model:factory` ends like a file of weights; what follows the colon tells, or the file itself.
    factory = bool(separator and "." in head and re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", head))
    factory = factory and tail not in tuple(ForceMode) and not Path(head).exists()
    if separator and _looks_like_file(head) and not factory:
        return ParsedSpec("file", str(_existing(head)), _mode(tail, spec, BOTH))
    if _looks_like_file(spec):
        return ParsedSpec("file", str(_existing(spec)), None)
    if factory:
        return ParsedSpec("factory", spec, None)
    row = find(head if separator else spec)
    return ParsedSpec("named", row.name, _mode(tail, spec, row.modes) if separator else None, row)


def checkpoint_of(request: ModelRequest) -> Path | None:
    """The file of weights that this request reads and that can be told without importing the family's package."""
    parsed = parse_spec(request.spec)
    if request.checkpoint:
        return _existing(request.checkpoint)
    if parsed.kind == "file":
        return Path(parsed.name)
    return WEIGHTS / parsed.row.source if parsed.row is not None and parsed.row.weights == "bundled" else None


def _looks_like_file(text: str) -> bool:
    return text.endswith((".pt", ".ckpt", ".pth", ".model")) or "/" in text or "\\" in text


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    if path.is_dir():
        raise UsageError(f"The model '{text}' is a folder.", hint="Name the checkpoint file in it.")
    if not path.is_file():
        near = did_you_mean(path.name, _siblings(path))
        raise UsageError(f"There is no model file '{text}'.", hint=near or "Check the path.")
    if path.stat().st_size == 0:
        raise UsageError(f"The model file '{text}' is empty.", hint="Copy or export it again.")
    return path


def _siblings(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def _mode(text: str, spec: str, offered: Iterable[ForceMode]) -> ForceMode:
    offered = tuple(offered)
    try:
        mode = ForceMode(text.lower())
    except ValueError:
        near = did_you_mean(text, [str(mode) for mode in ForceMode])
        raise UsageError(
            f"'{text}' in --model {spec} is not a force mode.", hint=near or "Modes: conservative, direct."
        ) from None
    if mode not in offered:
        raise UsageError(
            f"{spec.rpartition(':')[0]} has no {mode} forces.",
            hint=f"It has: {', '.join(offered)}. Leave ':{mode}' out.",
        )
    return mode
