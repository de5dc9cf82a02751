"""``ncbench card`` and ``ncbench leaderboard``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ncbench.cli.panels import RESULTS

app = typer.Typer()


@app.command("card", rich_help_panel=RESULTS)
def card(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where the cards go; the results folder by default.")
    ] = None,
) -> None:
    """One JSON file for each model of a results folder: numbers with errors, how they were measured, answers. To publish or compare.

    docs/card.schema.json describes the file. `ncbench leaderboard` ranks cards.

    Example:
        ncbench card ncbench-results --out cards
    """
    from ncbench.report.conservation import card as conservation
    from ncbench.report.read import read

    folder = Path(results)
    for one in conservation.cards(read(folder)):
        sys.stdout.write(f"{conservation.write(one, folder if out is None else Path(out))}\n")


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
