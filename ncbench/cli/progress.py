"""Progress on standard error: a bar in a terminal, otherwise one line per job."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.status import Status
from rich.text import Text

from ncbench.cli.consoles import progress_console
from ncbench.types import Job

PATIENCE_SECONDS = 2.0
"""Time before a bar is shown, s; also the time over which a job's speed is measured."""
LONG_SECONDS = 30.0
"""Expected time of a job from which on it is announced where there is no bar, s."""


class TerminalReporter:
    """A bar with the remaining time of the running job. ``quiet`` suppresses all output."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = progress_console()
        self.quiet = quiet
        self.live = self.console.is_terminal and not quiet
        self.title = ""
        self.began = 0.0
        self.total, self.unit, self.done = 0.0, "", 0
        self.bar: Progress | None = None
        self.status: Status | None = None
        self.task: TaskID | None = None
        self.first: tuple[float, float] | None = None
        """What was done at the first update of the job, and when."""
        self.announced = False

    def begin(self, job: Job, number: int, of: int) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        self.title = f"{job.diagnostic} {job.model.spec} {job.system.label}" + (f" [{number}/{of}]" if of > 1 else "")
        self.began = time.monotonic()
        self.total, self.unit = 0.0, ""

    def batch(self, total: int, done: int) -> None:
        """See :class:`ncbench.run.cluster.reporting.BatchReporter`."""
        self.close()
        self.title, self.began = "batch", time.monotonic()
        self.total, self.unit, self.done = float(total), "jobs", done
        self.announced = True

    def finished(self, job: Job, rows: Sequence[Mapping[str, Any]], seconds: float, *, reused: bool) -> None:
        """See :class:`ncbench.run.cluster.reporting.BatchReporter`."""
        self.done += 1
        if not self.quiet:
            title = f"{job.diagnostic} {job.model.spec} {job.system.label} [{self.done}/{self.total:g}]"
            timing = "" if reused else f" in {seconds:.1f} s"
            self.console.print(Text(f"{title}: {_outcome(rows, reused=reused)}{timing}"), soft_wrap=True)
        self.update(self.done)

    def start(self, total: float, unit: str) -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        self.total, self.unit = total, unit
        self.first, self.announced = None, False
        if self.bar is not None and self.task is not None:
            self.bar.reset(self.task, total=total, description=self.title)

    def update(self, done: float, note: str = "") -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        if not self.live:
            self._announce(done)
            return
        if self.bar is None:
            if time.monotonic() - self.began < PATIENCE_SECONDS:
                return
            self._show()
        assert self.bar is not None
        assert self.task is not None
        self.bar.update(self.task, completed=done, note=f"{done:g}/{self.total:g} {self.unit} {note}")

    def note(self, text: str, *, passing: bool = False) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        if self.quiet or (passing and not self.live):
            return
        if passing:
            if self.status is None:
                self.status = self.console.status("")
                self.status.start()
            self.status.update(Text(text))
        else:
            self._end_status()
            print(text, file=sys.stderr)  # noqa: T201  # progress is for standard error

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        self.close()
        if self.quiet:
            return
        outcome = _outcome(rows, reused=reused)
        seconds = time.monotonic() - self.began
        timing = "" if reused else f" in {seconds:.1f} s"
        print(f"{self.title}: {outcome}{timing}", file=sys.stderr)  # noqa: T201  # progress is for standard error

    def close(self) -> None:
        """Remove the bar from the terminal."""
        self._end_status()
        if self.bar is not None:
            self.bar.stop()
        self.bar = self.task = None

    def _end_status(self) -> None:
        if self.status is not None:
            self.status.stop()
        self.status = None

    def _announce(self, done: float) -> None:
        """Print the expected time of a long job once, from the speed of its first steps; a bar shows it continually."""
        now = time.monotonic()
        if self.quiet or self.announced or not self.unit:
            return
        if self.first is None:
            self.first = done, now
            return
        before, since = self.first
        if now - since < PATIENCE_SECONDS or done <= before:
            return
        self.announced = True
        each = (now - since) / (done - before)
        if each * (self.total - done) >= LONG_SECONDS:
            from ncbench.statistics.format import duration

            left = duration(each * (self.total - done))
            text = f"{self.title}: {self.total:g} {self.unit}, about {left} at {1000 * each:.0f} ms each"
            print(text, file=sys.stderr)  # noqa: T201  # progress is for standard error

    def _show(self) -> None:
        self._end_status()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(self.title, total=self.total or None, note="")
        self.bar.start()


def _outcome(rows: Sequence[Mapping[str, Any]], *, reused: bool) -> str:
    bad = next((row for row in rows if row.get("status") in ("failed", "unsupported")), None)
    return f"{bad['status']}: {bad['reason']}" if bad else "done before" if reused else "done"
