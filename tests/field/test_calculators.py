"""Calculators with faults described in public reports give the right number or one sentence, never a wrong number.

Tolerances: the potential is evaluated in float64 with the same operations as the reference, so that numbers agree to some units of the
last place of forces of 1 eV/Å, 1e-14; float32 forces to 1e-7.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from ase.io import read, write
from habits import Pairs, field, pair_potential, triangle, wrapped

from ncbench.consistency.probes import stress_gap
from ncbench.errors import ModelError, UnsupportedError

REFUSED = [
    ("forces (1, N, 3)", r"forces of shape \(1, 3, 3\); the shape must be \(3, 3\)"),
    ("forces (1, 3)", r"forces of shape \(1, 3\); the shape must be \(3, 3\)"),
    ("forces (3N,)", r"forces of shape \(9,\); the shape must be \(3, 3\)"),
    ("forces (N + 1, 3)", r"forces of shape \(4, 3\); the shape must be \(3, 3\)"),
    ("forces None", "gave no forces"),
    ("forces text", "must be real numbers"),
    ("forces complex", "type complex128; they must be real numbers"),
    ("energy an atom", r"energy of shape \(3,\); it must be one number"),
    ("energy text", "which is not a number"),
    ("energy None", "the energy None, which is not a number"),
    ("stress (9,)", r"the stress of shape \(9,\); the shape must be \(6,\)"),
    ("sys.exit", r"called sys.exit\(7\)"),
]
TAKEN = [
    "forces float32",
    "energy array of one",
    "energy array of one, 2-d",
    "stress (3, 3)",
    "moves the atoms",
    "prints",
]


@pytest.mark.parametrize(("habit", "sentence"), REFUSED)
def test_results_of_a_wrong_shape_or_type_are_refused_in_one_sentence(habit, sentence) -> None:
    with pytest.raises(ModelError, match=sentence):
        field(habit).evaluate([triangle()], stress=True)
    if not habit.startswith("stress"):
        with pytest.raises(ModelError, match=sentence):
            field(habit).bind([triangle()])(f_positions())


def f_positions() -> torch.Tensor:
    return torch.as_tensor(triangle().positions)[None]


def test_transposed_forces_of_two_atoms_are_refused() -> None:
    two = triangle()[:2]
    with pytest.raises(ModelError, match=r"shape \(3, 2\); the shape must be \(2, 3\)"):
        field("forces (3, N)").evaluate([two])


@pytest.mark.parametrize("habit", TAKEN)
def test_equivalent_result_formats_are_accepted(habit) -> None:
    atoms = triangle()
    energy, forces, virial = pair_potential(atoms)
    result = field(habit).evaluate([atoms], stress=True)[0]
    tolerance = 1e-6 if "float32" in habit else 1e-14
    assert result.energy == pytest.approx(energy, abs=tolerance)
    assert np.abs(result.forces - forces).max() <= tolerance
    assert result.stress == pytest.approx(virial / atoms.get_volume(), abs=tolerance)
    assert np.array_equal(atoms.positions, triangle().positions)


@pytest.mark.parametrize(
    ("habit", "what"),
    [("forces one NaN", "forces"), ("energy NaN", "energy"), ("stress NaN", "stress"), ("stress one inf", "stress")],
)
def test_results_that_are_not_finite_are_named(habit, what) -> None:
    forcefield = field(habit)
    assert forcefield.evaluate([triangle()], stress=True)[0].not_finite(has_energy=True) == what
    assert field().evaluate([triangle()], stress=True)[0].not_finite(has_energy=True) == ""


def test_forces_become_nan_when_the_energy_is_not_finite() -> None:
    output = field("energy NaN").bind([triangle()])(f_positions())
    assert torch.isnan(output.forces).all()


def test_a_model_without_energy_keeps_its_forces() -> None:
    class ForcesAlone(Pairs):
        implemented_properties = ("forces",)

        def get_potential_energy(self, atoms=None, force_consistent=False) -> float:
            raise NotImplementedError

    output = wrapped(ForcesAlone(), has_energy=False).bind([triangle()])(f_positions())
    assert np.abs(output.forces[0].numpy() - pair_potential(triangle())[1]).max() <= 1e-14
    assert torch.isnan(output.energy).all()


def test_constraints_do_not_change_raw_forces() -> None:
    free, held = triangle(), triangle()
    held.set_constraint(FixAtoms([0, 1]))
    moved = f_positions() + 0.1
    for forcefield in (field(), field()):
        raw, same = forcefield.evaluate([free])[0], forcefield.evaluate([held])[0]
        assert np.array_equal(raw.forces, same.forces)
        assert torch.equal(forcefield.bind([free])(moved).forces, forcefield.bind([held])(moved).forces)
    assert len(held.constraints) == 1


@pytest.mark.parametrize("key", ["charge", "total_charge"])
def test_the_total_charge_reaches_the_calculator(key) -> None:
    forcefield = field(f"reads {key}")
    alone = field(f"reads {key}").evaluate([triangle(**{key: 1})])[0]
    neutral, charged = forcefield.evaluate([triangle(), triangle(**{key: 1})])
    assert np.array_equal(charged.forces, alone.forces)
    assert np.abs(charged.forces - 1.5 * neutral.forces).max() <= 1e-14
    positions = f_positions().expand(2, 3, 3).contiguous()
    bound = forcefield.bind([triangle(), triangle(**{key: 1})])(positions)
    assert torch.equal(bound.forces[1], 1.5 * bound.forces[0])


def test_a_calculator_is_called_once_per_structure() -> None:
    calculator = Pairs()
    forcefield = wrapped(calculator)
    forcefield.evaluate([triangle(charge=1)], stress=True)
    assert calculator.calls == 1


def test_output_of_a_calculator_goes_to_standard_error(capfd) -> None:
    print("before")  # noqa: T201
    field("prints").evaluate([triangle()])
    print("after")  # noqa: T201
    out, err = capfd.readouterr()
    assert out == "before\nafter\n"
    assert err.count("computing") == 1
    assert err.count("from compiled code") == 1


def test_a_calculator_cannot_change_the_working_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    field("changes the folder").evaluate([triangle()])
    assert os.getcwd() == str(tmp_path)  # noqa: PTH109


def test_an_unsupported_structure_is_not_a_failure_of_the_model() -> None:
    def refuse(_results, _atoms) -> None:
        raise ValueError("periodic structures only")

    with pytest.raises(UnsupportedError, match="refused the structure: periodic structures only"):
        wrapped(Pairs(refuse)).evaluate([triangle()])


def test_one_calculator_serves_structures_of_several_sizes(tmp_path) -> None:
    large = triangle().repeat((2, 1, 1))
    large.rattle(0.05, seed=3)
    write(tmp_path / "two.xyz", [triangle(), large, triangle()])
    structures = read(tmp_path / "two.xyz", ":")
    for atoms in structures:
        atoms.calc = None
    results = field().evaluate(structures)
    for atoms, result in zip(structures, results, strict=True):
        assert np.abs(result.forces - pair_potential(atoms)[1]).max() <= 1e-14


class KeepsItsStress(Pairs):
    """Returns the first stress it computed for all structures. aiqm/torchani 644."""

    kept: np.ndarray | None = None

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        if self.kept is None:
            self.kept = self.results["stress"]
        self.results["stress"] = self.kept


def swollen(by: float) -> Atoms:
    atoms = triangle()
    atoms.set_cell(atoms.cell * by, scale_atoms=True)
    return atoms


def test_a_stale_stress_is_refused() -> None:
    forcefield = wrapped(KeepsItsStress())
    first = forcefield.evaluate([triangle()], stress=True)[0].stress
    # The same structure and others of its volume may have the same stress.
    assert np.array_equal(forcefield.evaluate([triangle()], stress=True)[0].stress, first)
    with pytest.raises(ModelError, match=r"the same stress for cells of .*: it returns the stress of an earlier"):
        forcefield.evaluate([swollen(1.01)], stress=True)


def test_the_stress_gap_of_a_stale_stress_is_not_zero() -> None:
    """All energies and the first stress are right, so that the gap alone would be zero."""
    with pytest.raises(ModelError, match="the stress of an earlier structure"):
        stress_gap(wrapped(KeepsItsStress()), triangle(), directions=4, rng=np.random.default_rng(0))
    sound = stress_gap(field(), triangle(), directions=4, rng=np.random.default_rng(0))
    assert sound.rms <= 10 * sound.floor


def test_atoms_without_neighbours_have_the_same_zero_stress_in_every_volume() -> None:
    """A stress of exactly zero does not indicate a stale one."""
    forcefield = field()
    for length in (20.0, 30.0):
        lone = Atoms("Ar", cell=[length] * 3, pbc=True)
        assert not np.any(forcefield.evaluate([lone], stress=True)[0].stress)


def test_a_supercell_may_have_the_stress_of_its_cell() -> None:
    forcefield = field()
    one = forcefield.evaluate([triangle()], stress=True)[0].stress
    assert forcefield.evaluate([triangle().repeat((2, 1, 1))], stress=True)[0].stress == pytest.approx(one, abs=1e-14)


def swapped_shears(results, _atoms) -> None:
    """Voigt's order of another program: xy where yz is expected."""
    if "stress" in results:
        results["stress"] = results["stress"][[0, 1, 2, 5, 4, 3]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("directions", [2, 6])
def test_interchanged_components_of_the_stress_are_seen_by_every_seed(seed, directions) -> None:
    """With six directions the gap is ‖D‖/3, D the wrong stress minus the right one; with two it is an estimate, and never zero."""
    atoms = triangle()
    gap = stress_gap(wrapped(Pairs(swapped_shears)), atoms, directions=directions, rng=np.random.default_rng(seed))
    assert gap.rms > 10 * gap.floor
    right = Pairs()
    atoms.calc = right
    difference = atoms.get_stress(voigt=True)
    swapped_shears(results := {"stress": difference.copy()}, atoms)
    wrong_minus_right = results["stress"] - difference
    if directions == 6:
        # Off-diagonal components count twice.
        assert gap.rms == pytest.approx(np.sqrt(2.0 * np.sum(wrong_minus_right[3:] ** 2)) / 3.0, rel=1e-3)
