"""SevenNet's convolution as matrix products: the same function and derivatives as the package's tensor product."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sevenn")

import torch
from ase import Atoms
from ase.build import bulk, molecule
from e3nn.o3 import Irreps
from sevenn.nn.convolution import IrrepsConvolution

from ncbench.models.families.sevennet import adapter, convolution
from ncbench.models.families.sevennet.convolution import Convolution, replace_convolutions
from ncbench.models.families.sevennet.slots import Slots
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest

pytestmark = pytest.mark.models
SAME = 1e-7
"""Relative, in float64: the package keeps coupling coefficients in single precision, whatever the model's."""


@pytest.fixture(scope="module")
def both():
    """SevenNet-0 in float64 with its convolutions replaced, and as the package evaluates it."""
    with pytest.MonkeyPatch.context() as patch:
        replaced = load_forcefield(ModelRequest(spec="sevennet-0", dtype="float64"))
        patch.setattr(adapter, "replace_convolutions", lambda _model: False)
        return replaced, load_forcefield(ModelRequest(spec="sevennet-0", dtype="float64"))


def structures():
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.1, seed=1)
    lonely = molecule("CH3OH") + Atoms("O", positions=[[30.0, 0, 0]])
    return {"crystal": silicon, "molecule and atom": lonely, "atom": Atoms("O", positions=[[0, 0, 0]])}


def count(model):
    return sum(isinstance(module, Convolution) for module in model.modules())


@pytest.mark.parametrize("name", structures())
def test_energies_forces_and_stress_are_those_of_the_package(both, name):
    atoms = structures()[name]
    periodic = bool(atoms.pbc.all())
    own, other = (f.evaluate([atoms, atoms], stress=periodic)[1] for f in both)
    assert [count(f.model) for f in both] == [5, 0]
    assert own.energy == pytest.approx(other.energy, rel=SAME)
    assert own.forces == pytest.approx(other.forces, abs=SAME)
    if periodic:
        assert own.stress == pytest.approx(other.stress, abs=SAME)


def test_second_derivatives_are_those_of_the_package(both):
    atoms = structures()["crystal"]
    linear = [f.bind([atoms]) for f in both]
    positions = linear[0].initial_positions()
    vectors = torch.as_tensor(np.random.default_rng(0).normal(size=positions.shape))
    own, other = (field.linearize(positions) for field in linear)
    for product in ("vjp", "jvp"):
        expected = getattr(other, product)(vectors)
        assert float((getattr(own, product)(vectors) - expected).norm()) < SAME * float(expected.norm())


def package_convolution(**changed):
    """A convolution of even and odd features up to l = 3, with random weights in float64."""
    return IrrepsConvolution(
        irreps_x=Irreps("5x0e+4x1o+3x2e+2x3o+2x1e"),
        irreps_filter=Irreps("1x0e+1x1o+1x2e+1x3o"),
        irreps_out=Irreps("1x0e+1x0o+1x1o+1x1e+1x2e+1x2o+1x3o"),
        weight_layer_input_to_hidden=[8, 16],
        weight_layer_act=torch.nn.functional.silu,
        denominator=3.0,
        lazy_layer_instantiate=False,
        **changed,
    ).double()


def batch(n_atoms=5, seed=0):
    """sevenn's data of a random graph in which one atom has no edges."""
    rng = np.random.default_rng(seed)
    first = torch.as_tensor(np.sort(rng.integers(0, n_atoms - 1, size=17)))
    second = torch.as_tensor(rng.integers(0, n_atoms, size=17))
    features, harmonics, embedding = (
        torch.as_tensor(rng.normal(size=shape)) for shape in ((n_atoms, 5 + 12 + 15 + 14 + 6), (17, 16), (17, 8))
    )
    return {
        "x": features,
        "edge_attr": harmonics,
        "edge_embedding": embedding,
        "edge_index": torch.stack([first, second]),
        convolution.SLOTS: Slots.of(first, n_atoms),
    }


def test_messages_of_both_parities_and_l_up_to_3():
    package = package_convolution()
    own = Convolution(package)
    with torch.no_grad():
        expected, found = package(batch())["x"], own(batch())["x"]
    assert expected.shape == found.shape
    assert float((found - expected).abs().max()) < SAME * float(expected.abs().max())
    assert float(found[-1].abs().max()) == 0.0


def test_another_result_is_not_used(monkeypatch):
    model = torch.nn.Sequential()
    model.add_module("0_convolution", package_convolution())
    monkeypatch.setattr(
        convolution, "wigner_3j", lambda *degrees, dtype: torch.ones([2 * one + 1 for one in degrees], dtype=dtype)
    )
    assert not replace_convolutions(model)
    assert isinstance(model[0], IrrepsConvolution)
    monkeypatch.undo()
    assert replace_convolutions(model)
    assert isinstance(model[0], Convolution)


def test_another_tensor_product_is_not_used():
    model = torch.nn.Sequential()
    model.add_module("0_convolution", package_convolution(is_parallel=True))
    assert not replace_convolutions(model)
    assert isinstance(model[0], IrrepsConvolution)


def test_slots_hold_each_edge_once():
    first = torch.tensor([0, 0, 0, 2, 2, 4])
    slots = Slots.of(first, 6)
    edges = slots.edge.reshape(6, 3)
    assert edges.tolist() == [[0, 1, 2], [6, 6, 6], [3, 4, 6], [6, 6, 6], [5, 6, 6], [6, 6, 6]]
    values = torch.arange(1.0, 7.0)[:, None]
    assert slots.to_slots(values).reshape(6, 3).sum(dim=1).tolist() == [6.0, 0.0, 9.0, 0.0, 6.0, 0.0]
