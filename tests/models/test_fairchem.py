"""eSEN with random weights, through the loader for weights of users."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models

from ncbench.errors import UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models import conformance
from ncbench.models.row import importable
from ncbench.types import ForceMode, ModelRequest

pytestmark = [pytest.mark.models("fairchem"), pytest.mark.slow]
NAMES = {"direct": "esen-sm-direct-all-omol", "conserving": "esen-sm-conserving-all-omol"}


def path_of(kind: str) -> str:
    if not importable("fairchem.core.units"):
        pytest.skip("needs fairchem-core 2")
    return tiny_models.checkpoint("tiny_fairchem.py", kind, name=f"esen-{kind}.pt")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", NAMES)
def test_conformance(kind, dtype):
    conformance.run_conformance(tiny_models.load(NAMES[kind], path_of(kind), dtype=dtype), tiny_models.water())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_conservative_forces_are_a_gradient(dtype):
    molecule = tiny_models.water()[1]
    direct = tiny_models.load(NAMES["direct"], path_of("direct"), dtype=dtype)
    conserving = tiny_models.load(NAMES["conserving"], path_of("conserving"), dtype=dtype)
    assert (direct.card.force_mode, conserving.card.force_mode) == (ForceMode.DIRECT, ForceMode.CONSERVATIVE)
    assert direct.card.differentiable
    assert conserving.card.differentiable
    assert tiny_models.asymmetry(direct, molecule) > 0.01
    assert tiny_models.asymmetry(conserving, molecule) < tiny_models.FLOOR[dtype]


@pytest.mark.parametrize("kind", NAMES)
def test_agrees_with_its_own_calculator(kind):
    forcefield = tiny_models.load(NAMES[kind], path_of(kind))
    for atoms in tiny_models.water():
        tiny_models.agrees_with_own_calculator(forcefield, atoms)
        assert "charge" not in atoms.info


@pytest.mark.parametrize("kind", NAMES)
def test_charge_and_spin_change_results_as_in_its_own_calculator(kind):
    charged = tiny_models.load(NAMES[kind], path_of(kind), charge="-1", spin="2")
    assert (charged.card.options["charge"], charged.card.options["spin"]) == ("-1", "2")
    atoms = tiny_models.water()[0]
    tiny_models.agrees_with_own_calculator(charged, atoms)
    change = (
        charged.evaluate([atoms])[0].forces - tiny_models.load(NAMES[kind], path_of(kind)).evaluate([atoms])[0].forces
    )
    assert np.abs(change).max() > 1e-4
    with pytest.raises(UsageError, match=r"charge=0\.6 is not a whole number"):
        tiny_models.load(NAMES[kind], path_of(kind), charge="0.6")


def test_float32_energy_differences_are_accurate_with_all_electron_references():
    """Differences of energies along a path, where float32 totals of -16,500 eV lie 2⁻⁹ = 0.002 eV apart."""
    kind = "direct"
    low, high = (tiny_models.load(NAMES[kind], path_of(kind), dtype=dtype) for dtype in ("float32", "float64"))
    places = []
    for step in range(5):
        moved = tiny_models.water()[0]
        moved.positions[:3] += 0.002 * step
        places.append(moved)
    energies = [np.array([one.energy for one in model.evaluate(places)]) for model in (low, high)]
    assert abs(energies[1][0]) > 16_000
    # What is left to float32 are interactions: some 100 eV, which round at 1e-5 eV.
    np.testing.assert_allclose(*(values - values[0] for values in energies), atol=5e-5)


def test_net_force_removal_can_be_turned_off():
    atoms = tiny_models.water()[0]
    removed = tiny_models.load(NAMES["direct"], path_of("direct"))
    left = tiny_models.load(NAMES["direct"], path_of("direct"), net_force_removal="off")
    forces = left.evaluate([atoms])[0].forces
    assert np.abs(forces.mean(axis=0)).max() > 1e-3
    np.testing.assert_allclose(forces - forces.mean(axis=0), removed.evaluate([atoms])[0].forces, atol=1e-6)
    again = removed.without_net_force_removal()
    np.testing.assert_allclose(again.evaluate([atoms])[0].forces, forces, atol=1e-6)


def test_settings_are_recorded():
    card = tiny_models.load(NAMES["conserving"], path_of("conserving"), charge="1", spin="2").card
    expected = {"task": "omol", "charge": "1", "spin": "2", "compile": "off", "merge-mole": "off"}
    assert expected.items() <= card.options.items()
    assert card.precision == {"tf32": "off", "weights": "float32"}


def test_unsupported_requests_are_refused(tmp_path):
    with pytest.raises(UntrustedCheckpointError):
        tiny_models.load(NAMES["direct"], path_of("direct"), trust=False)
    with pytest.raises(UsageError, match="It has: direct"):
        tiny_models.load(f"{NAMES['direct']}:conservative", path_of("direct"))
    with pytest.raises(UsageError, match="no task 'omat'"):
        tiny_models.load(NAMES["direct"], path_of("direct"), task="omat")
    (tmp_path / "a.pt").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="not an inference checkpoint"):
        tiny_models.load(NAMES["direct"], str(tmp_path / "a.pt"))


def test_error_of_gated_weights_explains_access():
    from ncbench.models.weights import gated

    message = str(gated("esen-sm-direct-all-omol", OSError("offline"), "facebook/OMol25", "checkpoints/a.pt"))
    assert "https://huggingface.co/facebook/OMol25/resolve/main/checkpoints/a.pt" in message
    assert "hf auth login" in message


def test_task_of_several_is_materials_unless_chosen():
    if not importable("fairchem.core.units"):
        pytest.skip("needs fairchem-core 2")
    from ncbench.models.families.fairchem.adapter import _task

    def chosen(tasks, **options):
        return _task(ModelRequest(spec="uma", options=tuple(options.items())), tasks, "uma")

    assert chosen(["omol", "omat", "oc20"]) == "omat"
    assert chosen(["omol", "omat"], task="omol") == "omol"
    assert chosen(["oc20"]) == "oc20"
    with pytest.raises(UsageError, match="one of omol, oc20"):
        chosen(["omol", "oc20"])


@pytest.mark.parametrize("kind", NAMES)
def test_allscaip_is_evaluated_by_the_package_s_own_calculator(kind):
    name = f"allscaip-md-{kind}-all-omol"
    path = path_of(f"allscaip-{kind}")
    forcefield = tiny_models.load(name, path, charge="-1", spin="2")
    assert forcefield.card.force_mode is (ForceMode.DIRECT if kind == "direct" else ForceMode.CONSERVATIVE)
    assert not forcefield.card.differentiable
    from fairchem.core import FAIRChemCalculator
    from fairchem.core.units.mlip_unit import load_predict_unit

    molecule = tiny_models.water()[1]
    own = molecule.copy()
    own.info.update(charge=-1, spin=2)
    own.calc = FAIRChemCalculator(load_predict_unit(path, device="cpu"), task_name="omol")
    result = forcefield.evaluate([molecule])[0]
    assert np.abs(result.forces).max() > 1e-3
    # Float32 sums in one order, by the same code.
    np.testing.assert_allclose(result.forces, own.get_forces(), atol=1e-6 * np.abs(result.forces).max())
    assert result.energy == pytest.approx(own.get_potential_energy(), rel=1e-7)
    assert "charge" not in molecule.info
    neutral = tiny_models.load(name, path).evaluate([molecule])[0]
    assert np.abs(neutral.forces - result.forces).max() > 1e-4
    with pytest.raises(UsageError, match="removes no net force"):
        tiny_models.load(name, path, net_force_removal="on")
