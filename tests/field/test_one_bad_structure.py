"""A structure that a model refuses takes no other with it; a model that refuses all of them is reported as such, and passes no check."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from habits import Pairs, triangle, wrapped
from measured_rows import rows

from ncbench.check.run import nothing_measured
from ncbench.check.unmeasured import unmeasured
from ncbench.errors import ModelError, UnsupportedError
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
