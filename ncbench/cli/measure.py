"""The six diagnostics as commands. Each turns its own options into settings; everything else is shared."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()
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
Batch = Annotated[
    int | None, typer.Option("--batch", metavar="R", help="Structures in one model call.", rich_help_panel=PANEL)
]


@app.command("lambda")
@with_common(execute, "lambda")
def lambda_(
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="auto|exact|stochastic|finite-difference",
            help="How the Jacobian is met.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    resolve: Annotated[
        str | None,
        typer.Option(
            "--resolve", metavar="none|pairs", help="Also write λ_ij against distance.", rich_help_panel=PANEL
        ),
    ] = None,
    step_A: Annotated[
        float | None, typer.Option("--step", metavar="Å", help="Finite-difference step.", rich_help_panel=PANEL)
    ] = None,
    probes: Annotated[
        int | None, typer.Option("--probes", metavar="N", help="Random probes.", rich_help_panel=PANEL)
    ] = None,
    target_error: Annotated[
        float | None,
        typer.Option(
            "--target-error", metavar="X", help="Stop at this relative standard error of λ.", rich_help_panel=PANEL
        ),
    ] = None,
    exact_max_atoms: Annotated[
        int | None,
        typer.Option(
            "--exact-max-atoms",
            metavar="N",
            help="Largest structure for which auto takes the whole Jacobian.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    batch: Batch = None,
) -> Overrides:
    """λ: the antisymmetric share of the force Jacobian.

    λ = ‖(J − Jᵀ)/2‖ / ‖J‖ with J = ∂f/∂r: 0 for forces that are a gradient, 1 for forces without any conservative part.
    A value printed as ≤ x is zero to numerical accuracy.

    Examples:
        ncbench lambda --model pet-m:direct --model pet-m:conservative

        ncbench lambda -m sevennet-0 --system water-molecule --method exact --resolve pairs
    """
    return {key: value for key, value in locals().items() if value is not None}


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


@app.command("nve-drift")
@with_common(execute, "nve-drift")
def nve_drift(
    timestep_fs: Timestep = None,
    duration_fs: Duration = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", help="Length of the run in steps, in place of --duration.", rich_help_panel=PANEL
        ),
    ] = None,
    temperature_K: Temperature = None,
    skip_fs: Annotated[
        float | None,
        typer.Option("--skip", metavar="FS", help="Left out of the fit at the start.", rich_help_panel=PANEL),
    ] = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Drift of constant-energy dynamics: slope of the total energy and of the temperature, with errors.

    Velocity Verlet from an equilibrated start. Units: meV/atom/ps, K/ps. Killed or interrupted, the same command goes on
    from its checkpoint to the same numbers.

    Examples:
        ncbench nve-drift --model pet-m:direct --model pet-m:conservative

        ncbench nve-drift -m sevennet-0 --timestep 0.5 --duration 2000
    """
    settings = {key: value for key, value in locals().items() if value is not None and key != "steps"}
    if steps is not None:
        if duration_fs is not None:
            raise typer.BadParameter("give --steps or --duration, not both")
        settings["duration_fs"] = steps * (timestep_fs or 0.5)
    return settings


@app.command()
@with_common(execute, "nvt")
def nvt(
    thermostat: Annotated[
        list[str] | None,
        typer.Option(
            "--thermostat",
            metavar="langevin|svr[:TAU]",
            help="Thermostat; repeat it for several.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    tau: Annotated[
        list[float] | None,
        typer.Option("--tau", metavar="FS", help="Time constant; repeat it for several.", rich_help_panel=PANEL),
    ] = None,
    temperature_K: Temperature = None,
    timestep_fs: Timestep = None,
    equilibration_fs: Annotated[
        float | None,
        typer.Option("--equilibration", metavar="FS", help="Left out at the start.", rich_help_panel=PANEL),
    ] = None,
    duration_fs: Duration = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Thermostatted dynamics: ⟨T⟩ of all atoms and of each species, and the power that the thermostat takes away.

    Non-conservative forces heat some degrees of freedom and cool others: a global thermostat (svr) then holds the mean while
    the species drift apart, and a local one (langevin) hides it at the price of the dynamics.

    Examples:
        ncbench nvt --model pet-m:direct --thermostat svr --tau 10

        ncbench nvt -m sevennet-0 --thermostat langevin --tau 10 --tau 100 --tau 1000
    """
    given = {key: value for key, value in locals().items() if value is not None and key not in ("thermostat", "tau")}
    if tau and not thermostat:
        raise typer.BadParameter("--tau goes with --thermostat")
    if thermostat:
        named = [name if ":" in name else None for name in thermostat]
        chosen = [name for name in named if name]
        chosen += [f"{name}:{t:g}" for name in thermostat if ":" not in name for t in (tau or [100.0])]
        given["thermostats"] = tuple(chosen)
    return given


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
) -> Overrides:
    """Geometry optimisation: how often the forces fall below the threshold, as a rate with its interval.

    Thresholds are the paper's: 1e-5 eV/Å for molecules, 1e-4 for periodic systems, within 1000 steps.

    Examples:
        ncbench relax --model pet-m:direct --model pet-m:conservative --system water-molecule

        ncbench relax -m sevennet-0 --system qm9 --optimizer fire --n 20
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
