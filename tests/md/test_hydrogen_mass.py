"""Hydrogen mass repartitioning: masses, momenta, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.hydrogen_mass import masses_by_element, repartitioned


def water_in_a_small_box() -> Atoms:
    """Two molecules, one of them across the boundary."""
    one = molecule("H2O")
    two = one.copy()
    one.translate([0.0, 0.0, 4.2])
    two.translate([2.8, 0.0, 0.0])
    box = one + two
    box.set_cell([5.0, 5.0, 5.0])
    box.pbc = True
    box.wrap()
    return box


def test_mass_moves_from_the_bonded_atom_across_the_boundary_too():
    atoms = water_in_a_small_box()
    masses = atoms.get_masses()
    changed = repartitioned(atoms, 3.0).get_masses()
    assert changed[atoms.numbers == 1] == pytest.approx(3.0, abs=0)
    # Sums of five numbers of order ten.
    assert changed[atoms.numbers == 8] == pytest.approx(15.999 - 2 * (3.0 - 1.008), abs=1e-12)
    assert changed.sum() == pytest.approx(masses.sum(), abs=1e-12)
    assert masses_by_element(repartitioned(atoms, 3.0), 3.0) == "H 3, O 12.02"
    assert masses_by_element(atoms, None) is None


def test_kinetic_energies_are_kept_and_a_second_call_changes_nothing():
    atoms = water_in_a_small_box()
    atoms.set_momenta(np.random.default_rng(0).normal(size=(6, 3)))
    once = repartitioned(atoms, 3.0)
    before, after = (np.sum(a.get_momenta() ** 2, axis=1) / a.get_masses() for a in (atoms, once))
    # A square of a square root: a few roundings.
    assert after == pytest.approx(before, rel=1e-14)
    twice = repartitioned(once, 3.0)
    assert twice.get_masses() == pytest.approx(once.get_masses(), abs=1e-14)
    assert repartitioned(atoms, None) is atoms


@pytest.mark.parametrize(
    ("atoms", "mass", "error", "words"),
    [
        (Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]), 3.0, UnsupportedError, "has none"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), 3.0, UnsupportedError, "no atom of another element"),
        (molecule("CH4"), 4.0, UsageError, "leaves"),
        (molecule("CH4"), 0.5, UsageError, "less than"),
    ],
)
def test_impossible_masses_are_refused(atoms, mass, error, words):
    with pytest.raises(error, match=words):
        repartitioned(atoms, mass)
