"""The time of a step is measured again where a busy machine spoiled it, so that the time of an assessment is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fixed_clock import FixedClock
from stored import write_rows

from ncbench.assess.assess import Assessor, decide_all
from ncbench.assess.evidence import Step, Use
from ncbench.assess.forecast import Speed
from ncbench.assess.means import Means, Question
from ncbench.assess.step_time import MOST_TIMES, after_warm_up
from ncbench.run.local import Summary
from ncbench.types import Job, ModelRequest, SystemRequest

QUESTION = Question(
    model=ModelRequest(spec="pet-m:direct"), system=SystemRequest(name="water64"), uses=(Use.NVE,), n_atoms=192
)


class Recording(Assessor):
    """Runs nothing, and records what would be run."""

    def begin(self) -> None:
        self.ran: list[str] = []

    def do(self, step: Step) -> str:
        self.ran.append(step.diagnostic)
        self.tried.add(step.title)
        return ""


def means(folder: Path, milliseconds: Sequence[float], asked: list[str]) -> Means:
    """Whose measurements of the time of a step give these, ms."""

    def run_again(jobs: Sequence[Job]) -> Summary:
        asked.extend(job.diagnostic for job in jobs)
        row = {"status": "ok", "ms_per_step": milliseconds[len(asked) - 1]}
        return Summary(rows={"timing": [row]}, n_run=1)

    return Means(folder=folder, run=lambda _: Summary(), finished=lambda _: False, run_again=run_again)


@pytest.mark.parametrize(
    ("milliseconds", "measured", "runs"),
    [
        # The first run of the ladder, 400 steps, does not fit in 100 s at 1000 ms a step, and does at 30 ms.
        ([30.0] * MOST_TIMES, 1, True),
        # A busy machine may become free later.
        ([1100.0, 1000.0, 40.0, 40.0, 40.0], 3, True),
        ([1000.0] * MOST_TIMES, MOST_TIMES, False),
    ],
)
def test_runs_that_did_not_fit_are_made_after_a_new_measurement(
    tmp_path: Path, milliseconds: list[float], measured: int, runs: bool
) -> None:
    asked: list[str] = []
    folder = write_rows(tmp_path, {"lambda": [{"method": "exact", "lambda": 0.03}]})
    made = Recording(
        # Most of the first measurement was for imports.
        QUESTION,
        means(folder, milliseconds, asked),
        FixedClock(100.0),
        speed=Speed(ms_per_call=1000.0, timing_s=60.0),
    )
    made.found.model, made.found.mode = "pet-m", "direct"
    decide_all([made])
    assert bool(made.ran) is runs
    assert len(asked) >= measured if runs else len(asked) == MOST_TIMES
    assert set(asked) == {"timing"}
    assert made.speed.ms_per_call == min(1000.0, milliseconds[measured - 1])


@pytest.mark.parametrize(("timing_s", "again"), [(2.0, True), (20.0, False), (0.0, False)])
def test_time_of_a_step_is_measured_again_after_the_warm_up_where_that_is_cheap(
    tmp_path: Path, timing_s: float, again: bool
) -> None:
    asked: list[str] = []
    speed = Speed(ms_per_call=1000.0, timing_s=timing_s)
    made = Recording(QUESTION, means(tmp_path, [30.0], asked), FixedClock(100.0), speed=speed)
    after_warm_up(made)
    assert (asked == ["timing"]) is again
    assert speed.ms_per_call == (30.0 if again else 1000.0)
