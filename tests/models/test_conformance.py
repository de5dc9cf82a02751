"""Every adapter through the conformance suite, and the suite itself against adapters with a defect."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from ncbench.models import conformance
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import WEIGHTS
from ncbench.structures.water import water_box
from ncbench.types import ForceMode, ModelRequest

PET = WEIGHTS / "pet-m.pt"
needs_pet = pytest.mark.skipif(not PET.is_file(), reason="the bundled weights are not made yet")


def with_sites(atoms: Atoms) -> Atoms:
    atoms.arrays["sites"] = atoms.positions + np.random.default_rng(1).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def argon() -> list[Atoms]:
    rng = np.random.default_rng(0)
    crystal = bulk("Ar", "fcc", a=5.4, cubic=True).repeat((2, 2, 2))
    crystal.positions += rng.normal(scale=0.1, size=crystal.positions.shape)
    cluster = Atoms("Ar5", positions=4.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0.2]]))
    return [with_sites(crystal), with_sites(cluster)]


def water(n_molecules: int = 8) -> list[Atoms]:
    box = water_box(n_molecules, density_g_cm3=0.8, seed=1)
    single = molecule("H2O")
    single.positions += np.random.default_rng(2).normal(scale=0.02, size=(3, 3))
    return [with_sites(box), with_sites(single)]


def load(spec: str, dtype: str | None = None) -> ForceField:
    return load_forcefield(ModelRequest(spec=spec, dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["analytic-harmonic", "analytic-solenoidal", "analytic-lj"])
def test_analytic_models_conform(name, dtype):
    conformance.run_conformance(load(name, dtype), argon())


@pytest.mark.parametrize("factory", ["harmonic", "solenoidal", "lennard_jones"])
def test_an_ase_calculator_conforms(factory):
    conformance.run_conformance(load(f"ncbench.models.families.analytic_ase:{factory}"), argon())


@needs_pet
@pytest.mark.models
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["direct", "conservative"])
def test_pet_conforms(mode, dtype):
    pytest.importorskip("metatomic_ase")
    conformance.run_conformance(load(f"pet-m:{mode}", dtype), water())


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sevennet_conforms(dtype):
    pytest.importorskip("sevenn")
    conformance.run_conformance(load("sevennet-0", dtype), water(4))


@pytest.mark.models
@pytest.mark.parametrize("check", [conformance.check_shapes, conformance.check_batches, conformance.check_lost])
def test_sevennet_conforms_in_short_tests(check):
    pytest.importorskip("sevenn")
    check(load("sevennet-0"), water(2), np.random.default_rng(0))


@pytest.mark.models
def test_each_task_of_a_sevennet_gives_the_numbers_of_its_own_calculator():
    pytest.importorskip("sevenn")
    crystals = [bulk(element, cubic=True) for element in ("C", "Al")]
    for seed, crystal in enumerate(crystals):
        crystal.rattle(0.05, seed=seed)
    forces = {}
    for task in ("PBE", "R2SCAN"):
        forcefield = load_forcefield(ModelRequest(spec="sevennet-mf-0", options=(("modal", task),)))
        results = forcefield.evaluate(crystals)
        for crystal, result in zip(crystals, results, strict=True):
            own = crystal.copy()
            own.calc = forcefield.ase_calculator()
            # Two orders of summation in float32.
            np.testing.assert_allclose(result.forces, own.get_forces(), atol=2e-5)
        forces[task] = results[1].forces
    assert np.abs(forces["PBE"] - forces["R2SCAN"]).max() > 1e-3


@needs_pet
@pytest.mark.models
@pytest.mark.parametrize("spec", ["pet-m:direct", "pet-m:conservative", "sevennet-0"])
def test_the_family_s_own_calculator_has_the_requested_precision(spec):
    pytest.importorskip("metatomic_ase")
    pytest.importorskip("sevenn")
    forcefield = load(spec, "float64")
    atoms = water()[0].copy()
    expected = forcefield.evaluate([atoms])[0]
    atoms.calc = forcefield.ase_calculator()
    if spec == "sevennet-0":
        # The library's calculator has float32 inputs.
        assert atoms.calc is None
        return
    # Of float32 numbers the difference is 1e-5; neighbour vectors and sums of float64 in another order leave 1e-9.
    np.testing.assert_allclose(atoms.get_forces(), expected.forces, atol=1e-8)
    assert atoms.get_potential_energy() == pytest.approx(expected.energy, abs=1e-8)


@needs_pet
@pytest.mark.models
@pytest.mark.parametrize("spec", ["pet-m:direct", "pet-m:conservative", "sevennet-0"])
def test_native_equals_the_family_s_own_calculator(spec):
    pytest.importorskip("metatomic_ase")
    pytest.importorskip("sevenn")
    forcefield = load(spec)
    for atoms in water():
        other = atoms.copy()
        other.calc = forcefield.ase_calculator()
        result = forcefield.evaluate([atoms], stress=forcefield.card.has_stress and atoms.pbc.all())[0]
        # Two orders of summation in float32.
        np.testing.assert_allclose(result.forces, other.get_forces(), atol=2e-5)
        assert result.energy == pytest.approx(
            other.get_potential_energy(), abs=1e-6 * len(atoms) + 3e-7 * abs(result.energy)
        )
        if result.stress is not None:
            np.testing.assert_allclose(result.stress, other.get_stress(voigt=False), atol=1e-6)


@needs_pet
@pytest.mark.models
def test_loading_does_not_change_global_state():
    pytest.importorskip("metatomic_ase")
    pytest.importorskip("sevenn")
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  # the state that a library would disturb
    random.seed(5)
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002  # as above
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state(), random.getstate())
    load("pet-m:direct")
    load("sevennet-0")
    assert torch.get_default_dtype() == before[0]
    assert torch.get_num_threads() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert random.getstate() == before[3]
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002  # as above


@needs_pet
@pytest.mark.models
def test_pet_card_has_all_recorded_fields():
    pytest.importorskip("metatomic_ase")
    card = load("pet-m:direct").card
    assert card.force_modes == (ForceMode.CONSERVATIVE, ForceMode.DIRECT)
    assert card.net_force_removed
    assert card.elements == {1, 8}
    assert card.cutoff_A == pytest.approx(3.5)
    assert card.receptive_A == pytest.approx(10.5)  # two layers and the readout's reverse message, 3.5 Å each
    assert len(card.checkpoint_sha256) == 64
    assert "metatomic-torch" in card.packages
    assert not load("pet-m:conservative").card.net_force_removed
    kept = load_forcefield(ModelRequest(spec="pet-m:direct", options=(("net-force-removal", "off"),)))
    assert not kept.card.net_force_removed
    assert np.abs(kept.evaluate(water()[:1])[0].forces.sum(axis=0)).max() > 1e-4


class Defective(ForceField):
    """A good force field with one thing wrong."""

    def __init__(self, inner: ForceField, defect: str) -> None:
        self.inner, self.card, self.defect = inner, inner.card, defect

    def check(self, structures):
        if self.defect != "no checks":
            super().check(structures)

    def _evaluate(self, structures, *, stress):
        results = self.inner._evaluate(structures, stress=stress)
        for number, result in enumerate(results):
            if self.defect == "swirl":
                result.forces[:, 0] += 0.01 * structures[number].positions[:, 1]
            elif self.defect == "batch":
                result.forces[0, 0] += 1e-3 * number
            elif self.defect == "order":
                result.forces[0] += 0.01
            elif self.defect == "moves":
                structures[number].positions += 1e-6
            elif self.defect == "stress" and result.stress is not None:
                result.stress[:] *= -1
        return results

    def _bind(self, structures):
        return self.inner._bind(structures)


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        ("swirl", conformance.check_gradient),
        ("swirl", conformance.check_binding),
        ("batch", conformance.check_batches),
        ("order", conformance.check_symmetries),
        ("moves", conformance.check_shapes),
        ("stress", conformance.check_stress),
        ("no checks", conformance.check_refusals),
    ],
)
def test_defective_adapters_are_detected(defect, check):
    good = load("analytic-lj", "float64")
    check(good, argon(), np.random.default_rng(0))
    with pytest.raises((AssertionError, Exception)) as caught:  # a NaN may also end in the neighbour list
        check(Defective(good, defect), argon(), np.random.default_rng(0))
    if defect != "no checks":
        assert isinstance(caught.value, AssertionError)


def test_the_weights_are_small_enough_for_the_repository():
    if PET.is_file():
        assert Path(PET).stat().st_size <= 6e6
