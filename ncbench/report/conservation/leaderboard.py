"""Cards of several models on one page: ranks where numbers can be compared, and what cannot be compared and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import ncbench
from ncbench.errors import UsageError
from ncbench.statistics.format import ABSENT, number, with_error
from ncbench.statistics.intervals import SIGMAS
from ncbench.store.files import write_atomic

Card = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A model's number in a table of the page."""

    label: str
    text: str
    """Value with its error; a lower bound of the error is marked ``?``."""
    rank: str
    """``1``, or ``2–4`` if the errors do not decide; a dash if the error is not known."""


@dataclass(frozen=True)
class Group:
    """Numbers of one metric by one protocol."""

    title: str
    protocol: str
    described: str
    """The diagnostic, its version, the structures and the settings that differ from those of the metric's other groups."""
    entries: tuple[Entry, ...]


def label_of(card: Card) -> str:
    """``MODEL:MODE``."""
    return ":".join(filter(None, (str(card["model"]), str(card["force_mode"]))))


def groups(cards: Sequence[Card]) -> list[Group]:
    """Numbers that can be compared, by metric and protocol; the larger groups of a metric first.

    Raises:
        UsageError: two cards of one model, mode and weights.
    """
    seen: set[tuple[Any, ...]] = set()
    for card in cards:
        identity = (label_of(card), card.get("weights_sha256"), card.get("dtype"), str(card.get("options")))
        if identity in seen:
            raise UsageError(f"Two cards are of {label_of(card)} with the same weights.", hint="Leave one out.")
        seen.add(identity)
    made: list[Group] = []
    for name in dict.fromkeys(metric["name"] for card in cards for metric in card["metrics"]):
        by_protocol: dict[str, list[tuple[Card, Mapping[str, Any]]]] = {}
        for card in cards:
            for metric in card["metrics"]:
                if metric["name"] == name and metric["value"] is not None:
                    by_protocol.setdefault(metric["protocol"] or "unknown", []).append((card, metric))
        ordered = sorted(by_protocol.items(), key=lambda item: -len(item[1]))
        every = [metric for pairs in by_protocol.values() for _, metric in pairs]
        made += [_group(protocol, pairs, every) for protocol, pairs in ordered]
    return made


def _group(protocol: str, pairs: Sequence[tuple[Card, Mapping[str, Any]]], every: Sequence[Mapping[str, Any]]) -> Group:
    metric = pairs[0][1]
    ranks = _ranks([one for _, one in pairs]) if protocol != "unknown" else [ABSENT] * len(pairs)
    entries = [Entry(label_of(card), _text(one), rank) for (card, one), rank in zip(pairs, ranks, strict=True)]
    order = sorted(range(len(pairs)), key=lambda k: _worth(pairs[k][1]))
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    return Group(f"{metric['title']}{unit}", protocol, _described(metric, every), tuple(entries[k] for k in order))


def _text(metric: Mapping[str, Any]) -> str:
    if metric["text"] and metric["text"] != ABSENT:
        return str(metric["text"])
    if metric["standard_error"] is None:
        return number(metric["value"])
    return with_error(metric["value"], metric["standard_error"], known=metric["error_known"])


def _worth(metric: Mapping[str, Any]) -> float:
    """The smaller, the better."""
    value = float(metric["value"])
    return -value if metric["better"] == "high" else abs(value)


def _ranks(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ranks with what the errors leave open: from one more than are surely better to all that are not surely worse.

    Surely: by :data:`~ncbench.statistics.intervals.SIGMAS` standard errors of the difference. An error that is not known leaves the rank open.
    """
    if len(metrics) < 2 or not metrics[0]["better"]:
        return [ABSENT] * len(metrics)

    def surely_better(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        if not (a["error_known"] and b["error_known"]):
            return False
        if a["significant"] is False and b["significant"] is False:
            # Both are zero to their numerical floors, which say how the model rounds.
            return False
        return _worth(b) - _worth(a) > SIGMAS * math.hypot(a["standard_error"], b["standard_error"])

    ranks = []
    for one in metrics:
        others = [other for other in metrics if other is not one]
        if not one["error_known"]:
            ranks.append(ABSENT)
            continue
        best = 1 + sum(surely_better(other, one) for other in others)
        worst = len(metrics) - sum(surely_better(one, other) for other in others)
        ranks.append(str(best) if best == worst else f"{best}–{worst}")
    return ranks


def _described(metric: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> str:
    """The protocol in words: structures, and the settings in which the protocols of this metric differ."""
    names = ", ".join(metric["structures"]) or "structures not recorded"
    differing = [
        key
        for key in metric["settings"]
        if len({repr(other["settings"].get(key)) for other in every if other["settings"]}) > 1
    ]
    settings = "; ".join(f"{key} = {metric['settings'][key]}" for key in differing)
    return f"{metric['diagnostic']} version {metric['version']}; {names}{f'; {settings}' if settings else ''}"


def write(cards: Sequence[Card], path: Path) -> Path:
    """Write the page; returns its path.

    Raises:
        UsageError: no card, or two of one model.
        StoreError: the page cannot be written.
    """
    import jinja2

    if not cards:
        raise UsageError("There is no card to show.", hint="ncbench card DIR writes those of a results folder.")
    folder = files("ncbench.report.html")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((folder / "leaderboard.html.j2").read_text(encoding="utf-8"))
    text = template.render(
        cards=[{"label": label_of(card), **card} for card in cards],
        groups=groups(cards),
        classes={"yes": "yes", "no": "no"},
        sigmas=SIGMAS,
        version=ncbench.__version__,
        style=(folder / "style.css").read_text(encoding="utf-8"),
    )
    write_atomic(path, text.encode())
    return path
