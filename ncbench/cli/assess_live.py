"""The table that a terminal shows while ``assess`` runs: what is decided, what is open, what runs now, and the time left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ncbench.cli.consoles import progress_console
from ncbench.statistics.format import duration
from ncbench.types import Job

if TYPE_CHECKING:
    from ncbench.assess.means import Moment

COLOURS = {"safe": "green", "unsafe": "red", "open": "yellow"}
REFRESH_PER_SECOND = 2.0


class LiveReporter:
    """A :class:`ncbench.run.reporter.Reporter` that draws the table while a job runs, on standard error; nothing where that is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or progress_console()
        self.moment: Moment | None = None
        self.since = time.monotonic()
        self.done, self.total, self.unit = 0.0, 0.0, ""
        self.live: Live | None = None

    def watch(self, moment: Moment) -> None:
        """What the next frames show."""
        self.moment, self.since = moment, time.monotonic()

    def begin(self, job: Job, number: int, of: int) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        self.done, self.total, self.unit = 0.0, 0.0, ""
        # Drawn while a job runs only: between jobs the terminal may be needed for a question.
        if self.live is None and self.console.is_terminal:
            self.live = Live(
                console=self.console,
                get_renderable=self.frame,
                refresh_per_second=REFRESH_PER_SECOND,
                transient=True,
            )
            self.live.start()

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        self.close()

    def note(self, text: str, *, passing: bool = False) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        if not passing:
            self.console.print(Text(text))

    def start(self, total: float, unit: str) -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        self.total, self.unit = total, unit

    def update(self, done: float, note: str = "") -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        self.done = done

    def close(self) -> None:
        """Take the table off the terminal."""
        if self.live is not None:
            self.live.stop()
        self.live = None

    def frame(self) -> RenderableType:
        """The table of this moment."""
        moment = self.moment
        if moment is None:
            return Text("")
        passed = time.monotonic() - self.since
        assessment = moment.assessment
        table = Table(title=moment.question.model.spec, title_justify="left", expand=True)
        table.add_column("use", no_wrap=True)
        table.add_column("answer", no_wrap=True)
        table.add_column("known so far", ratio=1)
        for use in moment.question.uses:
            answer = assessment.answer(use)
            known = assessment.judgements[use].evidence if use in assessment.judgements else ""
            table.add_row(Text(use.label), Text(answer, style=COLOURS[answer]), Text(known))
        for remedy in assessment.remedies:
            table.add_row(Text("remedy"), Text(remedy.status), Text(remedy.what))
        running = f"now: {moment.running}"
        if self.total > 0:
            running += f", {self.done:g} of {self.total:g} {self.unit}"
        if moment.expected_s > passed:
            running += f", about {duration(moment.expected_s - passed)} to go"
        left = moment.left_s - passed
        time_left = f"time left: {duration(left)}" if left > 0 else "the time is spent; the last job ends"
        return Group(table, Text(running), Text(time_left))
