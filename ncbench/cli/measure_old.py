"""The diagnostics as commands. Each turns its own options into settings; everything else is shared."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli import measure_accuracy
from ncbench.cli.execute import execute
from ncbench.cli.measure_options import PANEL, Batch
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


@app.command()
@with_common(execute, "workloop")
def workloop(
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="all|molecule|planar", help="Which closed paths.", rich_help_panel=PANEL),
    ] = None,
    loops: Annotated[
        int | None, typer.Option("--loops", metavar="N", help="Random planar loops.", rich_help_panel=PANEL)
    ] = None,
    radius_A: Annotated[
        float | None, typer.Option("--radius", metavar="Å", help="Radius of a planar loop.", rich_help_panel=PANEL)
    ] = None,
    points: Annotated[
        int | None,
        typer.Option("--points", metavar="N", help="Quadrature points to begin with.", rich_help_panel=PANEL),
    ] = None,
    max_points: Annotated[
        int | None, typer.Option("--max-points", metavar="N", help="Quadrature points at most.", rich_help_panel=PANEL)
    ] = None,
    tolerance_meV: Annotated[
        float | None,
        typer.Option(
            "--tolerance", metavar="meV", help="Change of W at which doubling the points stops.", rich_help_panel=PANEL
        ),
    ] = None,
    batch: Batch = None,
) -> Overrides:
    """Work round closed paths, W = ∮ f·dr in meV: zero for forces that are a gradient.

    One molecule turns once round while it is stretched periodically, all else held; and random planar loops through all
    coordinates. W comes with the quadrature's error and the rounding error of the model's arithmetic.

    Examples:
        ncbench workloop --model pet-m:direct --model pet-m:conservative

        ncbench workloop -m sevennet-0 --structure my.xyz --path planar --loops 8
    """
    return {key: value for key, value in locals().items() if value is not None}


@app.command()
@with_common(execute, "consistency")
def consistency(
    directions: Annotated[
        int | None,
        typer.Option(
            "--directions",
            metavar="N",
            help="Random directions in which energies are differentiated.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    rotations: Annotated[
        int | None, typer.Option("--rotations", metavar="N", help="Random rotations.", rich_help_panel=PANEL)
    ] = None,
    points: Annotated[
        int | None,
        typer.Option("--points", metavar="N", help="Points on the path searched for jumps.", rich_help_panel=PANEL),
    ] = None,
) -> Overrides:
    """Net force and torque, forces against energies, rotations, jumps of the energy, stress: each with its floor.

    What a gradient of an invariant energy must satisfy, from energies and forces alone. A kernel or a precision that spoils
    forces while energies agree shows here.

    Examples:
        ncbench consistency --model pet-m:direct --model pet-m:conservative

        ncbench consistency -m sevennet-0 --structure my.xyz --directions 32
    """
    return {key: value for key, value in locals().items() if value is not None}


@app.command()
@with_common(execute, "relax")
def relax(
    optimizer: Annotated[
        str | None,
        typer.Option("--optimizer", metavar="lbfgs|fire|both", help="ASE's optimisers.", rich_help_panel=PANEL),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", metavar="N", help="Relaxations.", rich_help_panel=PANEL)] = None,
    displacement_A: Annotated[
        float | None,
        typer.Option("--displacement", metavar="Å", help="Gaussian displacement of the start.", rich_help_panel=PANEL),
    ] = None,
    fmax: Annotated[
        float | None, typer.Option("--fmax", metavar="eV/Å", help="Largest force at success.", rich_help_panel=PANEL)
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", metavar="N", help="Steps allowed.", rich_help_panel=PANEL)
    ] = None,
    history: Annotated[
        bool | None,
        typer.Option(
            "--history",
            help="Write the forces of every relaxation step by step, and the configurations the first ones passed.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    traces: Annotated[
        int | None,
        typer.Option(
            "--traces", metavar="N", min=0, help="How many relaxations are these first ones.", rich_help_panel=PANEL
        ),
    ] = None,
    batch: Batch = None,
) -> Overrides:
    """Geometry optimisation: how often the forces fall below the threshold, as a rate with its interval.

    Starts and thresholds are the paper's (Table 7): molecules (water-molecule, qm9) begin displaced by 0.5 Å and must reach
    1e-5 eV/Å, periodic systems (water-dft, water64, mptrj) begin as they are and must reach 1e-4, within 1000 steps.

    Examples:
        ncbench relax --model pet-m:direct --model pet-m:conservative --system water-molecule

        ncbench relax -m sevennet-0 --system qm9 --optimizer lbfgs --n 20

        ncbench relax -m pet-m:direct -m pet-m:conservative --system water64 --n 1 --history
    """
    return {key: value for key, value in locals().items() if value is not None}


@app.command()
@with_common(execute, "timing")
def timing(
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="auto|adapter|ase",
            help="Through ncbench's adapter, the model's own ASE calculator, or what there is.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", metavar="N", help="Timed blocks of steps.", rich_help_panel=PANEL)
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Steps in a block.", rich_help_panel=PANEL)
    ] = None,
    warmup_steps: Annotated[
        int | None, typer.Option("--warmup", metavar="N", help="Steps before the clock runs.", rich_help_panel=PANEL)
    ] = None,
    batch: Batch = None,
) -> Overrides:
    """Milliseconds a step of molecular dynamics, warmed up and synchronised, with quartiles.

    Examples:
        ncbench timing --model pet-m:direct --model pet-m:conservative --threads 2

        ncbench timing -m sevennet-0 --system water64 --device cuda
    """
    return {key: value for key, value in locals().items() if value is not None}


app.add_typer(measure_accuracy.app)
