"""The user's own models by name: a TOML file written by `ncbench models add` or by hand.

    [models.my-mace]
    family = "mace"
    checkpoint = "/data/models/my-mace.model"
    sha256 = "…"                    # digest of the trusted file; any other content needs --trust-checkpoint
    modes = ["conservative"]
    options = { head = "pbe" }      # as after -O

or, instead of ``family`` and ``checkpoint``, ``factory = "module:function"`` or ``"/path/to/file.py:function"`` for an ASE
calculator, whose force mode is unknown without ``modes``.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ncbench.errors import UsageError, did_you_mean
from ncbench.models import factories, family
from ncbench.models.row import BOTH, UNKNOWN, ModelRow
from ncbench.types import ForceMode

FACTORY_FAMILY = "ase"
"""Family of calculators that a factory makes."""
KEYS = ("family", "checkpoint", "factory", "sha256", "modes", "options", "summary")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def path() -> Path:
    """The file: ``NCBENCH_MODELS`` if set, else ``models.toml`` in the user's configuration folder of ncbench."""
    if named := os.environ.get("NCBENCH_MODELS"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("ncbench")) / "models.toml"


def rows() -> tuple[ModelRow, ...]:
    """One row per user model, in the file's order.

    Raises:
        UsageError: the file is not TOML, or an entry is invalid (name and key are given).
    """
    file = path()
    try:
        stamp = file.stat().st_mtime_ns
    except OSError:
        return ()
    return _rows(file, stamp)


@cache
def _rows(file: Path, _stamp: int) -> tuple[ModelRow, ...]:
    return tuple(row_of(name, entry) for name, entry in read(file).items())


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The entries by name; none where there is no file. Raises UsageError as :func:`rows` does."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        entries = tomllib.loads(text).get("models", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"'{file}' is not TOML: {error}.", hint="Correct or delete it.") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UsageError(f"'{file}' holds no tables [models.NAME].", hint="Correct or delete it.")
    return entries


def row_of(name: str, entry: Mapping[str, Any]) -> ModelRow:
    """The row of an entry.

    Raises:
        UsageError: an invalid name, an unknown key, family or mode, or neither a checkpoint nor a factory.
    """
    where = f"[models.{name}]"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be a model's name.", hint="Use lower-case letters, digits, '-', '.' and '_'."
        )
    for key in entry:
        if key not in KEYS:
            raise UsageError(f"{where} has an unknown key '{key}'.", hint=did_you_mean(key, KEYS))
    declared = tuple(_mode(text, where) for text in entry.get("modes", ()))
    if "factory" in entry:
        source = str(entry["factory"])
        if factories.split(source) is None:
            raise UsageError(f"{where}: '{source}' is not module:function or path/to/file.py:function.")
        return ModelRow(
            name=name,
            family=FACTORY_FAMILY,
            modes=declared[:1] or (UNKNOWN,),
            maybe=() if declared else BOTH,
            summary=str(entry.get("summary", f"ASE calculator {source}")),
            source=source,
        )
    takers = [one.name for one in family.families().values() if one.takes_own_weights]
    name_of_family = str(entry.get("family", ""))
    if name_of_family not in takers:
        near = did_you_mean(name_of_family, takers) or f"Families: {', '.join(takers)}."
        raise UsageError(f"{where} has no family '{name_of_family}'.", hint=near)
    if not entry.get("checkpoint"):
        raise UsageError(f"{where} has no checkpoint.", hint='Add checkpoint = "/path/to/weights".')
    like = family.get(name_of_family).rows[0]
    return ModelRow(
        name=name,
        family=name_of_family,
        modes=declared or BOTH,
        summary=str(entry.get("summary", f"my own {name_of_family} model")),
        extra=like.extra,
        package=like.package,
        environment=like.environment,
        weights="file",
        source=str(Path(str(entry["checkpoint"])).expanduser()),
        sha256=str(entry.get("sha256", "")),
        options=like.options,
        preset={str(key): str(value) for key, value in dict(entry.get("options", {})).items()},
    )


def add(name: str, entry: Mapping[str, Any], *, replace: bool = False) -> Path:
    """Write an entry; returns the file. Entries written by hand are kept, comments are not.

    Raises:
        UsageError: the entry is invalid, or the name is taken.
    """
    row_of(name, entry)
    if any(name in (row.name, *row.aliases) for one in family.built_in().values() for row in one.rows):
        raise UsageError(f"ncbench has a model '{name}' of its own.", hint="Choose another name.")
    file = path()
    entries = read(file)
    if name in entries and not replace:
        raise UsageError(f"There is a model '{name}' in {file} already.", hint="Add --replace, or choose another name.")
    entries[name] = dict(entry)
    _write(file, entries)
    return file


def remove(name: str) -> Path:
    """Remove an entry; returns the file. The weights are kept. Raises UsageError if there is no such entry."""
    file = path()
    entries = read(file)
    if name not in entries:
        raise UsageError(f"There is no model '{name}' in {file}.", hint=did_you_mean(name, entries))
    del entries[name]
    _write(file, entries)
    return file


def _write(file: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    text = "# ncbench models of your own; `ncbench models add` and `ncbench models remove` edit this file.\n"
    for name, entry in entries.items():
        key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
        text += f"\n[models.{key}]\n" + "".join(f"{field} = {_toml(value)}\n" for field, value in entry.items())
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as stream:
        stream.write(text)
    Path(stream.name).replace(file)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    # A JSON string is a TOML basic string; DEL alone must be escaped in TOML and is not in JSON.
    return json.dumps(str(value)).replace("\x7f", "\\u007f")


def _mode(text: str, where: str) -> ForceMode:
    if text not in BOTH:
        raise UsageError(f"{where}: '{text}' is not a force mode.", hint="Modes: conservative, direct.")
    return ForceMode(text)
