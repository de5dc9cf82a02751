"""Loaded by Dask in every worker that ncbench starts on this machine, before its first job."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(_worker: Any) -> None:
    """Ignore Ctrl-C in workers: the main process tells running jobs to stop, so that they save their checkpoints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
