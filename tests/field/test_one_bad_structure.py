"""A structure that a model refuses takes no other with it; a model that refuses all of them is reported as such, and passes no check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.constraints import FixAtoms
from habits import Pairs, triangle, wrapped
from measured_rows import rows

from ncbench.check.run import nothing_measured
from ncbench.check.unmeasured import unmeasured
from ncbench.errors import ModelError, StructureWarning, UnsupportedError
from ncbench.types import Status

REASON = "max_num_neighbors is insufficient"


class Refusing(Pairs):
    """Raises for structures with copper, after ``patience`` calls of them."""

    def __init__(self, error: Exception | None = None, patience: int = 0) -> None:
        super().__init__()
        self.error, self.patience = error or RuntimeError(REASON), patience

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        if 29 in atoms.numbers:
            self.patience -= 1
            if self.patience < 0:
                raise self.error
        super().calculate(atoms, properties, system_changes)


def copper() -> Atoms:
    atoms = triangle()
    atoms.numbers[:] = 29
    return atoms


QUICK = {
    "evaluate": {},
    "lambda": {},
    "consistency": {"directions": 2, "rotations": 1, "points": 12},
    "workloop": {"path": "planar", "loops": 1},
    "predict": {"thermostats": ("langevin:100",)},
}
ALL = QUICK | {
    "relax": {"displacement_A": 0.0},
    "timing": {"steps": 2, "repeats": 2, "warmup_steps": 1, "path": "adapter"},
}


@pytest.mark.parametrize("name", QUICK)
def test_the_other_structures_are_measured(name) -> None:
    alone = rows(name, wrapped(Pairs()), [triangle()], **QUICK[name])
    mixed = rows(name, wrapped(Refusing()), [triangle(), copper(), triangle()], **QUICK[name])
    refused = [row for row in mixed if row["structure"] == "s#1"]
    assert [(row["status"], row["reason"]) for row in refused] == [(Status.FAILED, f"RuntimeError: {REASON}")]
    first = [row for row in mixed if row["structure"] == "s#0"]
    # The first structure has the random numbers of a structure alone; times differ.
    times = {"seconds", "jacobian_seconds"}
    for row, same in zip(first, alone, strict=True):
        assert {k: v for k, v in row.items() if k not in times} == {k: v for k, v in same.items() if k not in times}
    assert all(row["status"] == Status.OK for row in mixed if row["structure"] == "s#2")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("error", [RuntimeError(REASON), UnsupportedError(REASON), ModelError(REASON)])
def test_a_model_that_refuses_every_structure_raises_its_error(name, error) -> None:
    if name in ("lambda", "predict") and isinstance(error, UnsupportedError):
        pytest.skip("rows of unsupported structures, by their own contract")
    with pytest.raises(type(error), match=REASON):
        rows(name, wrapped(Refusing(error)), [copper(), copper()], **ALL[name])


def test_the_other_structures_are_timed() -> None:
    made = rows("timing", wrapped(Refusing()), [triangle(), copper()], **ALL["timing"])
    assert [row["status"] for row in made] == [Status.OK, Status.FAILED]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("patience", [0, 3], ids=["at the start", "after some steps"])
def test_relaxations_of_one_batch_go_on_without_it(batch, patience) -> None:
    structures = [triangle(), copper(), triangle()]
    structures[2].rattle(0.05, seed=1)
    settings = {"displacement_A": 0.0, "optimizer": "lbfgs", "fmax": 1e-3, "max_steps": 100, "n": 3}
    (row,) = rows("relax", wrapped(Refusing(patience=patience)), structures, batch=batch, **settings)
    assert (row["n"], row["n_success"], row["status"]) == (3, 2, Status.FAILED)
    assert row["reason"] == f"RuntimeError: {REASON} (s#1)"
    assert row["n_exploded"] == row["n_not_converged"] == 0
    (alone,) = rows("relax", wrapped(Pairs()), [structures[0], structures[2]], **settings)
    assert row["steps_median"] == alone["steps_median"]


SHORT = {"duration_fs": 4.0, "timestep_fs": 1.0, "sample_every": 1, "temperature_K": 50.0}
DYNAMICS = {
    "nve-drift": SHORT | {"batch": 3},
    "nvt": SHORT | {"batch": 3, "equilibration_fs": 0.0, "thermostats": ("langevin:100", "svr:100")},
    "accuracy": {"batch": 3, "energy_key": "E", "forces_key": "F"},
}


def with_labels(atoms: Atoms) -> Atoms:
    atoms.info["E"] = 0.0
    atoms.set_array("F", np.zeros((len(atoms), 3)))
    return atoms


@pytest.mark.parametrize("name", DYNAMICS)
@pytest.mark.parametrize("patience", [0, 3], ids=["at the start", "after some steps"])
def test_dynamics_and_errors_of_one_batch_go_on_without_it(name, patience) -> None:
    if name == "accuracy" and patience:
        pytest.skip("calls the model once")
    structures = [with_labels(atoms) for atoms in (triangle(), copper(), triangle())]
    # A batch of three, of two, and the structure alone fail one after the other.
    made = rows(name, wrapped(Refusing(patience=patience)), structures, **DYNAMICS[name])
    refused = [row for row in made if row["structure"] == "s#1"]
    assert {(row["status"], row["reason"]) for row in refused} == {(Status.FAILED, f"RuntimeError: {REASON}")}
    runs = 2 if name == "nvt" else 1
    assert len(refused) == runs
    others = [row for row in made if row["structure"] != "s#1"]
    assert {row.get("status", Status.OK) for row in others} == {Status.OK}
    alone = rows(name, wrapped(Pairs()), [structures[0]], **DYNAMICS[name])
    if name == "accuracy":
        assert others[0]["n_structures"] == 2
        assert others[0]["force_mae_meV_per_A"] == pytest.approx(alone[0]["force_mae_meV_per_A"], rel=1e-12)
    else:
        assert [row["structure"] for row in others].count("s#0") == [row["structure"] for row in others].count("s#2")
        # The first structure has the random numbers of a structure alone.
        column = "temperature_mean_K" if name == "nve-drift" else "temperature_K"
        first = [row[column] for row in others if row["structure"] == "s#0"]
        assert first == pytest.approx([row[column] for row in alone], rel=1e-9)


@pytest.mark.parametrize("name", DYNAMICS)
def test_dynamics_of_refused_structures_only_raise_the_error(name) -> None:
    structures = [with_labels(copper()), with_labels(copper())]
    with pytest.raises(RuntimeError, match=REASON):
        rows(name, wrapped(Refusing()), structures, **DYNAMICS[name])


def test_a_structure_with_constraints_takes_no_other_with_it() -> None:
    fixed = triangle()
    fixed.set_constraint(FixAtoms([0]))
    made = rows("nve-drift", wrapped(Pairs()), [triangle(), fixed], **DYNAMICS["nve-drift"])
    assert [row["status"] for row in made] == [Status.OK, Status.UNSUPPORTED]
    assert "constraint" in made[1]["reason"]


def test_a_single_atom_takes_no_other_structure_with_it() -> None:
    made = rows("nve-drift", wrapped(Pairs()), [triangle(), Atoms("Al")], **DYNAMICS["nve-drift"])
    assert [row["status"] for row in made] == [Status.OK, Status.UNSUPPORTED]
    assert made[1]["reason"].startswith("A single atom cannot move")


def test_forces_whose_square_overflows_have_their_size() -> None:
    huge = Pairs(lambda results, _: results.update(forces=np.full((3, 3), 1e200)))
    (row,) = rows("evaluate", wrapped(huge), [triangle()])
    assert row["force_rms_eV_per_A"] == pytest.approx(1e200)
    assert row["force_max_eV_per_A"] == pytest.approx(3**0.5 * 1e200)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "settings"),
    [("accuracy", DYNAMICS["accuracy"]), ("workloop", {"path": "planar", "loops": 1}), ("lambda", {})],
)
def test_no_number_whose_square_overflows_is_a_result(name, settings) -> None:
    huge = Pairs(lambda results, _: results.update(forces=1e200 * results["forces"]))
    made = rows(name, wrapped(huge), [with_labels(triangle())], **settings)
    assert {row["status"] for row in made} == {Status.FAILED}


def test_reference_values_that_are_not_finite_are_named() -> None:
    structures = [with_labels(triangle()) for _ in range(3)]
    structures[1].info["E"] = math.nan
    structures[2].arrays["F"][:2] = math.inf
    with pytest.warns(StructureWarning) as caught:
        made = rows("accuracy", wrapped(Pairs()), structures, energy_key="E", forces_key="F")
    texts = [str(warning.message) for warning in caught]
    assert texts == [
        "1 of 3 reference energies are not finite and are left out, that of s#1 is the first.",
        "The reference forces of 2 atoms in 1 of 3 structures are not finite and are left out, those of s#2 are the first.",
    ]
    assert (made[0]["n_energies"], made[0]["n_forces"]) == (2, 7)


def test_a_check_of_nothing_fails_with_the_reason() -> None:
    refused = [{"status": Status.UNSUPPORTED, "reason": "refused the structure."}]
    (failure,) = nothing_measured({}, unmeasured({"lambda": refused, "nve-drift": refused}, {}))
    assert failure == "all metrics: refused the structure"
    assert nothing_measured({"lambda": object()}, {}) == []  # type: ignore[dict-item]


@pytest.mark.parametrize(("length_A", "named"), [(3.4, False), (4.4, True)])
def test_imaginary_frequencies_are_named(length_A, named) -> None:
    """An fcc crystal at its minimum, and one stretched until the bonds' second derivative is negative."""
    crystal = bulk("Al", "fcc", length_A, cubic=True)
    made = rows("predict", wrapped(Pairs()), [crystal], **QUICK["predict"])
    assert all((row["imaginary_modes"] > 0) is named for row in made)
    assert all(("imaginary frequencies" in row["note"]) is named for row in made)
