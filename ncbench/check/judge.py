"""Comparison of new with old: worse only if by more than the tolerance and by more than the errors of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from scipy import stats

from ncbench.check.metrics import METRICS, Measured, Metric

Side = Literal["less", "greater"]
FALSE_ALARMS = 0.01
"""Probability that a check of an unchanged model with other seeds finds a regression, over all metrics together: each gets an equal part of
it (Bonferroni), and what is tolerated lowers it further."""


DECISIVE = 10.0
"""For a single structure the scatter between structures is not known. A value that falls below a tenth, beyond the
known errors, is still called better. There is no such rule for worse, which would fail a build."""


class State(StrEnum):
    """Result for a metric."""

    SAME = "same"
    """No difference beyond tolerance and errors."""
    BETTER = "better"
    WORSE = "worse"
    """A regression."""
    UNDECIDED = "undecided"
    """Worse than is tolerated, but not beyond the errors, or these are not known: noise fails no build. Also a rate that has too few trials to be
    compared."""
    NEW = "new"
    """The baseline does not contain it."""
    MISSING = "missing"
    """Only the baseline contains it: the measurement failed now."""


ARROWS = {
    State.SAME: "=",
    State.BETTER: "↓",
    State.WORSE: "↑",
    State.UNDECIDED: "?",
    State.NEW: "+",
    State.MISSING: "!",
}
"""Arrows of the states, for metrics of which less is better."""


UNKNOWN_NEW = "the error is not known, since the runs are too short; their difference from the baseline is not judged"
UNKNOWN_OLD = "the baseline's error is not known: its runs are too short, or its file is of an earlier version"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One metric, new against old."""

    metric: Metric
    state: State
    new: Measured | None
    old: Measured | None
    probability: float | None = None
    """Probability that errors alone cause a difference at least as large in this direction."""
    note: str = ""
    """Why it is not judged, where the size of the errors is not the reason."""

    @property
    def failed(self) -> bool:
        """It makes the check fail."""
        return self.state in (State.WORSE, State.MISSING)

    @property
    def arrow(self) -> str:
        """Direction of the change."""
        arrow = ARROWS[self.state]
        return {"↑": "↓", "↓": "↑"}.get(arrow, arrow) if self.metric.higher_is_better else arrow


def compare(new: Mapping[str, Measured], old: Mapping[str, Measured], *, paired: bool) -> list[Finding]:
    """Every metric that either has.

    Args:
        new: of the model that is checked.
        old: of the baseline.
        paired: both are of the same seed and structures, so that random directions and momenta are the same.
    """
    level = FALSE_ALARMS / len(METRICS)
    findings = []
    for metric in METRICS:
        new_value, old_value = new.get(metric.name), old.get(metric.name)
        if new_value is None and old_value is None:
            continue
        if new_value is None or old_value is None:
            state = State.MISSING if new_value is None else State.NEW
            findings.append(Finding(metric=metric, state=state, new=new_value, old=old_value))
            continue
        findings.append(_judged(metric, new_value, old_value, paired=paired, level=level))
    return findings


def _judged(metric: Metric, new: Measured, old: Measured, *, paired: bool, level: float) -> Finding:
    worsening = old.effective - new.effective if metric.higher_is_better else new.effective - old.effective
    if math.isinf(new.effective) or math.isinf(old.effective):
        state = State.SAME if new.effective == old.effective else State.WORSE if worsening > 0 else State.BETTER
        return Finding(metric=metric, state=state, new=new, old=old, probability=None if state is State.SAME else 0.0)
    tolerated = max(metric.relative * old.effective, metric.absolute)
    worse, better = worsening > tolerated, -worsening > tolerated
    if not (worse or better):
        return Finding(metric=metric, state=State.SAME, new=new, old=old)
    if not (new.known and old.known):
        # Short runs with equal momenta do not help: the transients of two models after the same start differ, in all replicas alike.
        state = State.UNDECIDED if worse else State.SAME
        note = UNKNOWN_NEW if not new.known else UNKNOWN_OLD
        return Finding(metric=metric, state=state, new=new, old=old, note=note)
    probability = chance(new, old, paired=paired)
    if not comparable(new, old, level):
        note = f"{old.trials} and {new.trials} trials are too few to be compared"
        return Finding(metric=metric, state=State.UNDECIDED, new=new, old=old, probability=probability, note=note)
    sure = probability < level
    if worse:
        # A value below its own floor is not resolved from zero, even if the floor has increased.
        resolved = metric.higher_is_better or new.value > new.floor
        state = State.WORSE if sure and resolved else State.UNDECIDED
    else:
        state = State.BETTER if sure or _fell_decisively(metric, new, old) else State.SAME
    return Finding(metric=metric, state=state, new=new, old=old, probability=probability)


def comparable(new: Measured, old: Measured, level: float) -> bool:
    """Whether rates of so many trials can differ at ``level`` at all, that is for no success against only successes."""
    if not (new.trials and old.trials):
        return True
    # Fisher's exact test of 0/m against n/n: one table of C(m + n, n).
    return 1.0 / math.comb(new.trials + old.trials, old.trials) < level


def _fell_decisively(metric: Metric, new: Measured, old: Measured) -> bool:
    if metric.higher_is_better or not (math.isinf(new.between) or math.isinf(old.between)):
        return False
    known = math.hypot(new.error, old.error)
    return new.effective < old.effective / DECISIVE and old.effective - new.effective > 3.0 * known


def chance(new: Measured, old: Measured, *, paired: bool) -> float:
    """Probability that errors alone cause a difference at least as large in the observed direction.

    Counts are compared by Fisher's exact test, replicates of the same seed by Student's test of their differences, anything else by
    Welch's (Biometrika 34, 28, 1947).
    """
    if new.trials is not None and old.trials is not None and new.successes is not None and old.successes is not None:
        counts = np.array(
            [[new.successes, new.trials - new.successes], [old.successes, old.trials - old.successes]], dtype=np.int64
        )
        side: Side = "less" if new.value < old.value else "greater"
        return float(stats.fisher_exact(counts, alternative=side).pvalue)
    if paired and len(new.replicates) > 2 and set(new.replicates) == set(old.replicates):
        return _paired(new, old)
    errors = (new.within, old.within) if paired else (new.between, old.between)
    combined = math.hypot(*errors)
    if combined == 0:
        return 0.0
    if math.isinf(combined):
        return 1.0
    # Satterthwaite's degrees of freedom; infinite ones add nothing to the denominator.
    denominator = sum(
        error**4 / one.dof for error, one in zip(errors, (new, old), strict=True) if math.isfinite(one.dof)
    )
    dof = combined**4 / denominator if denominator > 0 else math.inf
    distance = abs(new.effective - old.effective) / combined
    return float(stats.norm.sf(distance) if math.isinf(dof) else stats.t.sf(distance, dof))


def _paired(new: Measured, old: Measured) -> float:
    """Of the mean of the differences, replicate by replicate, with what replicates have in common added to their scatter."""
    differences = [new.replicates[key] - old.replicates[key] for key in new.replicates]
    n = len(differences)
    middle = sum(differences) / n
    scatter = math.sqrt(sum((value - middle) ** 2 for value in differences) / (n - 1) / n)
    spread = math.hypot(scatter, new.shared, old.shared)
    if spread == 0:
        return 0.0 if middle else 1.0
    return float(stats.t.sf(abs(middle) / spread, n - 1))
