"""Structures of the companion's runs: fcc metals with a vacancy, the primitive cubic cell of aluminium, and a molecule of MD22.

``python benchmarks/companion/make_structures.py [ATAT.xyz]`` writes them into ``structures`` beside this file. Lattice constants are those at room temperature. The
adenine-thymine pair dimer is a thermal geometry from the tests of SO3LR (github.com/general-molecular-simulations/so3lr, tests/test_data/atat.xyz, MIT licence),
placed in a periodic cube with 12 Å between images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ase.io
from ase import Atoms
from ase.build import bulk

FOLDER = Path(__file__).parent / "structures"
METALS = {"Cu": 3.615, "Ni": 3.524}
"""Lattice constants, Å."""
VACUUM_A = 12.0


def vacancy(symbol: str, lattice_A: float) -> Atoms:
    """2×2×2 cubic cells of an fcc metal without one of its 32 atoms."""
    crystal: Atoms = bulk(symbol, "fcc", a=lattice_A, cubic=True).repeat(2)
    del crystal[0]
    return crystal


def molecule(path: Path) -> Atoms:
    """The molecule of a file in a periodic cube, without its momenta and energies."""
    read = ase.io.read(path)
    atoms = Atoms(read.numbers, positions=read.positions)
    side = float((atoms.positions.max(axis=0) - atoms.positions.min(axis=0)).max()) + VACUUM_A
    atoms.set_cell([side] * 3)
    atoms.center()
    atoms.pbc = True
    return atoms


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    made = {f"{symbol.lower()}-vacancy": vacancy(symbol, lattice) for symbol, lattice in METALS.items()}
    made["al-cubic"] = bulk("Al", "fcc", a=4.05, cubic=True)
    if len(sys.argv) > 1:
        made["atat"] = molecule(Path(sys.argv[1]))
    for name, atoms in made.items():
        ase.io.write(FOLDER / f"{name}.xyz", atoms, format="extxyz")


if __name__ == "__main__":
    main()
