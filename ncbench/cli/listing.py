"""What there is: models and systems."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncbench.cli.options import JsonOption
from ncbench.cli.tables import PLAIN_WIDTH
from ncbench.models.row import ModelRow
from ncbench.run.environments import places, table

models_app = typer.Typer(no_args_is_help=True, help="Models that can be named.")
systems_app = typer.Typer(no_args_is_help=True, help="Structures that can be named.")
Name = Annotated[str, typer.Argument(metavar="NAME")]


@models_app.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """All models: force modes, whether the package is installed here, whether the weights are."""
    from ncbench.models.registry import broken_entry_points, models

    rows = [
        {
            "model": row.name,
            "family": row.family,
            "modes": ", ".join([*row.modes, *(f"({mode})" for mode in row.maybe)]),
            "installed": _installed(row),
            "weights": {True: "yes", False: "no", None: row.weights}[row.weights_present()],
            "environment": row.environment,
            "aliases": ", ".join(row.aliases),
            "summary": row.summary,
        }
        for row in models()
    ]
    print_table(rows, as_json=as_json)
    for sentence in broken_entry_points():
        sys.stderr.write(f"warning: {sentence}\n")


def _installed(row: ModelRow) -> str:
    """Whether the package is here, or else in the model's environment, or else what brings it."""
    if row.installed():
        return "yes"
    if not row.environment:
        return f"no: pip install 'ncbench[{row.extra}]'" if row.extra else "no"
    state = places.state(table.get(row.environment))
    return "in its environment" if state == "ready" else f"no: ncbench env create {row.environment}"


@models_app.command("show")
def models_show(name: Name, as_json: JsonOption = False) -> None:
    """One model: elements, options, licence, citation."""
    from ncbench.models.registry import find

    row = find(name.partition(":")[0])
    facts = {
        "model": row.name,
        "aliases": ", ".join(row.aliases),
        "summary": row.summary,
        "family": row.family,
        "force modes": ", ".join([*row.modes, *(f"{mode} where the checkpoint has it" for mode in row.maybe)]),
        "elements": row.elements,
        "package": f"{row.package} ({'installed' if row.installed() else 'missing'})" if row.package else "none",
        "install": f"pip install 'ncbench[{row.extra}]'" if row.extra else "",
        "weights": row.weights,
        "options": "; ".join(f"-O {key}=…: {meaning}" for key, meaning in row.options.items()),
        "licence": row.licence,
        "citation": row.citation,
    }
    _facts(facts, as_json=as_json)


@systems_app.command("list")
def systems_list(as_json: JsonOption = False) -> None:
    """All systems: size, how many structures, what they are."""
    from ncbench.structures.systems import systems

    rows = [
        {"system": row.name, "atoms": row.n_atoms, "structures": row.count, "summary": row.summary}
        for row in systems().values()
    ]
    print_table(rows, as_json=as_json)


@systems_app.command("show")
def systems_show(name: Name, as_json: JsonOption = False) -> None:
    """One system: how it was made, licence, citation."""
    from ncbench.structures.systems import get

    row = get(name)
    facts = {
        "system": row.name,
        "summary": row.summary,
        "atoms": row.n_atoms,
        "structures": row.count,
        "periodic": "yes" if row.periodic else "no",
        "made": row.made,
        "temperature": "" if row.temperature_K is None else f"{row.temperature_K:g} K",
        "time step": "" if row.timestep_fs is None else f"{row.timestep_fs:g} fs",
        "notes": row.notes,
        "licence": row.licence,
        "citation": row.citation,
    }
    _facts(facts, as_json=as_json)


def print_table(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Rows with the same keys, as a table or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return
    interactive = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console(width=None if interactive else PLAIN_WIDTH, highlight=False).print(table)


def _facts(facts: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        if value:
            sys.stdout.write(f"{key:{width}}  {value}\n")
