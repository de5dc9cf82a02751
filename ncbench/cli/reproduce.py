"""``ncbench reproduce``: reproduction of the paper's tables and figures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.compare_paper import StandInOption, stand_ins
from ncbench.cli.consoles import table_console
from ncbench.cli.options import JsonOption, OutOption, QuietOption, ThreadsOption, YesOption
from ncbench.cli.panels import PAPER
from ncbench.cli.running import (
    JobsPerGpuOption,
    RetriesOption,
    SchedulerOption,
    SlurmOption,
    WorkersOption,
    how_of,
    run_jobs,
)
from ncbench.errors import UsageError
from ncbench.options import RESULTS_FOLDER
from ncbench.statistics.format import duration

if TYPE_CHECKING:
    from ncbench.paper.compare import Comparison
    from ncbench.paper.reproduce.estimate import Estimate
    from ncbench.paper.reproduce.plan import Plan
    from ncbench.run.local import Summary
    from ncbench.types import Job

app = typer.Typer()
LONG_HOURS = 2.0
"""Time from which a terminal user is asked before a run, s."""


@app.command(rich_help_panel=PAPER)
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE|FIGURE]...",
            autocompletion=complete.targets,
            help="Such as table8, lambda or figure2; or all. Without targets, list them.",
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            autocompletion=complete.of_metavar("smoke|laptop|paper"),
            help="smoke (a minute), laptop (an hour on 2 cores) or paper (the paper's lengths).",
        ),
    ] = "laptop",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="SPEC",
            autocompletion=complete.models,
            help="Used instead of the models of the table; repeat it.",
        ),
    ] = None,
    stand_in: StandInOption = None,
    download: Annotated[
        bool, typer.Option("--download", help="Include models whose package or weights are not on this machine yet.")
    ] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Print the jobs and their estimated time, and stop.")
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", metavar="H", help="Run only the jobs that fit by the estimate.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, …")] = "cpu",
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32 or float64; each model's own by default.")
    ] = None,
    threads: ThreadsOption = None,
    retries: RetriesOption = 0,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    jobs_per_gpu: JobsPerGpuOption = 1,
    yes: YesOption = False,
    out: OutOption = RESULTS_FOLDER,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Reproduce tables and figures of the paper: run missing jobs, and print the comparison with the paper.

    Finished jobs in the results folder are not repeated. Models whose weights are not on this machine are left out and named;
    `--download` fetches them.

    Examples:
        ncbench reproduce table8

        ncbench reproduce all --budget laptop --out results-paper

        ncbench reproduce lambda table10 --model mine.pt:direct --as pet-nc=mine.pt:direct

        ncbench reproduce all --budget paper --device cuda --plan

        ncbench reproduce table8 --budget paper --device cuda --workers 4 --jobs-per-gpu 4
    """
    from ncbench.cli.execute import budget_of, prepare
    from ncbench.paper.reproduce.targets import choose, targets

    if not names:
        _list_targets(list(targets().values()), as_json=as_json)
        return
    if max_hours is not None and not max_hours > 0:
        raise UsageError(f"--max-hours {max_hours} is not a positive number.")
    how = how_of(
        workers=workers, scheduler=scheduler, slurm=slurm, jobs_per_gpu=jobs_per_gpu, threads=threads, retries=retries
    )
    chosen = choose(names)
    standing = stand_ins(stand_in or ())
    prepare(threads)
    from ncbench.cli.environments import consent
    from ncbench.cli.progress import TerminalReporter
    from ncbench.paper.compare import counterparts
    from ncbench.paper.reproduce import estimate as estimates
    from ncbench.paper.reproduce.plan import plan
    from ncbench.run.local import validate_jobs
    from ncbench.store.store import Store

    counterparts(standing)
    folder = Path(out)
    store = Store(folder)
    planned = plan(
        chosen, budget_of(budget), store, models=tuple(model or ()), device=device, dtype=dtype, download=download
    )
    validate_jobs(planned.jobs)
    reporter = TerminalReporter(quiet=quiet)
    agreed = consent(yes=yes)
    try:
        times = estimates.estimate(planned.unfinished, planned.sizes, folder, reporter, consent=agreed)
        jobs, too_long = _within(planned, times, max_hours)
        if not as_json:
            _show_plan(planned, times, too_long)
        if plan_only:
            if as_json:
                _json(
                    {
                        "jobs": [_described(job, planned, times) for job in planned.jobs],
                        "left_out": dict(planned.no_data) | dict(planned.left_out),
                    }
                )
            return
        _ask(times.total(jobs), yes=yes)
        summary = run_jobs(jobs, store, reporter, consent=agreed, how=how)
    finally:
        reporter.close()
    _report(planned, summary, folder, standing, as_json=as_json)
    # Jobs that could not be started count as failed.
    if summary.failed or planned.no_data:
        raise typer.Exit(1)


def _report(planned: Plan, summary: Summary, folder: Path, standing: Mapping[str, str], *, as_json: bool) -> None:
    from ncbench.paper.page import report
    from ncbench.paper.reproduce.outcome import FOLDER, comparisons
    from ncbench.paper.reproduce.structure import measure
    from ncbench.paper.stand_ins import absent
    from ncbench.report.figures import draw_figures

    missing = [
        sentence for target in planned.targets if planned.of[target.name] for sentence in measure(target, folder)
    ]
    made = comparisons(
        planned.targets, folder, left_out=dict(planned.no_data) | dict(planned.left_out), stand_ins=standing
    )
    sys.stderr.writelines(f"warning: {sentence}\n" for sentence in absent(standing, [folder]))
    figures = draw_figures(folder, folder / "figures")
    page = report(folder, stand_ins=standing)
    failures = [row for rows in summary.rows.values() for row in rows if row["status"] not in ("ok", "exploded")]
    if as_json:
        cells = [cell.row() for comparison in made for cell in comparison.cells]
        _json(
            {
                "cells": cells,
                "failed": failures,
                "missing": missing,
                "figures": list(map(str, figures)),
                "report": str(page),
            }
        )
        return
    from ncbench.paper.terminal import show

    console = table_console()
    for comparison in made:
        show(comparison, console)
    _say_where(made, figures, folder, FOLDER)
    for sentence in missing:
        sys.stdout.write(f"{sentence}\n")
    for row in failures:
        name = f"{row['model']}:{row['force_mode']}" if row["force_mode"] else row["model"]
        sys.stdout.write(f"{row['status']}: {name} on {row['structure'] or row['system']}: {row['reason']}\n")


def _say_where(made: Sequence[Comparison], figures: Sequence[Path], folder: Path, inside: str) -> None:
    if made:
        names = ", ".join(f"paper-{comparison.table.name}" for comparison in made)
        sys.stdout.write(f"Comparisons: {names} as .csv, .parquet, .md and .tex in {folder / inside}\n")
    if figures:
        stems = ", ".join(dict.fromkeys(path.stem for path in figures))
        sys.stdout.write(f"Figures: {stems} as .png and .svg in {folder / 'figures'}\n")
    sys.stdout.write(f"Report: {folder / 'report.html'}\nResult tables: {folder}\n")


def _within(planned: Plan, times: Estimate, max_hours: float | None) -> tuple[list[Job], list[Job]]:
    """The jobs to run, finished ones first, and those that do not fit."""
    kept = [job for job in planned.jobs if job in planned.finished]
    left, too_long = (max_hours or float("inf")) * 3600.0, []
    for job in planned.unfinished:
        seconds = times.seconds[job] or 0.0
        if seconds <= left:
            kept.append(job)
            left -= seconds
        else:
            too_long.append(job)
    if not kept:
        raise UsageError("Nothing fits into --max-hours.", hint="--plan shows the time of each table.")
    return kept, too_long


def _show_plan(planned: Plan, times: Estimate, too_long: Sequence[Job]) -> None:
    shown = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for heading, side in (("target", "left"), ("jobs", "right"), ("finished", "right"), ("time left", "right")):
        shown.add_column(heading, justify=side)  # type: ignore[arg-type]
    seen: set[Job] = set()
    for target in planned.targets:
        jobs = planned.of[target.name]
        fresh = [job for job in jobs if job not in seen and job not in planned.finished]
        seen.update(jobs)
        done = sum(job in planned.finished for job in jobs)
        shown.add_row(target.name, str(len(jobs)), str(done), duration(times.total(fresh)) if fresh else "–")
    unfinished = planned.unfinished
    shown.add_row("together", str(len(planned.jobs)), str(len(planned.finished)), duration(times.total(unfinished)))
    console = table_console()
    console.print(shown)
    console.print(
        Text(
            "Times are estimates from force calls measured on this machine; a job counts for the first table that needs it."
        )
    )
    for system, reason in planned.no_data.items():
        console.print(Text(f"left out: {system}: {reason}"))
    for model, reason in planned.left_out.items():
        console.print(Text(f"left out: {model}: {reason}"))
    if too_long:
        console.print(Text(f"left out: {len(too_long)} jobs that do not fit into --max-hours"))


def _described(job: Job, planned: Plan, times: Estimate) -> dict[str, Any]:
    return {
        "diagnostic": job.diagnostic,
        "model": job.model.spec,
        "system": job.system.label,
        "structures": len(planned.sizes[job]),
        "targets": [name for name, jobs in planned.of.items() if job in jobs],
        "finished": job in planned.finished,
        "estimated_seconds": None if job in planned.finished else times.seconds[job],
    }


def _ask(seconds: float, *, yes: bool) -> None:
    if yes or seconds < LONG_HOURS * 3600.0 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not typer.confirm(f"This will take about {duration(seconds)}. Continue?", default=True, err=True):
        raise typer.Exit(0)


def _list_targets(targets: Sequence[Any], *, as_json: bool) -> None:
    rows = [{"target": t.name, "paper's numbers": ", ".join(t.fills), "what": t.summary} for t in targets]
    from ncbench.cli.listing import print_table

    print_table(rows, as_json=as_json)


def _json(content: object) -> None:
    print_json(content)
