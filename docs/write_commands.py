"""Write ``docs/reference/commands.md``: every command with its options, from the command line itself.

python docs/write_commands.py
"""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from ncbench.cli.main import app

OUT = Path(__file__).resolve().parent / "reference" / "commands.md"


def text() -> str:
    """The whole page, as Typer writes it, without the links and colours that Markdown does not know."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="ncbench")
    body = get_docs_for_click(obj=command, ctx=context, name="ncbench")
    return re.sub(r"\n{3,}", "\n\n", body.replace("# `ncbench`", "# Commands", 1)).strip() + "\n"


if __name__ == "__main__":
    OUT.write_text(text(), encoding="utf-8")
