"""The command ``assess``: from a model to a decision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ncbench.cli import complete
from ncbench.cli.characters import print_json
from ncbench.cli.execute import models, prepare, system
from ncbench.cli.options import Common, Overrides, with_common
from ncbench.cli.panels import START
from ncbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ncbench.assess.evidence import Use
    from ncbench.assess.result import Assessment
    from ncbench.types import Job

app = typer.Typer()
PANEL = "What is asked"
MINUTE = 60.0
LEAST_OVER = 0.05
"""Share of the requested time by which it may be exceeded without a line."""


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": MINUTE, "h": 60.0 * MINUTE}
    number, unit = (text[:-1], units.get(text[-1:], 0.0)) if text[-1:] in units else (text, MINUTE)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise UsageError(f"--time {text} is not a length of time.", hint="Write 10m, 90s or 2h.")
    return seconds


def _assess(_: str, common: Common, own: Overrides) -> None:
    from ncbench.assess.assess import assess
    from ncbench.assess.evidence import DEFAULT_USES
    from ncbench.assess.means import Means
    from ncbench.assess.page import write
    from ncbench.assess.question import question_of, uses_of
    from ncbench.cli.assess_live import LiveReporter
    from ncbench.cli.environments import consent
    from ncbench.cli.progress import TerminalReporter
    from ncbench.run.cases import CaseLoader
    from ncbench.run.local import Summary, run_jobs, validate_jobs
    from ncbench.run.plan import plan_jobs
    from ncbench.run.reuse import Reuse, is_reusable, threads_now
    from ncbench.run.status import key_of
    from ncbench.store.store import Store
    from ncbench.types import Budget

    uses = DEFAULT_USES if own.get("uses") is None else uses_of(str(own["uses"]).split(","))
    timestep_fs = own.get("timestep_fs")
    budget_s = _seconds(str(own.get("time") or "10m"))
    prepare(common.threads)
    requested = models(common)
    structures = system(common)
    overrides = {"nve-drift": {} if timestep_fs is None else {"timestep_fs": timestep_fs}}
    probes = plan_jobs(
        ["nve-drift"], requested, structures, budget=Budget.SMOKE, seeds=[common.seed], overrides=overrides
    )
    validate_jobs(probes)
    store, cases, folder = Store(Path(common.out)), CaseLoader(), Path(common.out)
    live = LiveReporter()
    reporter = live if live.console.is_terminal and not common.quiet else TerminalReporter(quiet=common.quiet)
    reuse = Reuse.ALL if common.reuse else Reuse.KNOWN

    def run(jobs: Sequence[Job]) -> Summary:
        return run_jobs(jobs, store, reporter, consent=consent(yes=common.yes), reuse=reuse, cases=cases)

    def finished(job: Job) -> bool:
        return is_reusable(reuse, job, store, key_of(job, cases.of(job)), threads=threads_now())

    def run_again(jobs: Sequence[Job]) -> Summary:
        return run_jobs(jobs, store, reporter, consent=consent(yes=common.yes), reuse=Reuse.NEVER, cases=cases)

    means = Means(folder=folder, run=run, finished=finished, watch=live.watch, run_again=run_again)
    questions = [
        question_of(request, structures, uses, cases.of(probe), seed=common.seed, timestep_fs=timestep_fs)
        for request, probe in zip(requested, probes, strict=True)
    ]
    try:
        assessments = assess(questions, means, seconds=budget_s)
    finally:
        reporter.close()
    written = write(assessments, folder)
    if common.as_json:
        print_json([one.plain() for one in assessments])
    else:
        sys.stdout.write(_text(assessments, uses, budget_s))
        sys.stdout.write(f"Page: {written}; tables and details: ncbench report {folder}\n")
    if any(one.answer(use) != "safe" for one in assessments for use in uses):
        raise typer.Exit(1)


def _text(assessments: Sequence[Assessment], uses: Sequence[Use], budget_s: float) -> str:
    """The answers, what they mean, and how to go on."""
    from ncbench.assess.evidence import Use
    from ncbench.assess.result import legend
    from ncbench.statistics.format import duration

    lines = [*map(str, assessments), legend(uses)]
    rest = [str(use) for use in Use if use not in uses]
    lines += [f"Not asked: {', '.join(rest)} (--for {','.join(rest)})."] if rest else []
    over = sum(one.seconds for one in assessments) - budget_s
    if over > LEAST_OVER * budget_s:
        lines.append(f"{duration(over)} more than --time: steps took longer than expected.")
    if any(one.undecided for one in assessments):
        lines.append("Run the same command again to continue, with another --time.")
    return "\n".join(lines) + "\n"


@app.command("assess", rich_help_panel=START)
@with_common(_assess, "assess", without=("budget",))
def assess_command(
    uses: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="USE,USE,…",
            autocompletion=complete.uses,
            help="Uses to decide: nve, nvt-local (Langevin; these two by default), nvt-global (velocity rescaling, from 10 ps), npt (from 2 ps; needs a stress "
            "and i-PI), relax (about 80 relaxations; of water molecules if no structure is given).",
            rich_help_panel=PANEL,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            metavar="T",
            help="Time to spend on all models, trying remedies included, such as 90s, 10m (default) or 2h.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    timestep_fs: Annotated[
        float | None,
        typer.Option(
            "--timestep",
            metavar="FS",
            help="Time step of all dynamics, fs; the system's own by default. What is safe with a long one is safe with a shorter one.",
            rich_help_panel=PANEL,
        ),
    ] = None,
) -> Overrides:
    """May this model be used for NVE, NVT, NPT, relaxations? Runs diagnostics until each use is decided or the time is spent.

    Each use is called safe, unsafe or open, with its evidence and, where open, with what it would take to decide. For unsafe dynamics remedies are
    tried (a thermostat that is short enough, multiple time stepping, conservative forces) and printed with their price; verified means that a run
    showed it at three standard errors. --out holds the tables, assess.html and assess.json. Exit code 0 where every use is safe, 1 otherwise.
    The same command continues.

    Examples:
        ncbench assess --model pet-m:direct --time 5m

        ncbench assess --model ./model.pt --structure my.xyz --for nve,relax
    """
    asked = {"uses": uses, "time": time, "timestep_fs": timestep_fs}
    return {key: value for key, value in asked.items() if value is not None}
