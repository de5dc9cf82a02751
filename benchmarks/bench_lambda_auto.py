"""Cost of ``ncbench lambda --method auto`` against central differences through ASE, as ratios measured in turn in one run.

    python benchmarks/bench_lambda_auto.py                          # SevenNet-0 and the bundled model: some 15 minutes on a core
    python benchmarks/bench_lambda_auto.py --model chgnet           # another model, in an environment that holds it; rows are added
    python benchmarks/bench_lambda_auto.py --quick                  # test of the script

The peer is what a user would write: 6N force calls of the model's own ASE calculator (CHGNet's computes a stress in each), one displaced coordinate each, in this process with the same
allocator settings. Above 60 calls a sample of them is measured and scaled. Ours is the whole measurement of a structure with the settings of the
laptop budget: choice of the method, products, check of autograd, rounding floor, verdict. CPU seconds of one thread, which other programs on
the machine change little. The calculator is warmed up by two calls; ours is not, so that the lowest ratio contains the compilation of
second derivatives. Writes ``results/bench/lambda_auto.csv`` and ``.md``; rows of models and structures that are not measured are kept.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_files import conditions, merged, prepare

from ncbench.diagnostics.lambda_ import DIAGNOSTIC
from ncbench.jacobian.one_structure import measure_case
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.packaged import with_vacuum
from ncbench.structures.load import load_cases
from ncbench.types import Budget, Case, ModelRequest, SystemRequest

Row = dict[str, Any]
MODELS = ("sevennet-0", "pet-m:direct", "pet-m:conservative")
CASES = (
    *(
        ("small-ten", name)
        for name in ("H2O", "NH3", "CH4", "CO2", "H2CO", "CH3OH", "C2H4", "C6H6", "diamond", "graphene")
    ),
    ("water8", ""),
    ("al-fcc", ""),
    ("water64", ""),
)
"""System, and the name of the structure; the first one where it is empty."""
VACUUM_A = {"chgnet": 6.0}
"""Models whose own calculator, the peer, takes periodic structures alone: vacuum around others, as in ours, Å."""
PACKAGE_CALCULATORS = {"chgnet": "chgnet.model:CHGNetCalculator"}
"""Models whose package's calculator is the peer: ours is that one without the stress, which it computes in each call. Both are measured."""
WHOLE_CALLS = 60
"""Most calls of the peer that are all made."""


class Silent:
    """Progress that is not shown."""

    def start(self, total: float, unit: str) -> None:
        """Nothing."""

    def update(self, done: float, note: str = "") -> None:
        """Nothing."""


def case_of(system: str, name: str) -> Case:
    """The structure of a row."""
    cases = load_cases(SystemRequest(name=system), 10 if name else 1, 0)
    return next(case for case in cases if not name or case.name.endswith(f"#{name}"))


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of the process and what the call returned."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def packages_calculator(label: str) -> Any:
    """The package's own calculator, if it is another than ours; ``None`` where it is not."""
    if label not in PACKAGE_CALCULATORS:
        return None
    module, name = PACKAGE_CALCULATORS[label].split(":")
    return getattr(importlib.import_module(module), name)(use_device="cpu", on_isolated_atoms="error")


def compared(forcefield: ForceField, case: Case, label: str, rounds: int, sample: int) -> Row:
    """One row: the peer's time over ours, measured in turn."""
    settings = DIAGNOSTIC.presets[Budget.LAPTOP]
    atoms = with_vacuum(case.atoms.copy(), VACUUM_A.get(label, 0.0))
    atoms.calc = forcefield.ase_calculator()
    calls = 6 * len(atoms)
    made = calls if calls <= WHOLE_CALLS else sample
    coordinates = np.random.default_rng(0).choice(3 * len(atoms), size=-(-made // 2), replace=False)
    own_calculator, package_calculator = atoms.calc, packages_calculator(label)

    def differences() -> None:
        for k in coordinates:
            for step in (1e-3, -2e-3):
                atoms.positions.reshape(-1)[k] += step
                atoms.get_forces()
            atoms.positions.reshape(-1)[k] += 1e-3

    def peers_seconds(calculator: Any) -> float:
        atoms.calc = calculator
        return seconds(differences)[0] * calls / (2 * len(coordinates))

    for calculator in filter(None, (own_calculator, package_calculator)):
        atoms.calc = calculator
        for _ in range(2):
            atoms.positions[0, 0] += 1e-4
            atoms.get_forces()
    peer, own, rows, without_stress = [], [], [], []
    for number in range(rounds):
        rng = np.random.default_rng([0, number])
        spent, (row, _) = seconds(lambda rng=rng: measure_case(forcefield, case, settings, rng, Silent()))
        own.append(spent)
        rows.append(row)
        peer.append(peers_seconds(package_calculator or own_calculator))
        if package_calculator is not None:
            without_stress.append(peers_seconds(own_calculator) / spent)
    ratios = [a / b for a, b in zip(peer, own, strict=True)]
    last = rows[-1]
    sampled = "all calls" if made == calls else f"{2 * len(coordinates)} of {calls} calls, scaled"
    return {
        "row": f"{label}, {case.name}",
        "model": label,
        "structure": case.name,
        "n_atoms": len(atoms),
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "unit": "times the peer's speed",
        "method": last["method"],
        "verdict": last["resolved"] or last["status"],
        "force_calls": last["force_calls"],
        "products": last["products"],
        "ours_s": statistics.median(own),
        "first_s": own[0],
        "peer_s": statistics.median(peer),
        "note": f"peer: {sampled}; {rounds} rounds"
        + (f"; {statistics.median(without_stress):.3g} of the same calculator without stress" if without_stress else "")
        + (f"; {last['note']}" if last["note"] else ""),
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help=f"models (default: {', '.join(MODELS)})")
    parser.add_argument("--structure", action="append", help="measure only these: system, or system#name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smallest", type=int, default=1, help="leave out smaller structures")
    parser.add_argument("--largest", type=int, default=200, help="leave out larger structures")
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(1)
    rows: list[Row] = []
    for name in asked.model or (MODELS[1:2] if asked.quick else MODELS):
        forcefield = load_forcefield(ModelRequest(spec=name))
        for system, structure in CASES[: 1 if asked.quick else None]:
            if asked.structure and f"{system}#{structure}".rstrip("#") not in asked.structure:
                continue
            case = case_of(system, structure)
            known = forcefield.card.elements
            if not asked.smallest <= len(case.atoms) <= asked.largest or (
                known and not set(case.atoms.numbers) <= set(known)
            ):
                continue
            large = len(case.atoms) > 64
            row = compared(forcefield, case, name, 1 if asked.quick else asked.rounds, 6 if large else 20)
            rows.append(row | {"conditions": conditions()})
            write(asked.out, rows)
            print(f"{name}, {row['structure']}: {row['value']:.3g} ({row['low']:.3g} to {row['high']:.3g})", flush=True)


def write(out: Path, rows: list[Row]) -> None:
    """Both files, with the rows that are there already."""
    table = merged(out / "lambda_auto.csv", rows, "row")
    lines = [
        "| model | structure | atoms | times faster than central differences through ASE | range | method | verdict | ours (s) | first (s) | peer (s) | note |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['model']} | {row['structure']} | {row['n_atoms']} | {row['value']:.3g} | {row['low']:.3g} to {row['high']:.3g} | {row['method']} | "
        f"{row['verdict']} | {row['ours_s']:.3g} | {row['first_s']:.3g} | {row['peer_s']:.3g} | {row['note']} |"
        for row in table.to_dict("records")
    ]
    measured = "\n".join(f"- {text}" for text in dict.fromkeys(table["conditions"]))
    (out / "lambda_auto.md").write_text(
        f"# λ by `auto` against central differences through ASE\n\nMade by `benchmarks/bench_lambda_auto.py`, which describes what is compared.\n{measured}\n\n"
        + "\n".join(lines)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
