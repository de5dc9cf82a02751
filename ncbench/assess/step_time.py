"""Measures the time of a step again: a machine that was busy while it was measured would end an assessment before its time is used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ncbench.assess.evidence import requests, timing_step
from ncbench.types import Status

if TYPE_CHECKING:
    from ncbench.assess.assess import Assessor

WARM_SHARE = 0.05
"""Share of the time left that measuring again after the warm-up may take."""
LATER_SHARE = 0.2
"""The same where no run fits in the time any more."""
MOST_TIMES = 5
"""Measurements where no run fits in the time."""


def after_warm_up(assessor: Assessor) -> None:
    """Replace a time of a step that this assessment measured first, before caches were filled and allocators had grown."""
    if assessor.speed.timing_s:
        _again(assessor, WARM_SHARE, assessor.speed.timing_s)


def is_shorter_now(assessor: Assessor) -> bool:
    """Whether a new measurement gives a shorter step, so that runs may fit in the time left that did not before."""
    if assessor.remeasured >= MOST_TIMES or assessor.clock.left() <= 0.0:
        return False
    assessor.remeasured += 1
    before = assessor.speed.ms_per_call
    # The first measurement included imports, which happen once: the steps alone are counted until a repetition was timed.
    expected_s = assessor.speed.again_s or assessor.expected(timing_step(assessor.question.seed))
    if not before or not _again(assessor, LATER_SHARE, expected_s):
        return False
    if assessor.speed.ms_per_call < before:
        return True
    # A slower moment says nothing about the runs before it.
    assessor.speed.ms_per_call = before
    # The machine may be busy for a moment only, so that the next measurement may be shorter.
    return is_shorter_now(assessor)


def _again(assessor: Assessor, share: float, expected_s: float) -> bool:
    """Measure and replace the recorded time; false where it is expected to take more than this share of the time left, or has no result."""
    run_again = assessor.means.run_again
    if run_again is None or expected_s > share * assessor.clock.left():
        return False
    start = time.monotonic()
    ran = run_again(requests(timing_step(assessor.question.seed), assessor.question.model, assessor.question.system))
    assessor.speed.again_s = time.monotonic() - start
    assessor.found.seconds += assessor.speed.again_s
    rows = [row for rows in ran.rows.values() for row in rows if row["status"] == Status.OK]
    if not rows:
        return False
    assessor.speed.ms_per_call = float(rows[-1]["ms_per_step"])
    return True
