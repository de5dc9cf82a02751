"""EquiformerV2 with random weights, through the loader for weights of users; and the replacement of torch-scatter."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
import torch

from ncbench.errors import NotDifferentiableError, UsageError, WeightsError
from ncbench.models import conformance
from ncbench.models.row import importable
from ncbench.models.scatter import scatter
from ncbench.types import ForceMode


@pytest.fixture(scope="module")
def path():
    if not importable("fairchem.core.trainers"):
        pytest.skip("needs fairchem-core 1")
    return tiny_models.checkpoint("tiny_equiformer.py", name="equiformer.pt")


@pytest.mark.models("fairchem")
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conformance(path, dtype):
    conformance.run_conformance(tiny_models.load("equiformer", path, dtype=dtype), tiny_models.water())


@pytest.mark.models("fairchem")
@pytest.mark.slow
def test_forces_are_not_conservative_and_autograd_is_refused(path):
    forcefield = tiny_models.load("equiformer", path, trust=False, dtype="float64")
    assert forcefield.card.force_mode is ForceMode.DIRECT
    assert not forcefield.card.differentiable
    molecule = tiny_models.water()[1]
    assert tiny_models.asymmetry(forcefield, molecule) > 0.01
    field = forcefield.bind([molecule])
    with pytest.raises(NotDifferentiableError):
        field.linearize(field.initial_positions())


@pytest.mark.models("fairchem")
@pytest.mark.slow
def test_agrees_with_its_own_calculator(path):
    forcefield = tiny_models.load("equiformer", path)
    for atoms in tiny_models.water():
        tiny_models.agrees_with_own_calculator(forcefield, atoms)


@pytest.fixture(scope="module")
def esen():
    if not importable("fairchem.core.trainers"):
        pytest.skip("needs fairchem-core 1")
    return tiny_models.checkpoint("tiny_equiformer.py", "--esen", name="esen.pt")


@pytest.mark.models("fairchem")
@pytest.mark.slow
def test_an_esen_is_conservative_and_agrees_with_its_own_calculator(esen):
    forcefield = tiny_models.load("esen-30m-oam", esen)
    assert forcefield.card.force_mode is ForceMode.CONSERVATIVE
    assert not forcefield.card.differentiable
    for atoms in tiny_models.water():
        tiny_models.agrees_with_own_calculator(forcefield, atoms)
    conformance.run_conformance(forcefield, tiny_models.water())
    double = tiny_models.load("esen-30m-oam", esen, dtype="float64")
    for atoms in tiny_models.water():
        # Forces of some 0.1 eV/Å in float32.
        forces = [model.evaluate([atoms])[0].forces for model in (forcefield, double)]
        np.testing.assert_allclose(*forces, atol=1e-5)
    assert tiny_models.asymmetry(double, tiny_models.water()[1]) < 1e-5


@pytest.mark.models("fairchem")
@pytest.mark.slow
def test_repeated_results_are_identical(path):
    forcefield, atoms = tiny_models.load("equiformer", path), tiny_models.water()[0]
    first = forcefield.evaluate([atoms])[0]
    state = torch.get_rng_state()
    assert (forcefield.evaluate([atoms])[0].forces == first.forces).all()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.models("fairchem")
@pytest.mark.slow
def test_unsupported_requests_are_refused(path, tmp_path):
    with pytest.raises(UsageError, match="It has: direct"):
        tiny_models.load("equiformer:conservative", path)
    torch.save({"config": {}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="not a checkpoint of fairchem-core 1"):
        tiny_models.load("equiformer", str(tmp_path / "a.pt"))


@pytest.mark.parametrize("kind", ["sum", "mean", "min", "max"])
def test_scatter_equals_a_loop(kind):
    values, index = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 2, 0, 2, 2, 0])
    got = scatter(values, index, dim=0, dim_size=4, reduce=kind)
    take = {"sum": torch.sum, "mean": torch.mean, "min": torch.amin, "max": torch.amax}[kind]
    for group in range(4):
        expected = take(values[index == group], dim=0) if (index == group).any() else torch.zeros(2)
        assert torch.equal(got[group], expected)
