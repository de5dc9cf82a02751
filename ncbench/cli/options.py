"""Options shared by several commands, each declared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from ncbench.cli import complete
from ncbench.options import RESULTS_FOLDER
from ncbench.schema import MOST_SEED

MODEL_PANEL = "Model"
SYSTEM_PANEL = "Structures"
RUN_PANEL = "Run"
OUTPUT_PANEL = "Output"

OutOption = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Results folder; finished jobs in it are not repeated.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Print only the rows, as JSON, on standard output.", rich_help_panel=OUTPUT_PANEL
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No progress.", rich_help_panel=OUTPUT_PANEL)
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        help="CPU threads of a job, or processes that share its batches where these are faster (NCBENCH_PROCESSES).",
        rich_help_panel=RUN_PANEL,
    ),
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse",
        metavar="",
        help="Take all finished results. Without it, those of other versions of torch, ASE, the model's packages or ncbench, and of another number "
        "of threads, are measured again, and so are those of module:function models: what such a function reads cannot be known.",
        rich_help_panel=RUN_PANEL,
    ),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        "-y",
        metavar="",
        help="Create missing environments of model families without asking.",
        rich_help_panel=RUN_PANEL,
    ),
]


@dataclass(frozen=True)
class Common:
    """Options of all diagnostics."""

    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="NAME[:MODE]",
            help="A model's name, a checkpoint (.pt, .ckpt), or a function that returns an ASE calculator (module:function "
            "or ./file.py:function). ':direct' or ':conservative' selects the forces. Repeat it to compare.",
            autocompletion=complete.models,
            rich_help_panel=MODEL_PANEL,
        ),
    ]
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            **complete.choices("conservative|direct"),
            help="Force mode of every --model without one. For an ASE calculator it declares the otherwise unknown mode.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            **complete.choices("float32|float64"),
            help="Arithmetic inside the model; its own by default.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    device: Annotated[
        str,
        typer.Option(
            "--device", **complete.choices("cpu|cuda[:N]"), help="Device of the model.", rich_help_panel=MODEL_PANEL
        ),
    ] = "cpu"
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="Weights to load into the named model.", rich_help_panel=MODEL_PANEL
        ),
    ] = None
    trust_checkpoint: Annotated[
        bool,
        typer.Option(
            "--trust-checkpoint",
            metavar="",
            help="Read files that could run code (pickles).",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False
    model_option: Annotated[
        list[str] | None,
        typer.Option(
            "--model-option",
            "-O",
            metavar="KEY=VALUE",
            help="A switch of the model's family; `ncbench models show NAME` lists them.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            "-s",
            metavar="NAME",
            help="A named system: `ncbench systems list`.",
            autocompletion=complete.systems,
            rich_help_panel=SYSTEM_PANEL,
        ),
    ] = None
    structure: Annotated[
        str | None,
        typer.Option(
            "--structure",
            metavar="FILE",
            help="Any file that ASE reads; FILE@INDEX selects frames.",
            rich_help_panel=SYSTEM_PANEL,
        ),
    ] = None
    structures: Annotated[
        int | None,
        typer.Option("--structures", metavar="N", help="Number of structures of it.", rich_help_panel=SYSTEM_PANEL),
    ] = None
    repeat: Annotated[
        str, typer.Option("--repeat", metavar="A,B,C", help="Supercell.", rich_help_panel=SYSTEM_PANEL)
    ] = "1,1,1"
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            **complete.choices("smoke|laptop|paper"),
            help="Settings not given here: a minute, minutes, or the paper's.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = "laptop"
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=MOST_SEED, help="Of everything random.", rich_help_panel=RUN_PANEL)
    ] = 0
    threads: ThreadsOption = None
    reuse: ReuseOption = False
    yes: YesOption = False
    out: OutOption = RESULTS_FOLDER
    as_json: JsonOption = False
    quiet: QuietOption = False


Overrides = dict[str, Any]


def command_with_common(
    execute: Callable[[str, Common, Overrides], None],
    name: str,
    settings_of: Callable[..., Overrides],
    own: Sequence[Parameter],
    *,
    without: tuple[str, ...] = (),
) -> Callable[..., None]:
    """A command with parameters ``own`` and the common options, except those in ``without``, which keep their defaults.

    ``settings_of`` converts the given own options to settings; ``execute`` runs the diagnostic ``name`` with them.
    """
    hints = _common_hints()
    shared = [
        Parameter(
            f.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[f.name],
            default=Common.__dict__.get(f.name, Parameter.empty),
        )
        for f in fields(Common)
        if f.name not in without
    ]

    def command(**values: Any) -> None:
        common = Common(**{"model": [], **{p.name: values.pop(p.name) for p in shared}})
        given = {key: value for key, value in values.items() if value not in (None, [])}
        execute(name, common, settings_of(**given))

    parameters = [*shared[:1], *own, *shared[1:]] if shared[0].name == "model" else [*own, *shared]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


@cache
def _common_hints() -> dict[str, Any]:
    """Types of the common options; resolving them again for every command took a tenth of the start-up time."""
    return get_type_hints(Common, include_extras=True)


def with_common(
    execute: Callable[[str, Common, Overrides], None], name: str, *, without: tuple[str, ...] = ()
) -> Callable[[Callable[..., Overrides]], Callable[..., None]]:
    """:func:`command_with_common` as a decorator of the function that turns own options into settings."""

    def decorate(own: Callable[..., Overrides]) -> Callable[..., None]:
        hints = get_type_hints(own, include_extras=True)
        parameters = [
            one.replace(annotation=hints[one.name], kind=Parameter.KEYWORD_ONLY)
            for one in signature(own).parameters.values()
        ]
        command = command_with_common(execute, name, own, parameters, without=without)
        command.__name__, command.__doc__ = own.__name__, own.__doc__
        return command

    return decorate
