"""Two processes of one thread each against one process with two threads, as ratios measured in turn in one run.

    python benchmarks/bench_processes.py            # some 10 minutes on 2 cores
    python benchmarks/bench_processes.py --quick    # test of the script

Every task is divided evenly: one replica of two each, or half of the molecules each. Loading of models is not counted; both processes begin at the
same time, and the task ends with the slower one. The processes live through all rounds, so that they are warm. Writes
``results/bench/processes.csv`` and ``.md`` with the load of the machine: a third program that computes takes more from two threads, which wait for each
other in every operation, than from two processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import ncbench
from ncbench import allocator
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax_many
from ncbench.relaxation.relaxation import Start, displaced_start
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest

Work = Callable[[], Any]


def dynamics(model: str, replicas: int, steps: int) -> Work:
    """Velocity Verlet of water64 at constant energy, ``replicas`` in one batch."""
    from bench_md import ours, water

    field = load_forcefield(ModelRequest(spec=model)).bind([water()] * replicas)
    return ours(field, steps)


def relaxation(model: str, numbers: range, steps: int) -> Work:
    """L-BFGS of the eight molecules of small-ten, repeated and displaced by 0.5 Å, at most ``steps`` steps each."""
    forcefield = load_forcefield(ModelRequest(spec=model))
    cases = [case for case in load_cases(SystemRequest(name="small-ten"), 10, 0) if not case.atoms.pbc.any()]
    starts = [
        Start(displaced_start(cases[number % len(cases)].atoms, 0.5, np.random.default_rng([0, number]))[0], "lbfgs")
        for number in numbers
    ]
    return lambda: list(relax_many(forcefield, starts, fmax=1e-5, max_steps=steps))


def tasks(quick: bool) -> dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    """The whole task, and its halves, as a function with its arguments."""
    steps, molecules, moves = (2, 4, 1) if quick else (20, 20, 2)
    half = molecules // 2
    listed: dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]] = {
        f"{model}, water64, R = 2, NVE": (("dynamics", model, 2, steps), [("dynamics", model, 1, steps)] * 2)
        for model in ("pet-m:direct", "pet-m:conservative")
    }
    for model in ("pet-m:direct",) if quick else ("sevennet-0",):
        listed[f"{model}, {molecules} molecules of small-ten, {moves} steps of relaxation"] = (
            ("relaxation", model, range(molecules), moves),
            [("relaxation", model, range(half), moves), ("relaxation", model, range(half, molecules), moves)],
        )
    return {name: task for name, task in listed.items() if not (quick and "small-ten" in name)}


def worker(connection: Connection, threads: int) -> None:
    """Prepare a task, then do it as often as requested."""
    torch.set_num_threads(threads)
    allocator.keep_pages()
    kind, *arguments = connection.recv()
    work = globals()[kind](*arguments)
    work()
    connection.send("ready")
    while connection.recv():
        work()
        connection.send("done")


class Workers:
    """Processes that do their parts of a task at the same time."""

    def __init__(self, parts: list[tuple[Any, ...]], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.ends, self.processes = [], []
        for part in parts:
            own, other = context.Pipe()
            process = context.Process(target=worker, args=(other, threads), daemon=True)
            process.start()
            # The end of this process alone: a worker that dies ends the wait for it.
            other.close()
            own.send(part)
            self.ends.append(own)
            self.processes.append(process)
        for end in self.ends:
            end.recv()

    def seconds(self) -> float:
        """Wall time until all have finished."""
        began = time.perf_counter()
        for end in self.ends:
            end.send(True)
        for end in self.ends:
            end.recv()
        return time.perf_counter() - began

    def close(self) -> None:
        """End the processes."""
        for end in self.ends:
            end.send(False)
        for process in self.processes:
            process.join()


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    # Threads that wait sleep: where other programs compute, spinning costs many times what it saves. Read by the processes when they start.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = []
    for name, (whole, halves) in tasks(asked.quick).items():
        one, two = Workers([whole], 2), Workers(halves, 1)
        threads, processes = [], []
        for _ in range(1 if asked.quick else asked.rounds):
            threads.append(one.seconds())
            processes.append(two.seconds())
        one.close()
        two.close()
        ratios = [a / b for a, b in zip(threads, processes, strict=True)]
        rows.append(
            {
                "what": f"{name}: two processes over two threads",
                "value": statistics.median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "unit": "times faster",
                "note": f"{statistics.median(threads):.2f} s with two threads, {statistics.median(processes):.2f} s in two processes, medians of {len(ratios)} rounds",
                "conditions": f"{platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, torch {torch.__version__.partition('+')[0]}, "
                f"Python {platform.python_version()}, ncbench {ncbench.__version__}, {time.strftime('%Y-%m-%d')}",
            }
        )
        print(rows[-1], flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(asked.out / "processes.csv", index=False, float_format="%.6g")
    lines = ["| what | value | range | note | conditions |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['what']} | {row['value']:.3g} | {row['low']:.3g} to {row['high']:.3g} | {row['note']} | {row['conditions']} |"
        for row in rows
    ]
    text = "# Two processes against two threads\n\nMade by `benchmarks/bench_processes.py`.\n\n" + "\n".join(lines)
    (asked.out / "processes.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
