"""Reference energies and forces under their usual names in files."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from habits import triangle

from ncbench.errors import UsageError
from ncbench.structures.labels import keep_labels, label_names, labels_hash, reference_energy, reference_forces
from ncbench.structures.load import load_cases
from ncbench.types import SystemRequest


def labelled():
    atoms = triangle()
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.full((3, 3), 0.5))
    return atoms


def test_usual_names_of_energy_and_forces_are_recognised(tmp_path) -> None:
    write(tmp_path / "a.xyz", labelled())
    atoms = load_cases(SystemRequest(path=str(tmp_path / "a.xyz")), 1, 0)[0].atoms
    assert reference_energy(atoms, "energy") == reference_energy(atoms, "energy_dft") == -3.0
    assert np.array_equal(reference_forces(atoms, "forces"), np.full((3, 3), 0.5))
    assert reference_energy(atoms, "REF_energy") is None
    assert reference_forces(atoms, "REF_forces") is None


def test_two_levels_of_theory_are_not_mixed() -> None:
    atoms = labelled()
    atoms.info["energy_dft"] = -7.0
    atoms.info["REF_energy"] = -9.0
    keep_labels(atoms)
    assert [reference_energy(atoms, key) for key in ("energy", "energy_dft", "REF_energy")] == [-3.0, -7.0, -9.0]
    assert label_names([atoms])[0] == ["REF_energy", "energy", "energy_dft"]


@pytest.mark.parametrize("key", ["energy_dft", "REF_energy", "E0"])
def test_the_energy_of_a_supercell_is_that_of_all_cells(tmp_path, key) -> None:
    atoms = triangle(**{key: -2.5})
    write(tmp_path / "a.xyz", atoms)
    large = load_cases(SystemRequest(path=str(tmp_path / "a.xyz"), repeat=(2, 2, 2)), 1, 0)[0].atoms
    assert reference_energy(large, key) == -20.0


def test_a_label_that_is_not_finite_is_left_out() -> None:
    atoms = triangle(energy_dft=float("nan"))
    forces = np.full((3, 3), 0.5)
    forces[1, 2] = np.nan
    atoms.set_array("forces_dft", forces)
    assert reference_energy(atoms, "energy_dft") is None
    assert np.isnan(reference_forces(atoms, "forces_dft")).all(axis=1).tolist() == [False, True, False]
    atoms.set_array("forces_dft", np.full((3, 3), np.nan))
    assert reference_forces(atoms, "forces_dft") is None


def test_force_labels_of_a_wrong_shape_are_refused() -> None:
    atoms = triangle()
    atoms.set_array("REF_forces", np.zeros((3, 2)))
    with pytest.raises(UsageError, match=r"not one force per atom: its shape is \(3, 2\), not \(3, 3\)"):
        reference_forces(atoms, "REF_forces")


def test_a_label_changes_only_the_digest_of_labels(tmp_path) -> None:
    first, second = labelled(), triangle()
    write(tmp_path / "a.traj", [first, second])
    structures = read(tmp_path / "a.traj", ":")
    for atoms in structures:
        keep_labels(atoms)
    assert labels_hash(structures[0]) != labels_hash(structures[1])
