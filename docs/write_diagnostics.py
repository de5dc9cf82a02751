"""Write ``docs/diagnostics.md``: every diagnostic with its options, defaults and columns, from what the diagnostics declare.

python docs/write_diagnostics.py
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from ncbench.cli.measure import options
from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Diagnostic
from ncbench.schema import COMMON, describe
from ncbench.types import Budget

OUT = Path(__file__).resolve().parent / "diagnostics.md"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "–" if isinstance(value, tuple) else str(value)


def page(diagnostic: Diagnostic) -> str:
    """The section of one diagnostic."""
    lines = [f"## {diagnostic.name}", "", diagnostic.summary, "", diagnostic.help, ""]
    lines += [f"    ncbench {diagnostic.name} {example}" for example in diagnostic.examples]
    names = {field.name for field in fields(diagnostic.settings)}
    lines += ["", "| option | meaning | smoke | laptop | paper |", "|---|---|---|---|---|"]
    for name, (_, option) in options(diagnostic).items():
        flag = option.flag or "--" + name.replace("_", "-")
        presets = [_value(getattr(diagnostic.presets[budget], name)) if name in names else "–" for budget in Budget]
        metavar = f" {option.metavar}".replace("|", "\\|") if option.metavar else ""
        lines.append(f"| `{flag}{metavar}` | {option.help} | {' | '.join(presets)} |")
    if diagnostic.takes_reference:
        lines.append(
            "| `--reference MODEL` | Model of the slow (reference) forces of multiple time stepping. | – | – | – |"
        )
    lines += ["", f"Table `{diagnostic.schema.name}`:", "", describe(diagnostic.schema.columns)]
    for schema in diagnostic.side_schemas.values():
        lines += ["", f"Side table `{schema.name}`:", "", describe(schema.columns)]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def text() -> str:
    """The whole page."""
    head = [
        "# Diagnostics",
        "",
        "Written by `python docs/write_diagnostics.py` from what the diagnostics declare. The last three columns of the option tables are the values at the",
        "budgets `smoke`, `laptop` and `paper`. Every table begins with these columns:",
        "",
        describe(COMMON),
        "",
    ]
    return "\n".join(head) + "\n" + "\n\n".join(page(one) for one in registry.diagnostics().values()) + "\n"


if __name__ == "__main__":
    OUT.write_text(text(), encoding="utf-8")
