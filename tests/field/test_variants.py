"""Variants of reported files that gave wrong numbers without a warning."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from habits import Pairs, field, triangle, wrapped
from measured_rows import rows

from ncbench.errors import ModelError, StructureError, StructureWarning, UsageError
from ncbench.structures.labels import reference_energy, reference_forces
from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest

LINES = ("O 0 0.1 0.2", "Al 2.3 0.3 0", "Al 0.4 2.6 0.9")
BOX = 'Lattice="7 0 0 0 7 0 0 0 7" pbc="T T T"'


def loaded(tmp_path, head: str, lines=LINES):
    path = tmp_path / "f.xyz"
    path.write_text(f"{len(lines)}\n{head}\n" + "\n".join(lines) + "\n")
    return load_cases(SystemRequest(path=str(path)), 1, 0)


def with_column(tmp_path, column: str, values: str):
    return loaded(tmp_path, f"{BOX} Properties=species:S:1:pos:R:3:{column}", [f"{line} {values}" for line in LINES])


@pytest.mark.parametrize(
    ("column", "values", "meant"),
    [
        ("Masses:R:1", "2", "masses"),
        ("atomic_mass:R:1", "2", "masses"),
        ("isotopes:I:1", "2", "masses"),
        ("Velocities:R:3", "0 0 1", "momenta"),
        ("v:R:3", "0 0 1", "momenta"),
    ],
)
def test_an_unread_column_under_another_name_is_reported(tmp_path, column, values, meant) -> None:
    name = column.partition(":")[0]
    with pytest.warns(StructureWarning, match=f"the column '{name}' is ignored; ASE reads '{meant}'"):
        with_column(tmp_path, column, values)


@pytest.mark.parametrize("column", ["occupancy:R:1", "Occupancies:R:1", "occ:R:1"])
def test_a_column_of_partial_occupancies_is_refused(tmp_path, column) -> None:
    with pytest.raises(StructureError, match=r"partly occupied \(atom 0, O: 0.5\)"):
        with_column(tmp_path, column, "0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for full in ("1.0", "0.0"):
            assert len(with_column(tmp_path, column, full)) == 1


def test_masses_in_other_units_are_refused(tmp_path) -> None:
    # Kilograms of a proton.
    with pytest.raises(StructureError, match=r"1\.67e-27 u"):
        with_column(tmp_path, "masses:R:1", "1.67e-27")
    assert with_column(tmp_path, "masses:R:1", "0.113")[0].atoms.get_masses()[0] == 0.113


@pytest.mark.parametrize(("symbol", "mass"), [("D", "2.014"), ("T", "3.016")])
def test_isotopes_of_hydrogen_are_explained(tmp_path, symbol, mass) -> None:
    with pytest.raises(UsageError, match=f"'{symbol}'.*as H with {mass}"):
        loaded(tmp_path, f"{BOX} Properties=species:S:1:pos:R:3", (f"{symbol} 0 0 0", *LINES[1:]))


def test_a_zero_cell_vector_is_reported(tmp_path) -> None:
    head = 'Lattice="7 0 0 0 7 0 0 0 1e-9" pbc="T T F" Properties=species:S:1:pos:R:3'
    with pytest.raises(StructureError, match=r"nearly zero length \(c\)"):
        loaded(tmp_path, head)


def test_a_file_of_another_format_is_reported_without_the_reader_error(tmp_path) -> None:
    path = tmp_path / "f.cif"
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(UsageError, match="ASE's reader fails on its content"):
        load_cases(SystemRequest(path=str(path)), 1, 0)


@pytest.mark.parametrize("name", ["nve-drift", "nvt"])
def test_excessive_momenta_are_attributed_to_the_structure(name) -> None:
    hot = triangle()
    hot.set_momenta(np.array([[1e3, 0.0, 0.0], [0.0, 1e3, 0.0], [0.0, 0.0, -1e3]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StructureWarning)
        found = rows(name, field(), [hot], duration_fs=20.0)
    assert {row["status"] for row in found} == {"failed"}
    assert found[0]["reason"] == "the momenta at the start are those of more than 10000 K"


def energy_of(value):
    def change(results, _atoms) -> None:
        results["energy"] = value(results["energy"])

    (row,) = rows("evaluate", wrapped(Pairs(change)), [triangle()])
    return row


@pytest.mark.parametrize(
    "value",
    [lambda e: torch.tensor([e], dtype=torch.float64), lambda e: np.array([[e]]), Decimal, lambda e: [e], np.float64],
    ids=range(5),
)
def test_scalar_energies_are_read_from_any_container(value) -> None:
    assert energy_of(value)["energy_eV"] == energy_of(float)["energy_eV"]


def test_a_masked_energy_is_not_zero() -> None:
    for value in (lambda _: np.ma.masked, lambda e: np.ma.masked_array([e], mask=[True])):
        row = energy_of(value)
        assert (row["status"], row["reason"]) == ("failed", "the model's energy is not finite")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda e: torch.tensor(e, requires_grad=True), "requires grad"),
        (lambda _: True, "the energy True, which is not a number"),
        (lambda e: np.array([str(e)]), "energy of type <U"),
        (complex, "energy of type complex128"),
        (lambda e: {"energy": e}, "an energy that is not a number"),
        (lambda e: [e, e], r"energy of shape \(2,\)"),
    ],
    ids=range(6),
)
def test_invalid_energy_values_are_refused_with_the_reason(value, sentence) -> None:
    with pytest.raises(ModelError, match=sentence):
        energy_of(value)


def test_a_second_column_of_momenta_is_reported(tmp_path) -> None:
    rows_of_both = [f"{line} 1 0 0 2 0 0" for line in LINES]
    with pytest.warns(StructureWarning, match="the column 'velocities' is ignored; ASE reads 'momenta'"):
        loaded(tmp_path, f"{BOX} Properties=species:S:1:pos:R:3:momenta:R:3:velocities:R:3", rows_of_both)


def test_constraints_on_no_atom_change_nothing() -> None:
    free, held = triangle(), triangle()
    held.set_constraint(FixAtoms([]))
    settings = {"steps": 4, "sample_every": 1}
    (row,), (without,) = (rows("nve-drift", field(), [atoms], **settings) for atoms in (held, free))
    assert row["status"] == "ok"
    assert row["energy_drift_meV_per_atom_per_ps"] == without["energy_drift_meV_per_atom_per_ps"]


def test_a_constraint_on_an_atom_that_does_not_exist_is_refused(tmp_path) -> None:
    atoms = triangle()
    atoms.set_constraint(FixAtoms([99]))
    atoms.write(tmp_path / "f.traj")
    with pytest.raises(StructureError, match="has 3 atoms, and its constraint FixAtoms names atom 99"):
        load_cases(SystemRequest(path=str(tmp_path / "f.traj")), 1, 0)
    atoms.set_constraint(FixAtoms([-1]))
    atoms.write(tmp_path / "g.traj")
    assert len(load_cases(SystemRequest(path=str(tmp_path / "g.traj")), 1, 0)) == 1


def test_a_structure_that_only_moves_as_a_whole_has_no_temperature_to_report() -> None:
    atoms = triangle()
    atoms.set_velocities(np.full((3, 3), 0.05))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = rows("nve-drift", field(), [atoms], steps=4, temperature_K=0.0)
    assert row["status"] == "ok"
    with pytest.warns(StructureWarning, match="momenta of 0 K, which are used, not 300 K"):
        rows("nve-drift", field(), [atoms], steps=4)


class OwnError(Exception):
    """As a model's package may define it."""


class Raises(Pairs):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def calculate(self, *_, **__) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OwnError("no licence\nsecond line"), "mycalc raised OwnError: no licence$"),
        (Exception("bare"), "mycalc raised Exception: bare$"),
        (StopIteration("empty"), "mycalc raised StopIteration: empty$"),
        (EOFError(), "mycalc raised EOFError: no message$"),
    ],
)
def test_exceptions_of_a_class_of_the_models_own_fail_the_job(error, sentence) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        wrapped(Raises(error)).evaluate([triangle()])


def test_free_energies_of_a_file_can_be_named(tmp_path) -> None:
    (case,) = loaded(tmp_path, f"{BOX} Properties=species:S:1:pos:R:3 energy=-10 free_energy=-30")
    assert reference_energy(case.atoms, "free_energy") == -30.0
    assert reference_energy(case.atoms, "energy") == -10.0


def test_two_different_reference_energies_are_reported(tmp_path) -> None:
    atoms = triangle(energy=-5.0)
    atoms.calc = SinglePointCalculator(atoms, energy=-7.0)
    atoms.write(tmp_path / "f.traj")
    with pytest.warns(StructureWarning, match="is the calculator's .-7.0 eV.; the entry 'energy' .-5.0. is another"):
        load_cases(SystemRequest(path=str(tmp_path / "f.traj")), 1, 0)


def test_positions_are_no_reference_forces() -> None:
    with pytest.raises(UsageError, match="'positions' are no forces"):
        reference_forces(triangle(), "positions")


def test_a_missing_stress_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"mycalc gave no stress \(None\)"):
        wrapped(Pairs(lambda results, _: results.update(stress=None))).evaluate([triangle()], stress=True)
