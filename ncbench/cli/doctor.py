"""``ncbench doctor``: one screen on this installation, to paste into a bug report."""

from __future__ import annotations

import sys

import typer

from ncbench.cli.characters import print_json
from ncbench.cli.options import JsonOption
from ncbench.cli.panels import LISTS

app = typer.Typer()


@app.command(rich_help_panel=LISTS)
def doctor(as_json: JsonOption = False) -> None:
    """Versions, devices, environments, folders and variables, and problems of this installation. For bug reports.

    Nothing is changed or downloaded; tokens and passwords are not shown. `ncbench env check` tests the environments themselves.

    Examples:
        ncbench doctor

        ncbench doctor --json > report.json
    """
    from ncbench.run import doctor as examination

    findings = examination.examine()
    if as_json:
        print_json(examination.as_json(findings))
    else:
        for title, facts in findings.sections.items():
            sys.stdout.write(f"{title}\n")
            width = max(map(len, facts), default=0)
            sys.stdout.writelines(f"  {name:{width}}  {value}\n" for name, value in facts.items())
            if not facts:
                sys.stdout.write("  none\n")
        sys.stdout.write("problems\n")
        sys.stdout.writelines(f"  {sentence}\n" for sentence in findings.problems or ["none found"])
    if findings.problems:
        raise typer.Exit(1)
