"""Make the environment ``tinyfamily`` and print progress; with ``stall`` stop in the middle until killed."""

from __future__ import annotations

import sys
import time

from ncbench.run.environments import build, table


def say(words: str) -> None:
    """Print messages; stall as soon as a folder is being filled."""
    print(words, flush=True)  # noqa: T201 - its word to the test
    if "stall" in sys.argv and "waiting" not in words:
        time.sleep(600)


if __name__ == "__main__":
    made = build.create(table.get("tinyfamily"), say=say)
    print(f"made {made.folder}", flush=True)  # noqa: T201 - its word to the test
