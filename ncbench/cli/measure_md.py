"""The commands that run dynamics."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.measure_options import PANEL, Duration, Redraw, SampleEvery, Temperature, Timestep
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
