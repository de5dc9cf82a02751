"""Metatomic models exported by others: other units, one head only, slabs, and files that would run code."""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("metatomic_ase")

import torch
from ase import units
from metatomic.torch import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput
from springs import Springs

from ncbench.errors import UnsupportedError, UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models.families.pet import systems
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.structures.water import water_box
from ncbench.types import ForceMode, ModelRequest

pytestmark = pytest.mark.models
needs_pet = pytest.mark.skipif(not (WEIGHTS / "pet-m.pt").is_file(), reason="the bundled weights are not made yet")


ENERGY = ("energy", ModelOutput(unit="kcal/mol", sample_kind="system"))
FORCE = ("non_conservative_force", ModelOutput(unit="kcal/mol/Angstrom", sample_kind="atom"))


@pytest.fixture
def export(tmp_path):
    def make(*outputs):
        capabilities = ModelCapabilities(
            outputs=dict(outputs),
            atomic_types=[1, 8],
            interaction_range=2.0,
            length_unit="Angstrom",
            supported_devices=["cpu"],
            dtype="float64",
        )
        path = tmp_path / "springs.pt"
        AtomisticModel(Springs().eval(), ModelMetadata(), capabilities).save(str(path))
        return path

    return make


def load(spec: object, **kwargs: object) -> ForceField:
    return load_forcefield(ModelRequest(spec=str(spec), **kwargs))


def test_units_of_the_model_are_converted(export):
    path, kcal = export(ENERGY, FORCE), units.kcal / units.mol
    atoms = water_box(2, density_g_cm3=0.8, seed=1)
    atoms.pbc, atoms.cell = False, None
    distances = atoms.get_all_distances()
    # ASE's and metatomic's constants are of two CODATA releases, 1e-8 apart.
    expected = 0.5 * kcal * float((distances[distances < 2.0] ** 2).sum())
    assert load(path).evaluate([atoms])[0].energy == pytest.approx(expected, rel=1e-7)
    direct = load(f"{path}:direct", options=(("net-force-removal", "off"),)).evaluate([atoms])[0]
    assert direct.forces == pytest.approx(kcal, rel=1e-7)


def test_a_model_with_only_a_force_head_has_no_energy(export):
    forcefield = load(export(FORCE))
    assert forcefield.card.force_modes == (ForceMode.DIRECT,)
    assert not forcefield.card.has_energy
    result = forcefield.evaluate([water_box(2, density_g_cm3=0.8, seed=1)])[0]
    assert np.isnan(result.energy)
    assert result.forces == pytest.approx(0.0)  # equal forces on all atoms are a net force, which is removed


def test_an_energy_model_has_no_direct_mode_and_a_model_without_outputs_is_refused(export):
    with pytest.raises(UsageError, match="no direct forces"):
        load(f"{export(ENERGY)}:direct")
    with pytest.raises(WeightsError, match="neither energies nor forces, only: feature"):
        load(export(("feature", ModelOutput(sample_kind="atom"))))


class Payload:
    """Creates a folder when it is unpickled, as a hostile pickle would run code."""

    def __init__(self, mark: object) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("by_option", [False, True])
def test_a_checkpoint_is_not_unpickled_without_consent(tmp_path, by_option):
    path, mark = tmp_path / "hostile.ckpt", tmp_path / "was-run"
    torch.save({"model": Payload(mark)}, path)
    request = {"spec": "pet-m", "checkpoint": str(path)} if by_option else {"spec": str(path)}
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        load(**request)
    assert not mark.exists()


def test_an_export_is_read_without_unpickling(tmp_path):
    path, mark = tmp_path / "hostile.pt", tmp_path / "was-run"
    torch.save({"model": Payload(mark)}, path)
    with pytest.raises(WeightsError, match="not a metatomic model"):
        load(path)
    assert not mark.exists()


def test_tf32_is_recorded_as_off_without_support():
    with pytest.raises(UsageError, match="cpu does not support TF32"):
        load("pet-m", options=(("tf32", "on"),))
    with pytest.raises(UsageError, match="neither on nor off"):
        load("pet-m", options=(("tf32", "perhaps"),))


@needs_pet
@pytest.mark.parametrize("mode", ["direct", "conservative"])
@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, False)])
def test_a_cell_vector_without_periodicity_is_vacuum(mode, pbc):
    forcefield = load(f"pet-m:{mode}", dtype="float64")
    slab = water_box(8, density_g_cm3=0.8, seed=1)
    slab.cell[2] *= 3
    slab.pbc = pbc
    bare = slab.copy()
    bare.cell = np.where(np.array(pbc)[:, None], slab.cell.array, 0.0)
    with_cell, without = forcefield.evaluate([slab])[0], forcefield.evaluate([bare])[0]
    np.testing.assert_allclose(with_cell.forces, without.forces, atol=1e-10)
    assert with_cell.energy == pytest.approx(without.energy, rel=1e-12)


@needs_pet
def test_a_molecule_has_no_stress():
    molecule = water_box(1, density_g_cm3=0.8, seed=1)
    molecule.pbc, molecule.cell = False, None
    with pytest.raises(UnsupportedError, match="has no stress"):
        load("pet-m").evaluate([molecule], stress=True)


@needs_pet
def test_forces_do_not_depend_on_atoms_beyond_the_receptive_field():
    bar = water_box(8, density_g_cm3=0.9, seed=3).repeat((6, 1, 1))
    bar.rattle(0.02, seed=4)
    distance = bar.get_distances(0, range(len(bar)), mic=True)
    field = load("pet-m:direct", dtype="float64", options=(("net-force-removal", "off"),)).bind([bar])
    cotangent = torch.zeros(1, len(bar), 3, dtype=torch.float64)
    cotangent[0, 0, 0] = 1.0
    row = field.linearize(field.initial_positions()).vjp(cotangent)[0].norm(dim=1).numpy()
    reach = field.card.receptive_A
    assert reach < distance.max()
    # Rounding leaves 1e-16 of the largest entry, some 50 eV/Å², in backward sums.
    assert row[distance > reach].max() < 1e-12
    # The bound matters: beyond the range that the export declares there is still a force.
    assert row[distance > 7.0].max() > 1e-9


@needs_pet
def test_a_sibling_is_the_same_model_loaded_in_the_other_mode() -> None:
    atoms = water_box(4)
    for mode, other in ((ForceMode.DIRECT, ForceMode.CONSERVATIVE), (ForceMode.CONSERVATIVE, ForceMode.DIRECT)):
        current = load_forcefield(ModelRequest(spec=f"pet-m:{mode}"))
        loaded = load_forcefield(ModelRequest(spec=f"pet-m:{other}"))
        assert current.sibling(mode) is current
        assert current.sibling(other).card == loaded.card
        assert (current.sibling(other).evaluate([atoms])[0].forces == loaded.evaluate([atoms])[0].forces).all()


def replicas() -> list:
    rng = np.random.default_rng(0)
    boxes = [water_box(6, density_g_cm3=0.8, seed=1) for _ in range(3)]
    for atoms in boxes:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
    return boxes


@needs_pet
@pytest.mark.parametrize("mode", ["direct", "conservative"])
def test_replicas_as_one_system_give_the_results_of_separate_systems(mode):
    # On a GPU replicas of one cell are one system; the same path runs here.
    forcefield = load(f"pet-m:{mode}", dtype="float64")
    fields = [forcefield.bind(replicas()) for _ in range(2)]
    assert not fields[0].joined
    fields[1].joined = True
    at = fields[0].initial_positions()
    # Sums of some 10³ terms in another order, of forces of 10 eV/Å and energies of 1000 eV.
    one, other = (field(at) for field in fields)
    torch.testing.assert_close(one.forces, other.forces, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-12, atol=0)
    products = [field.linearize(at) for field in fields]
    for name in ("vjp", "jvp"):
        values = [getattr(product, name)(at.cos()) for product in products]
        torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-8)
    if mode == "conservative":
        both = [field.with_direct_forces(at) for field in fields]
        torch.testing.assert_close(both[0][1], both[1][1], rtol=0, atol=1e-9)
        # Gradients with respect to cells need separate systems.
        stresses = [field.with_stress(at)[1] for field in fields]
        torch.testing.assert_close(stresses[0], stresses[1], rtol=0, atol=0)


@needs_pet
def test_a_lost_replica_does_not_change_others_of_the_same_system():
    field = load("pet-m:direct").bind(replicas())
    field.joined = True
    at = field.initial_positions()
    whole = field(at)
    at[1, 0, 0] = np.nan
    part = field(at)
    assert not torch.isfinite(part.forces[1]).any()
    assert torch.isnan(part.energy[1])
    for kept in (0, 2):
        torch.testing.assert_close(part.forces[kept], whole.forces[kept], rtol=0, atol=1e-4)


@needs_pet
def test_only_replicas_of_one_cell_are_joined(monkeypatch):
    field = load("pet-m:direct").bind(replicas())
    monkeypatch.setattr(field, "device", torch.device("meta"))
    assert systems.joinable(field)
    for name, value in (("inputs", {"charge": None}), ("lists", [])):
        with monkeypatch.context() as other:
            other.setattr(field, name, value)
            assert not systems.joinable(field), name
    field.structures[2].set_cell(field.structures[2].cell * 1.01)
    assert not systems.joinable(field)


def test_a_model_without_energies_of_atoms_is_not_joined(export, monkeypatch):
    field = load(f"{export(ENERGY, FORCE)}:direct").bind(replicas())
    monkeypatch.setattr(field, "device", torch.device("meta"))
    assert not systems.joinable(field)
