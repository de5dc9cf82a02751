"""`ncbench models show NAME`: everything that is known of a model before it is loaded."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli import complete
from ncbench.cli.listing import print_facts
from ncbench.cli.options import JsonOption
from ncbench.models.row import ModelRow
from ncbench.run.environments import places, table
from ncbench.run.environments.disk import readable


def add_commands(app: typer.Typer) -> None:
    """Put the command under ``ncbench models``."""
    app.command("show")(models_show)


def models_show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete.models)], as_json: JsonOption = False
) -> None:
    """One model: paper, licence, training data, force modes, elements, environment, sizes, options, measured λ, a command to try it."""
    from ncbench.models.registry import find

    print_facts(facts_of(find(name.partition(":")[0])), as_json=as_json)


def facts_of(row: ModelRow) -> dict[str, str]:
    """What is known of a model before it is loaded, by heading."""
    from ncbench.models.family import get
    from ncbench.models.measured import of_model

    # Models that hold no weights are their own description.
    unknown = "see the paper" if row.package else "none"
    needed = "".join(f" -O {key}={value}" for key, value in row.needed.items())
    return {
        "model": row.name,
        "aliases": ", ".join(row.aliases),
        "summary": row.summary,
        "family": row.family,
        "paper": row.citation or "none",
        "licence": row.licence or "that of ncbench",
        "training data": row.training or unknown,
        "force modes": ", ".join([*row.modes, *(f"{mode} where the checkpoint has it" for mode in row.maybe)]),
        "elements": "known after loading the model" if row.elements == "any" and row.package else row.elements,
        "package": f"{row.package} ({'installed' if row.installed() else 'missing'})" if row.package else "none",
        "install": row.how_to_install(),
        "environment": _environment(row),
        "weights": _weights(row),
        "tested with": get(row.family).tried,
        "options": "; ".join(f"-O {key}=…: {meaning}" for key, meaning in row.options.items()),
        "measured λ": "; ".join(one.sentence for one in of_model(row.name))
        or "nothing in the results of ncbench's repository",
        "cutoff": f"known after loading the model; run: ncbench models capabilities {row.name}",
        "try it": f"ncbench lambda --model {row.name} --system {row.system}{needed}",
    }


def _environment(row: ModelRow) -> str:
    """The isolated environment, whether it is made, and the disk it takes."""
    if not row.environment:
        return ""
    made = places.find(table.get(row.environment))
    if made is None:
        spec = table.get(row.environment)
        size = f"; {readable(1e6 * spec.disk_MB)} where it was tested" if spec.disk_MB else ""
        if "CUDA" not in spec.summary and size:
            size += ", with torch for the CPU"
        return f"{row.environment}, made on first use or by: ncbench env create {row.environment}{size}"
    own, shared = (int(made.mark.get(key, 0)) for key in ("own_bytes", "shared_bytes"))
    return f"{row.environment}: {readable(own)} of its own, {readable(shared)} shared with the installer's cache"


def _weights(row: ModelRow) -> str:
    """Where the weights are or come from, and their size where a file is here."""
    if row.weights == "bundled":
        from ncbench.models.row import WEIGHTS

        path = WEIGHTS / row.source
        return f"in ncbench, {readable(path.stat().st_size)}" if path.is_file() else "in ncbench, not made yet"
    if row.weights == "in package":
        return f"in the package{_size(row)}"
    if row.weights == "download":
        return f"downloaded on first use{f', from {row.url}' if row.url else ''}{_size(row)}"
    return "a file of yours: --checkpoint FILE" if row.weights == "none" and row.package else row.weights


def _size(row: ModelRow) -> str:
    return f", about {readable(1e6 * row.weights_MB)}" if row.weights_MB else ", size not known here"
