"""The expected time of long jobs, printed where there is no progress bar."""

from __future__ import annotations

import pytest

from ncbench.cli import progress
from ncbench.cli.progress import TerminalReporter


class _Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    one = _Clock()
    monkeypatch.setattr(progress, "time", one)
    return one


def _steps(reporter: TerminalReporter, clock: _Clock, *, step_s: float, count: int, first: int = 0) -> None:
    reporter.title = "nve-drift orb water64"
    reporter.start(1000, "steps")
    for step in range(first, first + count):
        reporter.update(step)
        clock.now += step_s


def test_long_job_is_announced_once_from_its_first_steps(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    clock.now = 100.0  # loading the model does not count
    _steps(TerminalReporter(), clock, step_s=1.2, count=10)
    # 2 steps have passed when the speed is known: 998 are left, of 1.2 s each.
    assert capsys.readouterr().err == "nve-drift orb water64: 1000 steps, about 20 min at 1200 ms each\n"


def test_resumed_job_is_announced_by_what_is_left(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    _steps(TerminalReporter(), clock, step_s=1.2, count=10, first=900)
    assert "about 2 min" in capsys.readouterr().err


@pytest.mark.parametrize(("quiet", "step_s"), [(True, 1.2), (False, 0.02)])
def test_short_or_quiet_jobs_are_not_announced(
    clock: _Clock, capsys: pytest.CaptureFixture[str], quiet: bool, step_s: float
) -> None:
    _steps(TerminalReporter(quiet=quiet), clock, step_s=step_s, count=200)
    assert capsys.readouterr().err == ""


def test_every_job_is_announced(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TerminalReporter()
    for _ in range(2):
        _steps(reporter, clock, step_s=1.2, count=10)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_batches_are_not_announced(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TerminalReporter()
    reporter.batch(10, 0)
    for done in range(5):
        reporter.update(done)
        clock.now += 100.0
    assert capsys.readouterr().err == ""
