"""Overhead per job of a cluster: many jobs of an analytic field on two workers, and consecutively in one process.

    python benchmarks/bench_scaling.py                # 1,000 jobs
    python benchmarks/bench_scaling.py --jobs 50      # test of the script

A job is `evaluate` of Lennard-Jones argon: a few milliseconds, so that the overhead dominates. The overhead per job is the
time from the first job sent to the last row recorded, with workers connected, times the workers, minus the time of
the jobs themselves (the ``wall_s`` of their provenance), over the jobs: the additional worker time per job. It includes structures,
keys, locks, files, and the final tables. Writes ``results/bench/scaling.csv`` and ``.md``; exit code 1 if the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import ncbench
from ncbench.run.cluster.dispatch import run_jobs as on_cluster
from ncbench.run.cluster.request import ClusterRequest
from ncbench.run.local import run_jobs as here
from ncbench.run.plan import load_suite
from ncbench.run.reporter import SilentReporter
from ncbench.store.store import Store

GOAL_MS = 50.0
RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench"
SUITE = """
[suite]
name = "scaling"
budget = "smoke"
[[run]]
diagnostics = ["evaluate"]
models = ["analytic-lj"]
system = "argon"
structures = 1
seeds = {seeds}
"""


class Clock(SilentReporter):
    """Records the time when the batch begins."""

    began = 0.0

    def batch(self, total: int, done: int) -> None:
        self.began = time.perf_counter()

    def finished(self, *_arguments: object, **_more: object) -> None:
        """No output."""


def jobs_themselves(out: Path) -> float:
    """Total time of the recorded jobs, s."""
    return sum(float(json.loads(path.read_text())["wall_s"]) for path in out.glob("jobs/*/provenance.json"))


def measured(name: str, workers: int, seconds: float, out: Path) -> dict[str, object]:
    """A row of the table."""
    rows = pd.read_parquet(out / "evaluate.parquet")
    assert (rows["status"] == "ok").all()
    inside = jobs_themselves(out)
    return {
        "what": name,
        "jobs": len(rows),
        "workers": workers,
        "wall_s": seconds,
        "jobs_themselves_s": inside,
        "overhead_ms_per_job": 1000.0 * (workers * seconds - inside) / len(rows),
        "jobs_per_s": len(rows) / seconds,
    }


def main() -> int:
    """Measure and write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        suite = place / "scaling.toml"
        suite.write_text(SUITE.format(seeds=list(range(asked.jobs))), encoding="utf-8")
        jobs = load_suite(suite)
        began = time.perf_counter()
        here(jobs, Store(place / "here"), SilentReporter())
        rows = [measured("one process", 1, time.perf_counter() - began, place / "here")]
        clock = Clock()
        request = ClusterRequest(workers=asked.workers, threads=1)
        began = time.perf_counter()
        on_cluster(jobs, Store(place / "there"), clock, request)
        ended = time.perf_counter()
        rows.append(measured(f"{asked.workers} workers", asked.workers, ended - clock.began, place / "there"))
        start = clock.began - began
        began = time.perf_counter()
        again = on_cluster(jobs, Store(place / "there"), clock, request)
        assert again.n_reused == len(jobs)
        reused = 1000.0 * (time.perf_counter() - clock.began) / len(jobs)
    table = pd.DataFrame(rows)
    conditions = (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"ncbench {ncbench.__version__}, load average {os.getloadavg()[1]:.1f}, wall time, {time.strftime('%Y-%m-%d')}"
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    table.assign(conditions=conditions).to_csv(asked.out / "scaling.csv", index=False)
    lines = [
        "# What a cluster costs a job",
        "",
        f"Made by `benchmarks/bench_scaling.py`, which says what is counted. {conditions}.",
        "",
        "| what | jobs | wall (s) | jobs themselves (s) | overhead a job (ms of a worker) | jobs/s | goal |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['what']} | {row['jobs']} | {row['wall_s']:.1f} | {row['jobs_themselves_s']:.1f} | "
            f"{row['overhead_ms_per_job']:.1f} | {row['jobs_per_s']:.1f} | {'≤ 50 ms' if row['workers'] > 1 else ''} |"
            for row in rows
        ),
        "",
        f"Starting {asked.workers} workers took {start:.1f} s, which is in none of the rows. Finding {len(jobs)} jobs finished takes {reused:.1f} ms a job.",
        "",
    ]
    (asked.out / "scaling.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return int(float(table["overhead_ms_per_job"].iloc[-1]) > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
