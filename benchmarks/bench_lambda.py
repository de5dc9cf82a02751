"""Cost of λ by each method, as ratios measured in one run.

    python benchmarks/bench_lambda.py                       # everything, half an hour on 2 cores
    python benchmarks/bench_lambda.py --only direct,colours # sections by name
    python benchmarks/bench_lambda.py --only direct --threads 2  # wall time on two cores: processes share the products, the peer has two threads
    python benchmarks/bench_lambda.py --quick               # test of the script

Sections: ``direct`` and ``sevennet`` (exact and random products against central differences through the model's own ASE calculator, which
are sampled and scaled to their 6N calls), ``size`` (cost against N), ``colours`` (products against N), ``coverage`` (coverage of 95 %
intervals), ``memory`` (peak of fresh processes). Writes ``results/bench/lambda.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from bench_files import listing, loaded, merged, now, on_cores, prepare

from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.asymmetry import asymmetry
from ncbench.jacobian.colouring import colour, neighbours
from ncbench.jacobian.probe_estimates import Estimate, PairProbes, ProductProbes, interval95, standard_error
from ncbench.jacobian.probes import product_probes
from ncbench.jacobian.stochastic import products
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest

Row = dict[str, Any]
SECTIONS = ("direct", "sevennet", "size", "colours", "coverage", "memory")


def water(repeat: int = 1) -> Atoms:
    """``water64`` repeated along each axis."""
    return load_cases(SystemRequest(name="water64", repeat=(repeat,) * 3), 1, 0)[0].atoms


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    began = now()
    work()
    return now() - began


def ase_call(forcefield: ForceField, atoms: Atoms) -> Callable[[], None]:
    """One force call of a central difference through the model's own calculator, which has to rebuild its neighbour list."""
    copy = atoms.copy()
    copy.calc = forcefield.ase_calculator()
    rng = np.random.default_rng(0)

    def call() -> None:
        copy.positions[rng.integers(len(copy)), rng.integers(3)] += 1e-3
        copy.get_forces()

    return call


def against_differences(
    forcefield: ForceField, sample: int, rounds: int, work: dict[str, Callable[[], Any]]
) -> list[Row]:
    """Rows of ratios: 6N calls of the calculator over each task, measured in turn."""
    atoms, name = water(), forcefield.card.label if forcefield.card.family == "pet" else forcefield.card.name
    call = ase_call(forcefield, atoms)
    for warm in (call, call, *work.values()):
        warm()
    differences, times = [], {key: [] for key in work}
    for _ in range(rounds):
        differences.append(statistics.mean(seconds(call) for _ in range(sample)))
        for key, item in work.items():
            times[key].append(seconds(item))
    calls = 6 * len(atoms)
    rows = []
    for key, durations in times.items():
        ratios = [calls * one / t for one, t in zip(differences, durations, strict=True)]
        rows.append(
            {
                "section": ("direct" if "direct" in name else "sevennet") + on_cores(),
                "what": f"{name}, {len(atoms)} atoms: {calls} central-difference calls over {key}{on_cores()}",
                "value": statistics.median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "unit": "times faster",
                "note": f"{statistics.median(differences) * 1e3:.0f} ms a call (mean of {sample}, scaled), {statistics.median(durations):.2f} s",
            }
        )
    return rows


def direct(quick: bool) -> list[Row]:
    """Exact and random products of the bundled direct model."""
    forcefield, atoms = loaded("pet-m:direct"), water()
    # One copy for each process, as by default for a structure of this size.
    batch = forcefield.card.processes
    errors: list[float] = []

    def random() -> None:
        estimate = product_probes(
            forcefield, atoms, probes=16, target_error=0.03, batch=batch, rng=np.random.default_rng(len(errors))
        )
        errors.append(standard_error(estimate) / estimate.lam)

    rows = against_differences(
        forcefield,
        4 if quick else 40,
        1 if quick else 3,
        {
            "exact products": lambda: jacobian.exact(forcefield, atoms, batch=batch, rng=np.random.default_rng(0)),
            "random products to 3 %": random,
        },
    )
    rows[1]["note"] += f"; relative standard errors {', '.join(f'{100 * e:.1f} %' for e in errors)}"
    return rows


def sevennet(quick: bool) -> list[Row]:
    """Random products of SevenNet-0, whose forces are themselves a derivative."""
    forcefield, atoms = loaded("sevennet-0"), water()
    estimates: list[Estimate] = []

    def random() -> None:
        estimates.append(
            products(
                forcefield,
                atoms,
                probes=16,
                target_error=None,
                batch=forcefield.card.processes,
                rng=np.random.default_rng(0),
                memory_GiB=10,
            )
        )

    rows = against_differences(forcefield, 1 if quick else 5, 1 if quick else 3, {"random products": random})
    last = estimates[-1]
    rows[0]["note"] += (
        f"; {last.n_probes} probes: λ = {last.lam:.1e}, rounding {last.noise / last.jacobian_norm:.1e}; "
        "λ of a gradient has no relative error, and stops at zero"
    )
    return rows


def size(quick: bool) -> list[Row]:
    """Seconds of four probes against the number of atoms."""
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct"))
    repeats = (1, 2) if quick else (1, 2, 3)
    cells = {len(atoms): atoms for atoms in map(water, repeats)}
    # Between the cubes: slabs of the same liquid.
    for shape in ((2, 1, 1), (2, 2, 1), (3, 2, 2)) if not quick else ():
        atoms = water().repeat(shape)
        cells[len(atoms)] = atoms
    times = {
        n: min(
            seconds(
                lambda atoms=atoms: product_probes(
                    forcefield, atoms, probes=4, target_error=None, batch=1, rng=np.random.default_rng(0)
                )
            )
            for _ in range(1 if n > 2000 else 2)
        )
        for n, atoms in sorted(cells.items())
    }
    exponent = float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])
    note = ", ".join(f"{n} atoms {t:.2f} s" for n, t in times.items())
    what = "pet-m:direct, four random probes: exponent of cost against N"
    return [{"section": "size", "what": what, "value": exponent, "unit": "", "note": note}]


def colours(quick: bool) -> list[Row]:
    """Products of the coloured method against the number of atoms; no model is needed to count them."""
    rows = []
    reach = load_forcefield(ModelRequest(spec="pet-m:direct")).card.receptive_A
    assert reach is not None
    for label, distance, repeats in (
        ("liquid water, reach 3.5 Å", 3.5, (1, 2, 3, 4)),
        ("liquid water, reach 5 Å", 5.0, (1, 2, 3, 4)),
        (f"liquid water, reach {reach:g} Å (pet-m:direct)", reach, (1, 2, 3)),
        ("argon, reach 5.5 Å", 5.5, (0,)),
    ):
        cells = [water(n) for n in repeats if n and not (quick and n > 2)]
        if not cells:
            cells = [bulk("Ar", "fcc", a=5.4, cubic=True).repeat(n) for n in ((4, 6) if quick else (6, 8, 9, 10, 11))]
            for atoms in cells:
                atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
        counts = {len(atoms): 3 * (int(colour(neighbours(atoms, 2 * distance)).max()) + 1) for atoms in cells}
        large = [count for n, count in counts.items() if n >= 1536] or list(counts.values())
        rows.append(
            {
                "section": "colours",
                "what": f"{label}: most over fewest products from 1,536 atoms up",
                "value": max(large) / min(large),
                "unit": "",
                "note": ", ".join(f"{n} atoms {count} (dense: {3 * n})" for n, count in counts.items()),
            }
        )
    return rows


def coverage(quick: bool) -> list[Row]:
    """How often the 95 % interval contains the exact λ. The matrices are exact Jacobians; the probes are drawn from them."""
    solenoidal = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(2)
    solenoidal.arrays["sites"] = solenoidal.positions.copy()
    solenoidal.positions += np.random.default_rng(0).normal(scale=0.1, size=solenoidal.positions.shape)
    rows = []
    for name, atoms in (("analytic-solenoidal", solenoidal), ("pet-m:direct", water())):
        if quick and name != "analytic-solenoidal":
            continue
        forcefield = load_forcefield(ModelRequest(spec=name))
        matrix = jacobian.exact(forcefield, atoms, batch=1, rng=np.random.default_rng(0)).matrix
        exact = asymmetry(matrix).whole
        for kind, n in (("products", 8), ("products", 16), ("pairs", 16), ("pairs", 32)):
            inside = sum(_holds(matrix, exact, kind, n, seed) for seed in range(200))
            rows.append(
                {
                    "section": "coverage",
                    "what": f"{name}, {len(atoms)} atoms: 95 % intervals of {n} probes ({kind}) that hold the exact λ",
                    "value": 100 * inside / 200,
                    "unit": "%",
                    "note": f"200 repeats; exact λ = {exact:.5f}",
                }
            )
    return rows


def _holds(matrix: np.ndarray, exact: float, kind: str, n: int, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    estimate: Estimate
    if kind == "pairs":
        v = rng.normal(size=(n, len(matrix)))
        estimate = PairProbes(v, v @ matrix.T, 0.0)
    else:
        v = rng.integers(0, 2, size=(n, len(matrix))) * 2.0 - 1.0
        estimate = ProductProbes(v, v @ matrix.T, v @ matrix, 0.0)
    low, high = interval95(estimate)
    # If every probe gives the same value (a constant curl of the field), the interval is a point, and rounding decides.
    return low - 1e-12 <= exact <= high + 1e-12


PEAKS = (
    ("pet-m:direct", 1, "exact", 2.0),
    ("pet-m:direct", 3, "stochastic", 10.0),
    ("pet-m:conservative", 3, "stochastic", 10.0),
)
"""Model, repeats of water64, method, GiB allowed."""


def memory(quick: bool) -> list[Row]:
    """Peak resident memory of whole processes."""
    rows = []
    for name, repeat, method, limit in PEAKS[: 1 if quick else None]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--peak", name, str(repeat), method],
            capture_output=True,
            text=True,
            check=True,
        )
        peak, wall, atoms = done.stdout.split()[-3:]
        rows.append(
            {
                "section": "memory",
                "what": f"{name}, {atoms} atoms, {method}: peak of the process (allowed {limit:g})",
                "value": float(peak),
                "unit": "GiB",
                "note": f"{float(wall):.0f} s, Python and torch included",
            }
        )
    return rows


def peak(name: str, repeat: int, method: str) -> None:
    """The work whose memory is measured, and its peak."""
    forcefield, atoms, rng = load_forcefield(ModelRequest(spec=name)), water(repeat), np.random.default_rng(0)
    began = time.perf_counter()
    if method == "exact":
        jacobian.exact(forcefield, atoms, batch=1, rng=rng)
    else:
        products(forcefield, atoms, probes=4, target_error=None, batch=1, rng=rng, memory_GiB=10)
    wall = time.perf_counter() - began
    # Not getrusage: its peak is inherited from the parent.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    high = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    print(high / 2**20, wall, len(atoms))


def main() -> None:
    """Run the requested sections and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    parser.add_argument("--peak", nargs=3, metavar=("MODEL", "REPEAT", "METHOD"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    prepare(asked.threads)
    if asked.peak:
        peak(asked.peak[0], int(asked.peak[1]), asked.peak[2])
        return
    rows: list[Row] = []
    for name in asked.only.split(","):
        rows += globals()[name](asked.quick)
        print(f"{name}: done", flush=True)
    lines = listing(merged(asked.out / "lambda.csv", rows, "section"))
    text = "# Cost of λ\n\nMade by `benchmarks/bench_lambda.py`.\n\n" + "\n".join(lines) + "\n"
    (asked.out / "lambda.md").write_text(text, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
