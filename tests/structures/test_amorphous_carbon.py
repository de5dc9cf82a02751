"""The bundled amorphous carbon, and the script that made it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.neighborlist import neighbor_list

from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "structures" / "make_amorphous_carbon.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_amorphous_carbon", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bundled_structure_is_amorphous() -> None:
    (case,) = load_cases(SystemRequest(name="amorphous-carbon"), 1, 0)
    atoms = case.atoms
    density = atoms.get_masses().sum() / atoms.get_volume() / units.mol * 1e24
    # Written with eight decimals of positions, ten of the cell.
    assert density == pytest.approx(3.0, abs=1e-6)
    neighbours = np.bincount(neighbor_list("i", atoms, 1.85), minlength=len(atoms))
    # sp2 and sp3, and hardly anything else; no crystal has both.
    assert np.isin(neighbours, [3, 4]).mean() > 0.95
    assert 0.2 < (neighbours == 4).mean() < 0.8
    assert neighbor_list("d", atoms, 1.85).min() > 1.2
    temperature_K = 2 * atoms.get_kinetic_energy() / (3 * (len(atoms) - 1) * units.kB)
    # √(2/3N) of 300 K is 15 K.
    assert temperature_K == pytest.approx(300.0, abs=60.0)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-4


def test_tersoff_potential_equals_that_of_ase(script: ModuleType) -> None:
    tersoff = pytest.importorskip("ase.calculators.tersoff")
    s = script
    middle, half = (s.INNER + s.OUTER) / 2, (s.OUTER - s.INNER) / 2
    numbers = (3.0, 1.0, 0.0, s.C, s.D, s.H, s.N, s.BETA, s.MU, s.B, middle, half, s.LAMBDA, s.A)
    atoms = bulk("C", "diamond", a=3.567, cubic=True).repeat((2, 1, 1))
    atoms.positions += 0.12 * np.random.default_rng(0).normal(size=atoms.positions.shape)
    (computed,) = s.Tersoff().evaluate([atoms])
    atoms.calc = tersoff.Tersoff({("C", "C", "C"): tersoff.TersoffParameters(*numbers)})
    # The same formulas in float64: sums over 16 atoms of energies of 7 eV.
    assert computed.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    assert np.abs(computed.forces - atoms.get_forces()).max() < 1e-10
    assert np.abs(computed.forces).max() > 1.0


def test_initial_structure_has_the_density_and_no_bonds(script: ModuleType) -> None:
    atoms = script.start()
    assert len(atoms) == 128
    assert atoms.get_masses().sum() / atoms.get_volume() / units.mol * 1e24 == pytest.approx(3.0, rel=1e-4)
    assert script.neighbours(atoms) == {0: 1.0}


@pytest.mark.slow
def test_a_short_melt_forms_bonds(script: ModuleType) -> None:
    result = script.neighbours(script.quenched(0.01, 0))
    assert sum(share for count, share in result.items() if count in (2, 3, 4)) > 0.9
