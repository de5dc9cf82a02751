"""Digests are equal exactly for physically equal structures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from ncbench.structures.hashing import content_hash
from ncbench.structures.perturb import with_sites
from ncbench.structures.water import water_box


def structure() -> Atoms:
    return with_sites(water_box(2))


def _position(atoms: Atoms) -> None:
    atoms.positions[4, 1] = np.nextafter(atoms.positions[4, 1], np.inf)


def _swap(atoms: Atoms) -> None:
    atoms.positions[[0, 3]] = atoms.positions[[3, 0]]


CHANGES: dict[str, Callable[[Atoms], object]] = {
    "one bit of a position": _position,
    "order of atoms": _swap,
    "element": lambda atoms: atoms.numbers.__setitem__(0, 16),
    "cell": lambda atoms: atoms.set_cell(np.asarray(atoms.cell) * 1.001),
    "periodicity": lambda atoms: atoms.set_pbc((True, True, False)),
    "momenta": lambda atoms: atoms.set_momenta(np.ones((6, 3))),
    "isotope": lambda atoms: atoms.set_masses([16, 2, 2, 16, 2, 2]),
    "sites": lambda atoms: atoms.arrays.__setitem__("sites", atoms.arrays["sites"] + 0.1),
    "charge": lambda atoms: atoms.info.__setitem__("charge", 1),
    "charge under another name": lambda atoms: atoms.info.__setitem__("total_charge", 1),
    "any entry of info": lambda atoms: atoms.info.__setitem__("functional", "PBE"),
    "initial charges": lambda atoms: atoms.set_initial_charges([0.1] * 6),
    "magnetic moments": lambda atoms: atoms.set_initial_magnetic_moments([1.0] * 6),
    "tags": lambda atoms: atoms.set_tags(range(6)),
    "any array": lambda atoms: atoms.set_array("features", np.ones((6, 4))),
    "constraints": lambda atoms: atoms.set_constraint(FixAtoms([0])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_relevant_changes_change_the_digest(change: str) -> None:
    changed = structure()
    CHANGES[change](changed)
    assert content_hash(changed) != content_hash(structure())


def test_irrelevant_changes_keep_the_digest() -> None:
    same = structure()
    same.info["energy_dft"] = 1.0
    same.info["REF_energy"] = -3.0
    same.info["time_index"] = 4
    same.set_array("dft_forces", np.ones((6, 3)))
    same.set_tags([0] * 6)
    same.set_constraint(FixAtoms([]))
    same.calc = SinglePointCalculator(same, energy=1.0)
    same.positions[0] = [0.0, -0.0, 0.0]
    other = structure()
    other.positions[0] = 0.0
    assert content_hash(same) == content_hash(other)


def test_the_digest_is_the_same_on_every_machine() -> None:
    # A stored key must find its result again: this value may change only together with the version inside the digest.
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.75]], cell=[3, 3, 3], pbc=True)
    assert content_hash(atoms) == "bba0622f96e69ab8823c232fa026c0fd80619376afe662263b5e1e7508bf9b3c"
