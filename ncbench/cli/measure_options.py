"""Options that several measuring commands have, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "Settings of this command (the budget's where not given)"

Timestep = Annotated[
    float | None, typer.Option("--timestep", metavar="FS", help="Time step, fs.", rich_help_panel=PANEL)
]
Duration = Annotated[
    float | None, typer.Option("--duration", metavar="FS", help="Length of the run, fs.", rich_help_panel=PANEL)
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", metavar="K", help="Temperature, K.", rich_help_panel=PANEL)
]
SampleEvery = Annotated[
    int | None, typer.Option("--sample-every", metavar="STEPS", help="Stride of the series.", rich_help_panel=PANEL)
]
Redraw = Annotated[
    bool | None,
    typer.Option(
        "--redraw-momenta", help="Draw momenta anew even where the structure has some.", rich_help_panel=PANEL
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        "--replicas", metavar="R", help="Runs a structure, each with momenta of its own.", rich_help_panel=PANEL
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="own|i-pi",
        help="Who makes the steps; i-PI takes one structure at a time and needs ncbench[i-pi].",
        rich_help_panel=PANEL,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="NAME[:MODE]",
        help="The right forces of multiple time stepping; by default the model's conservative mode, and its direct one in between.",
        rich_help_panel=PANEL,
    ),
]
Mts = Annotated[
    int | None,
    typer.Option(
        "--mts", metavar="M", help="Multiple time stepping: the right forces every M-th step.", rich_help_panel=PANEL
    ),
]
TrajectoryEvery = Annotated[
    int | None,
    typer.Option(
        "--trajectory-every",
        metavar="STEPS",
        min=0,
        help="Write a trajectory, a frame every so many steps.",
        rich_help_panel=PANEL,
    ),
]
TrajectoryPrecision = Annotated[
    str | None,
    typer.Option(
        "--trajectory-precision", metavar="single|double", help="Digits of its numbers.", rich_help_panel=PANEL
    ),
]
TrajectoryFormat = Annotated[
    str | None,
    typer.Option(
        "--trajectory-format",
        metavar="xyz|traj",
        help="Extended XYZ (text), or ASE's .traj (binary).",
        rich_help_panel=PANEL,
    ),
]
Batch = Annotated[
    int | None, typer.Option("--batch", metavar="R", help="Structures in one model call.", rich_help_panel=PANEL)
]
