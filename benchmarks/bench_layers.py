"""Models evaluated by this project's arrangement of their layers against the same models as their packages evaluate them.

    python benchmarks/bench_layers.py           # three minutes on one core
    python benchmarks/bench_layers.py --quick   # test of the script

PET without the neighbours by which its export pads atoms, its whole Jacobian from those of its layers against one product a row (a sample of rows, scaled), and SevenNet's
convolutions as matrix products. CPU time of one thread, both measured in turn; ratios are the package's time over ours. Writes ``results/bench/layers.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from bench_files import listing, merged, now, prepare

from ncbench.models.families.sevennet import adapter as sevennet_adapter
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import ModelRequest, SystemRequest

Row = dict[str, Any]
Work = Callable[[], Any]
SAMPLE = 12
"""Rows of a Jacobian that are computed by products."""


def structure(name: str) -> Atoms:
    """The first structure of a built-in system."""
    return load_cases(SystemRequest(name=name, structures=1), 1, 0)[0].atoms


def seconds(work: Work) -> float:
    """CPU time of one call."""
    began = now()
    work()
    return now() - began


def ratio(what: str, ours: Work, theirs: Work, rounds: int, *, scale: float = 1.0) -> Row:
    """One row: ``scale`` times the time of ``theirs`` over that of ``ours``, after two calls of each, in which TorchScript compiles."""
    for work in (ours, theirs) * 2:
        work()
    times = [(seconds(ours), scale * seconds(theirs)) for _ in range(rounds)]
    ratios = [other / own for own, other in times]
    own, other = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "section": what,
        "what": what,
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "unit": "times faster",
        "note": f"{own * 1e3:.4g} and {other * 1e3:.4g} ms, medians of {rounds} rounds",
    }


def compared(
    name: str, ours: ForceField, theirs: ForceField, atoms: Atoms, copies: int, rounds: int, products: bool
) -> list[Row]:
    """Calls and, on request, products with Jᵀ of ``copies`` of a structure."""
    fields = [forcefield.bind([atoms] * copies) for forcefield in (ours, theirs)]
    positions = fields[0].initial_positions()
    label = f"{name}, {copies} of {len(atoms)} atoms"
    rows = [ratio(f"{label}: a call", *(lambda f=f: f(positions) for f in fields), rounds)]
    if products:
        linear = [field.linearize(positions) for field in fields]
        vectors = torch.ones_like(positions)
        rows.append(
            ratio(f"{label}: a product with the Jacobian", *(lambda f=f: f.vjp(vectors) for f in linear), rounds)
        )
    return rows


def pet(rounds: int) -> list[Row]:
    """The bundled model."""
    water, rows = structure("water64"), []
    for mode in ("direct", "conservative"):
        ours, theirs = (load_forcefield(ModelRequest(spec=f"pet-m:{mode}")) for _ in range(2))
        # The network is decided at the first call, unless it is decided already.
        theirs.networks.append(None)  # type: ignore[attr-defined]
        for copies in (1, 8):
            rows += compared(f"pet-m:{mode}", ours, theirs, water, copies, rounds, products=copies == 1)
    return [*rows, jacobian(rounds)]


def jacobian(rounds: int) -> Row:
    """The whole Jacobian of the bundled model's direct forces against a sample of products with the export."""
    water = structure("water64")
    ours, theirs = (load_forcefield(ModelRequest(spec="pet-m:direct")).bind([water]) for _ in range(2))
    theirs.owner.networks.append(None)  # type: ignore[attr-defined]
    positions = ours.initial_positions()
    linear, unit = theirs.linearize(positions), torch.zeros_like(positions)
    unit[0, 0, 0] = 1.0
    return ratio(
        f"pet-m:direct, {len(water)} atoms: the whole Jacobian",
        lambda: ours.whole_jacobian(positions),
        lambda: [linear.vjp(unit) for _ in range(SAMPLE)],
        max(1, rounds // 2),
        scale=3 * len(water) / SAMPLE,
    )


def sevennet(rounds: int) -> list[Row]:
    """SevenNet-0 on benzene, eight of it, and water."""
    ours = load_forcefield(ModelRequest(spec="sevennet-0"))
    replace = sevennet_adapter.replace_convolutions
    sevennet_adapter.replace_convolutions = lambda _model: False
    theirs = load_forcefield(ModelRequest(spec="sevennet-0"))
    sevennet_adapter.replace_convolutions = replace
    benzene = molecule("C6H6")
    benzene.rattle(0.05, rng=np.random.default_rng(0))
    rows = []
    for atoms, copies in ((benzene, 1), (benzene, 8), (structure("water64"), 1)):
        few = max(1, rounds // 4) if len(atoms) > 100 else rounds
        rows += compared("sevennet-0", ours, theirs, atoms, copies, few, products=len(atoms) < 100)
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small settings: does the script work?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "bench")
    asked = parser.parse_args()
    prepare(1)
    rounds = 1 if asked.quick else 9
    rows = [*pet(rounds), *sevennet(rounds)]
    lines = listing(merged(asked.out / "layers.csv", rows, "section"))
    text = "# Layers of models, arranged for a CPU\n\nMade by `benchmarks/bench_layers.py`: time of the package's evaluation over ours.\n\n"
    (asked.out / "layers.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
