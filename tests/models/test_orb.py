"""ORB with random weights, through the loader for weights of users."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
import torch

from ncbench.errors import UnsupportedError, UsageError, WeightsError
from ncbench.models import conformance
from ncbench.models.loading import load_forcefield
from ncbench.types import ForceMode, ModelRequest

pytestmark = [pytest.mark.models("orb_models"), pytest.mark.slow]
CONSERVATIVE = "orb-v3-conservative-20-omat"


def path_of(name: str) -> str:
    pytest.importorskip("orb_models")
    return tiny_models.checkpoint("tiny_orb.py", name, name=f"{name}.ckpt")


@pytest.mark.parametrize(
    ("spec", "weights", "dtype"),
    [
        ("orb-v2", "orb-v2", "float32"),
        ("orb-v2", "orb-v2", "float64"),
        ("orb-v3-direct-20-omat", "orb-v3-direct-20-omat", "float32"),
        (CONSERVATIVE, f"{CONSERVATIVE}-with-head", "float32"),
        (f"{CONSERVATIVE}:direct", f"{CONSERVATIVE}-with-head", "float32"),
    ],
)
def test_conformance(spec, weights, dtype):
    conformance.run_conformance(tiny_models.load(spec, path_of(weights), dtype=dtype), tiny_models.water())


def test_only_conservative_forces_are_a_gradient():
    molecule = tiny_models.water()[1]
    for name in ("orb-v2", "orb-v3-direct-20-omat"):
        direct = tiny_models.load(name, path_of(name))
        assert direct.card.differentiable
        assert tiny_models.asymmetry(direct, molecule) > 0.01
    both = tiny_models.load(CONSERVATIVE, path_of(f"{CONSERVATIVE}-with-head"))
    assert both.card.force_modes == (ForceMode.CONSERVATIVE, ForceMode.DIRECT)
    assert tiny_models.asymmetry(both, molecule) < tiny_models.FLOOR["float32"]
    assert tiny_models.asymmetry(both.sibling(ForceMode.DIRECT), molecule) > 0.01


@pytest.mark.parametrize("name", ["orb-v2", "orb-v3-direct-20-omat", CONSERVATIVE])
def test_agrees_with_its_own_calculator(name):
    forcefield = tiny_models.load(name, path_of(name if name != CONSERVATIVE else f"{CONSERVATIVE}-with-head"))
    for atoms in tiny_models.water():
        tiny_models.agrees_with_own_calculator(forcefield, atoms)


@pytest.mark.parametrize("name", ["orb-v3-direct-omol", "orb-v3-conservative-omol"])
def test_charge_and_spin_change_results_as_in_its_own_calculator(name):
    forcefield = tiny_models.load(name, path_of(name), charge="-1", spin="2")
    assert (forcefield.card.options["charge"], forcefield.card.options["spin"]) == ("-1", "2")
    neutral = tiny_models.load(name, path_of(name))
    # The library gives the conservative one no stress; ncbench differentiates its energy.
    for atoms in tiny_models.water()["conservative" in name :]:
        # Forces of random weights reach 100 eV/Å, and round at 1e-5 of that in another order of summation.
        scale = np.abs(forcefield.evaluate([atoms])[0].forces).max()
        tiny_models.agrees_with_own_calculator(forcefield, atoms, force_tolerance=1e-5 * max(1.0, scale))
        assert np.abs(forcefield.evaluate([atoms])[0].forces - neutral.evaluate([atoms])[0].forces).max() > 1e-3 * scale
    with pytest.raises(UsageError, match=r"charge=0\.6 is not a whole number"):
        tiny_models.load(name, path_of(name), charge="0.6")
    with pytest.raises(UsageError, match="reads no spin"):
        tiny_models.load("orb-v2", path_of("orb-v2"), spin="2")


def test_float32_energy_differences_are_accurate_with_all_electron_references():
    """Differences of energies along a path, where float32 totals of -16,500 eV lie 2⁻⁹ = 0.002 eV apart."""
    name = "orb-v3-direct-omol"
    low, high = (tiny_models.load(name, path_of(name), dtype=dtype) for dtype in ("float32", "float64"))
    box = tiny_models.water()[0]
    path = []
    for step in range(5):
        moved = box.copy()
        moved.positions[:3] += 0.002 * step
        path.append(moved)
    energies = [np.array([one.energy for one in model.evaluate(path)]) for model in (low, high)]
    assert abs(energies[1][0]) > 16_000
    # What is left to float32 are interactions: some 100 eV, which round at 1e-5 eV.
    np.testing.assert_allclose(*(values - values[0] for values in energies), atol=5e-5)


def test_the_library_s_edges_equal_those_of_ncbench():
    computed = tiny_models.load("orb-v2", path_of("orb-v2"))
    reference = tiny_models.load("orb-v2", path_of("orb-v2"), edges="knn_scipy")
    for atoms in tiny_models.water():
        one, other = computed.evaluate([atoms])[0], reference.evaluate([atoms])[0]
        np.testing.assert_allclose(one.forces, other.forces, atol=1e-5)


def test_precision_is_recorded_and_not_changed():
    before = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    low = tiny_models.load("orb-v2-low-precision", path_of("orb-v2"))
    low.evaluate(tiny_models.water())
    high = tiny_models.load("orb", path_of("orb-v2"))
    double = tiny_models.load("orb", path_of("orb-v2"), dtype="float64")
    double.evaluate(tiny_models.water())
    assert [model.card.precision["precision"] for model in (low, high, double)] == [
        "float32-high",
        "float32-highest",
        "float64",
    ]
    assert (torch.get_float32_matmul_precision(), torch.get_default_dtype()) == before
    with pytest.raises(UsageError, match="contradict"):
        tiny_models.load("orb", path_of("orb-v2"), dtype="float64", precision="float32-high")


def test_net_force_removal_can_be_turned_off():
    atoms = tiny_models.water()[0]
    removed = tiny_models.load("orb", path_of("orb-v2"))
    assert "net force" in removed.card.options["removal"]
    left = tiny_models.load("orb", path_of("orb-v2"), net_force_removal="off")
    assert not left.card.net_force_removed
    net = left.evaluate([atoms])[0].forces.mean(axis=0)
    assert np.abs(net).max() > 1e-3
    np.testing.assert_allclose(left.evaluate([atoms])[0].forces - net, removed.evaluate([atoms])[0].forces, atol=1e-5)
    again = removed.without_net_force_removal()
    np.testing.assert_allclose(again.evaluate([atoms])[0].forces, left.evaluate([atoms])[0].forces, atol=1e-5)
    assert removed.card.net_force_removed


def test_unsupported_requests_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="does not hold the weights of orb-v2"):
        tiny_models.load("orb-v2", path_of("orb-v3-direct-20-omat"))
    with pytest.raises(UsageError, match="has no direct forces"):
        tiny_models.load(f"{CONSERVATIVE}:direct", path_of("orb-v3-conservative-20-omat"))
    slab = tiny_models.water()[0]
    slab.pbc = (True, True, False)
    with pytest.raises(UnsupportedError, match="in all three directions or in none"):
        tiny_models.load("orb", path_of("orb-v2")).evaluate([slab])
    with pytest.raises(UsageError, match="orb-v2"):
        load_forcefield(ModelRequest(spec="orb-v22"))


def test_error_of_missing_weights_names_their_location(monkeypatch):
    pytest.importorskip("orb_models")
    from ncbench.models.families.orb import adapter as orb

    def no_network(_url, _target):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(orb, "download", no_network)
    monkeypatch.setattr(orb, "find_latest_cached", lambda _url: None)
    with pytest.raises(WeightsError, match=r"Fetch https://.*orb-v2-20241011.ckpt .*--checkpoint"):
        load_forcefield(ModelRequest(spec="orb"))
