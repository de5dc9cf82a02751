"""`ncbench models capabilities`, `add` and `remove`: capabilities of models, and the user's own models."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ncbench.cli import complete
from ncbench.cli.listing import print_table
from ncbench.cli.options import JsonOption
from ncbench.errors import NcbenchError, UsageError

Checkpoint = Annotated[str | None, typer.Option("--checkpoint", metavar="FILE", help="Weights.")]
Trust = Annotated[bool, typer.Option("--trust-checkpoint", help="Read files that could run code (pickles).")]
Options = Annotated[
    list[str] | None,
    typer.Option("--model-option", "-O", metavar="KEY=VALUE", help="A switch of the model's family."),
]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="A table in Markdown, for documentation.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to ``ncbench models``."""
    app.command("capabilities")(models_capabilities)
    app.command("add")(models_add)
    app.command("remove")(models_remove)


def models_capabilities(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", autocompletion=complete.models, help="All models that can run."),
    ] = None,
    checkpoint: Checkpoint = None,
    trust_checkpoint: Trust = False,
    model_option: Options = None,
    device: Annotated[str, typer.Option("--device", **complete.choices("cpu|cuda[:N]"))] = "cpu",
    markdown: MarkdownOption = False,
    as_json: JsonOption = False,
) -> None:
    """Load models and test: force modes, Jacobian products by autograd, batches, precisions, stress, net force.

    Without names, those whose package is installed, or whose environment exists, and whose weights are included.
    """
    from ncbench.models.registry import models
    from ncbench.run.capabilities import can_be_tried, capabilities
    from ncbench.types import ModelRequest

    if checkpoint is not None and len(names or ()) != 1:
        raise UsageError("--checkpoint needs exactly one model.", hint="Name it.")
    names = names or [
        f"{row.name}:{mode}"
        for row in models()
        if row.weights != "download" and can_be_tried(row.name)
        for mode in row.modes
    ]
    requests = [
        ModelRequest(
            spec=name,
            device=device,
            checkpoint=checkpoint,
            trust_checkpoint=trust_checkpoint,
            options=tuple(sorted(_pairs(model_option).items())),
        )
        for name in names
    ]
    rows = [asdict(row) for row in capabilities(requests)]
    if markdown:
        sys.stdout.write(_markdown(rows))
    else:
        print_table(rows, as_json=as_json)


def models_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name to use after --model.")],
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="NAME",
            autocompletion=complete.families,
            help="Family of the weights, such as mace or pet.",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    factory: Annotated[
        str | None,
        typer.Option(
            "--factory", metavar="MODULE:FUNCTION|FILE.py:FUNCTION", help="An ASE calculator instead of weights."
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option("--mode", **complete.choices("conservative|direct"), help="Force modes of the model."),
    ] = None,
    summary: Annotated[str, typer.Option("--summary", help="Description for `ncbench models list`.")] = "",
    model_option: Options = None,
    trust_checkpoint: Trust = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the entry of this name.")] = False,
    no_try: Annotated[bool, typer.Option("--no-try", help="Write the entry without loading the model.")] = False,
) -> None:
    """Give your own model a name. With --trust-checkpoint its digest is stored, and later runs do not need the flag.

    The model is loaded and tested in each of its force modes: an entry that declares forces conservative that are not a gradient is refused.
    """
    from ncbench.models import factories, user_models
    from ncbench.store.files import file_digest

    entry: dict[str, Any] = {}
    if (family is None) == (factory is None):
        raise UsageError(
            "A model needs either weights of a family or an ASE calculator.", hint="Give --family or --factory."
        )
    if factory is not None:
        entry["factory"] = factories.anywhere(factory)
    else:
        path = Path(checkpoint or "").expanduser().absolute()
        if checkpoint is None or not path.is_file():
            raise UsageError(f"There is no file '{checkpoint or ''}'.", hint="Give --checkpoint FILE.")
        entry |= {"family": family, "checkpoint": str(path)}
        if trust_checkpoint:
            entry["sha256"] = file_digest(path)
    if mode:
        entry["modes"] = mode
    if options := _pairs(model_option):
        entry["options"] = options
    if summary:
        entry["summary"] = summary
    before = user_models.read(user_models.path()).get(name)
    file = user_models.add(name, entry, replace=replace)
    if not no_try:
        try:
            _try(name, trust_checkpoint=trust_checkpoint)
        except NcbenchError:
            # Restore the file: an entry that does not work would fail in every run.
            user_models.remove(name)
            if before is not None:
                user_models.add(name, before)
            raise
    sys.stdout.write(f"{name} is in {file}.\n")


def _try(name: str, *, trust_checkpoint: bool) -> None:
    """Load the model in each mode and check its entry.

    Raises:
        UsageError: it cannot be loaded, or its conservative forces are not the gradient of its energy.
    """
    from ncbench.models import registry
    from ncbench.run.capabilities import can_be_tried, capabilities
    from ncbench.types import ModelRequest

    registry.forget()
    if not can_be_tried(name):
        sys.stderr.write(f"{name} was not tested: its environment does not exist yet.\n")
        return
    modes = registry.find(name).modes
    requests = [ModelRequest(spec=f"{name}:{mode}", trust_checkpoint=trust_checkpoint) for mode in modes]
    for mode, tested in zip(modes, capabilities(requests), strict=True):
        if tested.reason:
            raise UsageError(f"{name}:{mode} cannot be used: {tested.reason}", hint="--no-try writes the entry anyway.")
        if str(mode) == "conservative" and tested.gradient == "no":
            raise UsageError(
                f"{name} is declared conservative, but its forces are not the gradient of its energy.",
                hint="Add --mode direct; --no-try writes the entry anyway.",
            )
        sys.stdout.write(f"{tested.model} loads; forces a gradient: {tested.gradient}; Jacobian: {tested.jacobian}\n")


def models_remove(name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete.own_models)]) -> None:
    """Remove the entry of your own model; its weights are kept."""
    from ncbench.models import user_models

    sys.stdout.write(f"{name} is no longer in {user_models.remove(name)}.\n")


def _pairs(options: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in options or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"The model option '{text}' is not KEY=VALUE.")
        pairs[key] = value
    return pairs


def _markdown(rows: list[dict[str, Any]]) -> str:
    headings = [key for key in rows[0] if key not in ("seconds", "options")] if rows else []
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join("" if row[key] is None else str(row[key]) for key in headings) + " |" for row in rows]
    return "\n".join(lines) + "\n"
