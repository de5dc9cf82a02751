"""What runs on a worker: one job, its request and its answer both data (:mod:`ncbench.run.messages`), its results into the store.

The worker writes the store itself, where the job's checkpoint and its lock are: a worker that dies loses nothing that was kept, and the
lock goes with it. The folder must therefore be one file system for all workers.
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
"""How often a running job looks whether it is to stop."""

_ONE_AT_A_TIME = threading.Lock()
"""torch's threads and the loaded model belong to the process: a worker of several threads still runs one job."""
_RECORDERS: dict[str, Recorder] = {}


class StoppingProgress:
    """A :class:`ncbench.run.reporter.Reporter` that says nothing, and ends the job once a file has appeared."""

    def __init__(self) -> None:
        self.stop = Path()
        self._looked = 0.0
        self._told = False

    def watch(self, stop: Path) -> None:
        """Look out for this file from now on."""
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
        """Raises :class:`KeyboardInterrupt` as Ctrl-C would, once, when the file is there."""
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
            found = recorder.run(job_from(message["job"]), cases, message["key"], may_refuse=False, wait=False)
        except KeyboardInterrupt:
            return encode("stopped")
        except NcbenchError as error:
            return encode("refused", message=error.message, hint=error.hint)
    if found is None:
        return encode("busy")
    return encode("recorded", rows=found.rows, reused=found.reused, seconds=time.monotonic() - began)


def probe(token: str) -> dict[str, Any]:
    """What a worker is, and whether it sees the file ``token``."""
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
