"""Files of displaced structures whose forces are rounded to few digits or to float32: no λ is shown that is rounding, and intervals hold the truth.

The forces are linear, f = J (r − r₀) + f₀, so that differences have no truncation and the truth is ‖(J − Jᵀ)/2‖/‖J‖ of the J that was put in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene, molecule
from ase.io import write

from ncbench.jacobian.displaced import (
    differences_of,
    displaced_row,
    floor_of,
    rounding_noise,
    step_floor,
    tail,
    translation_noise,
)
from ncbench.jacobian.settings import LARGEST_GRADIENT

STEP_A = 1e-3
STIFFNESS, TURN = 40.0, 0.2
"""eV/Å² of springs between atoms 1 Å apart, and of their antisymmetric part: λ of about 0.004."""
CASES = 24
"""Random cases of each rounding. Intervals of 95 % hold at least 20 of 24 with a probability of 99 %; the ones here are wider."""
ROUNDINGS = (3, 4, 5, 8, "float32")


def jacobian(atoms: Atoms, turn: float, rng: np.random.Generator | None) -> np.ndarray:
    """Springs along bonds and blocks J_ij = −J_jiᵀ of size ``turn``, random or (without ``rng``) about z; rows sum to zero over atoms."""
    n = len(atoms)
    blocks = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(i):
            away = atoms.get_distance(i, j, mic=True, vector=True)
            distance = np.linalg.norm(away)
            strength = np.exp(1.0 - distance)
            spring = STIFFNESS * strength * np.outer(away, away) / distance**2
            about_z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
            odd = turn * strength * (about_z if rng is None else rng.normal(size=(3, 3)))
            blocks[i, j], blocks[j, i] = spring + odd, spring.T - odd.T
    for i in range(n):
        blocks[i, i] = -blocks[i].sum(0)
    return blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def truth(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix - matrix.T) / 2 / np.linalg.norm(matrix))


def frames(atoms: Atoms, matrix: np.ndarray, at_rest: np.ndarray, rounding: int | str) -> list[Atoms]:
    made, origin = [], atoms.positions.reshape(-1)
    for dof in range(len(origin)):
        for sign in (1, -1):
            frame = atoms.copy()
            frame.positions[divmod(dof, 3)] += sign * STEP_A
            positions = frame.positions.reshape(-1)
            if rounding == "float32":
                moved = positions.astype(np.float32) - origin.astype(np.float32)
                forces = (matrix.astype(np.float32) @ moved + at_rest.astype(np.float32)).astype(float)
            else:
                forces = np.round(matrix @ (positions - origin) + at_rest, rounding)
            # ASE prints eight digits, whatever the number of those that are not zero.
            frame.new_array("forces", forces.reshape(-1, 3))
            frame.info = {"dof": dof, "sign": sign}
            made.append(frame)
    return made


def row_of(folder: Path, made: list[Atoms]) -> dict[str, object]:
    path = folder / "case.xyz"
    write(path, made)
    return displaced_row(path)


def random_rows(folder: Path, rounding: int | str, turn: float) -> list[tuple[float, dict[str, object]]]:
    rng = np.random.default_rng(11)
    pairs = []
    for case in range(CASES):
        atoms = molecule(("H2O", "NH3", "CH4")[case % 3])
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        at_rest = rng.normal(scale=0.3, size=atoms.positions.shape)
        at_rest -= at_rest.mean(0)
        matrix = jacobian(atoms, turn, rng)
        pairs.append((truth(matrix), row_of(folder, frames(atoms, matrix, at_rest.reshape(-1), rounding))))
    return pairs


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounded_gradients_are_never_nonzero(tmp_path, rounding):
    for _, row in random_rows(tmp_path, rounding, 0.0):
        assert row["resolved"] != "nonzero"
        assert row["lambda_low"] == 0.0
        assert row["lambda_high"] >= row["lambda_floor"]
        if row["lambda_floor"] > LARGEST_GRADIENT:
            assert row["resolved"] == "unresolved"


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_intervals_of_a_known_curl_hold_the_truth(tmp_path, rounding):
    pairs = random_rows(tmp_path, rounding, TURN)
    inside = sum(row["lambda_low"] <= expected <= row["lambda_high"] for expected, row in pairs)
    assert inside >= 0.9 * CASES
    assert all(row["resolved"] != "gradient" for _, row in pairs)
    if rounding in (5, 8, "float32"):
        assert all(row["resolved"] == "nonzero" for _, row in pairs)


def test_three_digits_do_not_resolve_a_curl(tmp_path):
    for expected, row in random_rows(tmp_path, 3, TURN):
        assert row["resolved"] == "unresolved"
        assert row["lambda_low"] == 0.0
        assert expected < row["lambda_high"]


@pytest.mark.parametrize("name", ["H2O", "C2H2", "C6H6", "graphene"])
@pytest.mark.parametrize("digits", [3, 4, 5])
def test_a_curl_that_symmetric_structures_lose_in_the_digits_is_within_the_interval(tmp_path, name, digits):
    # Without forces at rest those of ±h are opposite, and elements of A below half a digit over the step are lost and not only noisy.
    atoms = graphene(a=2.46, vacuum=10.0) if name == "graphene" else molecule(name)
    matrix = jacobian(atoms, 0.05, None)
    row = row_of(tmp_path, frames(atoms, matrix, np.zeros(len(matrix)), digits))
    assert row["lambda_low"] <= truth(matrix) <= row["lambda_high"]
    assert row["resolved"] != "gradient"
    if digits == 3:
        assert row["lambda"] < 1e-9
        assert row["resolved"] == "unresolved"


@pytest.mark.parametrize("name", ["H2O", "NH3"])
def test_a_pair_potential_in_float32_is_not_nonzero_where_symmetry_hides_its_rounding(tmp_path, name):
    atoms = molecule(name)
    made = []
    for dof in range(3 * len(atoms)):
        for sign in (1, -1):
            frame = atoms.copy()
            frame.positions[divmod(dof, 3)] += sign * STEP_A
            away = frame.positions.astype(np.float32)[:, None] - frame.positions.astype(np.float32)[None]
            distances = np.sqrt(np.square(away).sum(-1)) + np.eye(len(atoms), dtype=np.float32)
            decay = np.exp(np.float32(-3.0) * (distances - np.float32(1.0)))
            pulls = np.float32(20.0) * decay * (np.float32(1.0) - decay) / distances
            frame.new_array("forces", -(pulls[..., None] * away).sum(1).astype(float))
            frame.info = {"dof": dof, "sign": sign}
            made.append(frame)
    row = row_of(tmp_path, made)
    assert row["lambda"] > 1e-6
    assert row["resolved"] != "nonzero"
    assert row["lambda_low"] == 0.0


@pytest.mark.parametrize("at_rest_eV_per_A", [1.0, 0.0], ids=["forces at rest", "opposite forces"])
@pytest.mark.parametrize("digits", [5, 6])
def test_the_error_of_elements_is_that_of_the_printed_digits(digits, at_rest_eV_per_A):
    rng = np.random.default_rng(3)
    atoms = molecule("C6H6")
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    matrix = jacobian(atoms, TURN, rng)
    differences = differences_of(frames(atoms, matrix, at_rest_eV_per_A * rng.normal(size=len(matrix)), digits), "case")
    error = float(np.sqrt(np.mean((differences.jacobian - matrix) ** 2)))
    # 1296 elements, whose mean square is good to √(2/1296) at most for a bounded distribution.
    assert rounding_noise(differences) == pytest.approx(error, rel=4 * np.sqrt(0.5 / 1296))


def test_steps_that_positions_in_float32_make_wrong_raise_the_floor():
    # Far from the origin float32 keeps few digits of a step: at 100 Å, 8e-6 Å of 1e-3 Å.
    atoms = molecule("CH4")
    atoms.positions += 100.0 + np.random.default_rng(2).uniform(-0.01, 0.01, atoms.positions.shape)
    matrix = jacobian(atoms, 0.0, None)
    differences = differences_of(frames(atoms, matrix, np.zeros(len(matrix)), "float32"), "case")
    measured = truth(differences.jacobian)
    # The error counted is the whole spacing of float32, the standard deviation of rounding between 1/√12 and 1/√48 of it.
    assert 0.1 * step_floor(differences) < measured < step_floor(differences)
    assert floor_of(differences) >= step_floor(differences)


def test_steps_that_are_meant_to_differ_are_no_error():
    atoms = molecule("H2O")
    made = frames(atoms, jacobian(atoms, 0.0, None), np.zeros(9), 8)
    before = step_floor(differences_of(made, "case"))
    for frame in made[:2]:
        frame.positions += frame.positions - atoms.positions
    assert step_floor(differences_of(made, "case")) < 1.5 * before


def test_forces_that_do_not_change_in_the_printed_digits_are_a_failed_row(tmp_path):
    atoms = molecule("H2O")
    row = row_of(tmp_path, frames(atoms, jacobian(atoms, 0.0, None), np.zeros(9), 0))
    assert (row["status"], row["lambda"]) == ("failed", None)
    assert "no force changes" in row["reason"]


def test_the_tail_is_that_of_simulated_noise():
    rng = np.random.default_rng(5)
    size, draws = 9, 4000
    above = 0
    for _ in range(draws):
        noise = rng.normal(size=(size, size))
        odd = np.linalg.norm(noise - noise.T) / 2
        estimate = translation_noise(noise) * np.sqrt(size * (size - 1) / 2)
        above += odd > tail(size) * estimate
    # At most 2.5 % + 3 standard deviations; fewer, because the antisymmetric entries and the sums share noise.
    assert 0.003 < above / draws < 0.025 + 3 * np.sqrt(0.025 / draws)
