"""Absolute limits: ``lambda < 0.005``, in a TOML file of the user's or in a profile that comes with ncbench.

A bound is a number or the name of a threshold of :mod:`ncbench.report.decide`, ``drift < heating_power``. Its rules decide: a limit holds or is
broken at three standard errors, and is undecided otherwise, as where the error is not known.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from ncbench.check.metrics import BY_NAME, Measured, Metric
from ncbench.errors import UsageError, did_you_mean
from ncbench.report.decide import LIMITS, Answer, decide, decide_rate

PROFILES = ("nve", "thermostat", "relaxation")
"""Files of ``ncbench/check/profiles``."""

_LIMIT = re.compile(
    r"\s*(?P<name>\w+)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|[a-z]\w*)\s*", re.IGNORECASE
)


class Verdict(StrEnum):
    """Of one limit."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    """The error spans the bound or is not known: noise fails no build."""
    UNKNOWN = "not measured"
    """The model has no such quantity, or its measurement failed."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A bound of a metric."""

    metric: Metric
    sign: str
    """``<``, ``<=``, ``>`` or ``>=``."""
    bound: float

    def __str__(self) -> str:
        return f"{self.metric.name} {self.sign} {self.bound:g}{' ' + self.metric.unit if self.metric.unit else ''}"

    def inside(self, value: float) -> bool:
        """Whether a value without error keeps to it."""
        return {
            "<": value < self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            ">=": value >= self.bound,
        }[self.sign]


@dataclass(frozen=True, kw_only=True)
class LimitFinding:
    """A limit and whether it holds."""

    limit: Limit
    verdict: Verdict
    value: Measured | None

    @property
    def failed(self) -> bool:
        """It makes the check fail."""
        return self.verdict is Verdict.BROKEN


def parse(text: str) -> Limit:
    """``lambda < 0.005``.

    Raises:
        UsageError: it is not of this form, or names no metric.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' is not a limit.", hint="Write METRIC < NUMBER, such as lambda < 0.005.")
    name = match["name"]
    if name not in BY_NAME:
        hint = did_you_mean(name, BY_NAME) or f"There are {', '.join(BY_NAME)}."
        raise UsageError(f"There is no metric '{name}'.", hint=hint)
    if match["bound"] in LIMITS:
        bound = LIMITS[match["bound"]]
    else:
        try:
            bound = float(match["bound"])
        except ValueError:
            hint = did_you_mean(match["bound"], LIMITS) or f"Write a number, or one of {', '.join(LIMITS)}."
            raise UsageError(f"'{match['bound']}' in '{text}' is not a number.", hint=hint) from None
    if not math.isfinite(bound):
        raise UsageError(f"'{match['bound']}' in '{text}' is not finite.")
    return Limit(metric=BY_NAME[name], sign=match["sign"], bound=bound)


def read(path: Path) -> list[Limit]:
    """The limits of a TOML file, ``limits = ["lambda < 0.005", …]``.

    Raises:
        UsageError: there is no such file, it is not TOML, has other keys, or a limit is invalid.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no file of limits '{path}'.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {error}.") from error
    return _limits(content, str(path))


def profile(name: str) -> list[Limit]:
    """The limits of a profile.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in PROFILES:
        hint = did_you_mean(name, PROFILES) or f"There are {', '.join(PROFILES)}."
        raise UsageError(f"There is no profile '{name}'.", hint=hint)
    text = (files("ncbench.check") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    return _limits(tomllib.loads(text), name)


def _limits(content: Mapping[str, object], where: str) -> list[Limit]:
    entries = content.get("limits")
    if not isinstance(entries, list) or not entries or set(content) - {"limits", "summary"}:
        raise UsageError(f"'{where}' is not a file of limits.", hint='It holds limits = ["lambda < 0.005", …].')
    return [parse(str(entry)) for entry in entries]


def judge(limits: list[Limit], metrics: Mapping[str, Measured]) -> list[LimitFinding]:
    """Every limit, by the rules of :mod:`ncbench.report.decide`."""
    values = [metrics.get(limit.metric.name) for limit in limits]
    return [
        LimitFinding(limit=limit, verdict=_verdict(limit, value), value=value)
        for limit, value in zip(limits, values, strict=True)
    ]


def _verdict(limit: Limit, value: Measured | None) -> Verdict:
    if value is None:
        return Verdict.UNKNOWN
    if not value.known and math.isfinite(value.value):
        return Verdict.UNDECIDED
    upper = limit.sign.startswith("<")
    if value.trials:
        assert value.successes is not None
        below, above = (Verdict.HOLDS, Verdict.BROKEN) if upper else (Verdict.BROKEN, Verdict.HOLDS)
        answer, _ = decide_rate(value.successes, value.trials, limit.bound)
        return {Answer.YES: above, Answer.NO: below}.get(answer, Verdict.UNDECIDED)
    at_floor = value.value <= value.floor and value.floor > 0.0
    if at_floor and limit.inside(0.0) != limit.inside(value.floor):
        # The value may lie anywhere from zero to its floor, and the bound is between them.
        return Verdict.UNDECIDED
    number = 0.0 if at_floor else value.value
    if value.error == 0 or math.isinf(number) or (number == 0.0 and value.floor > 0.0):
        return Verdict.HOLDS if limit.inside(number) else Verdict.BROKEN
    answer, _ = decide(number, value.error, limit.bound, dof=value.dof)
    below, above = (Verdict.HOLDS, Verdict.BROKEN) if upper else (Verdict.BROKEN, Verdict.HOLDS)
    return {Answer.YES: below, Answer.NO: above}.get(answer, Verdict.UNDECIDED)
