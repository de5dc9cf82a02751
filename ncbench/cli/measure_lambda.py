"""The command ``lambda``."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.measure_options import PANEL, Batch
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


@app.command("lambda")
@with_common(execute, "lambda")
def lambda_(
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="auto|exact|stochastic|coloured|finite-difference",
            help="How the Jacobian is met; auto goes by size and by what the model offers.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    resolve: Annotated[
        str | None,
        typer.Option(
            "--resolve",
            metavar="none|atoms|pairs",
            help="Also write λ by atom, species and mode; with pairs, λ_ij against distance and its figure.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    step_A: Annotated[
        float | None,
        typer.Option(
            "--step", metavar="Å", help="Finite-difference step; found for the model by default.", rich_help_panel=PANEL
        ),
    ] = None,
    scan_step: Annotated[
        bool | None,
        typer.Option(
            "--scan-step", help="Also λ against the step over four decades, with a verdict.", rich_help_panel=PANEL
        ),
    ] = None,
    reach_A: Annotated[
        float | None,
        typer.Option(
            "--reach",
            metavar="Å",
            help="Distance at which the coloured method cuts; the model's receptive field by default.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    stress: Annotated[
        bool | None,
        typer.Option("--stress", help="Also the asymmetry of forces under strain and stresses.", rich_help_panel=PANEL),
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

        ncbench lambda -m pet-m:direct --system water64 --resolve pairs

        ncbench lambda -m sevennet-0 --system small-ten --scan-step
    """
    return {key: value for key, value in locals().items() if value is not None}
