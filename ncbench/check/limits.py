"""Absolute limits: ``lambda < 0.005``, in a TOML file of the user's or in a profile that comes with ncbench."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from scipy import stats

from ncbench.check.judge import FALSE_ALARMS, Side
from ncbench.check.metrics import BY_NAME, METRICS, Measured, Metric
from ncbench.errors import UsageError, did_you_mean

PROFILES = ("nve", "thermostat", "relaxation")
"""Files of ``ncbench/checks/profiles``."""

_LIMIT = re.compile(
    r"\s*(?P<name>\w+)\s*(?P<sign><=|>=|<|>)\s*(?P<number>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*", re.IGNORECASE
)


class Verdict(StrEnum):
    """Of one limit."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    """Outside, but not beyond the error: noise fails no build."""
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
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise UsageError(f"'{text}' is no limit.", hint="Write METRIC < NUMBER, such as lambda < 0.005.")
    name = found["name"]
    if name not in BY_NAME:
        hint = did_you_mean(name, BY_NAME) or f"There are {', '.join(BY_NAME)}."
        raise UsageError(f"There is no metric '{name}'.", hint=hint)
    try:
        bound = float(found["number"])
    except ValueError:
        raise UsageError(f"'{found['number']}' in '{text}' is no number.") from None
    return Limit(metric=BY_NAME[name], sign=found["sign"], bound=bound)


def read(path: Path) -> list[Limit]:
    """The limits of a TOML file, ``limits = ["lambda < 0.005", …]``.

    Raises:
        UsageError: there is no such file, it is no TOML, has other keys, or a limit is none.
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
        raise UsageError(f"'{where}' is no file of limits.", hint='It holds limits = ["lambda < 0.005", …].')
    return [parse(str(entry)) for entry in entries]


def judge(limits: list[Limit], metrics: Mapping[str, Measured]) -> list[LimitFinding]:
    """Every limit: broken only where the value is outside by more than its error explains."""
    level = FALSE_ALARMS / len(METRICS)
    return [
        LimitFinding(
            limit=limit,
            verdict=_verdict(limit, metrics.get(limit.metric.name), level),
            value=metrics.get(limit.metric.name),
        )
        for limit in limits
    ]


def _verdict(limit: Limit, value: Measured | None, level: float) -> Verdict:
    if value is None:
        return Verdict.UNKNOWN
    # What is at the floor is zero, whatever the floor.
    number = 0.0 if value.value <= value.floor else value.value
    if limit.inside(number):
        return Verdict.HOLDS
    if value.trials:
        return _verdict_of_rate(limit, value, level)
    error = value.error
    if error == 0 or math.isinf(number):
        return Verdict.BROKEN
    distance = abs(number - limit.bound) / error
    probability = stats.norm.sf(distance) if math.isinf(value.dof) else stats.t.sf(distance, value.dof)
    return Verdict.BROKEN if probability < level else Verdict.UNDECIDED


def _verdict_of_rate(limit: Limit, value: Measured, level: float) -> Verdict:
    """A percentage of trials: how likely so few (or many) successes are at the bound."""
    assert value.successes is not None
    assert value.trials is not None
    side: Side = "less" if limit.sign.startswith(">") else "greater"
    rate = min(1.0, max(0.0, limit.bound / 100.0))
    found = stats.binomtest(value.successes, value.trials, rate, alternative=side)
    return Verdict.BROKEN if found.pvalue < level else Verdict.UNDECIDED
