"""Where the time of the main calculations goes, and how far each is from the arithmetic that it needs.

    python benchmarks/bench_profile.py                        # everything, some ten minutes on one core
    python benchmarks/bench_profile.py --only pet,sevennet    # sections by name
    python benchmarks/bench_profile.py --quick                # test of the script

For each calculation, on one thread: CPU time; floating-point operations counted by ``torch.utils.flop_counter`` (matrix products and attention, two for
a multiplication with addition); the time these would take at the speed of a large float32 matrix product measured in the same run, which is the limit
that no reordering of the work passes; and the shares of the CPU time by kind of kernel from ``torch.profiler``. What is not inside a kernel is Python, dispatch and
libraries that torch does not see (neighbour lists, NumPy, ASE). Writes ``results/bench/profile.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ase import Atoms
from bench_files import conditions, merged, now, prepare
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ncbench.jacobian import dense
from ncbench.jacobian.probe_estimates import Estimate
from ncbench.jacobian.stochastic import product_probes
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax_many
from ncbench.relaxation.relaxation import Start, displaced_start
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest

KINDS = {
    "matrix products": r"mm|addmm|bmm|linear|matmul|baddbmm|einsum",
    "attention": r"attention|softmax",
    "moving data": r"copy|cat|stack|index|gather|scatter|select|slice|contiguous|clone|expand|repeat|as_strided|embedding|_to$|zeros|fill|empty|constant_pad",
    "elementwise": r".",
}
"""Kind of a kernel → pattern of the names of torch operations; the first that fits holds."""
Work = Callable[[], Any]
Row = dict[str, Any]


def structures(name: str, count: int = 1) -> list[Atoms]:
    """The first structures of a built-in system."""
    return [case.atoms for case in load_cases(SystemRequest(name=name, structures=count), count, 0)][:count]


def gigaflops(size: int = 1024, rounds: int = 7) -> float:
    """10⁹ operations a second of a float32 matrix product of ``size``³ on the threads in use; the fastest of the rounds."""
    a = torch.rand(size, size)
    fastest = 0.0
    for _ in range(rounds):
        began = now()
        for _ in range(4):
            torch.mm(a, a)
        fastest = max(fastest, 4 * 2 * size**3 / (now() - began) / 1e9)
    return fastest


def kind_of(operation: str) -> str:
    """The kind of kernel of an operation such as ``aten::addmm``."""
    name = operation.removeprefix("aten::")
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, name))


def measured(section: str, what: str, work: Work, *, repeats: int, speed: float, note: str = "") -> Row:
    """One row: ``work`` is done once to warm up, ``repeats`` times on the clock, once to count operations and once under the profiler."""
    work()
    times = []
    for _ in range(repeats):
        began = now()
        work()
        times.append(now() - began)
    seconds = statistics.median(times)
    with FlopCounterMode(display=False) as counter:
        work()
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        work()
    traced = time.perf_counter() - began
    by_kind = dict.fromkeys(KINDS, 0.0)
    for event in trace.key_averages():
        if event.key.startswith("aten::"):
            by_kind[kind_of(event.key)] += event.self_cpu_time_total * 1e-6
    inside = sum(by_kind.values())
    needed = counter.get_total_flops() / 1e9 / speed
    # The profiler's times are wall times, and include its own work at the end, which is outside kernels as well: an upper bound.
    total = max(traced, inside)
    return {
        "section": section,
        "what": what,
        "value": seconds * 1e3,
        "low": min(times) * 1e3,
        "high": max(times) * 1e3,
        "unit": "ms",
        "gflop": counter.get_total_flops() / 1e9,
        "limit_ms": needed * 1e3,
        **{f"share {kind}": spent / total for kind, spent in by_kind.items()},
        "share outside kernels": 1 - inside / total,
        "note": note,
    }


def stepper(forcefield: ForceField, atoms: Atoms) -> Work:
    """One step of velocity Verlet, so that positions change and neighbour lists are kept or made as in a run."""
    field = forcefield.bind([atoms])
    particles, noise = Particles.from_structures(field.structures), NoiseSource(0, [0])
    momenta = draw_momenta(particles, noise.initial_normals((field.n_atoms, 3)), 300.0)
    state, dynamics = initial_state(field, particles, momenta), Dynamics(0.5)

    def step() -> None:
        nonlocal state
        state = dynamics.step(state, field, particles, noise)

    return step


def calls(section: str, names: tuple[str, ...], speed: float, quick: bool) -> list[Row]:
    """A step of dynamics, which is one call with its neighbour list."""
    (water,) = structures("water64")
    return [
        measured(
            section,
            f"{name}: a step of velocity Verlet, {len(water)} atoms",
            stepper(load_forcefield(ModelRequest(spec=name)), water),
            repeats=2 if quick else 15,
            speed=speed,
        )
        for name in names
    ]


def pet(speed: float, quick: bool) -> list[Row]:
    """The bundled model in both force modes."""
    return calls("pet", ("pet-m:direct", "pet-m:conservative"), speed, quick)


def sevennet(speed: float, quick: bool) -> list[Row]:
    """SevenNet-0."""
    return calls("sevennet", ("sevennet-0",), speed, quick)


def products(speed: float, quick: bool) -> list[Row]:
    """Exact and random λ."""
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct"))
    (large,) = structures("water64")

    def exact() -> Any:
        return dense.exact(forcefield, large, batch=1, rng=np.random.default_rng(0))

    def random() -> Estimate:
        return product_probes(forcefield, large, probes=4, target_error=None, batch=1, rng=np.random.default_rng(0))

    return [
        measured(
            "products",
            f"pet-m:direct: exact λ, {len(large)} atoms, {3 * len(large)} rows",
            exact,
            repeats=1 if quick else 3,
            speed=speed,
        ),
        measured(
            "products",
            f"pet-m:direct: random λ, {len(large)} atoms, 4 probes (8 products)",
            random,
            repeats=1 if quick else 5,
            speed=speed,
        ),
    ]


def relaxations(speed: float, quick: bool) -> list[Row]:
    """Relaxations side by side."""
    count = 4 if quick else 20
    starts = [
        Start(displaced_start(atoms, 0.5, np.random.default_rng([0, number]))[0], "lbfgs")
        for number, atoms in enumerate(structures("qm9", count))
    ]
    forcefield = load_forcefield(ModelRequest(spec="sevennet-0"))
    return [
        measured(
            "relaxations",
            f"sevennet-0: {count} molecules of QM9, 3 steps of L-BFGS",
            lambda: dict(relax_many(forcefield, starts, fmax=1e-5, max_steps=3, batch=None)),
            repeats=1 if quick else 3,
            speed=speed,
        )
    ]


SECTIONS = {"pet": pet, "sevennet": sevennet, "products": products, "relaxations": relaxations}


def _plain(value: float) -> str:
    """Three figures, without a power of ten."""
    return f"{value:.0f}" if value >= 100.0 else f"{value:.3g}"


def report(table: pd.DataFrame) -> str:
    """The page."""
    shares = [name for name in table.columns if name.startswith("share ")]
    known = list(dict.fromkeys(table["conditions"]))
    lines = [
        "# Where the time goes",
        "",
        "Made by `benchmarks/bench_profile.py`. *Limit*: the counted operations (matrix products, attention) at the speed of a large matrix product on this core.",
        "Shares are of a run under the profiler; *outside kernels* is Python, dispatch, neighbour lists and NumPy, and an upper bound, since the profiler slows them.",
        "",
        "| calculation | ms | range | GFLOP | limit ms | of the limit | "
        + " | ".join(name.removeprefix("share ") for name in shares)
        + " | conditions |",
        "|---|" + "---|" * (6 + len(shares)),
    ]
    for row in table.to_dict("records"):
        cells = [
            row["what"],
            _plain(row["value"]),
            f"{_plain(row['low'])} to {_plain(row['high'])}",
            f"{row['gflop']:.3g}",
            f"{row['limit_ms']:.3g}",
            f"{row['value'] / row['limit_ms']:.2g} times" if row["limit_ms"] > 0 else "–",
            *(f"{100 * row[name]:.0f} %" for name in shares),
            str(known.index(row["conditions"]) + 1),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{number}. {text}" for number, text in enumerate(known, 1))]) + "\n"


def main() -> None:
    """Run the requested sections and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(1)
    for name in asked.only.split(","):
        speed = gigaflops()
        rows = SECTIONS[name](speed, asked.quick)
        for row in rows:
            row["conditions"] = f"{conditions()}, matrix products at {speed:.0f} GFLOP/s"
        table = merged(asked.out / "profile.csv", rows, "section")
        (asked.out / "profile.md").write_text(report(table), encoding="utf-8")
        print(f"{name}: done", flush=True)
    print(report(table))


if __name__ == "__main__":
    main()
