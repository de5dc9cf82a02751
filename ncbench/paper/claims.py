"""The paper's main claims, each held against our numbers.

A claim has checks. A check forms a number from cells of the paper's tables, as :mod:`ncbench.paper.compare` fills them, or from further
quantities: one of them, or its ratio to another, less others. It is decided if :data:`SIGMAS` standard errors lie between the number and the limit of
its rule. Errors of numbers from runs under the same conditions are added, since the runs may be the same and their errors correlated; errors of others
are added in quadrature. A number whose error is not known, or only a lower bound, decides nothing.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ncbench.paper.compare import Comparison, Source
from ncbench.paper.numbers import Conditions, PaperCell, PaperModel, Selection, parse_printed, selection_of, table
from ncbench.paper.selecting import Ours, find
from ncbench.report.decide import EXCESS_K, LIMITS
from ncbench.statistics.format import number, with_error
from ncbench.statistics.intervals import SIGMAS

SCHEMA = 1
FILE = "claims.toml"
RULES = ("above", "below", "magnitude_above", "magnitude_below")


class Verdict(StrEnum):
    """Whether our numbers agree with a claim."""

    AGREES = "agrees"
    PARTLY = "agrees in part"
    """Some checks hold, none fails, and the others are open or without a number."""
    DIFFERS = "differs"
    OPEN = "not decided"
    MISSING = "not testable here"


DECIDED = (Verdict.AGREES, Verdict.PARTLY, Verdict.DIFFERS)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A number and the limit it is held against."""

    says: str
    of: str
    """A cell ``TABLE/ROW/COLUMN`` of the paper's tables, or the key of a :class:`Quantity`; so are the following two."""
    over: str = ""
    minus: tuple[str, ...] = ()
    """Each is subtracted."""
    rule: str
    """One of :data:`RULES`."""
    limit: float
    explosion: bool = False
    """Whether a simulation that explodes fulfils it."""
    note: str = ""
    """What the reader should know about the number."""

    @property
    def names(self) -> tuple[str, ...]:
        """All numbers that it needs."""
        return (self.of, *([self.over] if self.over else []), *self.minus)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper, in our words."""

    key: str
    place: str
    text: str
    command: str
    """Gives the numbers."""
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number that no table of the paper prints."""

    key: str
    unit: str
    ours: str
    """``NAME:MODE``."""
    selection: Selection


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Our number for a cell or a quantity."""

    ours: Ours
    unit: str
    table: str
    reason: str
    """Why there is none."""
    printed: float | None = None
    """The paper's."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A check with its number."""

    check: Check
    verdict: Verdict
    """Never :attr:`Verdict.PARTLY`."""
    value: float | None = None
    error: float | None = None
    loose: bool = False
    """The error is a lower bound."""
    unit: str = ""
    paper: float | None = None
    """The same number from what the paper prints, if it prints all of it."""
    reason: str = ""
    """Why it is not decided or has no number."""
    models: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The evidence: what is measured, its number, the rule, and the answer."""
        size = "–" if self.value is None else with_error(self.value, self.error, known=not self.loose)
        paper = f", paper {number(self.paper, 3)}" if self.paper is not None else ""
        unit = f" {self.unit}" if self.unit and self.value is not None else ""
        why = f": {self.reason}" if self.reason else ""
        note = f"; {self.check.note}" if self.check.note and self.value is not None else ""
        return f"{self.check.says}: {size}{unit}{paper} ({_rule_text(self.check)}: {self.verdict}{why}{note})"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A claim with the verdict of its checks."""

    claim: Claim
    verdict: Verdict
    checks: tuple[Checked, ...] = field(default=())


@cache
def thresholds() -> Mapping[str, float]:
    """Limits that checks name: the judge's, and the λ below which forces are called a gradient, a tenth of the paper's smallest."""
    printed = [cell.printed.value for cell in table("lambda").cells if cell.printed.value is not None]
    return {**LIMITS, "excess_K": EXCESS_K, "gradient": 0.1 * min(printed)}


@cache
def claims() -> tuple[Claim, ...]:
    """The claims, in the paper's order."""
    return build(_content())[0]


@cache
def quantities() -> dict[str, Quantity]:
    """Quantities beyond the paper's tables by key."""
    return build(_content())[1]


def build(content: Mapping[str, Any]) -> tuple[tuple[Claim, ...], dict[str, Quantity]]:
    """Claims and quantities from the content of the file.

    Raises:
        ValueError, KeyError, TypeError: the content does not have the layout that the file's head describes.
    """
    if content["schema"] != SCHEMA:
        raise ValueError(f"{FILE} has layout {content['schema']}, this reads {SCHEMA}")
    known = {
        entry["key"]: Quantity(
            key=entry["key"], unit=entry["unit"], ours=entry["ours"], selection=selection_of(entry["select"])
        )
        for entry in content["quantities"]
    }
    made = tuple(Claim(**{**entry, "checks": tuple(map(_check, entry["checks"]))}) for entry in content["claims"])
    return made, known


def _check(entry: Mapping[str, Any]) -> Check:
    rules = [rule for rule in RULES if rule in entry]
    if len(rules) != 1:
        raise ValueError(f"the check '{entry['says']}' has {len(rules)} rules, not one of {', '.join(RULES)}")
    limit = entry[rules[0]]
    minus = entry.get("minus", ())
    rest = {key: value for key, value in entry.items() if key not in ("minus", *rules)}
    return Check(
        **rest,
        minus=(minus,) if isinstance(minus, str) else tuple(minus),
        rule=rules[0],
        limit=thresholds()[limit] if isinstance(limit, str) else float(limit),
    )


def _content() -> dict[str, Any]:
    return tomllib.loads((files("ncbench.paper") / FILE).read_text(encoding="utf-8"))


def answers(comparisons: Sequence[Comparison], sources: Sequence[Source]) -> list[Answer]:
    """Every claim with its verdict.

    Args:
        comparisons: all tables of the paper with ours.
        sources: the result tables that they were made from, which further quantities are taken from.

    Raises:
        KeyError: a check names a cell or a quantity that does not exist.
    """
    known = _facts(comparisons, sources)
    return [answer(claim, known) for claim in claims()]


def answer(claim: Claim, known: Mapping[str, Fact]) -> Answer:
    """One claim from the numbers by name."""
    checked = tuple(judge(check, known) for check in claim.checks)
    verdicts = {one.verdict for one in checked}
    if Verdict.DIFFERS in verdicts:
        verdict = Verdict.DIFFERS
    elif verdicts == {Verdict.AGREES}:
        verdict = Verdict.AGREES
    elif Verdict.AGREES in verdicts:
        verdict = Verdict.PARTLY
    else:
        verdict = Verdict.OPEN if Verdict.OPEN in verdicts else Verdict.MISSING
    return Answer(claim=claim, verdict=verdict, checks=checked)


def judge(check: Check, known: Mapping[str, Fact]) -> Checked:
    """Hold a number against its limit."""
    used = [known[name] for name in check.names]
    models = tuple(dict.fromkeys(fact.ours.model for fact in used if fact.ours.model))
    exploded = [fact for fact in used if fact.ours.exploded]
    if exploded:
        # An explosion of the divisor or of what is subtracted says nothing.
        fulfilled = check.explosion and exploded == [known[check.of]]
        verdict = Verdict.AGREES if fulfilled else Verdict.OPEN
        return Checked(check=check, verdict=verdict, reason=exploded[0].reason, models=models)
    missing = next((fact.reason for fact in used if fact.ours.value is None), None)
    if missing is not None:
        return Checked(check=check, verdict=Verdict.MISSING, reason=missing, models=models)
    value, error = _number(check, known)
    loose = any(fact.ours.loose for fact in used)
    unit = "" if check.over else known[check.of].unit
    verdict, reason = _verdict(check, value, None if loose else error)
    if loose:
        reason = "the error is a lower bound: the run is too short"
    paper = _printed(check, known)
    return Checked(
        check=check, verdict=verdict, value=value, error=error, loose=loose, unit=unit, paper=paper, reason=reason, models=models
    )  # fmt: skip


def _verdict(check: Check, value: float, error: float | None) -> tuple[Verdict, str]:
    if error is None or not math.isfinite(error):
        return Verdict.OPEN, "the error is not known"
    size = abs(value) if check.rule.startswith("magnitude") else value
    gap = size - check.limit
    if not abs(gap) > SIGMAS * error:
        return Verdict.OPEN, f"within {SIGMAS:g} standard errors of the limit"
    return (Verdict.AGREES if (gap > 0) is check.rule.endswith("above") else Verdict.DIFFERS), ""


def _number(check: Check, known: Mapping[str, Fact]) -> tuple[float, float | None]:
    """Value and standard error; the error is ``None`` if one of the numbers has none."""
    facts = {name: known[name] for name in check.names}
    values = {name: fact.ours.value for name, fact in facts.items() if fact.ours.value is not None}
    below = values[check.over] if check.over else 1.0
    value = values[check.of] / below - sum(values[name] for name in check.minus)
    slopes = dict.fromkeys(check.minus, -1.0) | {check.of: 1.0 / below}
    if check.over:
        slopes[check.over] = -values[check.of] / below**2
    parts = []
    for name, slope in slopes.items():
        error = facts[name].ours.error
        if error is None or not math.isfinite(error):
            return value, None
        parts.append((facts[name], abs(slope) * error))
    return value, _together(parts)


def _together(parts: Sequence[tuple[Fact, float]]) -> float:
    """Errors of one run's numbers added, of different runs in quadrature."""
    by_run: dict[tuple[str, str, str], float] = {}
    for fact, error in parts:
        run = (fact.table, fact.ours.model, fact.ours.conditions)
        by_run[run] = by_run.get(run, 0.0) + error
    return math.hypot(*by_run.values())


def _printed(check: Check, known: Mapping[str, Fact]) -> float | None:
    """The check's number from what the paper prints; ``None`` if it does not print all of it."""
    printed = {name: known[name].printed for name in check.names}
    values = {name: value for name, value in printed.items() if value is not None}
    if len(values) < len(printed):
        return None
    return values[check.of] / (values[check.over] if check.over else 1.0) - sum(values[name] for name in check.minus)


def _facts(comparisons: Sequence[Comparison], sources: Sequence[Source]) -> dict[str, Fact]:
    known = {
        cell.paper.name: Fact(
            ours=cell.ours,
            unit=cell.paper.unit,
            table=cell.paper.selection.table,
            reason=cell.remark,
            printed=cell.paper.printed.value,
        )
        for comparison in comparisons
        for cell in comparison.cells
    }
    return known | {key: _fact(quantity, sources) for key, quantity in quantities().items()}


def _fact(quantity: Quantity, sources: Sequence[Source]) -> Fact:
    no_model = PaperModel(key="", label="", mode="", functional="", training="")
    cell = PaperCell(
        table="claims", row=0, column=quantity.key, heading=quantity.key, unit=quantity.unit, model=no_model,
        conditions=Conditions(), printed=parse_printed(""), selection=quantity.selection,
    )  # fmt: skip
    made = [find(cell, quantity.ours, source.tables, {}) for source in sources]
    results = [one for one in made if one.value is not None or one.exploded]
    ours = next((one for one in results if one.error_is_known), (results or made)[0])
    return Fact(ours=ours, unit=quantity.unit, table=quantity.selection.table, reason=ours.reason)


def _rule_text(check: Check) -> str:
    size = "size " if check.rule.startswith("magnitude") else ""
    sign = ">" if check.rule.endswith("above") else "<"
    return f"{size}{sign} {check.limit:.3g}"
