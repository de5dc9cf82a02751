"""``ncbench check`` and ``ncbench baseline``: comparison of a new checkpoint with the previous one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ncbench.cli import complete
from ncbench.cli.characters import as_printed, print_json
from ncbench.cli.consoles import table_console
from ncbench.cli.execute import models, prepare, system
from ncbench.cli.options import Common, JsonOption, Overrides, with_common
from ncbench.cli.panels import COMPARE
from ncbench.errors import UsageError
from ncbench.schema import MOST_SEED

if TYPE_CHECKING:
    from ncbench.check.baseline import Baseline
    from ncbench.check.outputs import CheckResult
    from ncbench.check.run import Checked

app = typer.Typer()
baseline_app = typer.Typer(
    no_args_is_help=True, help="Stored measurements of a model, for comparison by `ncbench check`."
)
PANEL = "Check"
DEFAULT_FILE = "ncbench-baseline.json"

SuiteOption = Annotated[
    str | None,
    typer.Option(
        "--suite",
        **complete.choices("quick|full"),
        help="quick: two minutes of a small model; full: ten times as much, for smaller errors.",
        rich_help_panel=PANEL,
    ),
]
FileOption = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="File of the baseline.", rich_help_panel=PANEL)
]


def _check(_: str, common: Common, own: Overrides) -> None:
    from ncbench.check import baseline, limits
    from ncbench.check.run import require_same_suite, result_of

    old = None if own.get("baseline") is None else baseline.read(Path(own["baseline"]))
    bounds = [limit for name in own.get("profile") or () for limit in limits.profile(name)]
    bounds += [limit for name in own.get("limits") or () for limit in limits.read(Path(name))]
    bounds += [limits.parse(text) for text in own.get("limit") or ()]
    if old is not None:
        require_same_suite(old, own.get("suite"))
    seed = own.get("seed")
    common = replace(common, seed=seed if seed is not None else old.seed if old is not None else 0)
    for flag in ("junit", "markdown"):
        _require_writable(flag, own.get(flag))
    checked = _measured(common, own.get("suite") or (old.suite if old is not None else None), old)
    outcome = result_of(checked, old, bounds, strict=bool(own.get("strict")))
    _tell(outcome, own, as_json=common.as_json)
    if not outcome.passed:
        raise typer.Exit(1)


def _require_writable(flag: str, name: str | None) -> None:
    """Refuse a report that could not be written, before anything is measured.

    Raises:
        UsageError: a folder of this name, or no folder to write it to.
    """
    if name is not None and (Path(name).is_dir() or not Path(name).parent.is_dir()):
        problem = (
            "is a folder" if Path(name).is_dir() else f"cannot be written: there is no folder '{Path(name).parent}'"
        )
        raise UsageError(f"--{flag} {name} {problem}.")


def _measured(common: Common, suite: str | None, old: Baseline | None = None) -> Checked:
    from ncbench.cli.environments import consent
    from ncbench.cli.progress import TerminalReporter

    if len(common.model) != 1:
        raise UsageError("A check takes one model.", hint="Give --model once.")
    prepare(common.threads)
    from ncbench.check.run import run
    from ncbench.check.suite import suite_of
    from ncbench.store.store import Store

    reporter = TerminalReporter(quiet=common.quiet)
    try:
        return run(
            models(common)[0],
            suite_of(suite or "quick"),
            Store(Path(common.out)),
            reporter,
            consent=consent(yes=common.yes),
            system=system(common),
            seed=common.seed,
            baseline=old,
        )
    finally:
        reporter.close()


@app.command(rich_help_panel=COMPARE)
@with_common(_check, "check", without=("budget", "reuse", "seed"))
def check(
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            "-b",
            metavar="FILE",
            help="Compare with the measurements in this file.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limits", metavar="FILE.toml", help="Limits that must hold; repeat it.", rich_help_panel=PANEL),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="'METRIC < X'", help="One limit; repeat it.", rich_help_panel=PANEL),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            **complete.choices("nve|thermostat|relaxation"),
            help="Limits of a use: constant energy, a local thermostat, relaxation; repeat it.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", metavar="", help="Results that are undecided or not measured fail too.", rich_help_panel=PANEL
        ),
    ] = False,
    suite: SuiteOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=MOST_SEED,
            help="Of everything random; the baseline's, or 0, by default.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    junit: Annotated[
        str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.", rich_help_panel=PANEL)
    ] = None,
    markdown: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown.", rich_help_panel=PANEL)
    ] = None,
) -> Overrides:
    """Is a new checkpoint as conservative, as consistent and as fast as the previous one?

    A regression is a worsening beyond what is tolerated and beyond the errors: a check of an unchanged model fails in less than one of a hundred.
    Exit code 0: nothing is worse, no limit is broken. 1: something is, a diagnostic failed, or with --strict something is undecided or was not measured. 2: the request was wrong.

    Examples:
        ncbench baseline write --model ./old.pt --file baseline.json

        ncbench check --model ./new.pt --baseline baseline.json --junit check.xml

        ncbench check --model ./new.pt --profile nve --limit 'lambda < 0.001'
    """
    return {key: value for key, value in locals().items() if value is not None}


def _tell(outcome: CheckResult, own: Mapping[str, Any], *, as_json: bool) -> None:
    from ncbench.check import outputs, unmeasured
    from ncbench.store.files import write_through

    if own.get("junit"):
        write_through(Path(own["junit"]), outputs.junit(outcome))
    if own.get("markdown"):
        write_through(Path(own["markdown"]), outputs.markdown(outcome).encode())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(outputs.markdown(outcome))
        # The runner reads both streams; standard output may be JSON.
        sys.stderr.write("".join(f"{line}\n" for line in outputs.workflow_commands(outcome)))
    if as_json:
        print_json(outputs.as_json(outcome))
        return
    heading, rows = outputs.table(outcome)
    print_rows_of_text(heading, rows)
    if outcome.limits:
        print_rows_of_text(["limit", "now", ""], outputs.limit_rows(outcome))
    for finding in outcome.findings:
        if finding.note:
            sys.stdout.write(f"{finding.metric.name}: {finding.note}\n")
    sys.stdout.writelines(f"{line}\n" for line in unmeasured.lines(outcome.new.unmeasured))
    sys.stdout.writelines(f"note: {remark}.\n" for remark in outcome.remarks)
    for failure in outcome.failures:
        sys.stdout.write(f"failed: {failure}\n")
    sys.stdout.write(f"{outcome.sentence()}\n")
    if outcome.old is None and not outcome.limits:
        sys.stdout.write(
            "Compare with --baseline FILE (`ncbench baseline write` makes one), --profile NAME or --limit.\n"
        )


def print_rows_of_text(heading: list[str], rows: list[list[str]]) -> None:
    """Print a table of texts to a terminal or a file."""
    interactive = sys.stdout.isatty()
    shown = Table(box=box.SIMPLE_HEAD if interactive else None, pad_edge=False)
    for text in heading:
        shown.add_column(Text(as_printed(text)), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(as_printed(cell)) for cell in row))
    table_console().print(shown)


def _write(_: str, common: Common, own: Overrides) -> None:
    from ncbench.check import baseline

    path = Path(own["file"])
    if path.exists() and not own["force"]:
        raise UsageError(
            f"There is already '{path}'.", hint="`ncbench baseline update` measures it again; --force replaces it."
        )
    _keep(baseline, _measured(common, own.get("suite")), path)


def _keep(baseline: Any, checked: Checked, path: Path) -> None:
    if checked.failures:
        for failure in checked.failures:
            sys.stderr.write(f"failed: {failure}\n")
        raise typer.Exit(1)
    for contradiction in checked.contradictions:
        sys.stderr.write(f"warning: {checked.measured.model} is {contradiction}. A check of this model fails.\n")
    baseline.write(checked.measured, path)
    _show(baseline.read(path), path)


@baseline_app.command("write")
@with_common(_write, "baseline", without=("budget", "as_json", "reuse"))
def baseline_write(
    file: FileOption = DEFAULT_FILE,
    suite: SuiteOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.", rich_help_panel=PANEL)] = False,
) -> Overrides:
    """Measure a model and keep its numbers in a file, to be committed with the model.

    Example:
        ncbench baseline write --model ./model.pt --file baseline.json
    """
    return {key: value for key, value in locals().items() if value is not None}


def _update(_: str, common: Common, own: Overrides) -> None:
    from ncbench.check import baseline
    from ncbench.check.outputs import table
    from ncbench.check.run import result_of

    path = Path(own["file"])
    old = baseline.read(path)
    checked = _measured(replace(common, seed=old.seed), old.suite, old)
    print_rows_of_text(*table(result_of(checked, old, (), strict=False)))
    _keep(baseline, checked, path)


@baseline_app.command("update")
@with_common(_update, "baseline", without=("budget", "as_json", "seed", "reuse"))
def baseline_update(file: FileOption = DEFAULT_FILE) -> Overrides:
    """Measure again with the file's suite and seed, show what changed, and replace it.

    Example:
        ncbench baseline update --model ./new.pt --file baseline.json
    """
    return {"file": file}


@baseline_app.command("show")
def baseline_show(
    file: Annotated[str, typer.Argument(metavar="FILE")] = DEFAULT_FILE, as_json: JsonOption = False
) -> None:
    """The content of a baseline."""
    from ncbench.check import baseline

    stored = baseline.read(Path(file))
    if as_json:
        sys.stdout.write(Path(file).read_text(encoding="utf-8"))
        return
    _show(stored, Path(file))


def _show(outcome: Any, path: Path) -> None:
    from ncbench.check.outputs import CheckResult, table
    from ncbench.check.unmeasured import lines

    heading, rows = table(CheckResult(new=outcome, old=None, findings=(), limits=(), failures=()))
    print_rows_of_text([heading[1], *heading[3:5], heading[6]], [[row[1], *row[3:5], row[6]] for row in rows])
    sys.stdout.writelines(f"{line}\n" for line in lines(outcome.unmeasured))
    name = f"{outcome.model}:{outcome.force_mode}" if outcome.force_mode else outcome.model
    sys.stdout.write(
        f"{path}: {name}, suite {outcome.suite} on {outcome.system}, seed {outcome.seed}, {outcome.written}\n"
    )
