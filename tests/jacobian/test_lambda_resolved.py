"""λ by pair, atom, species and mode: contributions add up to the total for every method."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from swarm import Swarm

from ncbench.diagnostics import lambda_
from ncbench.diagnostics.lambda_ import LambdaSettings
from ncbench.errors import UnsupportedError
from ncbench.jacobian import modes, pair_norms
from ncbench.jacobian.asymmetry import asymmetry
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.jacobian.modes import dense_modes, mode_rows, sparse_modes
from ncbench.jacobian.pair_norms import PairNorms
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest


def blocks_of(matrix: np.ndarray, kept: np.ndarray | None = None) -> BlockJacobian:
    """The matrix as blocks, or those of them that the boolean [N, N] array ``kept`` keeps."""
    n = len(matrix) // 3
    first, second = np.nonzero(np.ones((n, n), dtype=bool) if kept is None else kept)
    result = matrix.reshape(n, 3, n, 3).transpose(0, 2, 1, 3)[first, second]
    return BlockJacobian(n, first, second, result, mean_removed=False)


def water_like(n: int, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    return Atoms(("OHH" * n)[:n], positions=rng.uniform(0, 6, (n, 3)), cell=[6.0] * 3, pbc=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 7))
def test_contributions_add_up_to_the_total(seed, n):
    matrix = np.random.default_rng(seed).normal(size=(3 * n, 3 * n))
    atoms, norms = water_like(n, seed), PairNorms.of_dense(asymmetry(matrix))
    whole, part = np.linalg.norm(matrix), np.linalg.norm((matrix - matrix.T) / 2)
    for rows in (norms.atom_rows(atoms), norms.species_rows(atoms)):
        assert np.sum([row["jacobian_norm_eV_per_A2"] ** 2 for row in rows]) == pytest.approx(whole**2)
        assert np.sum([row["antisymmetric_norm_eV_per_A2"] ** 2 for row in rows]) == pytest.approx(part**2)
    species = norms.species_rows(atoms)
    assert sum(row["n_pairs"] for row in species) == n * (n + 1) // 2
    assert sum(row["fraction_of_antisymmetry"] for row in species) == pytest.approx(1.0)


def test_block_norms_equal_those_of_the_dense_matrix():
    matrix, atoms = np.random.default_rng(0).normal(size=(15, 15)), water_like(5, 1)
    dense, sparse = PairNorms.of_dense(asymmetry(matrix)), PairNorms.of_blocks(blocks_of(matrix))
    for name in ("atom_rows", "species_rows"):
        for one, other in zip(getattr(dense, name)(atoms), getattr(sparse, name)(atoms), strict=True):
            assert one == pytest.approx(other)
    assert dense.on_site == pytest.approx(sparse.on_site)


def test_pairs_have_their_minimum_image_distance():
    atoms, norms = water_like(6, 2), PairNorms.of_dense(asymmetry(np.eye(18)))
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    for row in norms.pair_rows(atoms, np.random.default_rng(0)):
        assert row["distance_A"] == pytest.approx(distances[row["atom_i"], row["atom_j"]])
        assert np.isnan(row["lambda_ij"]) == (row["atom_i"] != row["atom_j"])


def test_number_of_pair_rows_is_limited(monkeypatch):
    monkeypatch.setattr(pair_norms, "MOST_PAIRS", 20)
    atoms, norms = water_like(10, 2), PairNorms.of_dense(asymmetry(np.random.default_rng(0).normal(size=(30, 30))))
    rows = norms.pair_rows(atoms, np.random.default_rng(0))
    assert len(rows) == 20
    assert sum(row["atom_i"] == row["atom_j"] for row in rows) == 10
    everything = {(i, j): lam for i, j, lam in zip(norms.first, norms.second, norms.antisymmetric, strict=True)}
    assert all(row["antisymmetric_norm_eV_per_A2"] == everything[row["atom_i"], row["atom_j"]] for row in rows)


def known_modes(n: int = 4, stiff: float = 0.3, soft: float = 0.02) -> np.ndarray:
    """J whose modes have stiffness 0, 0, 0 (translations), 1, 2, 3, …; A couples the first two and the last two of the others."""
    rng = np.random.default_rng(5)
    rigid = np.kron(np.ones((n, 1)), np.eye(3)) / np.sqrt(n)
    basis, _ = np.linalg.qr(np.hstack([rigid, rng.normal(size=(3 * n, 3 * n - 3))]))
    inner = np.diag(np.r_[0.0, 0.0, 0.0, 1.0 + np.arange(3 * n - 3)])
    odd = np.zeros((3 * n, 3 * n))
    odd[3, 4], odd[-2, -1] = soft, stiff
    return basis @ (-inner + odd - odd.T) @ basis.T


def test_modes_of_a_known_matrix():
    rows = mode_rows(known_modes(), count=3)
    soft, stiff = rows[:3], rows[3:]
    assert [row["stiffness_eV_per_A2"] for row in rows] == pytest.approx([1, 2, 3, 9, 8, 7])
    assert [(row["kind"], row["rank"]) for row in rows] == [("softest", k) for k in (1, 2, 3)] + [
        ("stiffest", k) for k in (1, 2, 3)
    ]
    # A u and S u of a coupled mode are orthogonal: ‖J u‖² = k² + a².
    assert [row["lambda_mode"] for row in soft] == pytest.approx(
        [0.02 / np.hypot(1, 0.02), 0.02 / np.hypot(2, 0.02), 0]
    )
    assert [row["lambda_mode"] for row in stiff] == pytest.approx([0.3 / np.hypot(9, 0.3), 0.3 / np.hypot(8, 0.3), 0])
    assert stiff[0]["fraction_of_antisymmetry"] == pytest.approx(0.09 / (2 * (0.09 + 0.0004)))


def test_modes_are_not_repeated_when_there_are_few():
    assert [row["kind"] for row in mode_rows(known_modes(2), count=5)] == ["softest"] * 2 + ["stiffest"]
    assert mode_rows(np.zeros((3, 3))) == []


def test_lanczos_finds_the_same_modes():
    rng = np.random.default_rng(1)
    matrix = known_modes(30, stiff=2.0, soft=0.5) + 0.01 * rng.normal(size=(90, 90))
    whole, few = dense_modes(matrix, 4), sparse_modes(blocks_of(matrix), 4)
    for one, other in zip(whole, few, strict=True):
        assert (one.end, one.rank) == (other.end, other.rank)
        assert other.stiffness == pytest.approx(one.stiffness, rel=2 * modes.TOLERANCE, abs=1e-3)
        # The error of an eigenvector is the root of that of its eigenvalue.
        assert other.antisymmetric / other.jacobian == pytest.approx(one.antisymmetric / one.jacobian, abs=0.02)


def test_modes_that_do_not_converge_are_reported(monkeypatch):
    monkeypatch.setattr(modes, "ITERATIONS", 1)
    monkeypatch.setattr(modes, "BASIS", 12)
    rng = np.random.default_rng(0)
    crowded = rng.normal(size=(600, 600))
    with pytest.raises(UnsupportedError, match="200 atoms did not converge"):
        sparse_modes(blocks_of(crowded), 5)


def argon() -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(3)
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def outcome(forcefield, atoms, context, **wanted):
    context.checkpoint.state = None
    return lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**wanted), seed=0, context=context)


def test_coloured_and_exact_contributions_agree(context):
    forcefield = load_forcefield(ModelRequest(spec="analytic-lj", options=(("cutoff", "4.2"),)))
    exact = outcome(forcefield, argon(), context, method="exact", resolve="pairs")
    coloured = outcome(forcefield, argon(), context, method="coloured", resolve="pairs")
    assert (exact.rows[0]["method"], coloured.rows[0]["method"]) == ("exact", "coloured")
    assert coloured.rows[0]["colours"] > 1
    assert coloured.rows[0]["reach_A"] == 4.2
    assert coloured.rows[0]["jacobian_norm_eV_per_A2"] == pytest.approx(exact.rows[0]["jacobian_norm_eV_per_A2"])
    for one, other in zip(exact.side["atoms"], coloured.side["atoms"], strict=True):
        assert other["jacobian_norm_eV_per_A2"] == pytest.approx(one["jacobian_norm_eV_per_A2"])
    near = {(row["atom_i"], row["atom_j"]): row["jacobian_norm_eV_per_A2"] for row in coloured.side["pairs"]}
    for row in exact.side["pairs"]:
        assert near.get((row["atom_i"], row["atom_j"]), 0.0) == pytest.approx(row["jacobian_norm_eV_per_A2"], abs=1e-14)
    for one, other in zip(exact.side["modes"], coloured.side["modes"], strict=True):
        # Stiffnesses near the ends differ by some 1e-3 of each other, so that only values can be compared.
        assert other["stiffness_eV_per_A2"] == pytest.approx(one["stiffness_eV_per_A2"], rel=1e-3)


@pytest.mark.parametrize(("resolve", "sides"), [("none", set()), ("atoms", {"atoms", "species", "modes"})])
def test_only_requested_resolutions_are_computed(resolve, sides, context):
    result = outcome(Swarm(), Atoms("HCO", positions=np.eye(3) * 2), context, resolve=resolve)
    assert {name for name, rows in result.side.items() if rows} == sides
