"""Cost models of the diagnostics, from which ``reproduce --plan``, progress and ``assess`` estimate times, against the time they take.

    python benchmarks/bench_cost.py                     # five minutes on one core
    python benchmarks/bench_cost.py --only lambda,nvt

A diagnostic's cost model gives force calls; times the time of a call of the same structure it is the expected time. Both are CPU times of one thread of one process,
the calls before and after the diagnostic, the model loaded and compiled before. Writes ``results/bench/cost.csv`` and ``.md``: expected over measured time.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from bench_files import listing, merged, now, prepare

from ncbench.api.measurement import measure
from ncbench.diagnostics import registry
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.run.plan import apply_overrides
from ncbench.structures.load import load_cases
from ncbench.types import Budget, ModelRequest, SystemRequest

LIMIT = 0.3
CALLS = 12


@dataclass(frozen=True)
class Case:
    """Settings with which a diagnostic takes some seconds."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    system: str = "water8"
    labelled: bool = False
    reference: str | None = None


CASES = (
    Case("lambda", {"method": "exact"}),
    Case("lambda", {"method": "stochastic", "probes": 16}, "water64"),
    Case("lambda", {"method": "finite-difference"}),
    Case("workloop", {"loops": 4}),
    Case("predict"),
    Case("nve-drift", {"duration_fs": 200.0}),
    Case("compare-engines", {"duration_fs": 50.0}),
    Case("nvt", {"duration_fs": 150.0, "equilibration_fs": 50.0}),
    Case("mts", {"duration_fs": 100.0, "strides": (4,), "rounds": 3}, reference="pet-m:conservative"),
    Case("mts-design", {"duration_fs": 200.0, "scan_fs": 50.0, "strides": (1, 4)}, reference="pet-m:conservative"),
    Case("consistency", {}, "water64"),
    Case("phonon-smoothness"),
    Case("relax", {"n": 4, "max_steps": 200}),
    Case("timing", {"repeats": 10, "steps": 10}),
    Case("accuracy", labelled=True),
    Case("evaluate"),
)


def call_s(forcefield: ForceField, atoms: Atoms) -> float:
    """CPU seconds of a force call: the median of some."""
    bound = forcefield.bind([atoms])
    at = bound.initial_positions()
    taken = []
    for number in range(CALLS):
        began = now()
        bound(at + 1e-4 * number)
        taken.append(now() - began)
    return statistics.median(taken[2:])


def run(case: Case, models: dict[str, ForceField]) -> dict[str, Any]:
    """The row of one case."""
    atoms = load_cases(SystemRequest(name=case.system), 1, 0)[0].atoms
    if case.labelled:
        atoms.info["energy_dft"], atoms.arrays["forces_dft"] = 0.0, 0.0 * atoms.positions
    diagnostic = registry.get(case.name)
    settings = apply_overrides(diagnostic.presets[Budget.SMOKE], case.settings, case.name)
    calls = float(diagnostic.cost(settings, len(atoms)))
    forcefield = models["pet-m:direct"]
    reference = None if case.reference is None else models[case.reference]

    def once() -> float:
        began = now()
        measure(case.name, forcefield, atoms, budget="smoke", reference=reference, progress=False, **case.settings)
        return now() - began

    once()
    # With two force modes the unit is a call of the conservative one.
    unit = reference or forcefield
    before = call_s(unit, atoms)
    taken = once()
    per_call = (before + call_s(unit, atoms)) / 2.0
    what = ", ".join([case.name, *(f"{name} {value}" for name, value in case.settings.items()), case.system])
    ratio = calls * per_call / taken
    note = f"{calls:.0f} calls of {1e3 * per_call:.1f} ms; measured {taken:.2f} s"
    return {"what": what, "value": ratio, "low": ratio, "high": ratio, "unit": "", "note": note}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="diagnostics, separated by commas")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(1)
    only = set(asked.only.split(",")) - {""}
    models = {
        spec: load_forcefield(ModelRequest(spec=spec, device="cpu")) for spec in ("pet-m:direct", "pet-m:conservative")
    }
    rows = []
    for case in CASES:
        if not only or case.name in only:
            rows.append(run(case, models))
            print(f"{rows[-1]['value']:.2f}  {rows[-1]['what']}  {rows[-1]['note']}", flush=True)
    lines = listing(merged(asked.out / "cost.csv", rows, "what"))
    (asked.out / "cost.md").write_text(
        "# Expected over measured time\n\nMade by `benchmarks/bench_cost.py`: pet-m:direct; force calls by the cost model times the time of a call, over the time of the "
        "diagnostic. `timing` also runs the native calculator, which computes a stress by the gradient with PET's direct forces and takes three times as long; `accuracy` and "
        "`evaluate` are one call. A whole Jacobian costs 1.1 calls a row with 192 atoms, where 1.5 are expected.\n\n"
        + "\n".join(lines)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
