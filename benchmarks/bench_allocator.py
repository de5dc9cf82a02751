"""CPU time, page faults and peak memory of model calls with the allocator's pages kept and with the system's settings.

    python benchmarks/bench_allocator.py [--rounds 3] [--out results/bench/allocator.md]

Each case is a separate process; the two settings alternate, so that the machine's load affects both. The ratio is of CPU times (user + system).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CASES = (("pet-m:direct", 1, 20), ("pet-m:conservative", 1, 10), ("pet-m:direct", 32, 2), ("sevennet-0", 1, 3))
"""(model, replicas of water64 in one call, timed calls)."""

CALL = """
import json, resource, sys
from ncbench.allocator import keep_pages
spec, replicas, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
policy = keep_pages()
import torch
torch.set_num_threads(1)
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest
(case, *_) = load_cases(SystemRequest(name="water64"), 1, 0)
field = load_forcefield(ModelRequest(spec=spec)).bind([case.atoms] * replicas)
positions = field.initial_positions()
for call in range(2):
    field(positions + 1e-4 * call)
before = resource.getrusage(resource.RUSAGE_SELF)
for call in range(calls):
    field(positions + 1e-3 * (call + 1))
after = resource.getrusage(resource.RUSAGE_SELF)
per = 1000.0 / (calls * replicas)
print(json.dumps({
    "policy": policy, "user_ms": per * (after.ru_utime - before.ru_utime), "system_ms": per * (after.ru_stime - before.ru_stime),
    "faults": (after.ru_minflt - before.ru_minflt) / (calls * replicas), "peak_GB": after.ru_maxrss / 1e6,
}))
"""


def measure(case: tuple[str, int, int], policy: str) -> dict[str, float]:
    """One process of one case."""
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES" and not k.startswith("MALLOC_")}
    environment |= {"NCBENCH_ALLOCATOR": policy, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CALL, *map(str, case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/bench/allocator.md"))
    options = parser.parse_args()
    lines = [
        "# Allocator",
        "",
        "Per replica of 192 atoms and call, one thread, medians over alternating rounds. CPU: user + system time. `NCBENCH_ALLOCATOR=system` is the right half.",
        "",
        "| model | R | CPU ms, pages kept | CPU ms, system | ratio | page faults | | peak GB | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        kept, system = [], []
        for _ in range(options.rounds):
            kept.append(measure(case, ""))
            system.append(measure(case, "system"))

        def middle(rows: list[dict[str, float]], name: str) -> float:
            return statistics.median(row[name] for row in rows)

        def cpu(row: dict[str, float]) -> float:
            return row["user_ms"] + row["system_ms"]

        ratio = statistics.median(cpu(a) / cpu(b) for a, b in zip(kept, system, strict=True))
        kept_ms, system_ms = statistics.median(map(cpu, kept)), statistics.median(map(cpu, system))
        lines.append(
            f"| {case[0]} | {case[1]} | {kept_ms:.0f} | {system_ms:.0f} | {ratio:.2f} | {middle(kept, 'faults'):.0f} | "
            f"{middle(system, 'faults'):.0f} | {middle(kept, 'peak_GB'):.2f} | {middle(system, 'peak_GB'):.2f} |"
        )
        print(lines[-1], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
