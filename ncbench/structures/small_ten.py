"""Ten small structures near their minima: eight molecules, diamond and graphene, with at most twelve atoms.

Similar sets were used for published values of λ from central differences of 1e-3 Å. Molecules have the geometries of the G2 set
(Curtiss, Raghavachari, Redfern & Pople, J. Chem. Phys. 106, 1063, 1997; MP2/6-31G(d)) from ASE.
"""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk, graphene, molecule

from ncbench.structures.crystals import GRAPHENE_A

MOLECULES = ("H2O", "NH3", "CH4", "CO2", "H2CO", "CH3OH", "C2H4", "C6H6")
ML_PEG_MOLECULES = ("H2O", "CH4", "NH3", "C2H4", "C2H2", "SO2", "CH3OH", "C6H6")
DIAMOND_A = 3.567
"""Lattice constant of diamond, Å."""
ML_PEG_GRAPHENE_A = 2.46
"""Lattice constant of ml-peg's sheet of two atoms, Å."""
VACUUM_A = 10.0
"""Vacuum on either side of the sheet, Å."""


def small_ten() -> list[Atoms]:
    """The ten, each with its name in ``info["name"]``; molecules are not periodic, the crystals are in all directions."""
    structures: list[Atoms] = [molecule(name) for name in MOLECULES]
    diamond: Atoms = bulk("C", "diamond", a=DIAMOND_A, cubic=True)
    sheet: Atoms = graphene(a=GRAPHENE_A, size=(2, 2, 1), vacuum=VACUUM_A)
    sheet.pbc = True
    structures += [diamond, sheet]
    for name, atoms in zip((*MOLECULES, "diamond", "graphene"), structures, strict=True):
        atoms.info = {"name": name}
    return structures


def ml_peg_ten() -> list[Atoms]:
    """The ten structures of ml-peg's benchmark of the Jacobian's symmetry (ddmms/ml-peg, calc_jacobian_symmetry.py), each with its name in ``info["name"]``."""
    structures: dict[str, Atoms] = {name: molecule(name) for name in ML_PEG_MOLECULES}
    structures["C_diamond"] = bulk("C", "diamond", a=DIAMOND_A, cubic=True)
    sheet: Atoms = graphene(a=ML_PEG_GRAPHENE_A, vacuum=VACUUM_A)
    sheet.pbc = True
    structures["graphene"] = sheet
    for name, atoms in structures.items():
        atoms.info = {"name": name}
    return list(structures.values())
