"""Isolated environments: `ncbench env`, and the question whether one may be created."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncbench.cli import complete
from ncbench.cli.options import JsonOption, QuietOption
from ncbench.errors import IsolatedEnvironmentError, UsageError

if TYPE_CHECKING:
    from ncbench.run.elsewhere import Consent
    from ncbench.run.environments.table import EnvironmentSpec

app = typer.Typer(
    no_args_is_help=True,
    help="Isolated environments of model families that cannot share a process. They are created when a model needs one.",
)
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", autocompletion=complete.environments, help="Environments: `ncbench env list`."),
]
SomeNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]", autocompletion=complete.environments, help="Environments; by default all existing ones."
    ),
]


def consent(*, yes: bool) -> Consent:
    """Yes if ``--yes`` or the variable is set; a question in a terminal; otherwise no."""
    from ncbench.run.elsewhere import AUTO_VARIABLE, allowed_by_variable

    def ask(wanted: Sequence[EnvironmentSpec]) -> bool:
        if yes or allowed_by_variable():
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from ncbench.run.environments.places import root

        names = ", ".join(f"'{spec.name}' ({spec.summary})" for spec in wanted)
        many = len(wanted) > 1
        sys.stderr.write(
            f"{'These models need environments' if many else 'This model needs an environment'} of "
            f"{'their' if many else 'its'} own, made once in {root()}, a gigabyte or more: {names}.\n"
            f"--yes or {AUTO_VARIABLE}=1 answers this question.\n"
        )
        return typer.confirm(f"Make {'them' if many else 'it'} now?", default=True, err=True)

    return ask


@app.command("list")
def env_list(as_json: JsonOption = False) -> None:
    """All environments: content, state and disk space."""
    from ncbench.cli.listing import print_table
    from ncbench.run.environments import places
    from ncbench.run.environments.disk import readable
    from ncbench.run.environments.table import environments

    known = environments()
    rows: list[dict[str, Any]] = []
    current = {places.folder(spec) for spec in known.values()}
    for spec in known.values():
        made = places.find(spec)
        rows.append(
            {
                "environment": spec.name,
                "state": places.state(spec),
                "holds": spec.summary,
                "python": made.mark["python"] if made else spec.python_range,
                "own": readable(made.mark["own_bytes"]) if made else "",
                "shared": readable(made.mark["shared_bytes"]) if made else "",
                "folder": str(made.folder) if made else "",
            }
        )
    rows += [
        {
            "environment": one.name,
            "state": "no longer used: ncbench env remove --outdated",
            "holds": "",
            "python": one.mark.get("python", ""),
            "own": readable(one.mark.get("own_bytes", 0)),
            "shared": readable(one.mark.get("shared_bytes", 0)),
            "folder": str(one.folder),
        }
        for one in places.made()
        if one.folder not in current
    ]
    print_table(rows, as_json=as_json)


@app.command("create")
def env_create(
    names: Names,
    python: Annotated[
        str | None,
        typer.Option(
            "--python", metavar="PATH", help="Interpreter to create it from; by default the one that runs ncbench."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Create it again even if it exists.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Create environments, check them, and print their disk space. NCBENCH_ENV_DIR sets their folder.

    pip's find-links, indexes, proxy and certificates are used as they are configured.

    Examples:
        ncbench env create mace

        NCBENCH_ENV_DIR=/shared/ncbench ncbench env create mace orb --python python3.12
    """
    from ncbench.cli.progress import TerminalReporter
    from ncbench.run.elsewhere import disk_of
    from ncbench.run.environments import build, table

    specs = [table.get(name) for name in dict.fromkeys(names)]
    for spec in specs:
        reporter = TerminalReporter(quiet=quiet)
        reporter.note(f"{spec.name}: {spec.summary}")
        try:
            made = build.create(spec, python=python, again=again, say=partial(reporter.note, passing=True))
        finally:
            reporter.close()
        sys.stdout.write(f"{spec.name}: ready, {disk_of(made)}, in {made.folder}\n")


@app.command("check")
def env_check(names: SomeNames = None) -> None:
    """Test environments: imports, versions against the pins, forces on two atoms."""
    from ncbench.run.environments import places, table

    there = [spec for spec in table.environments().values() if places.find(spec) is not None]
    specs = [table.get(name) for name in dict.fromkeys(names)] if names else there
    if not specs:
        sys.stdout.write("There is no environment yet.\n")
    bad = False
    for spec in specs:
        try:
            message = _checked(spec)
        except IsolatedEnvironmentError as error:
            bad, message = True, str(error)
        sys.stdout.write(f"{spec.name}: {message}\n")
    if bad:
        raise typer.Exit(1)


def _checked(spec: EnvironmentSpec) -> str:
    from ncbench.run.environments import health, places

    made = places.find(spec)
    if made is None:
        raise IsolatedEnvironmentError(f"It is {places.state(spec)}.", hint=f"Run: ncbench env create {spec.name}")
    checked = health.check(spec, made.python)
    forces = ", ".join(f"{model} {force:.3g} eV/Å" for model, force in checked["forces"].items())
    return (
        f"works; Python {checked['python']}, {len(checked['versions'])} packages as pinned; "
        f"imports {', '.join(checked['families']) or 'no family'}; forces on two atoms: {forces}"
    )


@app.command("remove")
def env_remove(
    names: SomeNames = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all of them.")] = False,
    outdated: Annotated[bool, typer.Option("--outdated", help="Remove only those with earlier pins.")] = False,
) -> None:
    """Remove environments and the remains of unfinished ones."""
    from ncbench.run.environments import build, places, table
    from ncbench.run.environments.disk import readable

    there = [one.name for one in places.made()]
    if names:
        for name in names:
            if name not in there:
                table.get(name)
    elif not (everything or outdated):
        raise UsageError("Which environment?", hint="Name it, or add --all or --outdated.")
    wanted = names or [*there, *table.environments()]
    for name in dict.fromkeys(wanted):
        for one in build.remove(name, outdated_only=outdated):
            own = readable(one.mark.get("own_bytes", 0))
            sys.stdout.write(f"{name}: removed {one.folder} ({own})\n")
