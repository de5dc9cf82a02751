"""Start-up of the command line: CPU seconds of fresh processes, with bytecode cached. A minute.

    python benchmarks/bench_start.py

Writes ``results/bench/start.csv`` and ``.md``. User and system time of the child process, which other programs change little; the first run of each command
writes the bytecode and does not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_files import listing, merged, prepare

COMMANDS = (("--version",), ("--help",), ("lambda", "--help"), ("models", "list"))


def cpu_seconds(arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "ncbench", *arguments], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(1)
    rows = []
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for arguments in COMMANDS:
            cpu_seconds(arguments, environment)
            spent = [cpu_seconds(arguments, environment) for _ in range(asked.rounds)]
            rows.append(
                {
                    "what": f"ncbench {' '.join(arguments)}",
                    "value": statistics.median(spent),
                    "low": min(spent),
                    "high": max(spent),
                    "unit": "s",
                    "note": f"CPU time of a fresh process, median of {asked.rounds}",
                }
            )
    lines = listing(merged(asked.out / "start.csv", rows, "what"))
    (asked.out / "start.md").write_text(
        "# Start-up\n\nMade by `benchmarks/bench_start.py`.\n\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
