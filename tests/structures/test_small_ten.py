"""Ten small structures near their minima."""

from __future__ import annotations

import numpy as np
import pytest

from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest

FORMULAS = {
    "H2O": "H2O",
    "NH3": "H3N",
    "CH4": "CH4",
    "CO2": "CO2",
    "H2CO": "CH2O",
    "CH3OH": "CH4O",
    "C2H4": "C2H4",
    "C6H6": "C6H6",
    "diamond": "C8",
    "graphene": "C8",
}
BONDS_A = {"H2O": 0.969, "CH4": 1.090, "CO2": 1.179, "diamond": 3.567 * np.sqrt(3) / 4, "graphene": 2.46 / np.sqrt(3)}
"""MP2/6-31G(d) of the G2 set; the crystals' by geometry."""


def cases(**wanted):
    return {case.name: case.atoms for case in load_cases(SystemRequest(name="small-ten", **wanted), 1, 0)}


def test_all_ten_are_loaded_by_default():
    result = cases()
    assert list(result) == [f"small-ten#{name}" for name in FORMULAS]
    assert list(cases(structures=2)) == ["small-ten#H2O", "small-ten#NH3"]


@pytest.mark.parametrize("name", FORMULAS)
def test_each_structure_matches_its_name(name):
    atoms = cases()[f"small-ten#{name}"]
    assert atoms.get_chemical_formula() == FORMULAS[name]
    assert len(atoms) <= 12
    crystal = name in ("diamond", "graphene")
    assert atoms.pbc.tolist() == [crystal] * 3
    distances = atoms.get_all_distances(mic=True)
    if name in BONDS_A:
        assert distances[distances > 0].min() == pytest.approx(BONDS_A[name], abs=1e-3)
    if name == "graphene":
        assert atoms.cell[2, 2] == pytest.approx(20.0)
        assert np.ptp(atoms.positions[:, 2]) == 0.0


def test_structures_do_not_depend_on_the_seed():
    for seed in (1, 2):
        for case in load_cases(SystemRequest(name="small-ten"), 1, seed):
            assert np.array_equal(case.atoms.positions, cases()[case.name].positions)
