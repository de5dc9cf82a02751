"""The command ``analyse``: observables of trajectories that anyone wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ncbench.cli.options import JsonOption
from ncbench.cli.panels import DIAGNOSTICS
from ncbench.errors import UsageError

app = typer.Typer()


@app.command(rich_help_panel=DIAGNOSTICS)
def analyse(
    trajectories: Annotated[
        list[str],
        typer.Argument(metavar="TRAJ…", help="Trajectories that ASE reads; several are replicas of one system."),
    ],
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", metavar="TRAJ", help="Trajectories to subtract; repeat it for replicas."),
    ] = None,
    observables: Annotated[
        str | None,
        typer.Option(
            "--observables",
            metavar="NAME,NAME,…",
            help="Of temperature, rdf, orientation, spectrum, msd; by default all that the files can tell.",
        ),
    ] = None,
    timestep: Annotated[
        float | None,
        typer.Option("--timestep", metavar="FS", help="Time between frames, where the files do not say."),
    ] = None,
    skip: Annotated[float, typer.Option("--skip", metavar="FS", help="Left out at the start of each file.")] = 0.0,
    blocks: Annotated[int, typer.Option("--blocks", min=1, help="Blocks a file, for the errors.")] = 5,
    bin_A: Annotated[float, typer.Option("--bin", metavar="Å", help="Width of the bins of g(r).")] = 0.05,
    label: Annotated[str, typer.Option("--label", help="What the tables and figures call these trajectories.")] = "",
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder for the tables and figures.")
    ] = "ncbench-analysis",
    as_json: JsonOption = False,
) -> None:
    """Temperatures, g(r), orientations, velocity spectra and diffusion of trajectories, with errors from blocks and replicas.

    Nothing is simulated: any file ASE reads will do, such as those of --trajectory-every. With --reference, differences too.

    Examples:
        ncbench analyse ncbench-results/jobs/*/*.traj

        ncbench analyse direct-*.xyz --reference conservative-*.xyz --observables rdf,spectrum --skip 1000
    """
    from ncbench.cli.execute import prepare
    from ncbench.observables.analysis import analyse as measure
    from ncbench.observables.analysis import check_names, what_there_is
    from ncbench.observables.trajectory import read_trajectory

    prepare(None)
    if timestep is not None and not timestep > 0:
        raise UsageError(f"--timestep {timestep} is not a positive time.")
    if skip < 0 or not bin_A > 0:
        raise UsageError("--skip must be ≥ 0 and finite, and --bin positive and finite.")
    names = None if observables is None else [name.strip() for name in observables.split(",") if name.strip()]
    if names is not None:
        check_names(names)
    mine = [read_trajectory(Path(path), interval_fs=timestep, skip_fs=skip) for path in trajectories]
    theirs = [read_trajectory(Path(path), interval_fs=timestep, skip_fs=skip) for path in reference or ()]
    rows = measure(mine, names or what_there_is(mine, blocks), reference=theirs, blocks=blocks, bin_A=bin_A)
    written = _write(rows, Path(out), label or mine[0].name, [*trajectories, *(reference or ())], vars_of(locals()))
    if as_json:
        sys.stdout.write(json.dumps(rows[""], indent=1, ensure_ascii=False) + "\n")
        return
    from ncbench.cli.tables import print_rows

    print_rows("analyse", [{"model": label or mine[0].name, **row} for row in rows[""]])
    sys.stdout.write(f"Tables: {', '.join(written)} and .parquet in {out}\n")


def vars_of(values: dict[str, Any]) -> dict[str, Any]:
    """The options as they were given, for the record."""
    kept = ("timestep", "skip", "blocks", "bin_A", "observables")
    return {name: values[name] for name in kept}


def _write(
    rows: dict[str, list[dict[str, Any]]], out: Path, label: str, files: list[str], options: dict[str, Any]
) -> list[str]:
    import ncbench
    from ncbench.observables.tables import SCHEMAS
    from ncbench.report.figures import draw_figures
    from ncbench.store.files import file_digest, make_folder, write_atomic
    from ncbench.store.tables import csv_bytes, parquet_bytes, table_of

    make_folder(out)
    common = {"model": label, "force_mode": "", "system": label, "seed": 0, "dtype": "", "device": ""}
    names = []
    for side, found in rows.items():
        table = table_of(SCHEMAS[side], found, common, "")
        stem = f"analyse-{side}" if side else "analyse"
        write_atomic(out / f"{stem}.parquet", parquet_bytes(table))
        write_atomic(out / f"{stem}.csv", csv_bytes(table))
        names.append(f"{stem}.csv")
    record = {
        "ncbench": ncbench.__version__,
        "options": options,
        "files": {Path(file).name: file_digest(Path(file)) for file in files},
    }
    write_atomic(out / "analyse.provenance.json", (json.dumps(record, indent=1) + "\n").encode())
    drawn = draw_figures(out, out / "figures", tables=[f"analyse-{side}" if side else "analyse" for side in rows])
    return [*names, *(f"figures/{path.name}" for path in drawn)]
