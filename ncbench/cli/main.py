"""The command ``ncbench``: assembly of commands, and handling of errors."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import ncbench
from ncbench.cli import (
    analyse,
    assess,
    bash_words,
    cards,
    check,
    compare_models,
    compare_paper,
    complete,
    doctor,
    environments,
    figures,
    listing,
    measure,
    own_models,
    report,
    reproduce,
    show_model,
    status,
)
from ncbench.cli.characters import spell_what_streams_lack
from ncbench.cli.execute import run as run_and_print
from ncbench.cli.options import JsonOption, OutOption, QuietOption, ReuseOption, ThreadsOption, YesOption
from ncbench.cli.panels import COMPARE, DIAGNOSTICS, LISTS, PAPER, START
from ncbench.cli.running import JobsPerGpuOption, RetriesOption, SchedulerOption, SlurmOption, WorkersOption, how_of
from ncbench.errors import NcbenchError
from ncbench.options import RESULTS_FOLDER

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
"""Errors of a device, not of a path that the user typed."""
INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""


class _ByUse(TyperGroup):
    """Lists ``assess`` first, which answers a newcomer's question with one command."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "assess")


app = typer.Typer(
    name="ncbench",
    cls=_ByUse,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How far are a model's forces from being the gradient of an energy, and how does that affect a simulation?\n\n"
    "The diagnostics of *The dark side of the forces* (Bigi, Langer, Ceriotti, ICML 2025) for machine-learned interatomic "
    "potentials. Start with `ncbench assess --model pet-m:direct`.\n\n"
    "Exit codes: 0 everything ran, 1 a job failed or a check did not hold, 2 the request is wrong, 3 a bug in ncbench, 130 interrupted.",
)


app.add_typer(assess.app)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"ncbench {ncbench.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=START)
def run(
    suite: Annotated[str, typer.Argument(metavar="SUITE.toml", help="TOML file with models, systems and settings.")],
    out: OutOption = RESULTS_FOLDER,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    threads: ThreadsOption = None,
    yes: YesOption = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", **complete.choices("smoke|laptop|paper"), help="Used instead of the suite's own."),
    ] = None,
    max_hours: Annotated[
        float | None,
        typer.Option("--max-hours", metavar="H", help="Stop after H hours; running jobs save their checkpoints."),
    ] = None,
    retries: RetriesOption = 0,
    reuse: ReuseOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    jobs_per_gpu: JobsPerGpuOption = 1,
) -> None:
    """Run a suite: many models, systems and diagnostics from one TOML file. Finished jobs are not repeated.

    Examples:
        ncbench run benchmarks/demo.toml --out results-demo

        ncbench run benchmarks/paper/table8.toml --budget smoke

        ncbench run suite.toml --workers 4 --threads 2

        ncbench run suite.toml --scheduler tcp://head:8786 --max-hours 8
    """
    from ncbench.cli.execute import budget_of
    from ncbench.run.plan import load_suite

    how = how_of(
        workers=workers,
        scheduler=scheduler,
        slurm=slurm,
        jobs_per_gpu=jobs_per_gpu,
        threads=threads,
        retries=retries,
        max_hours=max_hours,
        reuse=reuse,
    )
    jobs = load_suite(Path(suite), None if budget is None else budget_of(budget))
    run_and_print(jobs, out=out, as_json=as_json, quiet=quiet, threads=threads, single=False, yes=yes, how=how)


@app.command(rich_help_panel=START)
def summary(
    results: Annotated[str, typer.Argument(metavar="DIR", help="A results folder.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Folder for the summary; DIR itself by default.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option("--system", metavar="NAME", help="The system to show; by default the one most numbers are of."),
    ] = None,
) -> None:
    """What each model may be used for: one table, one figure and a verdict for each model of a results folder.

    Example:
        ncbench summary results-demo
    """
    from ncbench.cli.consoles import page_console
    from ncbench.report.summary import summarise

    summarise(Path(results), None if out is None else Path(out), system=system).show(page_console())


app.add_typer(report.app)
measure.add_commands(app, DIAGNOSTICS)
app.add_typer(analyse.app)
app.add_typer(check.app)
app.add_typer(check.baseline_app, name="baseline", rich_help_panel=COMPARE)
app.add_typer(compare_models.app)
app.add_typer(reproduce.app)
app.add_typer(compare_paper.app, name="paper", rich_help_panel=PAPER)
app.add_typer(status.app)
app.add_typer(figures.app)
show_model.add_commands(listing.models_app)
app.add_typer(cards.app)
own_models.add_commands(listing.models_app)
app.add_typer(listing.models_app, name="models", rich_help_panel=LISTS)
app.add_typer(listing.systems_app, name="systems", rich_help_panel=LISTS)
app.add_typer(environments.app, name="env", rich_help_panel=LISTS)
app.add_typer(doctor.app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    spell_what_streams_lack()
    if os.environ.get("_NCBENCH_COMPLETE") == "complete_bash" and "COMP_WORDS" in os.environ:
        sys.stdout.write(_complete_in_bash())
        sys.exit(0)
    sys.exit(_guarded(arguments))


def _complete_in_bash() -> str:
    """Completions for bash, which splits ``pet-m:direct`` at the colon."""
    words, current = bash_words.joined(os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"]))
    incomplete = words[current] if current < len(words) else ""
    os.environ |= {"COMP_WORDS": shlex.join(words), "COMP_CWORD": str(current)}
    printed = io.StringIO()
    # The completion ends the program when it has printed.
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        app([], prog_name="ncbench")
    return "".join(f"{bash_words.after_colon(line, incomplete)}\n" for line in printed.getvalue().splitlines())


def _guarded(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, standalone_mode=False, prog_name="ncbench")
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer has converted the interrupt to an exit code
            return _interrupted()
    except NcbenchError as error:
        return _say(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader of the output has closed the pipe; Python must not raise an error when it flushes at exit.
        _discard_output()
        return 1
    except OSError as error:
        if error.errno in _NO_ROOM and not error.filename:
            return _output_lost(error)
        # Not a bug: an invalid path, or a folder without permission.
        named = f"'{str(error.filename)[:200]}' cannot be used" if error.filename else "The system refused"
        return _say(f"error: {named}: {error.strerror or error}.", 1 if error.errno in _NO_ROOM else 2)
    except typer.Abort:
        return _interrupted()
    except Exception as error:  # noqa: BLE001  # the last resort: a bug of ours must not look like a failure of the user's
        shown = _usage_error(error)
        return shown if shown is not None else _bug()
    return code if isinstance(code, int) else 0


def _output_lost(error: OSError) -> int:
    """Standard output is on a full disk or a broken device: what was to be printed is lost, the request was right."""
    _discard_output()
    return _say(f"error: The output cannot be written: {error.strerror}.", 1)


def _discard_output() -> None:
    """Standard output goes to the null device, so that Python raises no error when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    return _say("interrupted: run the same command again to continue", INTERRUPTED)


_INSTEAD = {("assess", "--budget"): "Give the time it may take: --time 5m."}
"""By command and option that it does not have: the option that is meant."""


def _usage_error(error: Exception) -> int | None:
    """Print the parser's error; ``None`` if the error is not the parser's."""
    exit_code: Any = getattr(error, "exit_code", None)
    format_message: Any = getattr(error, "format_message", None)
    if not isinstance(exit_code, int) or format_message is None:
        return None
    context: Any = getattr(error, "ctx", None)
    text = str(format_message()).strip()
    if not text:
        return exit_code
    where = f" Try '{context.command_path} --help'." if context is not None else ""
    instead = _INSTEAD.get((context.info_name, getattr(error, "option_name", ""))) if context is not None else None
    if instead is not None:
        # The parser proposes options that are spelled alike.
        text, where = str(getattr(error, "message", text)), f" {instead}"
    return _say(f"error: {text}{'' if text.endswith(('.', '?', '!')) else '.'}{where}", exit_code)


def _bug() -> int:
    from platformdirs import user_log_path

    text = f"ncbench {ncbench.__version__}\n{sys.argv}\n\n{traceback.format_exc()}"
    try:
        folder = user_log_path("ncbench", ensure_exists=True)
        path = folder / f"bug-{os.getpid()}.log"
        path.write_text(text, encoding="utf-8")
        where = f"Its traceback is in {path}."
    except OSError:
        where = text
    return _say(f"error: this is a bug in ncbench, not a mistake of yours. Please report it. {where}", 3)


def _say(text: str, code: int) -> int:
    # Standard error may be closed or on a full device, too: the exit code remains.
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
    return code


if __name__ == "__main__":
    main()
