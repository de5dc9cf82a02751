"""The table of models, and how what is typed after ``--model`` is understood. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ncbench.errors import UsageError, did_you_mean
from ncbench.models import package_names, user_models
from ncbench.models.row import BOTH, CONSERVATIVE, DIRECT, WEIGHTS, ModelRow
from ncbench.models.rows import BUILT_IN
from ncbench.types import ForceMode, ModelRequest

__all__ = ["BOTH", "CONSERVATIVE", "DIRECT", "ENTRY_POINTS", "WEIGHTS", "ModelRow", "ParsedSpec"]
ENTRY_POINTS = "ncbench.models"


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
    """All models that can be named: ours, the user's own, then those of installed packages.

    A third party's entry point in the group ``ncbench.models`` is a :class:`ModelRow`, an iterable of them, or a function
    that returns either. One that cannot be loaded takes nothing from the others: :func:`broken_entry_points` names it.
    """
    return (*BUILT_IN, *user_models.rows(), *_third_parties()[0])


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
    """The row of this name or alias. A name that only the family's package knows has a row as well.

    Raises:
        UsageError: there is none.
    """
    for row in models():
        if name.lower() in (row.name, *row.aliases):
            return row
    newer = package_names.row_of(name.lower())
    if newer is not None:
        return newer
    known = [known for row in models() for known in (row.name, *row.aliases)] + package_names.known_near(name.lower())
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
    if separator:
        return ParsedSpec("named", row.name, _mode(tail, spec, (*row.modes, *row.maybe)), row)
    # The one mode that a row names is meant, also where its checkpoint has another.
    return ParsedSpec("named", row.name, row.modes[0] if len(row.modes) == 1 else None, row)


def checkpoint_of(request: ModelRequest) -> Path | None:
    """The file of weights that this request reads and that can be told without importing the family's package."""
    parsed = parse_spec(request.spec)
    if request.checkpoint:
        return _existing(request.checkpoint)
    if parsed.kind == "file":
        return Path(parsed.name)
    if parsed.row is None or parsed.row.weights not in ("bundled", "file"):
        return None
    return WEIGHTS / parsed.row.source if parsed.row.weights == "bundled" else _existing(parsed.row.source)


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
