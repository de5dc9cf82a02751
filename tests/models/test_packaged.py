"""Families that run through a package's own ASE calculator: tests of precision, stress and weights on calculators with known results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from ncbench.errors import MissingPackageError, UnsupportedError, UntrustedCheckpointError, UsageError, WeightsError
from ncbench.models import conformance
from ncbench.models.family import built_in
from ncbench.models.loading import load_forcefield
from ncbench.models.packaged import Packaged, load_packaged, with_vacuum
from ncbench.models.registry import find, parse_spec
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest


class Altered(Calculator):
    """ASE's effective-medium theory of aluminium, with results in the conventions of other packages."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, *, stress: float = 1.0, dtype: type = np.float64, squeezed: float = 1.0) -> None:
        super().__init__()
        self.stress, self.dtype, self.squeezed, self.seen = stress, dtype, squeezed, []

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.seen.append(atoms.copy())
        inner = atoms.copy()
        inner.set_cell(atoms.cell * self.squeezed, scale_atoms=True)
        inner.calc = EMT()
        self.results = {
            "energy": inner.get_potential_energy(),
            "forces": (self.squeezed * inner.get_forces()).astype(self.dtype),
        }
        if atoms.cell.rank == 3:
            self.results["stress"] = inner.get_stress() * self.squeezed**3 * self.stress


def load(
    calculator: Calculator, *, options: tuple = (), dtype: str | None = None, vacuum_A: float = 0.0, elements=(13,)
):
    row = replace(find("chgnet"), package="")
    request = ModelRequest(spec="chgnet", options=options, dtype=dtype)

    def make(_wanted):
        return Packaged(calculator=calculator, elements=frozenset(elements), vacuum_A=vacuum_A)

    return load_packaged(request, parse_spec("chgnet"), row, make=make, distributions=("ase",))


@pytest.mark.parametrize(
    ("unit", "factor"), [("eV/A^3", 1.0), ("GPa", units.GPa), ("kbar", units.GPa / 10), ("minus GPa", -units.GPa)]
)
def test_stresses_of_any_unit_and_sign_become_strain_derivatives(unit, factor):
    forcefield = load(Altered(stress=1 / factor))
    assert forcefield.card.has_stress
    assert ("stress" in forcefield.card.options) == (factor != 1.0)
    crystal = bulk("Al", cubic=True)
    crystal.rattle(0.05, seed=3)
    crystal.set_cell(crystal.cell @ np.diag([1.02, 1.0, 0.97]), scale_atoms=True)
    expected = crystal.copy()
    expected.calc = EMT()
    stress = forcefield.evaluate([crystal], stress=True)[0].stress
    np.testing.assert_allclose(stress, expected.get_stress(voigt=False), rtol=1e-9, atol=1e-12)


def test_a_stress_in_an_unknown_unit_is_not_used():
    forcefield = load(Altered(stress=3.0))
    assert not forcefield.card.has_stress
    with pytest.raises(UnsupportedError, match="has no stress"):
        forcefield.evaluate([bulk("Al", cubic=True)], stress=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_follows_the_forces(dtype):
    name = np.dtype(dtype).name
    assert load(Altered(dtype=dtype)).card.dtype == name
    assert load(Altered(dtype=dtype), dtype=name).card.dtype == name
    other = "float64" if name == "float32" else "float32"
    with pytest.raises(UsageError, match=f"computes in {name}, not in {other}"):
        load(Altered(dtype=dtype), dtype=other)


def test_weights_incompatible_with_the_package_are_refused():
    """Smooth, with forces that are the gradient, and a lattice constant that is a quarter too long."""
    with pytest.raises(WeightsError, match=r"do not suit ase .*aluminium has no minimum of energy within 10 %"):
        load(Altered(squeezed=0.8))


def test_structures_that_are_not_periodic_get_vacuum_and_the_same_energy():
    calculator = Altered()
    forcefield = load(calculator, vacuum_A=7.0)
    for atoms in (Atoms("Al3", [[0, 0, 0], [2.6, 0, 0], [0.3, 2.7, 0.4]]), fcc111("Al", (2, 2, 2))):
        expected = atoms.copy()
        expected.calc = EMT()
        result = forcefield.evaluate([atoms])[0]
        assert calculator.seen[-1].pbc.all()
        assert result.energy == pytest.approx(expected.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(result.forces, expected.get_forces(), atol=1e-9)
    periodic = bulk("Al")
    assert with_vacuum(periodic, 7.0) is periodic


def test_packaged_adapter_conforms():
    small, large = bulk("Al", cubic=True), bulk("Al", cubic=True).repeat((2, 1, 1))
    for number, atoms in enumerate((small, large)):
        atoms.rattle(0.05, seed=number)
    conformance.run_conformance(load(Altered()), [small, large])


@pytest.mark.parametrize(
    ("error", "expected", "sentence"),
    [
        (ImportError("no module named jax"), MissingPackageError, "no module named jax"),
        (ConnectionError("no route to host"), WeightsError, r"could not be downloaded \(no connection to the server"),
        (KeyError("model_args"), WeightsError, "cannot load '0.3.0' as chgnet-0.3.0: KeyError"),
        (RuntimeError("size mismatch\nfor layer"), WeightsError, "RuntimeError: size mismatch$"),
    ],
)
def test_errors_of_packages_become_one_sentence(error, expected, sentence):
    def make(_wanted):
        raise error

    with pytest.raises(expected, match=sentence):
        load_packaged(
            ModelRequest(spec="chgnet"), parse_spec("chgnet"), find("chgnet"), make=make, distributions=("ase",)
        )


def test_user_files_need_trust(tmp_path):
    (tmp_path / "own.pth").write_bytes(b"x")
    request = ModelRequest(spec="chgnet", checkpoint=str(tmp_path / "own.pth"))
    with pytest.raises(UntrustedCheckpointError):
        load_packaged(request, parse_spec("chgnet"), find("chgnet"), make=lambda _: None, distributions=("ase",))


@pytest.mark.models("chgnet")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["chgnet", "chgnet-0.2.0", "chgnet-r2scan"])
def test_released_chgnets_conform_and_agree_with_their_own_calculator(name):
    forcefield = load_forcefield(ModelRequest(spec=name))
    assert (forcefield.card.dtype, forcefield.card.has_stress) == ("float32", True)
    crystal = bulk("Al", cubic=True)
    crystal.rattle(0.05, seed=1)
    conformance.run_conformance(forcefield, [water_box(2, density_g_cm3=0.8, seed=1), crystal])
    tiny_models.agrees_with_own_calculator(forcefield, crystal)
    boxed = molecule("H2O")
    boxed.set_cell([20.0] * 3)
    boxed.pbc = True
    # The same graph at other coordinates, which float32 rounds at 1e-6 Å.
    one, other = (forcefield.evaluate([atoms])[0].forces for atoms in (molecule("H2O"), boxed))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.models("chgnet")
@pytest.mark.slow
def test_chgnet_computes_stress_only_where_it_is_read(monkeypatch):
    forcefield = load_forcefield(ModelRequest(spec="chgnet"))
    from chgnet.model import CHGNetCalculator  # whose warnings at import the loader suppresses

    model, tasks = forcefield.ase_calculator().model, []
    predict = model.predict_graph
    monkeypatch.setattr(
        model, "predict_graph", lambda *given, **named: tasks.append(named["task"]) or predict(*given, **named)
    )
    crystals = [bulk("Al", cubic=True) for _ in range(4)]
    for seed, crystal in enumerate(crystals):
        crystal.rattle(0.05, seed=seed)
    forcefield.evaluate(crystals[-1:])  # when a model is loaded, its stress is tested
    tasks.clear()
    forcefield.evaluate(crystals)
    assert tasks == ["ef"] * 4
    tasks.clear()
    with_stress = forcefield.evaluate(crystals, stress=True)
    assert tasks == ["ef", "efs", "efs", "efs", "efs"]
    tasks.clear()
    forcefield.evaluate(crystals[:2])
    assert tasks == ["efs", "ef"]
    package = CHGNetCalculator(model=model, use_device="cpu")
    for crystal, result in zip(crystals, with_stress, strict=True):
        crystal.calc = package
        np.testing.assert_array_equal(result.forces, crystal.get_forces())
        # The package leaves the last digit of float32 asymmetric.
        np.testing.assert_allclose(result.stress, crystal.get_stress(voigt=False), rtol=1e-6, atol=1e-9)


def test_packaged_families_are_listed_with_their_packages():
    chgnet = built_in()["chgnet"]
    assert chgnet.environment is not None
    assert any(line.startswith("chgnet==") for line in chgnet.environment.constraints.splitlines())
