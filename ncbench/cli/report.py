"""The command ``report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ncbench.cli.panels import START

app = typer.Typer()


@app.command("report", rich_help_panel=START)
def report(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="File of the page; DIR/report.html by default.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="DIR",
            help="Another results folder, for answers on DIR's models and numbers beside the paper's that DIR lacks; repeat it.",
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Heading of the page.")] = "",
) -> None:
    """One HTML page on a results folder: what each model may be used for and why, the paper's claims with our evidence, comparison with the paper's tables, figures, provenance.

    The page is self-contained and needs no network.

    Examples:
        ncbench report results-paper

        ncbench report results/paper --also results/laptop --also results/training/laptop
    """
    from ncbench.paper.page import report as write

    path = write(Path(results), None if out is None else Path(out), title=title, also=[Path(one) for one in also or ()])
    sys.stdout.write(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)\n")
