"""The command ``figures``, and the figures and closing lines that follow a run's tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ncbench.errors import UsageError
from ncbench.statistics.format import ABSENT, number, with_error

app = typer.Typer()
SUMMARY = "lambda-summary"
TIMESTEPS = "nve-drift-timesteps"


@app.command()
def figures(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where the figures go; DIR/figures by default.")
    ] = None,
) -> None:
    """Draw every figure for which a results folder holds the tables, as PNG and SVG.

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
    """Draw the figures of the tables that a run wrote, and say what its structures add up to."""
    from ncbench.diagnostics import registry
    from ncbench.report.figures import draw_figures

    folder, target = Path(out), Path(out) / "figures"
    sides = [f"{command}-{side}" for command in rows for side in registry.get(command).side_schemas]
    written = draw_figures(folder, target, tables=[*rows, *sides])
    if silent:
        return
    if written:
        sys.stdout.write(_named(written, target))
    drifts = rows.get("nve-drift", ())
    for line in (*_over_structures(rows.get("lambda", ()), folder), *_whose_drift(drifts, folder), *_too_short(drifts)):
        sys.stdout.write(line + "\n")


def _named(written: Sequence[Path], target: Path) -> str:
    stems = ", ".join(dict.fromkeys(path.stem for path in written))
    suffixes = " and ".join(dict.fromkeys(path.suffix for path in written))
    return f"Figures: {stems} as {suffixes} in {target}\n"


def _whose_drift(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """What drifts at several time steps say: are they the forces', or the integrator's?"""
    jobs = {row["job"] for row in rows}
    if len(jobs) == len(rows):
        return []
    from ncbench.diagnostics.timesteps import Verdict
    from ncbench.report.tables import read_table

    said = {
        Verdict.FORCES: "the drift is the forces'",
        Verdict.INTEGRATOR: "the drift is the integrator's",
        Verdict.BOTH: "the drift is the forces' and the integrator's",
        Verdict.NONE: "no drift beyond its error",
    }
    frame = read_table(folder / f"{TIMESTEPS}.parquet")
    lines = []
    for row in () if frame is None else frame[frame["job"].isin(jobs)].to_dict("records"):
        name = f"{row['model']}:{row['force_mode']}" if row["force_mode"] else row["model"]
        limit = with_error(row["limit_meV_per_atom_per_ps"], row["limit_meV_per_atom_per_ps_se"])
        exponent = with_error(row["ratio_order"], row["ratio_order_se"])
        order = "" if exponent == ABSENT else f", |drift| ∝ Δt^{exponent}"
        verdict = said[Verdict(row["verdict"])]
        lines.append(f"{name}, {row['structure']}: {verdict} ({limit} meV/atom/ps are left at Δt → 0{order})")
    return lines


def _too_short(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The runs whose noise cannot be told from a random walk."""
    short = [row for row in rows if row["status"] == "ok" and row.get("plateau") is False]
    if not short:
        return []
    names = ", ".join(
        f"{row['model']}:{row['force_mode']} {row['structure']} {row['timestep_fs']:g} fs" for row in short
    )
    return [f"Too short to tell the energy's noise from a random walk, so that errors are wide: {names}"]


def _over_structures(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """Mean λ of each job with several structures."""
    jobs = [row["job"] for row in rows]
    if len(set(jobs)) == len(jobs):
        return []
    from ncbench.report.tables import read_table

    frame = read_table(folder / f"{SUMMARY}.parquet")
    found = [] if frame is None else [row for row in frame.to_dict("records") if row["job"] in jobs]
    lines = []
    for row in found:
        name = f"{row['model']}:{row['force_mode']}" if row["force_mode"] else row["model"]
        if row["n_above_floor"] == 0:
            floors = [main["lambda_floor"] for main in rows if main["job"] == row["job"] and main["lambda_floor"]]
            value = f"λ ≤ {number(max([row['lambda_most'], *floors]), 1)}, at the floor"
        else:
            ends = f"{number(row['lambda_low'])} to {number(row['lambda_high'])}"
            value = f"λ = {with_error(row['lambda'], row['lambda_se'])}, 95 % interval {ends}, spread {number(row['lambda_sd'], 2)}"
        lines.append(f"{name}, {row['system']}, {row['n_structures']} structures: {value}")
    return lines
