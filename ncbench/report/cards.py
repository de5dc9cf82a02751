"""One card per model: the judge's answers, the unmeasured uses, and the cost of a step."""

from __future__ import annotations

from dataclasses import dataclass

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


def cards(results: Results) -> list[Card]:
    """A card for each model and force mode, from the same judgements as in the summary."""
    system = results.main_system()
    made = []
    for model, mode in results.models():
        judgements = judge(results, model, mode, system)
        measured = tuple(one for one in judgements if one.answer is not Answer.UNKNOWN)
        missing = tuple(f"{one.use} ({one.evidence})" for one in judgements if one.answer is Answer.UNKNOWN)
        made.append(Card(model, mode, measured, missing, _cost(results, model, mode, system)))
    return made


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


def _milliseconds(results: Results, model: str, mode: str, system: str | None) -> tuple[float, str] | None:
    rows = preferred(results.rows("timing", model, mode, system), registry.get("timing").ranks)
    rows = rows[(rows["status"] == "ok") & (rows["path"] == "adapter")] if len(rows) else rows
    if not len(rows):
        return None
    row = rows.iloc[-1]
    return float(row["ms_per_step"]), f"{int(row['n_atoms'])} atoms, {row['device']}, {row['dtype']}"
