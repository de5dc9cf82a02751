"""The command ``analyse``: observables of trajectories and drifts of logs of any program."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.options import JsonOption
from ncbench.cli.panels import DIAGNOSTICS
from ncbench.errors import UsageError

app = typer.Typer()


@app.command(rich_help_panel=DIAGNOSTICS)
def analyse(
    trajectories: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="Trajectories that ASE reads, several being replicas of one system; or logs of energies, several being runs of one system.",
        ),
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
            autocompletion=complete.observables,
            help="Of temperature, rdf, orientation, spectrum, msd; by default all that can be computed from the files.",
        ),
    ] = None,
    timestep: Annotated[
        str | None,
        typer.Option(
            "--timestep",
            metavar="FS[,FS…]",
            help="Trajectories: time between frames, where the files do not say. Logs: time step of the integrator, one for all or one for each.",
        ),
    ] = None,
    skip: Annotated[
        float, typer.Option("--skip", metavar="FS", help="Left out at the start of each file or run.")
    ] = 0.0,
    blocks: Annotated[int, typer.Option("--blocks", min=1, help="Blocks per file, for the errors.")] = 5,
    bin_A: Annotated[float, typer.Option("--bin", metavar="Å", help="Width of the bins of g(r).")] = 0.05,
    units: Annotated[
        str | None,
        typer.Option(
            "--units",
            metavar="STYLE|Q=UNIT,…",
            help="Logs: a LAMMPS style (metal, real, …, lj:epsilon=eV,sigma=Å,mass=u), or time=ps,energy=kJ/mol; eV/atom for energies per atom.",
        ),
    ] = None,
    atoms: Annotated[
        int | None, typer.Option("--atoms", metavar="N", help="Logs: number of atoms, where they do not say.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="Q=COLUMN,…",
            help="Tables of other programs: columns by heading or number, of time, step, energy, potential, kinetic, conserved, temperature.",
        ),
    ] = None,
    ensemble: Annotated[
        str | None,
        typer.Option("--ensemble", **complete.choices("nve|thermostat"), help="Logs: ensemble, where they do not say."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="STEPS", min=1, help="Logs: time steps between lines without times."),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What the tables and figures call these files.")] = "",
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder for the tables and figures.")
    ] = "ncbench-analysis",
    as_json: JsonOption = False,
) -> None:
    """Trajectories: temperatures, g(r), orientations, velocity spectra and diffusion. Logs: drift of the conserved quantity and its cause.

    Nothing is simulated. Any trajectory ASE reads will do, such as those of --trajectory-every; with --reference, differences too. Errors are
    from blocks and replicas.

    Logs are recognised by their content: LAMMPS (log.lammps, all thermo styles), ASE MDLogger, i-PI properties, OpenMM StateDataReporter,
    GPUMD thermo.out (with run.in beside it), torch-sim HDF5 (with h5py), and any table with --columns. Units, number of atoms and
    time step are taken from the log; the command asks for an option where the log lacks one of them. Each run of a log gets a row: the power (slope of the conserved
    quantity per atom), the heating rate r = P/(3 k_B T) and the temperature. Errors include the rounding of printed digits.

    The verdict is model, time step, thermostat, no heating, or cannot tell, with the run that would decide. Two logs of different time
    steps separate the model's work, which does not depend on the time step, from the integrator's, which falls as its square.

    Displaced structures with forces (outputs of ml-peg's benchmark of the Jacobian's symmetry: dof and sign in the comment lines) give λ with an error from the
    printed digits, from float32 (which a file cannot exclude) and from J T = 0 of rigid translations.

    Examples:
        ncbench analyse first.traj second.traj

        ncbench analyse ml-peg/outputs/MODEL/*.xyz

        ncbench analyse direct-*.xyz --reference conservative-*.xyz --observables rdf,spectrum --skip 1000

        ncbench analyse log.lammps

        ncbench analyse md-1fs.log md-half-fs.log --timestep 1,0.5 --atoms 192 --ensemble nve

        ncbench analyse energies.csv --columns time=t,energy=Etot,temperature=T --units time=ps,energy=kJ/mol --atoms 648
    """
    from ncbench.cli.analyse_logs import analyse_logs
    from ncbench.cli.execute import prepare
    from ncbench.diagnostics.displaced_frames import displaced_among, refuse_options
    from ncbench.logs.request import LogRequest, logs_among
    from ncbench.structures.repeats import refuse_repeats

    prepare(None)
    refuse_repeats([Path(path) for path in trajectories])
    refuse_repeats([Path(path) for path in reference or ()])
    steps = _positive_times(timestep)
    if not (skip >= 0 and math.isfinite(skip)) or not (bin_A > 0 and math.isfinite(bin_A)):
        raise UsageError("--skip must be ≥ 0 and finite, and --bin positive and finite.")
    request = LogRequest(units, atoms, columns, ensemble, every, steps, skip)
    if displaced_among(trajectories):
        from ncbench.cli.analyse_displaced import analyse_displaced

        refuse_options(request.given(), references=bool(reference), observables=observables is not None)
        raise typer.Exit(analyse_displaced(trajectories, label=label, out=Path(out), as_json=as_json))
    if logs_among(trajectories, request):
        if reference or observables:
            raise UsageError("--reference and --observables are of trajectories; a log holds no positions.")
        code = analyse_logs(trajectories, request, label=label, out=Path(out), as_json=as_json)
        raise typer.Exit(code)
    if request.given():
        raise UsageError(
            f"{', '.join(request.given())} {'is' if len(request.given()) == 1 else 'are'} of logs, and '{trajectories[0]}' is none.",
            hint="If it is a table of energies, name its columns and units: --columns time=…,energy=… --units time=ps,energy=eV.",
        )
    if len(steps) > 1:
        raise UsageError("--timestep takes one time for trajectories.")
    _analyse_trajectories(
        trajectories,
        reference or [],
        observables,
        steps[0] if steps else None,
        skip,
        blocks,
        bin_A,
        label,
        Path(out),
        as_json=as_json,
    )


def _positive_times(typed: str | None) -> tuple[float, ...]:
    """``1`` or ``1,0.5``."""
    if typed is None:
        return ()
    try:
        steps = tuple(float(part) for part in typed.split(","))
    except ValueError:
        raise UsageError(f"--timestep {typed} is not a time in fs.") from None
    if not all(step > 0 and math.isfinite(step) for step in steps):
        raise UsageError(f"--timestep {typed} is not a positive time.")
    return steps


def _analyse_trajectories(
    trajectories: list[str],
    reference: list[str],
    observables: str | None,
    timestep: float | None,
    skip: float,
    blocks: int,
    bin_A: float,
    label: str,
    out: Path,
    *,
    as_json: bool,
) -> None:
    from ncbench.observables.analysis import analyse as measure
    from ncbench.observables.analysis import check_names, what_there_is
    from ncbench.observables.trajectory import read_trajectory

    names = None if observables is None else [name.strip() for name in observables.split(",") if name.strip()]
    if names is not None:
        check_names(names)
    samples = [read_trajectory(Path(path), interval_fs=timestep, skip_fs=skip) for path in trajectories]
    references = [read_trajectory(Path(path), interval_fs=timestep, skip_fs=skip) for path in reference]
    rows = measure(samples, names or what_there_is(samples, blocks), reference=references, blocks=blocks, bin_A=bin_A)
    options = {"timestep": timestep, "skip": skip, "blocks": blocks, "bin_A": bin_A, "observables": observables}
    written = _write(rows, out, label or samples[0].name, [*trajectories, *reference], options)
    if as_json:
        print_json(rows[""])
        return
    from ncbench.cli.tables import print_rows

    print_rows("analyse", [{"model": label or samples[0].name, **row} for row in rows[""]])
    sys.stdout.write(f"Tables: {', '.join(written)} and .parquet in {out}\n")


def _write(
    rows: dict[str, list[dict[str, Any]]], out: Path, label: str, files: list[str], options: dict[str, Any]
) -> list[str]:
    from ncbench.observables.tables import SCHEMAS
    from ncbench.report.figures import draw_figures
    from ncbench.store.analysis_tables import write_tables

    tables = [(SCHEMAS[side], side_rows) for side, side_rows in rows.items()]
    written = write_tables(out, tables, label=label, files=map(Path, files), record={"options": options})
    drawn = draw_figures(out, out / "figures", tables=[schema.name for schema, _ in tables])
    return [*written, *(f"figures/{path.name}" for path in drawn)]
