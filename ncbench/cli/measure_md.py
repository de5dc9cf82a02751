"""The commands that run dynamics."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.measure_options import (
    PANEL,
    Batch,
    Duration,
    EngineOption,
    Mts,
    Redraw,
    Reference,
    Replicas,
    SampleEvery,
    Temperature,
    Timestep,
    TrajectoryEvery,
    TrajectoryFormat,
    TrajectoryPrecision,
)
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


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
    timesteps: Annotated[
        str | None,
        typer.Option(
            "--timesteps",
            metavar="FS,FS,…",
            help="Several time steps: is the drift the integrator's or the forces'?",
            rich_help_panel=PANEL,
        ),
    ] = None,
    mts: Mts = None,
    reference: Reference = None,
    rescale: Annotated[
        bool | None,
        typer.Option("--rescale", help="Hold the total energy by rescaling momenta.", rich_help_panel=PANEL),
    ] = None,
    replicas: Replicas = None,
    engine: EngineOption = None,
    batch: Batch = None,
    trajectory_every: TrajectoryEvery = None,
    trajectory_precision: TrajectoryPrecision = None,
    trajectory_format: TrajectoryFormat = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Drift of constant-energy dynamics: slope of the total energy and of the temperature, with errors.

    Velocity Verlet from an equilibrated start. Units: meV/atom/ps, K/ps. Killed or interrupted, the same command goes on
    from its checkpoint to the same numbers.

    Examples:
        ncbench nve-drift --model pet-m:direct --model pet-m:conservative

        ncbench nve-drift -m sevennet-0 --timestep 0.5 --duration 2000

        ncbench nve-drift -m pet-m:direct --timesteps 0.25,0.5,1

        ncbench nve-drift -m pet-m --mts 8
    """
    settings: Overrides = {key: value for key, value in locals().items() if value is not None and key != "steps"}
    if timesteps is not None:
        settings["timesteps"] = _numbers(timesteps, "--timesteps")
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
            metavar="langevin|svr[:TAU]|gle[:FILE]",
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
    mts: Mts = None,
    reference: Reference = None,
    replicas: Replicas = None,
    engine: EngineOption = None,
    batch: Batch = None,
    trajectory_every: TrajectoryEvery = None,
    trajectory_precision: TrajectoryPrecision = None,
    trajectory_format: TrajectoryFormat = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Thermostatted dynamics: ⟨T⟩ of all atoms and of each species, and the power that the thermostat takes away.

    Non-conservative forces heat some degrees of freedom and cool others: a global thermostat (svr) then holds the mean while
    the species drift apart, and a local one (langevin) hides it at the price of the dynamics.

    Examples:
        ncbench nvt --model pet-m:direct --thermostat svr --tau 10

        ncbench nvt -m sevennet-0 --thermostat langevin --tau 10 --tau 100 --tau 1000

        ncbench nvt -m pet-m --thermostat svr:10 --thermostat gle --mts 8
    """
    given = {key: value for key, value in locals().items() if value is not None and key not in ("thermostat", "tau")}
    if tau and not thermostat:
        raise typer.BadParameter("--tau goes with --thermostat")
    if thermostat:
        named = [name if ":" in name else None for name in thermostat]
        chosen = [name for name in named if name]
        # The generalised Langevin equation has a matrix, not a τ.
        chosen += [name for name in thermostat if name == "gle"]
        plain = [name for name in thermostat if ":" not in name and name != "gle"]
        chosen += [f"{name}:{t:g}" for name in plain for t in (tau or [100.0])]
        given["thermostats"] = tuple(chosen)
    return given


@app.command("mts")
@with_common(execute, "mts")
def mts(
    strides: Annotated[
        str | None,
        typer.Option(
            "--strides", metavar="M,M,…", help="Steps to one evaluation of the right forces.", rich_help_panel=PANEL
        ),
    ] = None,
    reference: Reference = None,
    timestep_fs: Timestep = None,
    duration_fs: Duration = None,
    temperature_K: Temperature = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", help="Timed pieces of each kind.", rich_help_panel=PANEL)
    ] = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Multiple time stepping: direct forces corrected by conservative ones every M-th step; what it costs, and the drift left.

    Times are taken in turns with those of direct and of conservative forces alone, and stand beside 1 + F/M and 1 + (F − 1)/M.

    Examples:
        ncbench mts --model pet-m

        ncbench mts -m pet-m --strides 8 --duration 2000 --threads 2
    """
    settings: Overrides = {key: value for key, value in locals().items() if value is not None}
    if strides is not None:
        settings["strides"] = tuple(_whole(value, "--strides") for value in _numbers(strides, "--strides"))
    return settings


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{option} {text} is not a list of numbers such as 1,2,4") from None


def _whole(value: float, option: str) -> int:
    if not value.is_integer():
        raise typer.BadParameter(f"{option} takes whole numbers, not {value:g}")
    return int(value)
