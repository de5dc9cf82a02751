"""Diagnostics on files and calculators from public reports: the right number, a status with a reason, or a warning."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write
from habits import HABITS, Pairs, field, pair_potential, triangle, wrapped
from measured_rows import rows

from ncbench.diagnostics import registry
from ncbench.errors import StructureWarning, UsageError
from ncbench.models.loading import load_forcefield
from ncbench.structures.load import load_cases
from ncbench.types import Case, ModelRequest, SystemRequest


def held(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.set_constraint(FixAtoms([0, 1]))
    return copy


@pytest.mark.parametrize("name", ["consistency", "evaluate"])
def test_constraints_do_not_change_results(name) -> None:
    settings = {"directions": 4, "rotations": 1, "points": 12} if name == "consistency" else {}
    (free,), (fixed,) = (rows(name, field(), [a], **settings) for a in (triangle(), held(triangle())))
    numbers = {key for key, value in free.items() if isinstance(value, float) and key != "seconds"}
    assert numbers
    assert {key: fixed[key] for key in numbers} == {key: free[key] for key in numbers}
    assert free["status"] == fixed["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("phonon-smoothness", {"displacements_A": (0.01, 0.03)}),
        ("predict", {"quench_steps": 5, "thermostats": ("langevin:10",)}),
    ],
)
def test_constraints_that_vibrations_do_not_use_are_named(name, settings) -> None:
    with pytest.warns(
        StructureWarning, match=r"The constraints of .* \(FixAtoms\) are not used: all of its atoms move"
    ):
        rows(name, field(), [held(triangle())], **settings)


@pytest.mark.parametrize(
    ("habit", "lost"), [("stress NaN", "stress"), ("stress one inf", "stress"), ("energy NaN", "energy")]
)
@pytest.mark.parametrize("name", ["consistency", "evaluate"])
def test_values_that_are_not_finite_give_a_failed_row(name, habit, lost) -> None:
    (row,) = rows(name, field(habit), [triangle()])
    assert (row["status"], row["reason"]) == ("failed", f"the model's {lost} is not finite")


def test_a_molecule_without_periodicity_has_no_stress() -> None:
    molecule = triangle()
    molecule.pbc = False
    (row,) = rows("evaluate", field(), [molecule])
    assert (row["status"], row["stress_xx_eV_per_A3"]) == ("ok", None)
    (row,) = rows("evaluate", field(), [triangle()])
    assert row["stress_xx_eV_per_A3"] == pytest.approx(pair_potential(triangle())[2][0, 0] / triangle().get_volume())


def test_a_broken_invariance_is_in_the_row() -> None:
    def numbered(results, atoms) -> None:
        results["forces"] = results["forces"] + 0.01 * np.arange(len(atoms))[:, None]

    quick = {"directions": 2, "rotations": 1, "points": 12}
    (clean,) = rows("consistency", field(), [triangle()], **quick)
    assert clean["invariance_error_meV_per_A"] <= 3 * clean["invariance_floor_meV_per_A"]
    (row,) = rows("consistency", wrapped(Pairs(numbered)), [triangle()], **quick)
    assert row["permutation_error_meV_per_A"] > 1.0
    assert row["invariance_error_meV_per_A"] > 3 * row["invariance_floor_meV_per_A"]


def labelled(shift: float = 0.0, off: float = 0.0) -> Atoms:
    """A structure whose labels the potential misses by ``shift`` eV and ``off`` eV/Å."""
    atoms = triangle()
    energy, forces, _ = pair_potential(atoms)
    atoms.calc = SinglePointCalculator(atoms, energy=energy + shift, forces=forces + off)
    return atoms


def cases_of(tmp_path, frames: list[Atoms], **request: Any) -> list[Case]:
    write(tmp_path / "f.xyz", frames)
    return load_cases(SystemRequest(path=str(tmp_path / "f.xyz"), **request), 99, 0)


def all_atoms(result: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in result if row["species"] == "all")


def test_forces_of_fixed_atoms_are_compared_without_constraints(tmp_path) -> None:
    atoms = labelled(0.3, 0.01)
    atoms.set_constraint(FixAtoms([0, 1]))
    result = all_atoms(rows("accuracy", field(), cases_of(tmp_path, [atoms])))
    # Extended XYZ keeps eight decimals.
    assert result["force_rmse_meV_per_A"] == pytest.approx(10.0, abs=1e-4)
    assert result["energy_mae_meV_per_atom"] == pytest.approx(100.0, abs=1e-4)


def test_usual_label_names_are_recognised(tmp_path) -> None:
    cases = cases_of(tmp_path, [labelled(0.3, 0.01)])
    result = all_atoms(rows("accuracy", field(), cases, energy_key="energy", forces_key="forces"))
    assert (result["n_energies"], result["n_forces"]) == (1, 3)


@pytest.mark.parametrize("settings", [{"forces_key": "REF_forces"}, {"energy_key": "energi"}])
def test_an_unknown_label_key_is_refused_and_existing_keys_listed(tmp_path, settings) -> None:
    with pytest.raises(UsageError, match=r"No structure has .*(Did you mean|The structures have)"):
        rows("accuracy", field(), cases_of(tmp_path, [labelled()]), **settings)


def test_two_levels_of_theory_in_one_file_are_reported(tmp_path) -> None:
    atoms = labelled()
    atoms.info["REF_energy"] = -1.0
    with pytest.warns(
        StructureWarning, match="Energies are 'REF_energy' and forces 'forces_dft', possibly of two levels"
    ):
        rows("accuracy", field(), cases_of(tmp_path, [atoms]), energy_key="REF_energy")


def test_an_unread_column_that_looks_like_forces_is_reported(tmp_path) -> None:
    atoms = labelled()
    atoms.set_array("force", atoms.calc.results.pop("forces"))
    with pytest.warns(StructureWarning, match="There is no 'forces_dft', but 'force': --forces-key force"):
        result = all_atoms(rows("accuracy", field(), cases_of(tmp_path, [atoms])))
    assert (result["n_energies"], result["n_forces"]) == (1, 0)


@pytest.mark.parametrize("key", ["energy_dft", "REF_energy", "E0"])
def test_errors_per_atom_of_a_supercell_equal_those_of_its_cell(tmp_path, key) -> None:
    atoms = triangle(**{key: pair_potential(triangle())[0] + 0.3})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StructureWarning)
        result = [
            all_atoms(rows("accuracy", field(), cases_of(tmp_path, [atoms], repeat=repeat), energy_key=key))
            for repeat in ((1, 1, 1), (2, 2, 2))
        ]
    assert [row["energy_mae_meV_per_atom"] for row in result] == pytest.approx([100.0, 100.0], abs=1e-4)


def test_frames_with_missing_or_non_finite_labels_are_skipped_and_named(tmp_path) -> None:
    lost = labelled()
    lost.calc = SinglePointCalculator(lost, energy=math.nan)
    half = labelled(0.3, 0.02)
    half.calc.results["forces"][1] = math.nan
    with pytest.warns(StructureWarning) as warned:
        result = all_atoms(rows("accuracy", field(), cases_of(tmp_path, [labelled(0.3, 0.02), lost, triangle(), half])))
    assert [str(one.message) for one in warned] == [
        "1 of 4 reference energies are not finite and are left out, that of f.xyz#1 is the first.",
        "The reference forces of 1 atoms in 1 of 4 structures are not finite and are left out, those of f.xyz#3 are the first.",
        "2 of 4 structures have no numeric reference value and are left out, f.xyz#1 is the first.",
    ]
    assert (result["n_structures"], result["n_energies"], result["n_forces"]) == (2, 2, 5)
    assert result["force_mae_meV_per_A"] == pytest.approx(20.0, abs=1e-4)


def test_molecules_and_crystals_of_one_file_have_separate_thresholds(tmp_path) -> None:
    molecule, crystal = triangle(pbc=False), triangle()
    for order in ([molecule, crystal], [crystal, molecule]):
        result = rows("relax", field(), cases_of(tmp_path, order), optimizer="lbfgs", n=1, max_steps=3)
        thresholds = {row["set"]: (row["fmax_eV_per_A"], row["displacement_A"]) for row in result}
        assert thresholds == {"f.xyz (molecules)": (1e-5, 0.5), "f.xyz (periodic)": (1e-4, 0.0)}


def test_a_relaxation_with_nothing_to_relax_is_named() -> None:
    with pytest.warns(StructureWarning, match="the largest force of every initial structure is below 1e-05 eV/Å"):
        rows("relax", field(), [Atoms("H")], optimizer="fire", n=1)


def test_a_charge_that_a_native_model_does_not_read_is_named() -> None:
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [3.8, 0, 0]], info={"charge": 1})
    with pytest.warns(StructureWarning, match="declares charge = 1, which analytic-lj does not read"):
        rows("evaluate", load_forcefield(ModelRequest(spec="analytic-lj")), [atoms])


CONSERVATIVE_HABITS = ["extrapolates the energy", "all-electron energy in float32"]


@pytest.mark.parametrize("habit", CONSERVATIVE_HABITS)
def test_force_consistent_energies_are_used_for_the_gap(habit) -> None:
    """Forces are the exact gradient of the force-consistent energy: gaps above three floors are false alarms."""
    (row,) = rows("consistency", field(habit), [triangle()], directions=4, rotations=1, points=24)
    assert row["status"] == "ok"
    for name in ("energy_force_gap_meV_per_A", "energy_jump_meV", "stress_gap_MPa"):
        quantity, unit = name.split("_meV" if "meV" in name else "_MPa")
        floor = row[f"{quantity}_floor_{'meV' if 'meV' in name else 'MPa'}{unit}"]
        assert row[name] <= 3 * floor, name
    if habit == "extrapolates the energy":
        assert row["energy_force_gap_meV_per_A"] < 1e-5


def test_a_gap_beyond_the_rounding_of_a_float32_energy_is_detected() -> None:
    def change(results: dict[str, Any], _atoms: Atoms) -> None:
        results["energy"] = np.float32(results["energy"] - 1000.0)
        results["forces"] = 1.5 * results["forces"]

    (row,) = rows("consistency", wrapped(Pairs(change)), [triangle()], directions=8, rotations=1, points=24)
    assert row["energy_force_gap_meV_per_A"] > 5 * row["energy_force_gap_floor_meV_per_A"]


def test_reference_energies_are_compared_with_the_energy_and_not_with_the_free_energy() -> None:
    atoms = triangle()
    energy, forces, _ = pair_potential(atoms)
    atoms.info["REF_energy"] = energy + 0.2 * float(np.sum(atoms.get_all_distances()[0]))
    atoms.arrays["REF_forces"] = forces
    (row, *_) = rows(
        "accuracy", field("extrapolates the energy"), [atoms], energy_key="REF_energy", forces_key="REF_forces"
    )
    assert row["energy_mae_meV_per_atom"] == pytest.approx(0.0, abs=1e-9)
    (row,) = rows("evaluate", field("extrapolates the energy"), [atoms])
    assert row["energy_eV"] == pytest.approx(atoms.info["REF_energy"], abs=1e-12)


def test_a_sum_of_calculators_keeps_the_free_energy() -> None:
    class Smeared(Pairs):
        implemented_properties = (*Pairs.implemented_properties, "free_energy")

    both = SumCalculator([Smeared(HABITS["extrapolates the energy"]), Smeared()])
    energy = pair_potential(triangle())[0]
    assert wrapped(both).evaluate([triangle()])[0].energy == pytest.approx(2 * energy, abs=1e-13)


@pytest.mark.parametrize("fmax", [math.inf, math.nan, 0.0])
def test_a_meaningless_threshold_is_refused(fmax) -> None:
    with pytest.raises(UsageError, match="it must be positive and finite"):
        registry.get("relax").settings(fmax=fmax)
