"""The table of models, and the parsing of ``--model``. Light imports only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ncbench.errors import UsageError, did_you_mean
from ncbench.models import factories, family, user_models
from ncbench.models.offers import offered
from ncbench.models.row import BOTH, CONSERVATIVE, DIRECT, UNKNOWN, WEIGHTS, ModelRow
from ncbench.types import ForceMode, ModelRequest, printable

__all__ = ["BOTH", "CONSERVATIVE", "DIRECT", "ENTRY_POINTS", "UNKNOWN", "WEIGHTS", "ModelRow", "ParsedSpec"]
ENTRY_POINTS = "ncbench.models"
"""Entry-point group in which an installed package offers further rows of an existing family."""
NEAR = 0.7
"""Least similarity of a name to a model's name to suggest that model: 'grace' is not a misspelt 'mace' (0.67)."""


@dataclass(frozen=True)
class ParsedSpec:
    """The parsed value of ``--model``."""

    kind: Literal["named", "file", "factory"]
    name: str
    """The model's name (aliases resolved), the file's path, or ``module:factory`` or ``path/to/file.py:factory``."""
    mode: ForceMode | None
    """``None`` if none was typed and the model has, or may have, several."""
    row: ModelRow | None = None

    @property
    def label(self) -> str:
        """The value of the ``model`` column: without folders and mode."""
        return self.name if self.kind == "named" else printable(Path(self.name).name)

    @property
    def factory(self) -> str:
        """``module:function`` or ``path/to/file.py:function`` of an ASE calculator, also of one that has a name; else empty."""
        if self.kind == "factory":
            return self.name
        return self.row.source if self.row is not None and self.row.family == user_models.FACTORY_FAMILY else ""


@cache
def models() -> tuple[ModelRow, ...]:
    """All models that can be named: those of ncbench, the user's own, then those of installed packages.

    A third party offers a :class:`~ncbench.models.family.Family` in the entry-point group ``ncbench.families``, or rows of a family
    that exists in the group ``ncbench.models``: see :func:`ncbench.models.offers.offered`. One that cannot be loaded does not
    affect the others; :func:`broken_entry_points` lists it.
    """
    built_in = family.built_in()
    third_party = [one for name, one in family.families().items() if name not in built_in]
    return (
        *(row for one in built_in.values() for row in one.rows),
        *user_models.rows(),
        *(row for one in third_party for row in one.rows),
        *offered(ENTRY_POINTS, ModelRow)[0],
    )


def broken_entry_points() -> tuple[str, ...]:
    """A sentence for each entry point that cannot be loaded."""
    return (*family.broken_entry_points(), *offered(ENTRY_POINTS, ModelRow)[1])


def forget() -> None:
    """Clear the caches: models were added or removed in the meantime."""
    family.forget()
    models.cache_clear()


def find(name: str, *, or_module: bool = False) -> ModelRow:
    """The row of this name or alias. A name that is only listed in the family's package has a row as well.

    With ``or_module`` the error message adds that no module of that name exists either.

    Raises:
        UsageError: no such model.
    """
    row = _row(name)
    if row is not None:
        return row
    for one in family.families().values():
        if one.names is not None and (why := one.names.why_withdrawn(name.lower())):
            raise UsageError(f"There is no model '{name}' any more.", hint=why)
    fitting = [names for one in family.families().values() if (names := one.names) and names.fits(name.lower())]
    known = [known for row in models() for known in (row.name, *row.aliases)]
    known += [listed for names in fitting for listed in names.listed()]
    nor_module = ", and no module of that name on Python's path or in the working folder" if or_module else ""
    raise UsageError(
        " ".join([f"There is no model '{name}'{nor_module}.", *broken_entry_points()]),
        hint=did_you_mean(name, known, cutoff=NEAR)
        or "`ncbench models list` lists all models; any ASE calculator works as --model module:function or "
        "./file.py:function.",
    )


def _row(name: str) -> ModelRow | None:
    for row in models():
        if name.lower() in (row.name, *row.aliases):
            return row
    for one in family.families().values():
        if one.names is None or one.names.why_withdrawn(name.lower()):
            continue
        if one.names.fits(name.lower()):
            return one.names.row_of(name.lower())
    return None


def parse_request(request: ModelRequest) -> ParsedSpec:
    """The parsed string of the request. It is parsed once and kept with the request.

    Raises:
        UsageError: see :func:`parse_spec`.
    """
    # Not a field of the dataclass: equality, keys and messages use the string as typed.
    meaning: ParsedSpec | None = vars(request).get("_parsed")
    if meaning is None:
        meaning = vars(request)["_parsed"] = parse_spec(request.spec)
    return meaning


def parse_spec(spec: str) -> ParsedSpec:
    """``NAME[:mode]``, ``path/to/weights[:mode]``, ``module:factory[:mode]`` or ``path/to/file.py:factory[:mode]``.

    A model's name takes precedence over a module of that name. Modules are searched on Python's path and in the working folder.

    Raises:
        UsageError: an unknown name or mode, a mode the model lacks, or a file that is missing, empty or a folder.
    """
    head, separator, tail = spec.rpartition(":")
    if _is_factory(spec):
        return _factory(spec, None)
    if factories.split(head) is not None:
        return _factory(head, _mode(tail, spec, ForceMode))
    if separator and _looks_like_file(head):
        return ParsedSpec("file", str(_existing(head)), _mode(tail, spec, BOTH))
    if _looks_like_file(spec):
        return ParsedSpec("file", str(_existing(spec)), None)
    row = find(head if separator else spec, or_module=factories.split(spec) is not None)
    if separator:
        return ParsedSpec("named", row.name, _mode(tail, spec, (*row.modes, *row.maybe)), row)
    # If the row declares one mode, it is that one, also if its checkpoint has another.
    return ParsedSpec("named", row.name, row.modes[0] if len(row.modes) == 1 else None, row)


def _is_factory(spec: str) -> bool:
    """Whether ``spec`` as a whole is a factory, rather than a model's name or file with a mode."""
    parts = factories.split(spec)
    if parts is None:
        return False
    place, function = parts
    if place.endswith(".py"):
        return True
    if Path(place).is_file():
        # `a.pt:direct` could be a module's name as well.
        return False
    if _is_mode(function) or "." not in place:
        return _row(place) is None and factories.exists(place)
    # A dotted name is not a model's name: if the module does not exist, its import raises the error.
    return True


def _factory(spec: str, mode: ForceMode | None) -> ParsedSpec:
    place = spec.rpartition(":")[0]
    if place.endswith(".py"):
        _existing(place)
    return ParsedSpec("factory", spec, mode)


def checkpoint_of(request: ModelRequest) -> Path | None:
    """The weights file of this request, if it can be determined without importing the family's package."""
    meaning = parse_request(request)
    if request.checkpoint:
        return _existing(request.checkpoint)
    if meaning.kind == "file":
        return Path(meaning.name)
    if meaning.row is None or meaning.row.weights not in ("bundled", "file"):
        return None
    return WEIGHTS / meaning.row.source if meaning.row.weights == "bundled" else _existing(meaning.row.source)


def with_mode(spec: str, mode: str | None) -> str:
    """``spec`` in the force mode ``mode``, as given with ``--mode``; unchanged without one.

    Raises:
        UsageError: ``spec`` names another mode, or the model does not offer it.
    """
    if mode is None:
        return spec
    _mode(mode, f"{spec}:{mode}", ForceMode)
    meaning = parse_spec(spec)
    head, _, tail = spec.rpartition(":")
    if meaning.mode is not None and head and _is_mode(tail) and not _is_factory(spec):
        if meaning.mode != mode.lower():
            raise UsageError(f"--model {spec} and --mode {mode} name two force modes.", hint="Leave one of them out.")
        return spec
    parse_spec(f"{spec}:{mode}")
    return f"{spec}:{mode}"


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
    """Files beside ``path`` of the same kind."""
    return [entry.name for entry in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []


def _is_mode(text: str) -> bool:
    return text.lower() in tuple(ForceMode)


def _mode(text: str, spec: str, offered: Iterable[ForceMode]) -> ForceMode:
    offered = tuple(offered)
    try:
        mode = ForceMode(text.lower())
    except ValueError:
        near = did_you_mean(text, map(str, BOTH))
        raise UsageError(
            f"'{text}' in --model {spec} is not a force mode.", hint=near or "Modes: conservative, direct."
        ) from None
    if mode not in offered:
        raise UsageError(
            f"{spec.rpartition(':')[0]} has no {mode} forces.",
            hint=f"It has: {', '.join(offered)}. Leave ':{mode}' out.",
        )
    return mode
