"""Zero for a field that is the gradient of an invariant energy, the dialled-in defect for one that is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.consistency import ConsistencySettings, run
from ncbench.errors import UsageError
from ncbench.models.interface import Evaluation, Field, ForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

Defect = Callable[[Atoms, Evaluation], Evaluation]


class Defective(ForceField):
    """A field whose results are altered for structures with as many atoms as the first one evaluated."""

    def __init__(self, inner: ForceField, defect: Defect) -> None:
        self.inner, self.defect, self.card = inner, defect, inner.card
        self.size: int | None = None

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        result = self.inner.evaluate(structures, stress=stress)
        self.size = self.size or len(structures[0])
        return [
            self.defect(atoms, one) if len(atoms) == self.size else one
            for atoms, one in zip(structures, result, strict=True)
        ]

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        raise AssertionError("consistency binds nothing")


@pytest.fixture(scope="module")
def argon() -> Atoms:
    atoms = bulk("Ar", "fcc", 5.26, cubic=True).repeat(2)
    atoms.positions += np.random.default_rng(5).normal(scale=0.15, size=atoms.positions.shape)
    return atoms


def lennard_jones(dtype: str = "float64") -> ForceField:
    return load_forcefield(ModelRequest(spec="analytic-lj", dtype=dtype))


def measure(forcefield: ForceField, atoms: Atoms, context: Context, **settings: Any) -> dict[str, Any]:
    outcome = run(forcefield, [Case("a", atoms)], ConsistencySettings(**settings), seed=1, context=context)
    (row,) = outcome.rows
    assert row["status"] == "ok", row["reason"]
    return row


def reads_clean(row: dict[str, Any], *, but: str = "") -> None:
    """All numbers within a few of their floors, save those whose names begin with ``but``."""
    for name in ("energy_force_gap_meV_per_A", "rotation_error_meV_per_A", "energy_jump_meV", "stress_gap_MPa"):
        stem, _, unit = name.partition("_meV") if "_meV" in name else name.partition("_MPa")
        if row[name] is None or (but and name.startswith(but)):
            continue
        floor = row[f"{stem}_floor{'_meV' if '_meV' in name else '_MPa'}{unit}"]
        # Eight draws of noise: their rms exceeds three times its standard deviation in one run of thousands.
        assert row[name] <= 3 * floor + 1e-9, f"{name} = {row[name]}, floor {floor}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_conservative_field_reads_zero(argon: Atoms, context: Context, dtype: str) -> None:
    row = measure(lennard_jones(dtype), argon, context)
    reads_clean(row)
    # Newton's third law holds pair by pair, to the rounding of forces of some meV/Å.
    assert row["net_force_meV_per_A"] < {"float64": 1e-12, "float32": 1e-3}[dtype]
    assert row["net_torque_meV"] is None
    assert row["rotation_energy_meV_per_atom"] < {"float64": 1e-10, "float32": 1e-2}[dtype]


def test_an_added_non_conservative_force_is_measured(argon: Atoms, context: Context) -> None:
    rng = np.random.default_rng(3)
    foreign = rng.normal(size=(len(argon), 3))

    def defect(atoms: Atoms, one: Evaluation) -> Evaluation:
        return replace(one, forces=one.forces + 0.002 * foreign)

    row = measure(Defective(lennard_jones(), defect), argon, context, directions=32)
    expected = 2.0 * np.sqrt(np.mean(foreign**2))
    # 32 directions estimate a square to √(2/32) = 25 %, so its root to 13 %; three of these.
    assert row["energy_force_gap_meV_per_A"] == pytest.approx(expected, rel=0.38)
    assert abs(row["energy_force_gap_meV_per_A"] - expected) < 3 * row["energy_force_gap_meV_per_A_se"]
    assert row["ratio_energy_force_gap"] == pytest.approx(
        row["energy_force_gap_meV_per_A"] / row["force_rms_eV_per_A"] / 1e3
    )
    assert row["net_force_meV_per_A"] == pytest.approx(2.0 * np.linalg.norm(foreign.sum(axis=0)) / len(argon))
    # A force that does not turn with the structure: |f − Rᵀf|, of the same size.
    assert row["rotation_error_meV_per_A"] > 0.3 * expected
    assert row["energy_jump_meV"] <= 3 * row["energy_jump_floor_meV"]


def test_a_scaled_force_is_measured(argon: Atoms, context: Context) -> None:
    row = measure(
        Defective(lennard_jones(), lambda _, one: replace(one, forces=0.97 * one.forces)), argon, context, directions=32
    )
    # The gap is 3 % of the gradient, and the forces are 97 % of it; 13 % for 32 directions, three of these.
    assert row["ratio_energy_force_gap"] == pytest.approx(0.03 / 0.97, rel=0.38)
    reads_clean(row, but="energy_force_gap")


def test_a_wrong_sign_of_the_stress_reads_two(argon: Atoms, context: Context) -> None:
    def defect(_: Atoms, one: Evaluation) -> Evaluation:
        return one if one.stress is None else replace(one, stress=-one.stress)

    row = measure(Defective(lennard_jones(), defect), argon, context)
    assert row["ratio_stress_gap"] == pytest.approx(2.0, rel=1e-3)  # the floor is far below
    reads_clean(row, but="stress_gap")


@pytest.mark.parametrize("height_meV", [0.5, 5.0])
@pytest.mark.parametrize("point", [10, 62])
def test_a_jump_of_the_energy_is_measured(argon: Atoms, context: Context, height_meV: float, point: int) -> None:
    # On one side of a plane through configuration space that the path crosses, in a random direction.
    normal = np.random.default_rng(0).normal(size=argon.positions.shape)
    inner = lennard_jones()
    paths: list[float] = []

    def coordinate(atoms: Atoms) -> float:
        return float(np.sum(normal * (atoms.positions - argon.positions)))

    def watch(atoms: Atoms, one: Evaluation) -> Evaluation:
        paths.append(coordinate(atoms))
        return one

    settings = {"points": 48, "directions": 2, "rotations": 1}
    clean = measure(Defective(inner, watch), argon, context, **settings)
    # The path's 73 points, from half its length behind the structure, are the longest part of the evaluations at equal steps.
    crossed = _between_two_points(paths, point)

    def defect(atoms: Atoms, one: Evaluation) -> Evaluation:
        return replace(one, energy=one.energy + (1e-3 * height_meV if coordinate(atoms) > crossed else 0.0))

    row = measure(Defective(inner, defect), argon, context, **settings)
    assert clean["energy_jump_meV"] <= 3 * clean["energy_jump_floor_meV"]
    # The rest of the step, and the cubic through its neighbours, are within the clean path's own largest.
    assert row["energy_jump_meV"] == pytest.approx(height_meV, abs=2 * clean["energy_jump_meV"] + 1e-9)


def _between_two_points(path: list[float], point: int) -> float:
    """Between this one of the 73 points and the next."""
    for start in range(len(path) - 72):
        steps = np.diff(path[start : start + 73])
        if steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6):
            return path[start] + (point + 0.5) * float(steps[0])
    raise AssertionError("no path among what was asked")


@pytest.mark.parametrize("seed", range(4))
def test_a_pair_just_inside_the_cutoff_shows_its_jump(seed: int, context: Context) -> None:
    """The path was one-sided, and a pair that crossed the cutoff in its first steps was not seen (torchmd-net 254)."""
    cutoff_A, height_meV = 5.0, 17.8

    def defect(atoms: Atoms, one: Evaluation) -> Evaluation:
        return replace(one, energy=one.energy - (1e-3 * height_meV if atoms.get_distance(0, 1) < cutoff_A else 0.0))

    settings = ConsistencySettings(points=48, directions=2, rotations=1)
    pair = Atoms("Ar2", [(0, 0, 0), (cutoff_A - 1e-3, 0, 0)])
    case = Case("pair", pair)
    (row,) = run(Defective(lennard_jones(), defect), [case], settings, seed=seed, context=context).rows
    # The rest of the step is the quadrature error of a smooth pair potential, below 1e-6 meV.
    assert row["energy_jump_meV"] == pytest.approx(height_meV, abs=1e-4)


def test_half_precision_forces_read_above_the_floor(argon: Atoms, context: Context) -> None:
    def defect(_: Atoms, one: Evaluation) -> Evaluation:
        return replace(one, forces=one.forces.astype(np.float16).astype(np.float64))

    row = measure(Defective(lennard_jones(), defect), argon, context, directions=32)
    # Rounding to 11 bits: a relative error of 2⁻¹¹/√12 to 2⁻¹¹/√3, component by component.
    assert 2.0**-11 / np.sqrt(12) / 2 < row["ratio_energy_force_gap"] < 2.0**-11
    assert row["energy_force_gap_meV_per_A"] > 10 * row["energy_force_gap_floor_meV_per_A"]


def test_net_torque_of_molecules_is_measured(context: Context) -> None:
    atoms = Atoms("Ar3", [(0, 0, 0), (3.8, 0, 0), (1.9, 3.3, 0)])
    clean = measure(lennard_jones(), atoms, context)
    reads_clean(clean)
    assert clean["net_torque_meV"] < 1e-11  # rounding of meV × Å
    assert clean["stress_gap_MPa"] is None
    twist = np.cross([0.0, 0.0, 1.0], atoms.positions - atoms.positions.mean(axis=0))
    row = measure(
        Defective(lennard_jones(), lambda _, one: replace(one, forces=one.forces + 1e-3 * twist)), atoms, context
    )
    assert row["net_torque_meV"] == pytest.approx(np.sum(twist**2) / 3, rel=1e-6)


def test_forces_that_are_not_finite_are_a_failed_row(argon: Atoms, context: Context) -> None:
    lost = Defective(lennard_jones(), lambda _, one: replace(one, forces=one.forces * np.nan))
    (row,) = run(lost, [Case("a", argon)], ConsistencySettings(), seed=0, context=context).rows
    assert row["status"] == "failed"
    assert row["energy_force_gap_meV_per_A"] is None


def test_settings_without_any_measurement_are_refused() -> None:
    with pytest.raises(UsageError, match="directions = 1"):
        ConsistencySettings(directions=1)
