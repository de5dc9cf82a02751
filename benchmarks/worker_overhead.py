"""Overhead per job of an isolated environment: the same command in the environment's own Python and from this one, in turn.

python benchmarks/worker_overhead.py mace -- lambda --model mace --checkpoint TINY.model --trust-checkpoint --system water-molecule
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ncbench
from ncbench.run.environments import places, table


def seconds(python: str, arguments: list[str]) -> float:
    """Wall time of one run of the command line with an empty results folder."""
    source = str(Path(ncbench.__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        subprocess.run(
            [python, "-m", "ncbench", *arguments, "--quiet", "--out", out],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        return time.perf_counter() - began


def main() -> None:
    """Print both medians and the median of the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("command", nargs="+", help="what follows ncbench")
    asked = parser.parse_args()
    made = places.find(table.get(asked.environment))
    if made is None:
        sys.exit(f"There is no environment '{asked.environment}': run ncbench env create {asked.environment}.")
    pairs = []
    for _ in range(asked.repeats + 1):
        inside, outside = seconds(str(made.python), asked.command), seconds(sys.executable, asked.command)
        pairs.append((inside, outside))
        print(f"in its own Python {inside:.2f} s, from here {outside:.2f} s", flush=True)
    # The first run of each fills caches.
    pairs = pairs[1:]
    added = statistics.median(outside - inside for inside, outside in pairs)
    print(f"medians: {statistics.median(a for a, _ in pairs):.2f} s, {statistics.median(b for _, b in pairs):.2f} s")
    print(f"added by the environment: {added:.2f} s (at most 3 s wanted)")


if __name__ == "__main__":
    main()
