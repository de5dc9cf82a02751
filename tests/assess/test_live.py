"""The table on a terminal: decided and open uses, the running job and the time left; no output without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from ncbench.assess.evidence import Use, ladder, requests
from ncbench.assess.means import Moment, Question
from ncbench.assess.result import Assessment, Remedy
from ncbench.cli.assess_live import LiveReporter
from ncbench.report.decide import Answer
from ncbench.report.judge import NVE, Judgement
from ncbench.types import ModelRequest, SystemRequest

MODEL, SYSTEM = ModelRequest(spec="pet-m:direct"), SystemRequest(name="water64")


def moment() -> Moment:
    question = Question(model=MODEL, system=SYSTEM, uses=(Use.NVE, Use.LOCAL), n_atoms=192)
    found = Assessment("pet-m", "direct", remedies=[Remedy(Use.NVE, "white noise", "none", "verified", "1 K")])
    found.judgements = {Use.NVE: Judgement(NVE, Answer.NO, "drift 100(20) meV/atom/ps", "rule")}
    return Moment(question, found, "nve-drift duration_fs=160", 30.0, 240.0)


def shown(*, terminal: bool) -> str:
    """All that is written while one job runs and ends."""
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=terminal, width=100))
    reporter.watch(moment())
    job = requests(ladder(Use.NVE, seed=0, molecules=False)[0], MODEL, SYSTEM)[0]
    reporter.begin(job, 1, 1)
    reporter.start(320.0, "steps")
    reporter.update(80.0)
    reporter.end(job, [], reused=False)
    return stream.getvalue()


def test_table_shows_decided_and_open_uses() -> None:
    text = shown(terminal=True)
    for part in (
        "constant energy (NVE)",
        "unsafe",
        "100(20)",
        "local thermostat (τ = 100 fs)",
        "open",
        "white noise",
        "80 of 320 steps",
        "time left: 4 min",
    ):
        assert part in text, part


def test_no_table_when_output_is_no_terminal() -> None:
    assert shown(terminal=False) == ""


def test_no_table_between_jobs() -> None:
    """A question about an environment appears between jobs and must stay visible."""
    reporter = LiveReporter(Console(file=io.StringIO(), force_terminal=True, width=100))
    reporter.watch(moment())
    assert reporter.live is None


def test_negative_remaining_time_is_shown_as_spent() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100)
    reporter = LiveReporter(console)
    now = moment()
    reporter.watch(Moment(now.question, now.assessment, now.running, 0.0, -5.0))
    console.print(reporter.frame())
    assert "the time is spent" in stream.getvalue()
