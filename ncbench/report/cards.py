"""One card per model: the judge's answers, the unmeasured uses, and the cost of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ncbench.diagnostics import registry
from ncbench.report.aggregate import preferred
from ncbench.report.decide import Answer
from ncbench.report.judge import Judgement, judge
from ncbench.report.read import Results
from ncbench.statistics.format import number


@dataclass(frozen=True)
class Card:
    """Results of one model in one force mode."""

    model: str
    mode: str
    judgements: tuple[Judgement, ...]
    """Judgements of the uses with measurements."""
    not_measured: tuple[str, ...]
    """The other uses, each with its reason."""
    cost: str
    """Time of a step; empty if it was not measured."""

    @property
    def label(self) -> str:
        """``model:mode``; a model that never loaded may have no mode."""
        return f"{self.model}:{self.mode}" if self.mode else self.model


def cards(results: Results, also: Sequence[tuple[str, Results]] = ()) -> list[Card]:
    """A card for each model and force mode, from the same judgements as in the summary.

    Args:
        results: a folder's tables, whose models get cards.
        also: further folders by name. Uses that ``results`` does not decide, and the time of a step, are taken from the first that does, which is named.
    """
    system = results.main_system()
    made = []
    for model, mode in results.models():
        judgements = [
            one if one.answer in (Answer.YES, Answer.NO) else _elsewhere(one, model, mode, also)
            for one in judge(results, model, mode, system)
        ]
        measured = tuple(one for one in judgements if one.answer is not Answer.UNKNOWN)
        missing = tuple(f"{one.use} ({one.evidence})" for one in judgements if one.answer is Answer.UNKNOWN)
        times = ((f" (in {name})", _cost(other, model, mode, other.main_system())) for name, other in also)
        cost = _cost(results, model, mode, system) or next((f"{text}{where}" for where, text in times if text), "")
        made.append(Card(model, mode, measured, missing, cost))
    return made


def _elsewhere(own: Judgement, model: str, mode: str, also: Sequence[tuple[str, Results]]) -> Judgement:
    """The judgement of the use from the first folder that decides it; otherwise ``own`` if that was measured, or the first that was."""
    judged = [
        replace(one, evidence=f"{one.evidence} (in {name})")
        for name, other in also
        if (model, mode) in other.models()
        for one in judge(other, model, mode, other.main_system())
        if one.use == own.use and one.answer is not Answer.UNKNOWN
    ]
    measured = own if own.answer is not Answer.UNKNOWN or not judged else judged[0]
    return next((one for one in judged if one.answer in (Answer.YES, Answer.NO)), measured)


def step_time(results: Results, model: str, mode: str, system: str | None) -> str:
    """Time of a step with its conditions; empty where it was not measured."""
    own = _milliseconds(results, model, mode, system)
    return "" if own is None else f"{number(own[0])} ms a step ({own[1]})"


def _cost(results: Results, model: str, mode: str, system: str | None) -> str:
    """Time of a step, with its ratio to that of the other force mode."""
    own = _milliseconds(results, model, mode, system)
    if own is None:
        return ""
    value, _ = own
    other_mode = {"direct": "conservative", "conservative": "direct"}.get(mode, "")
    other = _milliseconds(results, model, other_mode, system)
    ratio = f", {value / other[0]:.2g} of {other_mode} forces" if other is not None and other[0] > 0 else ""
    return f"{step_time(results, model, mode, system)}{ratio}"


def step_milliseconds(results: Results, model: str, mode: str, system: str | None) -> float | None:
    """Time of a step through ncbench's adapter, ms; ``None`` where it was not measured."""
    own = _milliseconds(results, model, mode, system)
    return None if own is None else own[0]


def _milliseconds(results: Results, model: str, mode: str, system: str | None) -> tuple[float, str] | None:
    rows = preferred(results.rows("timing", model, mode, system), registry.get("timing").ranks)
    rows = rows[(rows["status"] == "ok") & (rows["path"] == "adapter")] if len(rows) else rows
    if not len(rows):
        return None
    row = rows.iloc[-1]
    return float(row["ms_per_step"]), f"{int(row['n_atoms'])} atoms, {row['device']}, {row['dtype']}"
