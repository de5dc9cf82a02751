"""Tests whether ``kill -9`` loses results: a suite of analytic fields is killed repeatedly until all of it is done, many times.

    python benchmarks/bench_kills.py                 # 1,000 kills: some 15 minutes on one core
    python benchmarks/bench_kills.py --kills 30      # test of the script

A run is a process forked from one with all modules loaded, and is killed after a random time (exponential, 0.4 s on
average); one in ten gets Ctrl-C first, records what it has as incomplete, and is killed within 50 ms; one in fifty is ``ncbench run`` as
typed, killed within its usual duration. The next run continues in the same folder, until one
finishes; then the folder is compared with that of an uninterrupted run, and a new one is started. Checkpoints of dynamics are
taken every 20 ms instead of 10 s, so that kills fall between them. After every kill it is checked that every job recorded or reported as
finished still exists unchanged. Writes ``results/bench/kills.csv`` and ``.md``; exit code 1 if anything was lost, repeated or altered.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import pandas as pd
import torch

import ncbench
from ncbench.diagnostics import registry
from ncbench.md import ensemble
from ncbench.run.local import run_jobs
from ncbench.run.plan import load_suite
from ncbench.run.reporter import SilentReporter
from ncbench.store import tables
from ncbench.store.index import Index
from ncbench.store.layout import MAIN, diagnostic_schemas
from ncbench.store.store import Store
from ncbench.store.view import View

SUITE = """
[suite]
budget = "smoke"
[[run]]
diagnostics = ["workloop", "lambda", "consistency", "evaluate", "nve-drift", "relax"]
models = ["analytic-harmonic", "analytic-solenoidal"]
system = "harmonic-crystal"
structures = 2
[run.settings.nve-drift]
duration_fs = 1000.0
"""
MEAN_SECONDS = 0.4
CHECKPOINT_SECONDS = 0.02
ONE_TYPED_IN = 50
ONE_INTERRUPTED_IN = 10
INTERRUPTED_SECONDS = 0.05


@dataclass
class Tally:
    """Counts of events."""

    kills: int = field(default=0, metadata={"what": "runs killed"})
    typed: int = field(default=0, metadata={"what": "of these, `ncbench run` as typed"})
    interrupted: int = field(default=0, metadata={"what": "of these, with Ctrl-C first"})
    stores: int = field(default=0, metadata={"what": "folders brought to their end"})
    jobs: int = field(default=0, metadata={"what": "jobs in these"})
    checkpoints: int = field(default=0, metadata={"what": "kills that left a checkpoint to go on from"})
    halves: int = field(default=0, metadata={"what": "kills in the middle of writing a file"})
    unindexed: int = field(default=0, metadata={"what": "kills between a result and its line in the index"})
    lost: int = field(default=0, metadata={"what": "finished jobs lost", "must be": 0})
    repeated: int = field(default=0, metadata={"what": "finished jobs run again", "must be": 0})
    damaged: int = field(default=0, metadata={"what": "files found damaged", "must be": 0})
    leftovers: int = field(
        default=0, metadata={"what": "checkpoints and temporary files left at the end", "must be": 0}
    )
    duplicates: int = field(default=0, metadata={"what": "rows that stand twice in a table", "must be": 0})
    missing: int = field(default=0, metadata={"what": "rows missing in a table", "must be": 0})
    altered: int = field(
        default=0, metadata={"what": "numbers that differ from those of the run that was not killed", "must be": 0}
    )

    @property
    def clean(self) -> bool:
        """Whether no forbidden event occurred."""
        return all(getattr(self, one.name) == 0 for one in fields(self) if "must be" in one.metadata)


class Telling(SilentReporter):
    """Reporter that writes the finished jobs to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def end(self, job: object, rows: list[dict[str, object]], *, reused: bool) -> None:
        """See :class:`ncbench.run.reporter.Reporter`."""
        os.write(self.descriptor, f"{rows[0]['job']}\n".encode())


def run_to_end(suite: Path, out: Path, descriptor: int) -> None:
    """The command ``run`` without its output."""
    # A kill must fall between checkpoints within a second of dynamics.
    ensemble.RunSettings = partial(ensemble.RunSettings, checkpoint_seconds=CHECKPOINT_SECONDS)
    run_jobs(load_suite(suite), Store(out), Telling(descriptor))


def forked(suite: Path, out: Path, seconds: float, mercy: float | None = None) -> tuple[bool, set[str]]:
    """A run in a fork of this process, killed after a number of seconds; returns whether it was killed, and the jobs it reported as finished.

    With ``mercy`` it gets Ctrl-C, and is killed that many seconds later if it is still running.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run_to_end(suite, out, writing)
            status = 0
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            # The fork must not run the exit handlers of its parent process.
            os._exit(status)
    os.close(writing)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(min(0.002, seconds))
    else:
        if mercy is not None:
            os.kill(child, signal.SIGINT)
            time.sleep(mercy)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as reader:
        keys = {line.strip() for line in reader if line.endswith("\n")}
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL, 128 + signal.SIGINT):
        raise SystemExit("a run failed; see above")
    return code != 0, keys


def typed(suite: Path, out: Path, seconds: float) -> bool:
    """The same through the command line."""
    command = [sys.executable, "-m", "ncbench", "run", str(suite), "--out", str(out), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            code = run.wait(seconds)
        except subprocess.TimeoutExpired:
            run.kill()
            return True
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return False


def states(out: Path) -> dict[str, tuple[int, int]]:
    """Finished jobs, with the data that show whether their result was written again."""
    if not (out / "jobs").is_dir():
        return {}
    finished = {}
    for key, entry in View(out).recorded.items():
        if entry.finished:
            stat = (out / "jobs" / key / "result.parquet").stat()
            finished[key] = (stat.st_ino, stat.st_mtime_ns)
    return finished


def look(out: Path, before: dict[str, tuple[int, int]], reported: set[str], tally: Tally) -> dict[str, tuple[int, int]]:
    """Check after a run that all earlier results exist unchanged."""
    after = states(out)
    tally.lost += len((before.keys() | reported) - after.keys())
    tally.repeated += sum(after[key] != before[key] for key in before.keys() & after.keys())
    return after


def look_at_the_wreck(out: Path, finished: dict[str, tuple[int, int]], tally: Tally) -> None:
    """Count where the kill fell."""
    if not (out / "jobs").is_dir():
        return
    index = Index(out / "jobs" / ".index.jsonl", repair=False)
    index.refresh()
    tally.unindexed += bool(finished.keys() - index.entries().keys())
    tally.halves += bool([*out.glob(".*.tmp"), *out.glob("jobs/.*.tmp"), *out.glob("jobs/*/.*.tmp")])
    tally.checkpoints += bool([path for path in out.glob("jobs/*/checkpoint.bin") if path.parent.name not in finished])


def until_done(suite: Path, out: Path, rng: random.Random, whole: float, most: int, tally: Tally) -> None:
    """Kill runs in one folder until one finishes, or there were enough kills; then let one finish."""
    finished: dict[str, tuple[int, int]] = {}
    while True:
        reported: set[str] = set()
        if tally.kills >= most:
            killed, reported = forked(suite, out, float("inf"))
        elif rng.randrange(ONE_TYPED_IN) == 0:
            killed = typed(suite, out, rng.uniform(0.0, whole))
            tally.typed += killed
        else:
            mercy = rng.uniform(0.0, INTERRUPTED_SECONDS) if rng.randrange(ONE_INTERRUPTED_IN) == 0 else None
            killed, reported = forked(suite, out, rng.expovariate(1.0 / MEAN_SECONDS), mercy)
            tally.interrupted += killed and mercy is not None
        finished = look(out, finished, reported, tally)
        if not killed:
            return
        tally.kills += 1
        look_at_the_wreck(out, finished, tally)


def compare(out: Path, reference: Path, commands: list[str], tally: Tally) -> None:
    """Compare the folder with that of an uninterrupted run."""
    tally.stores += 1
    tally.jobs += len(states(out))
    tally.lost += len(states(reference).keys() ^ states(out).keys())
    tally.damaged += len([*out.rglob("*.damaged-*")])
    tally.leftovers += len([*out.glob("jobs/*/checkpoint.bin"), *out.rglob(".*.tmp")])
    for command in commands:
        schemas = diagnostic_schemas(registry.get(command))
        for name, schema in schemas.items():
            file = f"{command}-{name}.parquet" if name != MAIN else f"{command}.parquet"
            if not (reference / file).exists():
                continue
            # Measured times always differ.
            timed = [column.name for column in schema.columns if column.unit in ("s", "ms")]
            # A table without rows has no file.
            table, expected = (
                tables.frame(
                    tables.read_arrow(folder / file, schema)
                    if (folder / file).exists()
                    else tables.table_of(schema, [], {}, "")
                ).drop(columns=timed)
                for folder in (out, reference)
            )
            unique = table.drop_duplicates()
            tally.duplicates += len(table) - len(unique) - (len(expected) - len(expected.drop_duplicates()))
            tally.missing += max(0, len(expected) - len(table))
            if len(table) == len(expected):
                same = ((table == expected) | (table.isna() & expected.isna())).fillna(value=False)
                tally.altered += int((~same).to_numpy().sum())
                if not same.to_numpy().all():
                    print(f"{file} differs in {list(same.columns[~same.all()])}", flush=True)
            csv = (out / file).with_suffix(".csv")
            tally.missing += abs((len(pd.read_csv(csv)) if csv.exists() else 0) - len(table))


def campaign(kills: int, folder: Path, seed: int = 0) -> Tally:
    """The given number of kills, over as many folders as needed."""
    suite = folder / "suite.toml"
    suite.write_text(SUITE)
    jobs = load_suite(suite)
    commands = list(dict.fromkeys(job.diagnostic for job in jobs))
    forked(suite, folder / "reference", float("inf"))
    began = time.monotonic()
    typed(suite, folder / "typed", float("inf"))
    whole = time.monotonic() - began
    tally, rng = Tally(), random.Random(seed)
    while tally.kills < kills:
        out = folder / f"out-{tally.stores}"
        until_done(suite, out, rng, whole, kills, tally)
        compare(out, folder / "reference", commands, tally)
        if not tally.clean:
            kept = shutil.copytree(out, Path(tempfile.mkdtemp(prefix="ncbench-kills-kept-")) / "out")
            print(f"look at {kept}: {tally}", flush=True)
            break
        shutil.rmtree(out)
        print(f"{tally.stores} folders, {tally.kills} kills", flush=True)
    return tally


def write(tally: Tally, seconds: float, out: Path) -> None:
    """The tally as CSV and Markdown."""
    conditions = (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"ncbench {ncbench.__version__}, {seconds / 60:.0f} minutes, load average {os.getloadavg()[1]:.1f}"
    )
    rows = [
        {"what": one.metadata["what"], "number": getattr(tally, one.name), "must be": one.metadata.get("must be", "")}
        for one in fields(tally)
    ]
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).assign(conditions=conditions).to_csv(out / "kills.csv", index=False)
    lines = ["| what | number | must be |", "|---|---|---|"]
    lines += [f"| {row['what']} | {row['number']} | {row['must be']} |" for row in rows]
    text = (
        f"# Killed again and again\n\nMade by `benchmarks/bench_kills.py`, which says how. {conditions}. A kill in the middle of writing is "
        "recognised by the temporary file that it left.\n\n"
    )
    (out / "kills.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def main() -> None:
    """Kill, check, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work (default: the system's place for temporary files)")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    arguments = parser.parse_args()
    # A process with threads must not be forked.
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ncbench-kills-", dir=arguments.folder) as folder:
        tally = campaign(arguments.kills, Path(folder), arguments.seed)
    write(tally, time.monotonic() - began, arguments.out)
    sys.exit(0 if tally.clean else 1)


if __name__ == "__main__":
    main()
