"""Speed-up of batched relaxations over ASE one by one, as ratios measured in turn in one run.

    python benchmarks/bench_relax.py                              # 20 molecules, 10 steps of each: some minutes on one core
    python benchmarks/bench_relax.py --molecules 100 --steps 1000 --rounds 1   # to the end, success sets compared: hours with SevenNet-0
    python benchmarks/bench_relax.py --only sevennet --threads 2  # wall time on two cores: processes share the structures, ASE has two threads
    python benchmarks/bench_relax.py --quick                      # test of the script

``sevennet`` relaxes molecules of QM9 displaced by 0.5 Å; ``water`` and ``pet`` displaced water molecules and clusters of four, within
the training domain of the bundled model. Both use ASE's L-BFGS from the same starts to the same criterion; ASE calls the model's own calculator.
``batch`` compares ncbench with itself at one structure per call. Writes ``results/bench/relax.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import LBFGS
from bench_files import listing, loaded, merged, now, on_cores, prepare

from ncbench.models.interface import ForceField
from ncbench.relaxation.batch import relax_many
from ncbench.relaxation.relaxation import Ending, Start, displaced_start
from ncbench.structures.load import load_cases
from ncbench.structures.water import water_box, water_molecule
from ncbench.types import SystemRequest

FMAX = 1e-5
Row = dict[str, Any]
Piece = Callable[[], tuple[float, list[bool]]]
"""Relaxes all structures, and returns steps per second and which of them converged."""


def starts_of(structures: Sequence[Atoms]) -> list[Start]:
    """The structures displaced by 0.5 Å, as in the paper."""
    return [
        Start(displaced_start(atoms, 0.5, np.random.default_rng([0, number]))[0], "lbfgs")
        for number, atoms in enumerate(structures)
    ]


def molecules(count: int) -> list[Start]:
    """Molecules of QM9."""
    return starts_of([case.atoms for case in load_cases(SystemRequest(name="qm9", structures=count), count, 0)])


def clusters(count: int) -> list[Start]:
    """Four water molecules each, not periodic."""
    boxes = []
    for seed in range(count):
        atoms = water_box(4, seed=seed)
        atoms.set_pbc(False)
        atoms.set_cell(None)
        boxes.append(atoms)
    return starts_of(boxes)


def ours(forcefield: ForceField, starts: Sequence[Start], steps: int, batch: int | None = None) -> Piece:
    """Side by side."""

    def piece() -> tuple[float, list[bool]]:
        began = now()
        relaxed = dict(relax_many(forcefield, starts, fmax=FMAX, max_steps=steps, batch=batch))
        seconds = now() - began
        taken = sum(result.steps for result in relaxed.values())
        return taken / seconds, [relaxed[number].ending is Ending.CONVERGED for number in range(len(starts))]

    return piece


def ase(forcefield: ForceField, starts: Sequence[Start], steps: int) -> Piece:
    """One after the other, as in ASE's tutorials."""
    calculator = forcefield.ase_calculator()

    def piece() -> tuple[float, list[bool]]:
        taken, converged = 0, []
        began = now()
        for start in starts:
            atoms = start.atoms.copy()
            atoms.calc = calculator
            optimiser = LBFGS(atoms, logfile=None)
            try:
                converged.append(bool(optimiser.run(fmax=FMAX, steps=steps)))
            except RuntimeError:
                # L-BFGS without curvature steps to non-finite positions, which the calculators' neighbour lists refuse.
                if np.isfinite(atoms.positions).all():
                    raise
                converged.append(False)
            taken += optimiser.nsteps
        return taken / (now() - began), converged

    return piece


def ratio(what: str, first: Piece, second: Piece, rounds: int, count: int, steps: int) -> Row:
    """Ratio of steps per second, first over second, measured in turn."""
    pairs = [(first(), second()) for _ in range(rounds)]
    ratios = [a[0] / b[0] for a, b in pairs]
    a, b = (statistics.median(side[0] for side in sides) for sides in zip(*pairs, strict=True))
    first_converged, second_converged = pairs[-1][0][1], pairs[-1][1][1]
    same = sum(one == other for one, other in zip(first_converged, second_converged, strict=True))
    return {
        "what": what,
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "note": f"{count} structures, {steps} steps at most; {a:.4g} and {b:.4g} steps a second, medians of {rounds} rounds; "
        f"{sum(first_converged)} and {sum(second_converged)} converged, {same} of {count} alike",
    }


def measure(model: str, starts: Sequence[Start], named: str, steps: int, rounds: int) -> list[Row]:
    """One model on one set."""
    forcefield = loaded(model)
    batched, single = ours(forcefield, starts, steps), ase(forcefield, starts, steps)
    # TorchScript rewrites a model on its first calls.
    ours(forcefield, starts[:2], 3)()
    ase(forcefield, starts[:2], 3)()
    shared = {"rounds": rounds, "count": len(starts), "steps": steps}
    label = forcefield.card.label
    return [
        ratio(
            f"{label}, {named}: side by side over ASE one by one with the model's own calculator{on_cores()}",
            batched,
            single,
            **shared,
        ),
        ratio(
            f"{label}, {named}: side by side over one structure a call{on_cores()}",
            batched,
            ours(forcefield, starts, steps, batch=1),
            **shared,
        ),
    ]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # In this order: sevenn's calculator imports a package that replaces torch.index_select, with which metatensor does not compile.
    parser.add_argument("--only", default="water,pet,sevennet", help="sections, separated by commas")
    parser.add_argument("--molecules", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(asked.threads)
    warnings.simplefilter("ignore")
    count, steps, rounds = (4, 3, 1) if asked.quick else (asked.molecules, asked.steps, asked.rounds)
    rows: list[Row] = []
    for section in asked.only.split(","):
        if section == "sevennet":
            rows += measure("sevennet-0", molecules(count), "QM9", steps, rounds)
        else:
            starts = starts_of([water_molecule()] * count) if section == "water" else clusters(count)
            named = "one water molecule" if section == "water" else "four water molecules"
            for mode in ("direct", "conservative"):
                rows += measure(f"pet-m:{mode}", starts, named, steps, rounds)
        print(f"{section}: done", flush=True)
    lines = listing(merged(asked.out / "relax.csv", rows, "what"), unit=False)
    text = "# Relaxations side by side\n\nMade by `benchmarks/bench_relax.py`.\n\n" + "\n".join(lines)
    (asked.out / "relax.md").write_text(text + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
