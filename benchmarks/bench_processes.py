"""One job whose batches two processes of one thread each share, against the same job with two threads, as ratios measured in turn in one run.

    python benchmarks/bench_processes.py            # some 6 minutes on 2 cores
    python benchmarks/bench_processes.py --quick    # test of the script

Both jobs are in this process, with the model loaded once here and once in a helper process, as a job does it (``ncbench/models/division``): steps of R replicas of
water64, relaxations of molecules of small-ten, rows of the exact Jacobian of water64, and random probes. Loading is not counted, and its time is in the last row. Writes
``results/bench/processes.csv`` and ``.md`` with the load of the machine: a third program that computes takes more from two threads, which wait for each
other in every operation, than from two processes. Threads wait as OpenMP lets them by default: with ``OMP_WAIT_POLICY=PASSIVE`` two threads would
take twice as long.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from bench_files import listing, merged, prepare

from ncbench.jacobian.dense import _rows
from ncbench.jacobian.probes import product_probes
from ncbench.md.ensemble import default_batch
from ncbench.models.division.connection import Helper
from ncbench.models.division.divided import DividedForceField
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax_many
from ncbench.relaxation.relaxation import Start, displaced_start
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest, silent

Work = Callable[[ForceField], Callable[[], Any]]
"""Prepares a task of a force field, and returns the function that is timed."""


def water() -> Atoms:
    """The first snapshot of ``water64``."""
    return load_cases(SystemRequest(name="water64"), 1, 0)[0].atoms


def dynamics(replicas: int, steps: int) -> Work:
    """Velocity Verlet of water64 at constant energy in the default batches."""
    from bench_md import ours

    def prepared(forcefield: ForceField) -> Callable[[], Any]:
        structures = [water()] * replicas
        size = default_batch(forcefield, structures) or replicas
        pieces = [ours(forcefield.bind(structures[i : i + size]), steps) for i in range(0, replicas, size)]
        return lambda: [piece() for piece in pieces]

    return prepared


def relaxation(count: int, steps: int) -> Work:
    """L-BFGS of the eight molecules of small-ten, repeated and displaced by 0.5 Å, at most ``steps`` steps each."""
    cases = [case for case in load_cases(SystemRequest(name="small-ten"), 10, 0) if not case.atoms.pbc.any()]
    starts = [
        Start(displaced_start(cases[number % len(cases)].atoms, 0.5, np.random.default_rng([0, number]))[0], "lbfgs")
        for number in range(count)
    ]
    return lambda forcefield: lambda: list(relax_many(forcefield, starts, fmax=1e-5, max_steps=steps))


def rows_of_j(count: int) -> Work:
    """Rows of the Jacobian of water64, one product each, with the linearisation."""

    def prepared(forcefield: ForceField) -> Callable[[], Any]:
        field = forcefield.bind([water()] * forcefield.card.processes)
        return lambda: _rows(field, field.initial_positions(), np.arange(count), silent)

    return prepared


def probes(count: int) -> Work:
    """Random probes of water64: products with the Jacobian and its transpose."""

    def prepared(forcefield: ForceField) -> Callable[[], Any]:
        batch, rng = forcefield.card.processes, np.random.default_rng(0)
        return lambda: product_probes(forcefield, water(), probes=count, target_error=None, batch=batch, rng=rng)

    return prepared


def tasks(quick: bool) -> Iterator[tuple[str, dict[str, Work]]]:
    """Models with their tasks by name."""
    steps = 2 if quick else 20
    yield (
        "pet-m:direct",
        {
            f"water64, R = {count}, NVE": dynamics(count, max(2, 4 * steps // count))
            for count in ((2,) if quick else (2, 8, 32))
        }
        | {
            "water64, 48 rows of J": rows_of_j(4 if quick else 48),
            "water64, 8 random probes": probes(2 if quick else 8),
        },
    )
    if not quick:
        yield "pet-m:conservative", {"water64, R = 2, NVE": dynamics(2, steps)}
        yield "sevennet-0", {"20 molecules of small-ten, 2 steps of relaxation": relaxation(20, 2)}


def seconds(work: Callable[[], Any]) -> float:
    """Wall time."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(2)
    rows = []
    for model, named in tasks(asked.quick):
        request = ModelRequest(spec=model)
        whole = load_forcefield(request)
        began = time.perf_counter()
        helper = Helper()
        helper.answer(helper.ask("load", (request, ())))
        start_s = time.perf_counter() - began
        divided = DividedForceField(whole, request, [helper])
        for name, work in named.items():
            pair = work(whole), work(divided)
            # TorchScript compiles in the first two calls.
            for _ in range(1 if asked.quick else 2):
                for one in pair:
                    one()
            threads, processes = [], []
            for _ in range(1 if asked.quick else asked.rounds):
                threads.append(seconds(pair[0]))
                processes.append(seconds(pair[1]))
            ratios = [a / b for a, b in zip(threads, processes, strict=True)]
            rows.append(
                {
                    "what": f"{model}, {name}: one job in two processes over two threads",
                    "value": statistics.median(ratios),
                    "low": min(ratios),
                    "high": max(ratios),
                    "unit": "times faster",
                    "note": f"{statistics.median(threads):.2f} s with two threads, {statistics.median(processes):.2f} s in two processes, "
                    f"medians of {len(ratios)} rounds; the second process was ready after {start_s:.1f} s",
                }
            )
            print(rows[-1], flush=True)
        helper.close()
    lines = listing(merged(asked.out / "processes.csv", rows, "what"))
    text = "# Two processes against two threads\n\nMade by `benchmarks/bench_processes.py`.\n\n" + "\n".join(lines)
    (asked.out / "processes.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
