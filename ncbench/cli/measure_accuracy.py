"""The command ``accuracy``."""

from __future__ import annotations

from typing import Annotated

import typer

from ncbench.cli.execute import execute
from ncbench.cli.measure_options import PANEL, Batch
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


@app.command("accuracy")
@with_common(execute, "accuracy")
def accuracy(
    energy_key: Annotated[
        str | None,
        typer.Option(
            "--energy-key", metavar="NAME", help="Name of the reference energy in the file.", rich_help_panel=PANEL
        ),
    ] = None,
    forces_key: Annotated[
        str | None,
        typer.Option(
            "--forces-key", metavar="NAME", help="Name of the reference forces in the file.", rich_help_panel=PANEL
        ),
    ] = None,
    batch: Batch = None,
) -> Overrides:
    """Errors on structures with reference values: MAE and RMSE of energies (meV/atom) and forces (meV/Å), by element.

    Energies are compared absolutely, as trained, and with the mean offset of each composition removed. By default the held-out
    block of the water data set; --structure takes any file with energies and forces.

    Examples:
        ncbench accuracy --model pet-m:direct --model pet-m:conservative --system water-dft

        ncbench accuracy -m sevennet-0 --structure labelled.xyz --energy-key REF_energy --forces-key REF_forces
    """
    return {key: value for key, value in locals().items() if value is not None}
