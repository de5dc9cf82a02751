"""The molecule's geometry, and boxes of it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

from ncbench.errors import UsageError
from ncbench.structures.water import ANGLE_DEG, BOND_A, CONTACT_A, water_box, water_molecule

# Positions of some 10 Å carry rounding of 1e-15 each; cosines and roots lose a few digits more.
ROUNDING = 1e-12


def test_molecule_has_the_experimental_geometry() -> None:
    molecule = water_molecule()
    assert molecule.get_distances(0, [1, 2]) == pytest.approx([BOND_A, BOND_A], abs=ROUNDING)
    assert molecule.get_angle(1, 0, 2) == pytest.approx(ANGLE_DEG, abs=1e-10)
    assert not molecule.pbc.any()


@pytest.mark.parametrize("n", [1, 2, 17, 28, 64])
def test_box_holds_whole_molecules_at_the_density_without_overlap(n: int) -> None:
    box = water_box(n, seed=3)
    assert box.get_chemical_formula() == (f"H{2 * n}O{n}" if n > 1 else "H2O")
    assert box.get_masses().sum() / units.mol / (box.get_volume() * 1e-24) == pytest.approx(0.997, rel=ROUNDING)
    molecules = box.positions.reshape(n, 3, 3)
    bonds = np.linalg.norm(molecules[:, 1:] - molecules[:, :1], axis=-1)
    assert bonds == pytest.approx(np.full((n, 2), BOND_A), abs=ROUNDING)
    if n > 1:
        owner = np.arange(3 * n) // 3
        between = box.get_all_distances(mic=True)[owner[:, None] != owner[None]]
        assert between.min() >= CONTACT_A


def test_same_seed_same_box_and_another_seed_another() -> None:
    assert np.array_equal(water_box(8, seed=1).positions, water_box(8, seed=1).positions)
    assert not np.allclose(water_box(8, seed=1).positions, water_box(8, seed=2).positions)


@pytest.mark.parametrize(("n", "density"), [(0, 1.0), (-1, 1.0), (8, 0.0), (8, float("nan")), (8, 30.0)])
def test_impossible_boxes_are_refused(n: int, density: float) -> None:
    with pytest.raises(UsageError):
        water_box(n, density_g_cm3=density)
