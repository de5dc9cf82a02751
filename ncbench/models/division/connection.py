"""The parent's side of helper processes: start, requests, answers, and how one ended."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from ncbench import allocator
from ncbench.errors import HelperError
from ncbench.models.division.boot import command
from ncbench.models.division.setting import VARIABLE

WAIT_SECONDS = 5.0
"""Time that the system may take to report the end of a process whose pipe is closed, s."""


class Helper:
    """A process of one thread with models, fields and linearisations of its own; its methods are those of :class:`ncbench.models.division.served.Served`."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            # A session of its own: Ctrl-C in the terminal reaches only this process.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                command(sys.executable, "ncbench.models.division.helper", str(os.getpid())),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise HelperError(
                f"A second process for this job cannot be started: {error.strerror}.",
                hint=f"Set {VARIABLE}=1 to use one.",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = Connection(os.dup(self._process.stdin.fileno()), readable=False)
        self._answers = Connection(os.dup(self._process.stdout.fileno()), writable=False)
        self._process.stdin.close()
        self._process.stdout.close()
        self._numbers = itertools.count()
        self._unread: set[int] = set()
        self._released: list[int] = []
        self.alive = True
        """Whether requests can be made: not after its end, nor after an interrupted exchange."""
        self._exchange(
            lambda: self._requests.send(
                {
                    "sys_path": list(sys.path),
                    "keep_pages": allocator.policy() == allocator.KEPT,
                    "one_thread_started": threading.current_thread() is threading.main_thread(),
                }
            )
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def new_number(self) -> int:
        """A number for a field or a linearisation."""
        return next(self._numbers)

    def release(self, number: int) -> None:
        """Forget a field or a linearisation with the next request; may be called by the garbage collector at any time."""
        self._released.append(number)

    def ask(self, name: str, *arguments: Any) -> int:
        """Send a request; the number is for :meth:`answer`.

        Raises:
            HelperError: the process has ended.
        """
        while self._unread:
            # Answers that an exception in this process left behind would block both ends once the pipe is full.
            self._receive()
        if self._released:
            released, self._released = self._released, []
            self._post("release", released)
            self._receive()
        return self._post(name, *arguments)

    def answer(self, number: int) -> Any:
        """Wait for the result of a request.

        Raises:
            HelperError: the process has ended.
            Exception: what the model raised there.
        """
        answered, succeeded, result = self._receive()
        assert answered == number, "a request is answered before the next one"
        if succeeded:
            return result
        raise result

    def close(self) -> None:
        """End the process at once: it holds nothing that must be saved."""
        self.alive = False
        for end in (self._requests, self._answers):
            with suppress(OSError):
                end.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._log.close()

    def _post(self, name: str, *arguments: Any) -> int:
        number = self.new_number()
        content = pickle.dumps((number, name, arguments), protocol=pickle.HIGHEST_PROTOCOL)
        self._exchange(lambda: self._requests.send_bytes(content))
        self._unread.add(number)
        return number

    def _receive(self) -> tuple[int, bool, Any]:
        content: bytes = self._exchange(self._answers.recv_bytes)
        number, succeeded, result = pickle.loads(content)  # noqa: S301 - written by the helper
        self._unread.discard(number)
        return number, succeeded, result

    def _exchange(self, transfer: Callable[[], Any]) -> Any:
        """Send or receive; an incomplete transfer leaves a pipe of which nothing more can be read."""
        if not self.alive:
            raise HelperError("The second process of this job has been ended.", hint="Run the command again.")
        try:
            return transfer()
        except (EOFError, OSError):
            raise self._ended() from None
        except BaseException:
            self.close()
            raise

    def _ended(self) -> HelperError:
        """How the process ended, in a sentence."""
        try:
            code = self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            how = "closed its connection"
        else:
            how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {_name(-code)}"
            if code == -signal.SIGKILL:
                how += ", as the system does when memory runs out"
        size = os.fstat(self._log.fileno()).st_size
        lines = os.pread(self._log.fileno(), 4000, max(0, size - 4000)).decode(errors="replace").strip().splitlines()
        last = f" Its output ended with: {lines[-1].strip().rstrip('.')}." if lines else ""
        self.close()
        return HelperError(
            f"The second process of this job, which evaluates a part of each batch, {how}.{last}",
            hint=f"Run the same command again to continue it; with {VARIABLE}=1, one process, dynamics may begin anew.",
        )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
