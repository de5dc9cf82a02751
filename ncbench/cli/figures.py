"""The command ``figures``, and the figures and lines printed after a run's tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ncbench.cli.panels import RESULTS
from ncbench.diagnostics import registry
from ncbench.errors import UsageError

app = typer.Typer()


@app.command(rich_help_panel=RESULTS)
def figures(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Folder for the figures; DIR/figures by default.")
    ] = None,
) -> None:
    """Draw every figure whose tables are in a results folder, as PNG and SVG.

    Example:
        ncbench figures ncbench-results
    """
    from ncbench.report.figures import draw_figures

    folder = Path(results)
    if not folder.is_dir():
        raise UsageError(f"There is no results folder '{results}'.", hint="Name the folder given to --out.")
    target = folder / "figures" if out is None else Path(out)
    written = draw_figures(folder, target)
    if not written:
        raise UsageError(
            f"No table in '{results}' has a figure.", hint="Run ncbench lambda --resolve pairs or --scan-step there."
        )
    sys.stdout.write(_named(written, target))


def after_run(rows: Mapping[str, Sequence[Mapping[str, Any]]], out: str, *, silent: bool) -> None:
    """Draw the figures of the tables that a run wrote, and print means over its structures."""
    from ncbench.report.figures import draw_figures

    folder, target = Path(out), Path(out) / "figures"
    sides = [f"{command}-{side}" for command in rows for side in registry.get(command).side_schemas]
    written = draw_figures(folder, target, tables=[*rows, *sides])
    if silent:
        return
    if written:
        sys.stdout.write(_named(written, target))
    for command, of_command in rows.items():

        def side(
            name: str, command: str = command, main: Sequence[Mapping[str, Any]] = of_command
        ) -> Sequence[Mapping[str, Any]]:
            return _side_rows(folder, f"{command}-{name}", main)

        for line in registry.get(command).remarks(of_command, side):
            sys.stdout.write(line + "\n")


def _side_rows(folder: Path, table: str, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Rows of a side table with status ``ok`` or ``exploded`` (which protocols score) that belong to the jobs of ``rows``."""
    from ncbench.report.read import read_every_row

    frame = read_every_row(folder / f"{table}.parquet")
    jobs = {row["job"] for row in rows}
    if frame is None:
        return []
    chosen = frame[frame["job"].isin(jobs) & frame["status"].isin(["ok", "exploded"])]
    records: list[dict[str, Any]] = chosen.to_dict("records")  # type: ignore[assignment]
    return records


def _named(written: Sequence[Path], target: Path) -> str:
    stems = ", ".join(dict.fromkeys(path.stem for path in written))
    suffixes = " and ".join(dict.fromkeys(path.suffix for path in written))
    return f"Figures: {stems} as {suffixes} in {target}\n"
