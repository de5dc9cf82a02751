"""Lists of models and systems."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ncbench.cli import complete
from ncbench.cli.characters import as_printed, print_json
from ncbench.cli.consoles import table_console
from ncbench.cli.options import JsonOption
from ncbench.models.row import ModelRow
from ncbench.run.environments import places, table

models_app = typer.Typer(no_args_is_help=True, help="Models that can be named.")
systems_app = typer.Typer(no_args_is_help=True, help="Structures that can be named.")
Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete.systems)]


@models_app.command("list")
def models_list(
    everything: Annotated[bool, typer.Option("--all", help="Also every name listed in installed packages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """All models by family, those that can run here first: force modes, whether the weights are on this machine."""
    from ncbench.models.family import families
    from ncbench.models.registry import broken_entry_points, models

    rows = list(models())
    if everything:
        known = {name for row in rows for name in (row.name, *row.aliases)}
        packages = [one.names for one in families().values() if one.names is not None]
        rows += [
            row
            for names in packages
            for name in names.listed()
            if name not in known and (row := names.row_of(name.lower())) is not None
        ]
    by_family: dict[str, list[ModelRow]] = {}
    for row in rows:
        by_family.setdefault(row.family, []).append(row)
    # Families that can run here come first, and among them those with a package before the analytic fields for tests.
    order = sorted(by_family.values(), key=lambda members: (not _runs_here(members[0]), not members[0].package))
    if as_json:
        print_table([_content(row) for members in order for row in members], as_json=True)
    else:
        sys.stdout.write(_by_family(order, {name: one.summary for name, one in families().items()}))
    for sentence in broken_entry_points():
        sys.stderr.write(f"warning: {sentence}\n")


def _content(row: ModelRow) -> dict[str, Any]:
    return {
        "model": row.name,
        "family": row.family,
        "modes": ", ".join([*row.modes, *(f"({mode})" for mode in row.maybe)]),
        "installed": _installed(row),
        "weights": _weights(row),
        "environment": row.environment,
        "aliases": ", ".join(row.aliases),
        "summary": row.summary,
    }


def _by_family(families: Sequence[Sequence[ModelRow]], summaries: Mapping[str, str]) -> str:
    """One heading per family and one line per model, no wider than the terminal, or 80 columns without one."""
    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
    lines = []
    for members in families:
        family, state = members[0].family, _installed(members[0])
        state = "runs here" if state == "yes" else f"runs {state}" if state.startswith("in ") else state
        state, summary = state.replace("no: ", "not here; run: "), summaries.get(family) or family
        room = width - len(state) - 2
        lines += [f"{summary if len(summary) <= room else summary[: room - 1].rstrip() + '…'}: {state}"]
        names = max(len(row.name) for row in members)
        for row in members:
            weights = "" if row.weights == "none" else _weights(row)
            line = f"  {row.name:{names}} {_modes(row):13} {weights:8} {row.summary}"
            lines.append(line if len(line) <= width else line[: width - 1].rstrip() + "…")
        lines.append("")
    lines += [
        "Columns: name; force modes (*: also direct, if the checkpoint has it); are the",
        "weights here (download: on first use); summary. More: ncbench models show NAME.",
    ]
    return "\n".join(lines) + "\n"


def _modes(row: ModelRow) -> str:
    modes = "both" if len(row.modes) > 1 else str(row.modes[0])
    return modes + "*" * bool(row.maybe)


def _weights(row: ModelRow) -> str:
    return {True: "yes", False: "no", None: row.weights}[row.weights_present()]


def _runs_here(row: ModelRow) -> bool:
    return _installed(row) in ("yes", "in its environment")


def _installed(row: ModelRow) -> str:
    """Whether the package is installed, or in the model's environment, or how to install it."""
    if row.installed():
        return "yes"
    if not row.environment:
        return f"no: {row.how_to_install()}" if row.how_to_install() else "no"
    state = places.state(table.get(row.environment))
    return "in its environment" if state == "ready" else f"no: ncbench env create {row.environment}"


@systems_app.command("list")
def systems_list(as_json: JsonOption = False) -> None:
    """All systems: size, number of structures, description."""
    from ncbench.structures.systems import systems

    rows = [
        {"system": row.name, "atoms": row.n_atoms, "structures": row.count, "summary": row.summary}
        for row in systems().values()
    ]
    print_table(rows, as_json=as_json)


@systems_app.command("show")
def systems_show(name: Name, as_json: JsonOption = False) -> None:
    """One system: preparation, licence, citation."""
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
    print_facts(facts, as_json=as_json)


def print_table(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Rows with the same keys, as a table or as JSON."""
    if as_json:
        print_json(rows)
        return
    interactive = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(as_printed(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_printed(str(value))) for value in row.values()))
    table_console().print(table)


def print_facts(facts: dict[str, str], *, as_json: bool) -> None:
    """Names and values, one a line without those that are empty, or as JSON."""
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        if value:
            sys.stdout.write(f"{key:{width}}  {value}\n")
