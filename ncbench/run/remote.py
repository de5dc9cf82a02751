"""Runs jobs in another interpreter, in a worker process that is started once and monitored.

The worker runs the same ncbench, imported from its source folder: nothing else of this environment is visible to it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ncbench.errors import IsolatedEnvironmentError, NcbenchError, StoreError, UsageError
from ncbench.models.division.boot import command
from ncbench.run.attempt import Attempt
from ncbench.run.messages import case_content, decode, encode, job_content, outcome_from
from ncbench.types import Case, Job, Progress

INTERRUPT_SECONDS = 20.0
"""Time that a worker has to save its checkpoint after Ctrl-C, s."""
CLOSE_SECONDS = 2.0
LOG_BYTES = 40_000
"""Length of the end of a worker's output that is kept when it dies."""


def _with_subclasses(*errors: type[NcbenchError]) -> dict[str, type[NcbenchError]]:
    names = {error.__name__: error for error in errors}
    for error in errors:
        names |= _with_subclasses(*error.__subclasses__())
    return names


REFUSALS = _with_subclasses(UsageError, StoreError)
"""Errors that a worker sends by name and that are raised here again: all of them, since a subclass of UsageError has its exit code."""


class WorkerDiedError(Exception):
    """The worker ended during a job. ``log`` is the end of its output."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log


class Worker:
    """A process of another interpreter that runs jobs; a context manager that stops it."""

    def __init__(self, python: Path) -> None:
        # Not closed by a context manager, since it is open as long as the worker runs. Read only with pread, since the position is shared.
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            # A separate session, so that Ctrl-C in the terminal reaches only this process, which then interrupts the worker.
            self.process = subprocess.Popen(  # noqa: S603 - an interpreter that ncbench made
                command(str(python), "ncbench.run.worker", str(os.getpid())),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                start_new_session=True,
            )
        except OSError as error:
            self.log.close()
            raise IsolatedEnvironmentError(f"The interpreter {python} cannot be started: {error.strerror}.") from error
        self._said = 0
        """Bytes of the log from earlier jobs."""
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    def run(
        self, job: Job, cases: Sequence[Case], *, progress: Progress, checkpoint: Path, may_refuse: bool
    ) -> Attempt:
        """Run a job there; see :meth:`ncbench.run.attempt.Attempter.run`.

        After Ctrl-C the worker saves its checkpoint and returns an interrupted result.

        Raises:
            UsageError, StoreError: as :meth:`ncbench.run.attempt.Attempter.run`.
            WorkerDiedError: the process crashed, was killed, or sent an invalid message.
            KeyboardInterrupt: on a second Ctrl-C, or if the worker does not react to the first; it is killed.
        """
        request = encode(
            "run",
            job=job_content(job),
            cases=[case_content(case) for case in cases],
            checkpoint=str(checkpoint.absolute()),
            may_refuse=may_refuse,
        )
        try:
            answer = self._ask(request, progress)
        except KeyboardInterrupt:
            answer = self._interrupted(progress)
        if answer["kind"] == "refused":
            raise REFUSALS.get(answer["error"], StoreError)(answer["message"], hint=answer["hint"])
        return Attempt(
            common=answer["common"],
            outcome=outcome_from(answer["outcome"]),
            provenance=answer["provenance"],
            traceback=answer["traceback"],
            interrupted=answer["interrupted"],
        )

    def check(self, environment: str, packages: Sequence[str]) -> dict[str, Any]:
        """The result of :func:`ncbench.run.worker.check` in the worker.

        Raises:
            WorkerDiedError: an import or a computation failed; see the log.
        """
        return self._ask(encode("check", environment=environment, packages=list(packages)), None)

    def close(self) -> None:
        """Stop the process and wait for its end."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()

    def _ask(self, request: bytes, progress: Progress | None) -> dict[str, Any]:
        assert self.process.stdin is not None
        self._said = os.fstat(self.log.fileno()).st_size
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        return self._answer(progress)

    def _answer(self, progress: Progress | None) -> dict[str, Any]:
        """The next message that ends a job; earlier messages are passed on."""
        while line := self._line():
            try:
                message = decode(line)
            except ValueError:
                break
            kind = message["kind"]
            if kind in ("done", "refused", "checked"):
                return message
            if kind == "warning":
                warnings.warn(message["text"], stacklevel=2)
            elif kind == "start" and progress is not None:
                progress.start(message["total"], message["unit"])
            elif kind == "update" and progress is not None:
                progress.update(message["done"], message["note"])
        raise self._died()

    def _line(self) -> bytes:
        """The next line; empty at the end. Data already read are kept on Ctrl-C."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                return b""
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _interrupted(self, progress: Progress) -> dict[str, Any]:
        """Forward Ctrl-C and wait for the worker's answer."""
        watchdog = _Watchdog(self.process, INTERRUPT_SECONDS)
        try:
            with watchdog:
                self.process.send_signal(signal.SIGINT)
                return self._answer(progress)
        except WorkerDiedError:
            # It had no job to interrupt yet, or did not react.
            raise KeyboardInterrupt from None

    def _died(self) -> WorkerDiedError:
        """One sentence on how the process ended, with the end of its log."""
        try:
            code = self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            reason = "The model's process closed the connection."
        else:
            reason = _how_it_ended(code)
        size = os.fstat(self.log.fileno()).st_size
        first = max(self._said, size - LOG_BYTES)
        output = os.pread(self.log.fileno(), size - first, first).decode(errors="replace").strip()
        if last := _last_error(output):
            reason += f" Its output ended with: {last}"
        return WorkerDiedError(reason, output)


class _Watchdog:
    """Kills a process that is still running after some time, without a thread of the waiting interpreter."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process, self.seconds = process, seconds

    def __enter__(self) -> None:
        from threading import Timer

        self.timer = Timer(self.seconds, self.process.kill)
        self.timer.daemon = True
        self.timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.timer.cancel()
        if kind is not None:
            self.process.kill()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"The model's process ended with exit code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    why = {
        "SIGKILL": ": it was killed, as the system does when memory runs out",
        "SIGSEGV": ": a segmentation fault in the model's or a library's native code",
        "SIGABRT": ": native code called abort",
    }.get(name, "")
    return f"The model's process ended by signal {name}{why}."


def _last_error(log: str) -> str:
    """The exception that ended a Python process: the last line of its traceback."""
    lines = log.splitlines()
    if not any(line.startswith("Traceback ") for line in lines):
        return ""
    return next((line for line in reversed(lines) if line and not line[0].isspace() and ":" in line), "")[:300]
