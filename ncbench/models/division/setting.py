"""The number of processes that the user sets. Light imports only."""

from __future__ import annotations

import os

from ncbench.errors import UsageError

VARIABLE = "NCBENCH_PROCESSES"
"""``auto``, or the number of processes that share the batches of a job, at most as many as it has threads."""


def processes_set() -> int | None:
    """Number of processes in the variable :data:`VARIABLE`; ``None`` for ``auto``.

    Raises:
        UsageError: it is neither ``auto`` nor a positive whole number.
    """
    text = os.environ.get(VARIABLE, "").strip() or "auto"
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{VARIABLE}={text} is not a number of processes.", hint="Use auto, 1 or 2.")
    return int(text)
