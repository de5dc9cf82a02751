"""The task of a worker: runs one job, with request and answer as data (:mod:`ncbench.run.messages`), and writes its results to the store.

The worker writes the store itself, which contains the job's checkpoint and its lock: if a worker dies, the checkpoint is kept and the
lock is released. All workers must therefore share the file system of the folder.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ncbench
from ncbench.allocator import keep_pages
from ncbench.errors import NcbenchError
from ncbench.run.messages import case_from, decode, encode, job_from
from ncbench.run.recorder import Recorder
from ncbench.run.reuse import Reuse
from ncbench.store.store import Store
from ncbench.types import Job

LOOK_SECONDS = 0.5
"""Interval at which a running job checks whether to stop, s."""

_ONE_AT_A_TIME = threading.Lock()
"""torch's threads and the loaded model are per process: a worker with several threads still runs one job at a time."""
_RECORDERS: dict[str, Recorder] = {}


class StoppingProgress:
    """A :class:`ncbench.run.reporter.Reporter` without output, which ends the job once a file exists."""

    def __init__(self) -> None:
        self.stop = Path()
        self._looked = 0.0
        self._told = False

    def watch(self, stop: Path) -> None:
        """Watch for this file from now on."""
        self.stop, self._told = stop, False

    def begin(self, job: Job, number: int, of: int) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""

    def end(self, job: Job, rows: Sequence[Mapping[str, Any]], *, reused: bool) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""

    def note(self, text: str, *, passing: bool = False) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""

    def start(self, total: float, unit: str) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""

    def update(self, done: float, note: str = "") -> None:
        """Raises :class:`KeyboardInterrupt` as Ctrl-C would, once, when the file exists."""
        now = time.monotonic()
        if self._told or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self.stop.exists():
            self._told = True
            raise KeyboardInterrupt


def run_job(request: bytes) -> bytes:
    """Run the job of a request. The answer's kind is ``recorded``, ``busy`` (another process holds it), ``stopped`` or ``refused``."""
    message = decode(request)
    with _ONE_AT_A_TIME:
        began = time.monotonic()
        recorder = _recorder(message)
        stop = Path(message["stop"])
        if stop.exists():
            return encode("stopped")
        assert isinstance(recorder.reporter, StoppingProgress)
        recorder.reporter.watch(stop)
        try:
            cases = [case_from(content) for content in message["cases"]]
            recorded = recorder.run(job_from(message["job"]), cases, message["key"], may_refuse=False, wait=False)
        except KeyboardInterrupt:
            return encode("stopped")
        except NcbenchError as error:
            return encode("refused", message=error.message, hint=error.hint)
    if recorded is None:
        return encode("busy")
    return encode("recorded", rows=recorded.rows, reused=recorded.reused, seconds=time.monotonic() - began)


def probe(token: str) -> dict[str, Any]:
    """Versions of a worker, and whether it can access the file ``token``."""
    return {
        "ncbench": ncbench.__version__,
        "python": platform.python_version(),
        "host": platform.node(),
        "pid": os.getpid(),
        "sees": Path(token).is_file(),
    }


def _recorder(message: Mapping[str, Any]) -> Recorder:
    """This process's recorder for the store of a request; it keeps the last model loaded."""
    out = str(message["out"])
    keep_pages()
    if out not in _RECORDERS:
        _RECORDERS[out] = Recorder(Store(out), StoppingProgress(), command_line=message["command_line"])
    recorder = _RECORDERS[out]
    recorder.retries = int(message["retries"])
    recorder.reuse = Reuse(message["reuse"])
    if message["threads"] is not None:
        import torch

        os.environ["OMP_NUM_THREADS"] = str(message["threads"])
        torch.set_num_threads(int(message["threads"]))
    return recorder
