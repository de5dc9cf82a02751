"""The worker process of :mod:`ncbench.run.remote`: reads jobs from standard input, writes progress and rows to the original standard output.

A worker ends with the process that started it: end of input stops it, and on Linux
the kernel kills it. Output of libraries goes to standard error, which is a log.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

UPDATES_PER_SECOND = 10.0


class Channel:
    """Messages to the process that started this one. Other output to standard output is redirected to the log."""

    def __init__(self) -> None:
        self._stream: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def send(self, kind: str, **content: Any) -> None:
        """Send one complete message."""
        from ncbench.run.messages import encode

        line = encode(kind, **content)
        with self._lock:
            while line:
                line = line[self._stream.write(line) :]


class ChannelProgress:
    """A :class:`ncbench.diagnostics.base.Progress` that sends progress messages a few times per second."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._last = 0.0

    def start(self, total: float, unit: str) -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        self.channel.send("start", total=total, unit=unit)

    def update(self, done: float, note: str = "") -> None:
        """See :class:`ncbench.diagnostics.base.Progress`."""
        now = time.monotonic()
        if now - self._last >= 1.0 / UPDATES_PER_SECOND:
            self._last = now
            self.channel.send("update", done=done, note=note)


def main(parent: str) -> None:
    """Serve jobs until the process ``parent`` has ended."""
    from ncbench.allocator import keep_pages
    from ncbench.models.division.boot import end_with

    keep_pages()
    channel = Channel()
    end_with(int(parent))
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    _quiet(channel)
    from ncbench.run.attempt import Attempter
    from ncbench.run.messages import decode

    attempter = Attempter()
    channel.send("ready", python=platform.python_version(), pid=os.getpid())
    try:
        while True:
            message = decode(inbox.get())
            if message["kind"] == "run":
                _run(message, attempter, channel)
            else:
                channel.send("checked", **check(message["environment"], message["packages"]))
    except KeyboardInterrupt:
        # An interrupt after the end of the last job.
        sys.exit(128 + signal.SIGINT)


def _listen(inbox: queue.SimpleQueue[bytes]) -> None:
    # Not through sys.stdin: its lock, held by a waiting thread, makes the interpreter abort at exit.
    unread = b""
    while more := os.read(0, 1 << 16):
        *lines, unread = (unread + more).split(b"\n")
        for line in lines:
            inbox.put(line)
    # The requesting process has ended, and nobody reads the answer. Checkpoints are written atomically.
    os._exit(0)


def _quiet(channel: Channel) -> None:
    """Warnings of ncbench are for the user, those of libraries for the log."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **_more: Any) -> None:
        if category.__module__.split(".")[0] == "ncbench":
            channel.send("warning", text=str(message))
        else:
            sys.stderr.write(f"{where[0]}:{where[1]}: {category.__name__}: {message}\n")

    warnings.showwarning = show


def _run(message: Mapping[str, Any], attempter: Any, channel: Channel) -> None:
    from ncbench.errors import StoreError, UsageError
    from ncbench.run.messages import case_from, job_from, outcome_content
    from ncbench.store.checkpoint import FileCheckpoint

    try:
        attempt = attempter.run(
            job_from(message["job"]),
            [case_from(content) for content in message["cases"]],
            progress=ChannelProgress(channel),
            checkpoint=FileCheckpoint(Path(message["checkpoint"])),
            may_refuse=message["may_refuse"],
            # The job's own files are in the folder of the checkpoint.
            files=Path(message["checkpoint"]).parent,
        )
    except (UsageError, StoreError) as error:
        channel.send("refused", error=type(error).__name__, message=error.message, hint=error.hint)
        return
    channel.send(
        "done",
        common=attempt.common,
        outcome=outcome_content(attempt.outcome),
        provenance=attempt.provenance,
        traceback=attempt.traceback,
        interrupted=attempt.interrupted,
    )


def check(environment: str, packages: Sequence[str]) -> dict[str, Any]:
    """Whether this interpreter can run the models of an environment: imports, versions, forces on two atoms.

    The adapters of all families whose rows name the environment are imported. Forces are those of the first such model whose weights are
    available, and of an analytic field in any case.
    """
    from ncbench.models import family
    from ncbench.models.registry import models

    rows = [row for row in models() if row.environment == environment]
    families = sorted({row.family for row in rows})
    for name in families:
        importlib.import_module(family.get(name).adapter)
    present = [row.name for row in rows if row.weights_present()]
    tried = ["analytic-lj", *present[:1]]
    return {
        "python": platform.python_version(),
        "families": families,
        "versions": {name: version for name in packages if (version := _version(name))},
        "forces": {name: _force_on_two_atoms(name) for name in tried},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _force_on_two_atoms(name: str) -> float:
    """Largest component, eV/Å, on two atoms at 1.1 Å (analytic field: argon at 4 Å)."""
    import numpy as np
    from ase import Atoms

    from ncbench.models.loading import load_forcefield
    from ncbench.types import ModelRequest

    forcefield = load_forcefield(ModelRequest(spec=name))
    if name == "analytic-lj":
        atoms = Atoms("Ar2", positions=[[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    else:
        lightest = min(forcefield.card.elements or (1, 8))
        atoms = Atoms(numbers=[lightest] * 2, positions=[[0.0, 0.0, 0.0], [1.1, 0.0, 0.0]])
    return float(np.abs(forcefield.evaluate([atoms])[0].forces).max())
