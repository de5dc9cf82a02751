"""Stress heads of metatomic models: units, symmetry, force modes that have them, and their λ."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("metatomic_ase")

from ase import Atoms, units
from direct_stress import StressedSprings
from metatomic.torch import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput

from ncbench.errors import UnsupportedError
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.models.loading import load_forcefield
from ncbench.types import ForceMode, ModelRequest

pytestmark = pytest.mark.models
OUTPUTS = {
    "energy": ModelOutput(unit="kcal/mol", sample_kind="system"),
    "non_conservative_force": ModelOutput(unit="kcal/mol/Angstrom", sample_kind="atom"),
    "non_conservative_stress": ModelOutput(unit="kcal/mol/Angstrom^3", sample_kind="system"),
}


def lattice() -> Atoms:
    """A skew cubic lattice, 1.6 Å apart and displaced: no pair comes near the cutoff of 2 Å."""
    atoms = Atoms("H27", cell=4.8 * np.eye(3), pbc=True)
    atoms.positions = 1.6 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    atoms.set_cell(
        atoms.cell.array @ (np.eye(3) + np.array([[0.02, 0.03, 0], [0, -0.02, 0.01], [0, 0, 0.03]])), scale_atoms=True
    )
    atoms.rattle(0.03, seed=1)
    return atoms


def export(folder, scale: float, *names: str):
    capabilities = ModelCapabilities(
        outputs={name: OUTPUTS[name] for name in names or OUTPUTS},
        atomic_types=[1],
        interaction_range=2.0,
        length_unit="Angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    path = folder / "stressed.pt"
    AtomisticModel(StressedSprings(scale).eval(), ModelMetadata(), capabilities).save(str(path))
    return path


def load(path, mode: str = "direct", **kwargs):
    return load_forcefield(ModelRequest(spec=f"{path}:{mode}", **kwargs))


def test_the_head_s_stress_is_read_in_its_units(tmp_path):
    path, atoms = export(tmp_path, 2.0), lattice()
    direct, conservative = load(path), load(path, "conservative")
    vectors = np.stack(
        [d for d in atoms.get_all_distances(mic=True, vector=True).reshape(-1, 3) if 0 < np.linalg.norm(d) < 2]
    )
    expected = units.kcal / units.mol * vectors.T @ vectors / atoms.get_volume()
    # ASE's and metatomic's constants are of two CODATA releases, 1e-8 apart.
    assert conservative.evaluate([atoms], stress=True)[0].stress == pytest.approx(expected, rel=1e-7)
    current = direct.evaluate([atoms, atoms], stress=True)
    assert current[1].stress == pytest.approx(2 * expected, rel=1e-7)
    assert current[0].forces == pytest.approx(direct.evaluate([atoms])[0].forces, abs=1e-14)
    own = atoms.copy()
    own.calc = direct.ase_calculator()
    assert own.get_stress(voigt=False) == pytest.approx(2 * expected, rel=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1.0, -1.0, 0.5, 0.0])
def test_lambda_of_a_scaled_stress_has_a_closed_form(tmp_path, scale, dtype):
    result = stress_asymmetry(
        load(export(tmp_path, scale), dtype=dtype),
        lattice(),
        rng=np.random.default_rng(0),
        probes=8,
        exact_max_atoms=64,
    )
    expected = abs(1 - scale) / np.sqrt(2 * (1 + scale**2))
    assert result.products == 6
    assert abs(result.value - expected) <= 3 * result.standard_error
    # Forces are linear in distances, so that differences have rounding alone: ε|f|/strain of float32 over a P of the size of f.
    assert result.standard_error < {"float64": 1e-9, "float32": 1e-3}[dtype]


def test_a_direct_mode_has_a_stress_if_there_is_a_head(tmp_path):
    with_head = load(export(tmp_path, 1.0))
    assert with_head.card.has_stress
    assert with_head.sibling(ForceMode.CONSERVATIVE).sibling(ForceMode.DIRECT).card == with_head.card
    without = load(export(tmp_path, 1.0, "energy", "non_conservative_force"))
    assert not without.card.has_stress
    assert without.sibling(ForceMode.CONSERVATIVE).card.has_stress
    with pytest.raises(UnsupportedError, match="has no stress"):
        without.evaluate([lattice()], stress=True)


@pytest.fixture(scope="module")
def tiny_pet(tmp_path_factory):
    """A PET with heads for forces and stress, with random weights."""
    pytest.importorskip("metatrain")
    import torch
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info
    from omegaconf import OmegaConf

    def target(quantity: str, unit: str, rank: int, kind: str):
        name = f"non_conservative_{quantity}"
        wanted = {
            "quantity": quantity,
            "unit": unit,
            "type": {"cartesian": {"rank": rank}},
            "num_subtargets": 1,
            "sample_kind": kind,
        }
        return get_generic_target_info(name, OmegaConf.create(wanted))

    hypers = get_default_hypers("pet")["model"] | {
        "cutoff": 3.5,
        "d_pet": 8,
        "d_node": 8,
        "d_head": 8,
        "d_feedforward": 8,
    }
    targets = {
        "energy": get_energy_target_info("energy", OmegaConf.create({"quantity": "energy", "unit": "eV"})),
        "non_conservative_force": target("force", "eV/Angstrom", 1, "atom"),
        "non_conservative_stress": target("stress", "eV/Angstrom^3", 2, "system"),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PET(hypers, DatasetInfo(length_unit="Angstrom", atomic_types=[1, 8], targets=targets))
    path = tmp_path_factory.mktemp("pet") / "tiny.pt"
    model.export().save(str(path))
    return path


def test_a_pet_with_a_stress_head_conforms(tiny_pet):
    from ncbench.structures.water import water_box

    atoms = water_box(8, density_g_cm3=0.9, seed=1)
    direct = load(tiny_pet, dtype="float64")
    assert direct.card.has_stress
    stress = direct.evaluate([atoms], stress=True)[0].stress
    assert stress == pytest.approx(stress.T)
    own = atoms.copy()
    own.calc = load(tiny_pet).ase_calculator()
    # Float32 sums of some hundred terms.
    assert own.get_stress(voigt=False) == pytest.approx(stress, rel=1e-4, abs=1e-6 * np.abs(stress).max())
    settings = {"rng": np.random.default_rng(0), "probes": 8, "exact_max_atoms": 64}
    result = stress_asymmetry(direct, atoms, **settings)
    # Random heads are independent: P and Q are almost orthogonal, which gives λ = 1/√2.
    assert result.value == pytest.approx(np.sqrt(0.5), abs=0.15)
    assert result.note == ""
    conservative = stress_asymmetry(load(tiny_pet, "conservative", dtype="float64"), atoms, **settings)
    assert conservative.value <= 3 * conservative.floor < 1e-4
