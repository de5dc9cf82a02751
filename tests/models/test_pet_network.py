"""PET evaluated layer by layer: the same outputs and derivatives as the exported model, whatever the numbers of neighbours."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("metatomic_ase")

import torch
from ase import Atoms

from ncbench.models.families.pet import network
from ncbench.models.families.pet.edges import TOKENS, sorted_edges
from ncbench.models.families.pet.network import network_of
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.models.verlet import VerletList
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not (WEIGHTS / "pet-m.pt").is_file(), reason="the bundled weights are not made yet"),
]
SAME = {"float32": 2e-5, "float64": 5e-9}
"""Relative: some hundred ε for sums in another order, and in float64 the weight that the export's attention leaves to empty slots (1e-10)."""


def both(mode: str, dtype: str):
    """The model by its layers, and by its export."""
    layered, exported = (load_forcefield(ModelRequest(spec=f"pet-m:{mode}", dtype=dtype)) for _ in range(2))
    exported.networks.append(None)
    return layered, exported


def structures():
    skewed = water_box(6, density_g_cm3=0.9, seed=2)
    skewed.set_cell(skewed.cell[:] @ np.array([[1, 0, 0], [0.3, 1, 0], [0, -0.2, 1]]), scale_atoms=True)
    cluster = water_box(5, density_g_cm3=0.8, seed=3)
    cluster.pbc, cluster.cell = False, None
    # One molecule, whose atoms have no neighbours but each other, and an atom without any.
    lonely = Atoms("OHHH", positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [20, 0, 0]])
    return {
        "small cell": water_box(4, density_g_cm3=1.0, seed=1),
        "skewed": skewed,
        "cluster": cluster,
        "lonely": lonely,
    }


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("mode", ["direct", "conservative"])
def test_layers_give_the_outputs_of_the_export(mode, name):
    layered, exported = both(mode, "float64")
    atoms = structures()[name]
    moved = atoms.copy()
    moved.rattle(0.05, seed=1)
    own, other = (f.evaluate([atoms, moved]) for f in (layered, exported))
    assert layered.networks[0] is not None
    for one, two in zip(own, other, strict=True):
        assert one.energy == pytest.approx(two.energy, rel=SAME["float64"])
        assert one.forces == pytest.approx(two.forces, abs=SAME["float64"])


@pytest.mark.parametrize("dtype", SAME)
def test_derivatives_are_those_of_the_export(dtype):
    layered, exported = both("direct", dtype)
    fields = [f.bind([structures()["skewed"]] * 2) for f in (layered, exported)]
    positions = fields[0].initial_positions()
    vectors = torch.as_tensor(np.random.default_rng(0).normal(size=positions.shape))
    own, other = (field.linearize(positions) for field in fields)
    for product in ("vjp", "jvp"):
        expected = getattr(other, product)(vectors)
        difference = getattr(own, product)(vectors) - expected
        assert float(difference.norm()) < SAME[dtype] * float(expected.norm())


def test_stress_is_that_of_the_export():
    layered, exported = both("conservative", "float64")
    atoms = structures()["skewed"]
    own, other = (f.evaluate([atoms], stress=True)[0].stress for f in (layered, exported))
    assert own == pytest.approx(other, abs=1e-11)


@pytest.mark.parametrize("change", ["a cutoff", "a scale"])
def test_a_network_with_other_outputs_is_not_used(change, monkeypatch):
    _, exported = both("direct", "float64")
    field = exported.bind([structures()["small cell"]])
    assert network_of(field) is not None
    if change == "a cutoff":
        monkeypatch.setattr(network, "_bump", network._cosine)
    else:
        monkeypatch.setattr(network.Network, "scales", lambda _, name, inputs: torch.ones(len(inputs.types), 1))
    assert network_of(field) is None


def test_it_is_decided_on_a_structure_with_neighbours():
    layered, exported = both("direct", "float64")
    atom = Atoms("O", positions=[[0.0, 0.0, 0.0]])
    alone = [forcefield.evaluate([atom])[0].energy for forcefield in (layered, exported)]
    assert layered.networks == []
    layered.evaluate([structures()["cluster"]])
    assert layered.networks[0] is not None
    assert [*alone, layered.evaluate([atom])[0].energy] == pytest.approx([alone[1]] * 3, rel=SAME["float64"])


def test_edges_are_sorted_and_reversed():
    atoms = structures()["skewed"].repeat((3, 2, 2))
    device = torch.device("cpu")
    verlet = VerletList([atoms], 3.5, device)
    positions = torch.as_tensor(atoms.positions)[None]
    pairs = verlet(positions)
    edges = sorted_edges(pairs.first, pairs.second, pairs.shifts, len(atoms))
    assert edges is not None
    first, second = pairs.first[edges.listed], pairs.second[edges.listed]
    assert torch.equal(edges.order[edges.first], first)
    assert torch.equal(first[edges.reverse], second)
    vectors = pairs.vectors[edges.listed]
    assert torch.allclose(vectors[edges.reverse], -vectors, atol=1e-12)
    numbers = torch.arange(len(first))
    for group in edges.groups:
        assert group.shape[0] == 1 or group.shape[0] * (group.shape[1] + 1) <= TOKENS
        slots = group.to_slots(numbers, -1)
        assert torch.equal(slots >= 0, group.mask)
        assert torch.equal(group.from_slots(slots), numbers[group.edges])
        owners = edges.first[slots[group.mask]]
        assert torch.equal(owners, numbers[group.atoms].repeat_interleave(group.mask.sum(dim=1)))
    assert len(edges.groups) > 1
    assert sum(len(numbers[group.edges]) for group in edges.groups) == len(numbers)


def test_a_list_that_lacks_one_direction_of_a_pair_is_not_used():
    first, second = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 0, 0])
    shifts = torch.tensor([[0, 0, 1], [0, 0, 0], [0, 0, -1], [0, 0, 0]])
    assert sorted_edges(first, second, shifts, 3) is not None
    for missing in range(4):
        kept = torch.arange(4) != missing
        assert sorted_edges(first[kept], second[kept], shifts[kept], 3) is None
    assert sorted_edges(first, second, shifts.abs(), 3) is None
