"""The command ``npt``."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.measure_options import (
    PANEL,
    Duration,
    Mts,
    Redraw,
    Reference,
    Replicas,
    SampleEvery,
    Temperature,
    Timestep,
)
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


@app.command("npt")
@with_common(execute, "npt")
def npt(
    ensemble: Annotated[
        str | None,
        typer.Option("--ensemble", metavar="npt|nph", help="nph has no thermostat.", rich_help_panel=PANEL),
    ] = None,
    conservative_forces: Annotated[
        bool | None,
        typer.Option(
            "--conservative-forces",
            help="Conservative forces beside the direct stress, as in the paper.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    mts: Mts = None,
    reference: Reference = None,
    thermostat: Annotated[
        str | None,
        typer.Option(
            "--thermostat", metavar="langevin:TAU|svr:TAU|gle[:FILE]", help="Thermostat.", rich_help_panel=PANEL
        ),
    ] = None,
    temperature_K: Temperature = None,
    pressure_GPa: Annotated[
        float | None, typer.Option("--pressure", metavar="GPa", help="Pressure, GPa.", rich_help_panel=PANEL)
    ] = None,
    barostat_tau_fs: Annotated[
        float | None,
        typer.Option("--barostat-tau", metavar="FS", help="Time constant of the barostat.", rich_help_panel=PANEL),
    ] = None,
    timestep_fs: Timestep = None,
    equilibration_fs: Annotated[
        float | None,
        typer.Option("--equilibration", metavar="FS", help="Before anything is averaged.", rich_help_panel=PANEL),
    ] = None,
    duration_fs: Duration = None,
    replicas: Replicas = None,
    sample_every: SampleEvery = None,
    redraw_momenta: Redraw = None,
) -> Overrides:
    """Constant pressure: does the stress hold the cell? Length of the cell and drift of the enthalpy, by i-PI's isotropic barostat.

    Needs ncbench[i-pi], and a model with a stress. A direct stress is no derivative of the energy, and lets enthalpy drift in nph.

    Examples:
        ncbench npt --model pet-m:conservative --duration 1000

        ncbench npt --model pet-m:conservative --ensemble nph

        ncbench npt --model ./model.pt:direct --ensemble nph --conservative-forces
    """
    return {key: value for key, value in locals().items() if value is not None}
