"""The Jacobian of PET's direct forces from those of its layers is the one that products give row by row."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("metatomic_ase")

import torch

from ncbench.jacobian import dense
from ncbench.models.families.pet.adapter import MetatomicField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest, silent

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not (WEIGHTS / "pet-m.pt").is_file(), reason="the bundled weights are not made yet"),
]
SAME = {"float32": 5e-6, "float64": 1e-9}
"""Relative deviation of J: tens of ε; in float64, what the weight of empty slots leaves."""


def skewed():
    """A cell so small that pairs of atoms are neighbours through several images."""
    atoms = water_box(8, density_g_cm3=1.0, seed=2)
    atoms.set_cell(atoms.cell[:] @ np.array([[1, 0, 0], [0.3, 1, 0], [0, -0.2, 1]]), scale_atoms=True)
    return atoms


def cluster():
    """Water in vacuum, and an atom without neighbours."""
    atoms = water_box(20, density_g_cm3=0.8, seed=3)
    atoms.pbc, atoms.cell = False, None
    lonely = atoms[[0]]
    lonely.positions += 30.0
    return atoms + lonely


def rows(forcefield, atoms):
    field = forcefield.bind([atoms] * 2)
    return dense._rows(field, field.initial_positions(), np.arange(3 * len(atoms)), silent)


@pytest.mark.parametrize("removal", ["on", "off"])
@pytest.mark.parametrize(("structure", "dtype"), [(skewed, "float32"), (skewed, "float64"), (cluster, "float64")])
def test_it_is_that_of_products(structure, dtype, removal):
    options = (("net-force-removal", removal),)
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct", dtype=dtype, options=options))
    atoms = structure()
    field = forcefield.bind([atoms])
    whole = field.whole_jacobian(field.initial_positions())
    assert whole is not None
    expected = rows(forcefield, atoms)
    assert np.linalg.norm(whole.numpy() - expected) < SAME[dtype] * np.linalg.norm(expected)


@pytest.mark.parametrize("wrong", [1.0, 1.0 + 1e-2])
def test_a_wrong_one_is_replaced_by_products(wrong, monkeypatch):
    atoms, forcefield = skewed(), load_forcefield(ModelRequest(spec="pet-m:direct"))
    calls = []
    plain = MetatomicField.whole_jacobian

    def changed(field, positions):
        calls.append(positions.shape)
        return plain(field, positions) * wrong

    monkeypatch.setattr(MetatomicField, "whole_jacobian", changed)
    result = dense.exact(forcefield, atoms, batch=2, rng=np.random.default_rng(0))
    assert calls == [(1, len(atoms), 3)]
    assert result.products == 3 * len(atoms) + dense.CHECK_ROWS
    assert result.force_calls == (2 * 2 + 2 if wrong > 1 else 1 + 1 + 2)
    expected = rows(forcefield, atoms)
    assert np.linalg.norm(result.matrix - expected) < SAME["float32"] * np.linalg.norm(expected)
    assert result.noise < 1e-5 * np.abs(expected).max()


def test_there_is_none_for_energies_molecules_and_batches():
    direct, conservative = (load_forcefield(ModelRequest(spec=f"pet-m:{mode}")) for mode in ("direct", "conservative"))
    molecule = skewed()[:3]
    molecule.pbc = False
    for forcefield, structures in ((conservative, [skewed()]), (direct, [molecule]), (direct, [skewed()] * 2)):
        field = forcefield.bind(structures)
        assert field.whole_jacobian(field.initial_positions()) is None


def test_it_leaves_no_graph():
    field = load_forcefield(ModelRequest(spec="pet-m:direct")).bind([skewed()])
    whole = field.whole_jacobian(field.initial_positions())
    assert whole is not None
    assert whole.dtype is torch.float64
    assert not whole.requires_grad
