"""PET with random weights that reads charge and spin, with all-electron references, as PET-OMol."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models

from ncbench.errors import UsageError

pytestmark = [pytest.mark.models("metatrain"), pytest.mark.slow]


@pytest.fixture(scope="module")
def path():
    pytest.importorskip("metatrain")
    return tiny_models.checkpoint("tiny_pet.py", "--conditioned", name="conditioned.ckpt")


# The library computes the stress of an isolated molecule too.
@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar add:RuntimeWarning")
@pytest.mark.parametrize("mode", ["conservative", "direct"])
@pytest.mark.parametrize(("charge", "spin"), [("0", "1"), ("-1", "2")])
def test_charge_and_spin_change_results_as_in_its_own_calculator(path, mode, charge, spin):
    forcefield = tiny_models.load(f"pet-m:{mode}", path, charge=charge, spin=spin)
    assert (forcefield.card.options["charge"], forcefield.card.options["spin"]) == (charge, spin)
    neutral = tiny_models.load(f"pet-m:{mode}", path)
    for atoms in tiny_models.water():
        # The library rounds coordinates to float32, 1e-6 Å; random weights make stiffnesses of ten times the forces per Å.
        scale = max(1.0, np.abs(forcefield.evaluate([atoms])[0].forces).max())
        tiny_models.agrees_with_own_calculator(forcefield, atoms, force_tolerance=1e-5 * scale)
        change = np.abs(forcefield.evaluate([atoms])[0].forces - neutral.evaluate([atoms])[0].forces).max()
        assert (change > 1e-3) == (charge != "0")


def test_unsupported_charges_and_spins_are_refused(path):
    with pytest.raises(UsageError, match=r"charge=0\.6 is not a whole number"):
        tiny_models.load("pet-m", path, charge="0.6")
    with pytest.raises(UsageError, match="does not take charge=3"):
        tiny_models.load("pet-m", path, charge="3")
    with pytest.raises(UsageError, match="reads no charge"):
        tiny_models.load("pet-m", tiny_models.checkpoint("tiny_pet.py", name="plain.ckpt"), charge="1")


def test_float32_energy_differences_are_accurate_with_all_electron_references(path):
    """Differences of energies along a path, where float32 totals of -16,500 eV lie 2⁻⁹ = 0.002 eV apart."""
    low, high = (tiny_models.load("pet-m:conservative", path, dtype=dtype) for dtype in ("float32", "float64"))
    box = tiny_models.water()[0]
    places = []
    for step in range(8):
        moved = box.copy()
        moved.positions[:3] += 0.002 * step
        places.append(moved)
    energies = [np.array([one.energy for one in model.evaluate(places)]) for model in (low, high)]
    assert abs(energies[1][0]) > 16_000
    # What is left to float32 are interactions: some 100 eV, which round at 1e-5 eV.
    np.testing.assert_allclose(*(values - values[0] for values in energies), atol=5e-5)
