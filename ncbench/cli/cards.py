"""``ncbench card`` and ``ncbench leaderboard``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ncbench.cli.panels import RESULTS

app = typer.Typer()


Export = Literal["ml-peg", "mlipaudit"]


@app.command("card", rich_help_panel=RESULTS)
def card(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where the files go; the results folder by default.")
    ] = None,
    export: Annotated[
        Export | None,
        typer.Option(
            "--export",
            metavar="ml-peg|mlipaudit",
            help="Write the file format of another suite instead, from results of its --protocol: ml-peg's table of λ, or mlipaudit's result.json of drifts.",
        ),
    ] = None,
) -> None:
    """One JSON file for each model of a results folder: numbers with errors, how they were measured, answers. To publish or compare.

    docs/card.schema.json describes the file. `ncbench leaderboard` ranks cards.

    Examples:
        ncbench card ncbench-results --out cards

        ncbench card ncbench-results --export ml-peg --out tables
    """
    folder = Path(results)
    into = folder if out is None else Path(out)
    if export is not None:
        from ncbench.report.conservation import exports

        written, notes = {"ml-peg": exports.write_ml_peg, "mlipaudit": exports.write_mlipaudit}[export](folder, into)
        sys.stdout.writelines(f"{path}\n" for path in written)
        sys.stderr.writelines(f"{note}\n" for note in notes)
        return
    from ncbench.report.conservation import card as conservation
    from ncbench.report.read import read

    for one in conservation.cards(read(folder)):
        sys.stdout.write(f"{conservation.write(one, into)}\n")


@app.command("leaderboard", rich_help_panel=RESULTS)
def leaderboard(
    cards: Annotated[list[str], typer.Argument(metavar="CARD...", help="Cards, or folders with cards.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="The page.")] = "leaderboard.html",
) -> None:
    """One HTML page that ranks models by their cards, where they were measured in the same way, and shows what cannot be compared.

    Examples:
        ncbench leaderboard cards

        ncbench leaderboard mine.card.json theirs.card.json --out compared.html
    """
    from ncbench.errors import UsageError
    from ncbench.report.conservation import card as conservation
    from ncbench.report.conservation import leaderboard as board

    paths: list[Path] = []
    for name in cards:
        path = Path(name)
        inside = sorted(path.glob(f"*{conservation.SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"The folder '{path}' holds no card.", hint=f"Run: ncbench card {path}")
        paths += inside
    written = board.write([conservation.read(path) for path in dict.fromkeys(paths)], Path(out))
    sys.stdout.write(f"Page: {written}\n")
