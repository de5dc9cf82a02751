"""Translations and the choice of periodic images change forces only by rounding."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from ase import Atoms
from habits import field, pair_potential, triangle

from ncbench.models.coordinates import Origin
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.structures.water import water_box, water_molecule
from ncbench.types import ModelRequest


def far(atoms: Atoms, kind: str) -> Atoms:
    moved = atoms.copy()
    rng = np.random.default_rng(1)
    if kind == "wound":
        moved.positions += rng.integers(-1000, 1001, size=(len(atoms), 3)) @ np.asarray(atoms.cell)
    else:
        moved.positions += float(kind) * np.array([1.0, -1.0, 0.5])
    return moved


@pytest.mark.parametrize("kind", ["100", "1e3", "1e5", "1e7", "wound"])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
def test_positions_near_the_origin_keep_every_distance(kind, pbc) -> None:
    if kind == "wound" and not all(pbc):
        pytest.skip("atoms are wound along periodic directions")
    atoms = triangle()
    atoms.set_cell([[7.0, 0.0, 0.0], [1.5, 6.0, 0.0], [-0.7, 1.0, 5.0]])
    atoms.pbc = pbc
    moved = far(atoms, kind)
    positions = torch.as_tensor(moved.positions)[None]
    near = Origin([moved], torch.device("cpu")).near(positions, torch.as_tensor(np.asarray(atoms.cell))[None])
    # The pair 0-1 of the original, found again through the shifts of the wraps.
    first, second = torch.tensor([0]), torch.tensor([1])
    original = moved.positions[1] - moved.positions[0]
    shift = near.shifts(first, second, torch.zeros((1, 3), dtype=torch.int64)).double() @ torch.as_tensor(
        np.asarray(atoms.cell)
    )
    result = (near.positions[0, 1] - near.positions[0, 0] + shift[0]).numpy()
    # float64 keeps 1e-16 of the largest coordinate.
    assert np.abs(result - original).max() <= 4e-16 * np.abs(moved.positions).max() + 1e-14
    extent = 40.0
    assert float(near.positions.abs().max()) < extent


@cache
def model(spec: str) -> ForceField:
    return load_forcefield(ModelRequest(spec=spec))


def _models() -> list[str]:
    there = ["analytic-lj"]
    return [*there, "pet-m:conservative", "pet-m:direct"] if (WEIGHTS / "pet-m.pt").is_file() else there


@pytest.mark.models("metatomic.torch")
@pytest.mark.parametrize("kind", ["100", "1e3", "1e7", "wound"])
@pytest.mark.parametrize("spec", _models())
def test_forces_are_invariant_under_translation(spec, kind) -> None:
    box = water_box(4, density_g_cm3=0.9, seed=3)
    box.rattle(0.05, seed=1)
    structures = [box] if kind == "wound" else [box, water_molecule()]
    for atoms in structures:
        _agree(model(spec), atoms, far(atoms, kind))


def _agree(forcefield: ForceField, atoms: Atoms, moved: Atoms) -> None:
    base, other = forcefield.evaluate([atoms])[0], forcefield.evaluate([moved])[0]
    # Rounding of the arithmetic, and of float64 coordinates 1e-16 times their size, which a bond of 50 eV/Å² turns into a force.
    scale = np.abs(base.forces).max()
    rounding = (1e-5 if forcefield.card.dtype == "float32" else 1e-11) * scale
    coordinates = 1e3 * 1e-16 * np.abs(moved.positions).max() * max(1.0, scale)
    assert np.abs(base.forces - other.forces).max() <= rounding + coordinates


@pytest.mark.parametrize(
    "cell",
    [
        [[0.0, 7.0, 0.0], [7.0, 0.0, 0.0], [0.0, 0.0, 7.0]],
        [[7.0, 0.0, 0.0], [35.0, 7.0, 0.0], [0.0, -28.0, 7.0]],
        [[2.5, 0.0, 0.0], [0.0, 2.6, 0.0], [0.0, 0.0, 2.7]],
    ],
    ids=["left-handed", "skewed by several cells", "smaller than the cutoff"],
)
def test_forces_do_not_depend_on_the_choice_of_lattice_vectors(cell) -> None:
    atoms = Atoms("Al", positions=[[0.1, 0.2, 0.3]], cell=cell, pbc=True) if cell[0][0] == 2.5 else triangle()
    atoms.set_cell(cell)
    large = atoms.repeat((3, 3, 3)) if cell[0][0] == 2.5 else atoms.copy()
    if cell[0][0] != 2.5:
        large.set_cell([7.0, 7.0, 7.0])
    energy, forces, _ = pair_potential(large)
    result = field().evaluate([atoms])[0]
    assert result.energy == pytest.approx(energy / (len(large) / len(atoms)), abs=1e-11)
    assert np.abs(result.forces - forces[: len(atoms)]).max() <= 1e-11


@pytest.mark.parametrize("spec", ["analytic-lj"])
def test_distant_atoms_have_zero_forces_without_an_endless_neighbour_search(spec) -> None:
    molecule = Atoms("Ar2", positions=[[0, 0, 0], [3.8, 0, 0]])
    bound = load_forcefield(ModelRequest(spec=spec)).bind([molecule])
    apart = torch.tensor([[[0.0, 0.0, 0.0], [1e6, 0.0, 0.0]]], dtype=torch.float64)
    assert torch.isnan(bound(apart).forces).all()
    assert torch.isnan(field().bind([molecule])(apart).forces).all()
