"""The command ``evaluate``."""

from __future__ import annotations

import typer

from ncbench.cli.execute import execute
from ncbench.cli.options import Overrides, with_common

app = typer.Typer()


@app.command("evaluate")
@with_common(execute, "evaluate")
def evaluate() -> Overrides:
    """Energies, forces and stresses of structures as tables: evaluate.csv, and evaluate-forces.csv with a row an atom.

    Example:
        ncbench evaluate --model pet-m:direct --model pet-m:conservative --system water64 --structures 1
    """
    return {}
