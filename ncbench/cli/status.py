"""The command ``status``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.options import JsonOption
from ncbench.cli.panels import RESULTS
from ncbench.errors import UsageError

app = typer.Typer()


@app.command("status", rich_help_panel=RESULTS)
def status(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE.toml]", help="Also list the missing jobs of this suite.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", **complete.choices("smoke|laptop|paper"), help="Budget used instead of the suite's own."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Status of jobs by diagnostic: finished, failed, running, begun, missing, and outdated (of another version of the diagnostic).
    Nothing is run or written; other processes may use the folder.

    Examples:
        ncbench status results-paper

        ncbench status results-paper benchmarks/paper/table8.toml --budget laptop --json
    """
    folder = Path(results)
    if not (folder / "jobs").is_dir():
        raise UsageError(f"There is no results folder '{results}'.", hint="Name the folder given to --out.")
    from ncbench.cli.execute import budget_of
    from ncbench.run.plan import load_suite
    from ncbench.run.status import JobState, counted, of_folder, of_jobs
    from ncbench.store.view import View

    view = View(folder)
    if suite is None:
        jobs = of_folder(view)
    else:
        jobs = of_jobs(load_suite(Path(suite), None if budget is None else budget_of(budget)), view)
    if as_json:
        rows = [
            {
                "job": one.key,
                "diagnostic": one.diagnostic,
                "model": one.model,
                "system": one.system,
                "state": str(one.state),
            }
            for one in jobs
        ]
        print_json(rows)
        return
    from ncbench.cli.listing import print_table

    states = [str(state) for state in JobState]
    counts = counted(jobs)
    table = [
        {"diagnostic": name or "(not recorded)", **{state: str(number.get(state, 0) or "") for state in states}}
        for name, number in counts.items()
    ]
    totals = {state: str(sum(number.get(state, 0) for number in counts.values())) for state in states}
    print_table([*table, {"diagnostic": "together", **totals}], as_json=False)
    for one in jobs:
        if one.state is JobState.FAILED:
            sys.stdout.write(f"failed: {one.diagnostic} of {one.model} on {one.system} ({one.key})\n")
