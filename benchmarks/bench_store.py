"""Cost of queries of a results folder of 100,000 jobs, and of planning a suite of 100,000 cells.

    python benchmarks/bench_store.py                       # some minutes; makes the folder in the system's place for temporary files
    python benchmarks/bench_store.py --folder store --keep # in this folder, kept for reuse
    python benchmarks/bench_store.py --quick               # 1,000 jobs: test of the script

The folder is made by a fast path, since recording the jobs one by one would take an hour: the same files with the same content from
the same functions, but written without flushing each to the disk, and the index at once. The tables are then made by the store
itself, from all jobs. Every query runs in a separate process (start and imports are not counted unless noted), with a
warm file cache of the system. Writes ``results/bench/store.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

import ncbench

Row = dict[str, Any]
DIAGNOSTIC = "evaluate"
COMMON = {"model": "analytic-harmonic", "force_mode": "conservative", "system": "harmonic-crystal", "seed": 0}


def key(number: int) -> str:
    """A key as long as a job's own."""
    return f"{number:020x}"


def fill(out: Path, count: int) -> None:
    """Make a folder of that many finished jobs by the fast path."""
    from ncbench.diagnostics import registry
    from ncbench.store import tables
    from ncbench.store.files import digest
    from ncbench.store.index import Entry
    from ncbench.store.store import Store

    store, diagnostic = Store(out), registry.get(DIAGNOSTIC)
    entries = []
    for number in range(count):
        entry = Entry(
            key=key(number),
            diagnostic=DIAGNOSTIC,
            version=diagnostic.version,
            finished=True,
            model="analytic-harmonic:conservative",
            system="harmonic-crystal",
        )
        row = {"structure": f"#{number}", "n_atoms": 64, "energy_eV": number / 3}
        content = tables.parquet_bytes(tables.table_of(diagnostic.schema, [row], COMMON, entry.key))
        record = {
            "diagnostic": DIAGNOSTIC,
            "diagnostic_version": diagnostic.version,
            "model": entry.model,
            "system": entry.system,
            "finished": True,
            "recorded_utc": datetime.now(UTC).isoformat(timespec="microseconds"),
            "files": {"result.parquet": digest(content)},
        }
        folder = store.folder(entry.key)
        folder.mkdir()
        (folder / ".lock").touch()
        (folder / "provenance.json").write_text(json.dumps({"job": entry.key, "record": record}, indent=1))
        (folder / "result.parquet").write_bytes(content)
        entries.append(entry)
    store._index.refresh()  # noqa: SLF001 - the fast path
    store._index.append(entries)  # noqa: SLF001


def ask_keys(out: Path) -> str:
    """The finished keys."""
    from ncbench.store.store import Store

    return f"{len(Store(out).finished_keys())} keys"


def ask_status(out: Path) -> str:
    """The result of ``ncbench status DIR``."""
    from ncbench.run.status import counted, of_folder
    from ncbench.store.view import View

    return str(counted(of_folder(View(out))))


def ask_suite(out: Path) -> str:
    """The result of ``ncbench status DIR SUITE.toml`` for a suite of as many cells, none of which is in the folder."""
    from ncbench.run.plan import load_suite
    from ncbench.run.status import counted, of_jobs
    from ncbench.store.view import View

    return str(counted(of_jobs(load_suite(out.parent / "suite-0.toml"), View(out))))


def ask_record(out: Path) -> str:
    """Record one more job, and update the tables."""
    from ncbench.diagnostics import registry
    from ncbench.store.store import Store
    from ncbench.types import Outcome

    store = Store(out)
    row = {"structure": "one more", "n_atoms": 64, "energy_eV": 1.0}
    store.record(f"{time.time_ns():020x}", registry.get(DIAGNOSTIC), COMMON, Outcome([row]), {})
    store.rebuild_tables(DIAGNOSTIC)
    return f"{store.table_path(DIAGNOSTIC).stat().st_size / 1e6:.1f} MB of Parquet"


def ask_tables(out: Path) -> str:
    """Rebuild the tables from all jobs."""
    from ncbench.store.store import Store

    store = Store(out)
    for path in out.glob(f"{DIAGNOSTIC}*"):
        path.unlink()
    store.rebuild_tables(DIAGNOSTIC)
    return f"{store.table_path(DIAGNOSTIC).stat().st_size / 1e6:.1f} MB of Parquet"


def ask_plan(suite: Path) -> str:
    """The jobs of a suite."""
    from ncbench.run.plan import load_suite

    return f"{len(load_suite(suite))} jobs"


QUESTIONS: dict[str, Callable[[Path], str]] = {
    "keys": ask_keys,
    "status": ask_status,
    "suite": ask_suite,
    "record": ask_record,
    "tables": ask_tables,
    "plan": ask_plan,
}

MODULES = {
    "keys": ["ncbench.store.store"],
    "status": ["ncbench.run.status"],
    "suite": ["ncbench.run.status", "ncbench.run.plan"],
    "record": ["ncbench.store.store"],
    "tables": ["ncbench.store.store"],
    "plan": ["ncbench.run.plan"],
}
"""Modules that each query loads before timing starts."""


def answer(question: str, path: Path) -> None:
    """Run a query in this process, and return its cost."""
    # Modules are loaded before timing starts, including torch with the diagnostics.
    from ncbench.diagnostics import registry

    for name in (DIAGNOSTIC, "nve-drift"):
        registry.get(name)
    for module in MODULES[question]:
        import_module(module)
    began, worked = time.perf_counter(), time.process_time()
    result = QUESTIONS[question](path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_MB": peak_MB(), "found": result}))


def peak_MB() -> float | None:
    """Peak memory of this process, if the system reports it; without that of its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def asked(what: str, question: str, path: Path, rounds: int, goal: str = "") -> Row:
    """Run a query several times, each in a new process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--ask", question, "--folder", str(path)]
    answers = []
    for _ in range(rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    peaks = [a["peak_MB"] for a in answers if a["peak_MB"] is not None]
    row = row_of(what, [a["seconds"] for a in answers], max(peaks, default=None), goal, answers[-1]["found"])
    return row | {"cpu_seconds": statistics.median(a["cpu_seconds"] for a in answers)}


def row_of(what: str, seconds: list[float], peak: float | None, goal: str, result: str) -> Row:
    """A line of the table."""
    return {
        "what": what,
        "seconds": statistics.median(seconds),
        "low": min(seconds),
        "high": max(seconds),
        "cpu_seconds": None,
        "peak_MB": peak,
        "goal": goal,
        "note": f"median of {len(seconds)}; {result}",
    }


def command_line(out: Path, rounds: int) -> Row:
    """``ncbench status DIR`` as typed, including its start."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ncbench", "status", str(out)], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    return row_of("`ncbench status DIR` as typed", seconds, None, "", "its start counted")


def by_seeds(count: int) -> str:
    """A suite of 10 models and the seeds that make up the number of cells."""
    models = [f"analytic-{kind}" for kind in ("harmonic", "solenoidal")] * 5
    return RUN.format(diagnostic="evaluate", models=models, seeds=list(range(count // 10)))


def by_values(count: int) -> str:
    """A suite of 10 models, 10 values of one setting, and of another as many as make up the number of cells."""
    run = RUN.format(diagnostic="nve-drift", models=["analytic-harmonic"] * 10, seeds=[0])
    steps, lengths = [0.1 + 0.01 * k for k in range(10)], [100.0 + k for k in range(count // 100)]
    return f"{run}[run.vary.nve-drift]\ntimestep_fs = {steps}\nduration_fs = {lengths}\n"


def by_models(count: int) -> str:
    """A suite with one model file per cell."""
    return RUN.format(diagnostic="evaluate", models=[f"./model-{k}.pt" for k in range(count)], seeds=[0])


def by_runs(count: int) -> str:
    """A suite with one [[run]] per cell."""
    return "".join(RUN.format(diagnostic="evaluate", models=["analytic-harmonic"], seeds=[k]) for k in range(count))


RUN = "[[run]]\ndiagnostics = ['{diagnostic}']\nmodels = {models}\nsystem = 'harmonic-crystal'\nseeds = {seeds}\n"
SUITES: dict[str, Callable[[int], str]] = {
    "10 models and many seeds": by_seeds,
    "10 models and many values of two settings": by_values,
    "a model file a cell": by_models,
    "a [[run]] a cell, which is mostly reading TOML": by_runs,
}


def measure(folder: Path, count: int, rounds: int) -> list[Row]:
    """All queries; the store is created if it does not exist."""
    out = folder / "out"
    if not (out / "jobs" / ".index.jsonl").exists():
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        fill(out, count)
        print(f"made {count} jobs in {time.perf_counter() - began:.0f} s", flush=True)
    rows = [
        asked("tables of a command, made anew from all jobs", "tables", out, 1),
        asked("which keys are finished", "keys", out, rounds, "2 s"),
        asked("`ncbench status DIR`, once it is loaded", "status", out, rounds, "seconds"),
        command_line(out, rounds),
        asked("one more job recorded, and the tables brought up to date", "record", out, rounds),
    ]
    for number, (what, text) in enumerate(SUITES.items()):
        suite = folder / f"suite-{number}.toml"
        suite.write_text("[suite]\nbudget = 'smoke'\n" + text(count))
        rows.append(asked(f"plan of a suite of {count:,} cells: {what}", "plan", suite, rounds, "5 s, 500 MB"))
    rows.append(asked(f"`ncbench status DIR SUITE.toml` with {count:,} cells, once it is loaded", "suite", out, 1))
    return rows


def number(value: float | None, digits: str) -> str:
    """A number that may not be known."""
    return "" if value is None else format(value, digits)


def write(rows: list[Row], count: int, out: Path) -> None:
    """The table as CSV and Markdown."""
    conditions = (
        f"{count:,} jobs; {platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"ncbench {ncbench.__version__}, load average {os.getloadavg()[1]:.1f}"
    )
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).assign(conditions=conditions).to_csv(out / "store.csv", index=False)
    lines = [
        "| what | seconds | range | of these at work | peak memory (MB) | goal | note |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['seconds']:.2f} | {row['low']:.2f} to {row['high']:.2f} | {number(row['cpu_seconds'], '.2f')} "
        f"| {number(row['peak_MB'], '.0f')} "
        f"| {row['goal']} | {row['note']} |"
        for row in rows
    ]
    text = (
        f"# A store of {count:,} jobs\n\nMade by `benchmarks/bench_store.py`. {conditions}.\n\n"
        "The folder is made by a fast path: the same files with the same content, not flushed one by one. Each question is asked in a "
        "process of its own, with the system's cache of files warm; memory is that process's peak, torch included; seconds "
        "at work are its processor time, which others on the machine lengthen little.\n\n"
    )
    (out / "store.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def main() -> None:
    """Measure and write the table, or run one query."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the store is made, or lies already")
    parser.add_argument("--keep", action="store_true", help="leave the store where it is")
    parser.add_argument("--quick", action="store_true", help="1,000 jobs, once: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    parser.add_argument("--ask", choices=QUESTIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        answer(arguments.ask, arguments.folder)
        return
    count, rounds = (1000, 1) if arguments.quick else (arguments.jobs, arguments.rounds)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="ncbench-store-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write(measure(folder, count, rounds), count, arguments.out)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
