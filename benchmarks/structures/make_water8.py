"""Make the `water8` system: 8 water molecules packed at the density and relaxed with the bundled conservative model.

python benchmarks/structures/make_water8.py --out ncbench/structures/data/water8.xyz     # some seconds on one core
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ase.io import write

from ncbench.models.loading import load_forcefield
from ncbench.relaxation.batch import relax
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

FMAX, STEPS = 0.005, 1500


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    model = load_forcefield(ModelRequest(spec="pet-m:conservative"))
    atoms = water_box(8, seed=0)
    atoms.positions[:] = relax(model, atoms, "lbfgs", fmax=FMAX, max_steps=STEPS).positions
    atoms.info["model"] = model.card.checkpoint_sha256[:16]
    write(options.out, atoms, columns=["symbols", "positions"])


if __name__ == "__main__":
    main()
