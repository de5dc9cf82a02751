"""Loaded by Dask in every worker that ncbench starts on this machine, before its first job."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(_worker: Any) -> None:
    """Leave Ctrl-C to the process in the terminal, which tells running jobs to stop: a worker that died of it would keep nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
