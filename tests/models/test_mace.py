"""MACE with random weights, through the loader for weights of users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from ncbench.errors import MissingPackageError, UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models import conformance
from ncbench.models.loading import load_forcefield, sha256_of
from ncbench.types import ModelRequest

pytestmark = [pytest.mark.models("mace"), pytest.mark.slow]


@pytest.fixture(scope="module")
def path():
    pytest.importorskip("mace")
    return tiny_models.checkpoint("tiny_mace.py", name="mace.model")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conformance(path, dtype):
    conformance.run_conformance(tiny_models.load("mace", path, dtype=dtype), tiny_models.water())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forces_are_conservative(path, dtype):
    forcefield = tiny_models.load("mace", path, dtype=dtype)
    assert forcefield.card.differentiable
    assert tiny_models.asymmetry(forcefield, tiny_models.water()[1]) < tiny_models.FLOOR[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_its_own_calculator(path, dtype):
    forcefield = tiny_models.load("mace", path, dtype=dtype)
    for atoms in tiny_models.water():
        tiny_models.agrees_with_own_calculator(forcefield, atoms)


@pytest.fixture(scope="module")
def conditioned():
    pytest.importorskip("mace")
    return tiny_models.checkpoint("tiny_mace.py", "--conditioned", name="conditioned.model")


@pytest.mark.parametrize(("charge", "spin"), [("0", "1"), ("-1", "1"), ("1", "2")])
def test_charge_and_spin_change_results_as_in_its_own_calculator(conditioned, charge, spin):
    forcefield = tiny_models.load("mace", conditioned, charge=charge, spin=spin)
    assert (forcefield.card.options["charge"], forcefield.card.options["spin"]) == (charge, spin)
    for atoms in tiny_models.water():
        # Energies of -16,500 eV round at 4e-12 eV in float64.
        tiny_models.agrees_with_own_calculator(forcefield, atoms)
    neutral = tiny_models.load("mace", conditioned)
    if (charge, spin) != ("0", "1"):
        change = forcefield.evaluate([atoms])[0].forces - neutral.evaluate([atoms])[0].forces
        assert np.abs(change).max() > 0.01


def test_unsupported_charges_are_refused(conditioned, path):
    with pytest.raises(UsageError, match=r"charge=0\.6 is not a whole number"):
        tiny_models.load("mace", conditioned, charge="0.6")
    with pytest.raises(UsageError, match="does not know charge=3"):
        tiny_models.load("mace", conditioned, charge="3")
    with pytest.raises(UsageError, match="reads no charge"):
        tiny_models.load("mace", path, charge="1")


def test_float32_energy_differences_are_accurate_with_all_electron_references(conditioned):
    """Differences of energies along a path, where float32 totals of -16,500 eV lie 2⁻⁹ = 0.002 eV apart."""
    low, high = (tiny_models.load("mace", conditioned, dtype=dtype) for dtype in ("float32", "float64"))
    box = tiny_models.water()[0]
    path = []
    for step in range(8):
        moved = box.copy()
        moved.positions[:3] += 0.002 * step
        path.append(moved)
    energies = [np.array([one.energy for one in model.evaluate(path)]) for model in (low, high)]
    assert abs(energies[1][0]) > 16_000
    # What is left to float32 are interactions: some 100 eV, which round at 1e-5 eV.
    np.testing.assert_allclose(*(values - values[0] for values in energies), atol=5e-5)


def test_model_card(path):
    card = tiny_models.load("mace", path).card
    assert card.elements == {1, 8}
    assert (card.dtype, card.cutoff_A, card.receptive_A) == ("float64", 3.5, 14.0)
    assert (card.options["cueq"], card.options["head"], card.precision["tf32"]) == ("off", "Default", "off")


def test_unsupported_requests_are_refused(path, tmp_path):
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        tiny_models.load("mace", path, trust=False)
    with pytest.raises(UsageError, match="no head 'pbe'"):
        tiny_models.load("mace", path, head="pbe")
    with pytest.raises(UsageError, match="has no option"):
        tiny_models.load("mace", path, heads="pbe")
    (tmp_path / "a.model").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="not a MACE saved by torch"):
        tiny_models.load("mace", str(tmp_path / "a.model"))
    with pytest.raises(UsageError, match="It has: conservative"):
        tiny_models.load("mace:direct", path)
    with pytest.raises(MissingPackageError, match="cuequivariance"):
        tiny_models.load("mace", path, cueq="on")


def test_a_file_with_the_digest_of_its_row_is_trusted(path, tmp_path, monkeypatch):
    from ncbench.models import registry, user_models

    monkeypatch.setenv("NCBENCH_MODELS", str(tmp_path / "models.toml"))
    registry.forget()
    entry = {"family": "mace", "checkpoint": path, "modes": ["conservative"]}
    user_models.add("mine", entry)
    with pytest.raises(UntrustedCheckpointError):
        load_forcefield(ModelRequest(spec="mine"))
    user_models.add("mine", entry | {"sha256": sha256_of(Path(path))}, replace=True)
    registry.forget()
    assert load_forcefield(ModelRequest(spec="mine")).card.name == "mine"
    registry.forget()


def test_error_of_missing_weights_names_their_location(monkeypatch, tmp_path):
    pytest.importorskip("mace")
    import urllib.error
    import urllib.request

    def no_network(*_args, **_kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    for name, file in (("mace", "MACE_MPtrj_2022.9.model"), ("mace-off23-small", "MACE-OFF23_small.model")):
        with pytest.raises(WeightsError, match=rf"Fetch https://.*{file} .*--checkpoint {file} --trust-checkpoint"):
            load_forcefield(ModelRequest(spec=name))


def test_polar_mace_is_evaluated_by_the_package_s_own_calculator():
    pytest.importorskip("graph_longrange")
    import torch
    from mace.calculators import MACECalculator

    path = tiny_models.checkpoint("tiny_mace.py", "--polar", name="polar.model")
    forcefield = tiny_models.load("mace-polar-1-s", path, charge="-1", spin="2")
    assert not forcefield.card.differentiable
    neutral = tiny_models.load("mace-polar-1-s", path)
    for atoms in tiny_models.water():
        own = atoms.copy()
        own.info.update(charge=-1, spin=2)
        model = torch.load(path, weights_only=False)
        own.calc = MACECalculator(models=[model], device="cpu", default_dtype="float64", model_type="PolarMACE")
        result = forcefield.evaluate([atoms], stress=bool(atoms.pbc.all()))[0]
        # The same code in float64.
        np.testing.assert_allclose(result.forces, own.get_forces(), atol=1e-10)
        assert result.energy == pytest.approx(own.get_potential_energy(), rel=1e-12)
        if result.stress is not None:
            np.testing.assert_allclose(result.stress, own.get_stress(voigt=False), atol=1e-12)
        assert np.abs(result.forces - neutral.evaluate([atoms])[0].forces).max() > 1e-4
        assert atoms.info == {}
