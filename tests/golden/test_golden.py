"""Interfaces that scripts, results folders and continuous integration rely on: options, help, job keys, table columns.

The expected values are files beside this one. A wanted change is written with ``UPDATE_GOLDEN=1 pytest tests/golden`` and named in CHANGELOG.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ase import Atoms

from ncbench.cli.main import app
from ncbench.diagnostics import registry
from ncbench.store.keys import job_key
from ncbench.types import Budget, ModelRequest

HERE = Path(__file__).parent
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def _compare(name: str, result: Any) -> None:
    path = HERE / name
    text = (
        result if isinstance(result, str) else json.dumps(result, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    )
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def _commands(command: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    inside = getattr(command, "commands", None)
    if inside is None:
        return {" ".join(path): command}
    return {name: leaf for key, child in inside.items() for name, leaf in _commands(child, (*path, key)).items()}


COMMANDS = _commands(typer.main.get_command(app))


def test_options_of_every_command() -> None:
    result = {
        name: sorted(flag for one in command.params for flag in (one.opts + one.secondary_opts))
        for name, command in COMMANDS.items()
    }
    _compare("options.json", result)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, values and help texts of the options, one a line: free of the terminal's width."""
    command = COMMANDS[name]
    lines = [f"ncbench {name}", "", (command.help or "").strip(), ""]
    for one in command.params:
        flags = "/".join(one.opts + one.secondary_opts)
        lines.append(f"{flags}  {one.metavar or ''}  {getattr(one, 'help', '') or ''}".rstrip())
    _compare(f"help/{name.replace(' ', '_')}.txt", "\n".join(lines) + "\n")


def test_columns_of_every_table() -> None:
    result: dict[str, Any] = {}
    for diagnostic in registry.diagnostics().values():
        for schema in (diagnostic.schema, *diagnostic.side_schemas.values()):
            result[f"{diagnostic.name}/{schema.name}"] = {
                "version": schema.version,
                "columns": [f"{column.name} {column.dtype} [{column.unit}]" for column in schema.all_columns],
            }
    _compare("columns.json", result)


def test_keys_of_jobs() -> None:
    """Default settings at every budget, one structure: a changed key makes every stored result of the diagnostic be measured again."""
    atoms = Atoms("Ar2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 3.8]], cell=[12.0, 12.0, 12.0], pbc=True)
    result = {
        f"{diagnostic.name} {budget}": job_key(
            diagnostic=diagnostic.name,
            version=diagnostic.version,
            model=ModelRequest(spec="orb"),
            system="golden",
            structures=[("0", atoms)],
            settings=diagnostic.presets[budget],
            seed=0,
        )
        for diagnostic in registry.diagnostics().values()
        for budget in Budget
    }
    _compare("keys.json", result)
