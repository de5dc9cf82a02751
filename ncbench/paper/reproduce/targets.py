"""The targets of reproduction: one suite per table or figure of the paper, in ``benchmarks/paper`` (and in the installed package)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ncbench.errors import UsageError, did_you_mean

ALL = "all"

SAME_AS = {"figure8": "figure2", "figure16": "figure2", "figure13": "figure12", "figure14": "figure4"}
"""Figures of the paper that come from the runs of another target."""
MADE_OTHERWISE = {
    "figure4": "It shows training curves: `make train-water` trains the models and draws it.",
    "figure15": "It shows training curves on OC20, for which there is no recipe; `make train-water` does it for water.",
    "figure5": "It is a drawing.",
    "table4": "It is a list of models: see `ncbench models list`.",
}
"""Tables and figures of the paper that do not come from runs, and why."""

_PLACES = (
    Path(__file__).parents[3] / "benchmarks" / "paper",
    # Location of the same files in the wheel.
    Path(__file__).parents[2] / "suites",
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A table or figure, and the suite that makes it."""

    name: str
    """File name of the suite without suffix, such as ``table8``."""
    summary: str
    path: Path
    fills: tuple[str, ...] = ()
    """Tables of the paper's numbers that it fills; empty for a figure without numbers."""
    observables: tuple[str, ...] = ()
    """Observables of trajectories, for its ``[[structure]]`` entries."""


@cache
def targets() -> dict[str, Target]:
    """All targets by name: tables in order, then figures.

    Raises:
        UsageError: the suites are missing from the installation.
    """
    for folder in _PLACES:
        suites = [_read(path) for path in folder.glob("*.toml")]
        if suites:
            return {target.name: target for target in sorted(suites, key=_order)}
    raise UsageError("The suites of the paper are missing from this installation.", hint="Install ncbench again.")


def choose(names: Sequence[str]) -> list[Target]:
    """The named targets without duplicates; ``all`` stands for all of them.

    Raises:
        UsageError: no such target.
    """
    known = targets()
    names = [SAME_AS.get(name, name) for name in names]
    for name in names:
        if name in MADE_OTHERWISE:
            raise UsageError(f"'{name}' does not come from runs.", hint=MADE_OTHERWISE[name])
        if name not in known and name != ALL:
            near = did_you_mean(name, [ALL, *known])
            raise UsageError(f"'{name}' cannot be reproduced.", hint=near or f"There are {', '.join(known)}; or all.")
    return list(known.values()) if ALL in names else [known[name] for name in dict.fromkeys(names)]


def _read(path: Path) -> Target:
    head = tomllib.loads(path.read_text(encoding="utf-8"))["suite"]
    lists = {key: tuple(head.get(key, ())) for key in ("fills", "observables")}
    return Target(name=head["name"], summary=head["summary"], path=path, **lists)


def _order(target: Target) -> tuple[int, int, str]:
    match = re.fullmatch(r"(table|figure)(\d+)", target.name)
    kind = 0 if match is None else {"table": 1, "figure": 2}[match[1]]
    return kind, int(match[2]) if match else 0, target.name
