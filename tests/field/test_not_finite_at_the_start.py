"""Forces that are not finite before the first step are a failure of the model or structure; those that become so later are an explosion."""

from __future__ import annotations

import numpy as np
import pytest
from habits import Pairs, field, triangle, wrapped
from measured_rows import rows

from ncbench.types import NOT_FINITE_AT_START, ForceMode

SHORT = {
    "nve-drift": {"duration_fs": 20.0},
    "nvt": {"thermostats": ("langevin:10",), "duration_fs": 20.0, "equilibration_fs": 5.0},
    "relax": {"optimizer": "lbfgs", "n": 2, "displacement_A": 0.01, "max_steps": 5},
    "timing": {"path": "adapter", "steps": 1, "repeats": 1, "warmup_steps": 1, "reference_workload": False},
    "npt": {"duration_fs": 20.0, "equilibration_fs": 0.0},
}
ALWAYS = ["forces one NaN", "energy NaN"]


def breaks_after(calls: int) -> Pairs:
    """NaN forces from the given call on."""
    counted = [0]

    def change(results, _atoms) -> None:
        counted[0] += 1
        if counted[0] > calls:
            results["forces"] = results["forces"] * np.nan

    return Pairs(change)


@pytest.mark.parametrize("habit", ALWAYS)
@pytest.mark.parametrize("name", SHORT)
def test_forces_that_are_never_finite_fail(name, habit) -> None:
    if name == "npt":
        pytest.importorskip("ipi")
    found = rows(name, field(habit), [triangle()], **SHORT[name])
    assert {row["status"] for row in found} == {"failed"}
    assert all(row["reason"].startswith(NOT_FINITE_AT_START) for row in found)


@pytest.mark.parametrize("name", ["nve-drift", "nvt"])
def test_forces_that_become_non_finite_later_are_an_explosion(name) -> None:
    # Two warm-up calls, the initial forces, then steps.
    found = rows(name, wrapped(breaks_after(10)), [triangle()], **SHORT[name])
    assert {row["status"] for row in found} == {"exploded"}
    assert all(row["exploded_at_fs"] > 0 for row in found)


def test_a_time_step_that_is_too_long_is_an_explosion() -> None:
    found = rows("nve-drift", field(), [triangle()], timestep_fs=200.0, duration_fs=20000.0)
    assert {row["status"] for row in found} == {"exploded"}


def test_one_structure_of_a_batch_fails_alone() -> None:
    def change(results, atoms) -> None:
        if atoms.info.get("broken"):
            results["forces"] = results["forces"] * np.nan

    found = rows("nve-drift", wrapped(Pairs(change)), [triangle(), triangle(broken=1), triangle()], duration_fs=20.0)
    assert [row["status"] for row in found] == ["ok", "failed", "ok"]
    alone = rows("nve-drift", wrapped(Pairs()), [triangle()], duration_fs=20.0)
    assert found[0]["energy_change_meV_per_atom"] == alone[0]["energy_change_meV_per_atom"]


def test_one_structure_of_a_set_of_relaxations_is_named() -> None:
    def change(results, atoms) -> None:
        if atoms.info.get("broken"):
            results["forces"] = results["forces"] * np.nan

    structures = [triangle(), triangle(broken=1)]
    (row,) = rows("relax", wrapped(Pairs(change)), structures, **SHORT["relax"] | {"max_steps": 100})
    assert (row["status"], row["reason"]) == ("failed", f"{NOT_FINITE_AT_START} (s#1)")


def test_fast_forces_that_are_not_finite_fail_too() -> None:
    class Split(type(field())):
        def sibling(self, mode):
            return wrapped(Pairs(), force_mode=mode) if mode is ForceMode.CONSERVATIVE else field("forces one NaN")

    both = Split(Pairs(), wrapped(Pairs()).card)
    (row,) = rows("nve-drift", both, [triangle()], duration_fs=20.0, mts=2)
    assert (row["status"], row["reason"]) == ("failed", NOT_FINITE_AT_START)
