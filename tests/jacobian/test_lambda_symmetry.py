"""λ, λ_i and λ_ij are invariant under translation, rotation and permutation."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from swarm import Swarm

from ncbench.diagnostics import lambda_
from ncbench.diagnostics.lambda_ import LambdaSettings
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

SEEDS = st.integers(0, 2**31)
FIXTURE = HealthCheck.function_scoped_fixture


def cluster(seed: int) -> Atoms:
    """Six atoms of three elements at least 2 Å apart."""
    rng = np.random.default_rng(seed)
    corners = 3.0 * np.array([(x, y, z) for x in range(2) for y in range(3) for z in range(1)], dtype=float)
    return Atoms("HHCCOO", positions=corners + rng.uniform(-0.5, 0.5, corners.shape))


def measured(forcefield, atoms: Atoms, context, method: str = "exact"):
    context.checkpoint.state = None
    wanted = LambdaSettings(method=method, resolve="pairs")
    outcome = lambda_.run(forcefield, [Case("a", atoms)], wanted, seed=0, context=context)
    pairs = {(row["atom_i"], row["atom_j"]): row["lambda_ij"] for row in outcome.side["pairs"]}
    return outcome.rows[0], [row["lambda_i"] for row in outcome.side["atoms"]], pairs


@settings(max_examples=25, deadline=None, suppress_health_check=[FIXTURE])
@given(seed=SEEDS, shift=st.tuples(*[st.floats(-20, 20)] * 3))
def test_lambda_is_invariant_under_rotation_translation_and_permutation(seed, shift, context):
    atoms, rng = cluster(seed), np.random.default_rng(seed + 1)
    order = rng.permutation(len(atoms))
    other = atoms[order]
    other.positions = other.positions @ Rotation.random(rng=rng).as_matrix().T + np.array(shift)
    forcefield = Swarm()
    row, by_atom, by_pair = measured(forcefield, atoms, context)
    again, by_atom_again, by_pair_again = measured(forcefield, other, context)
    assert row["lambda"] > 0.01
    # Coordinates of up to 30 Å round to 4e-15 Å, some 1e-15 of a distance; a Jacobian multiplies that by its own steepness, a few 1/Å.
    assert again["lambda"] == pytest.approx(row["lambda"], rel=1e-11)
    assert again["lambda_on_site"] == pytest.approx(row["lambda_on_site"], rel=1e-11)
    assert by_atom_again == pytest.approx([by_atom[k] for k in order], rel=1e-11)
    for (i, j), lam in by_pair_again.items():
        # A block far below the largest one rounds as that does.
        assert lam == pytest.approx(by_pair[tuple(sorted((order[i], order[j])))], rel=1e-8)


@settings(max_examples=15, deadline=None, suppress_health_check=[FIXTURE])
@given(seed=SEEDS)
def test_conservative_forces_have_zero_lambda_in_every_orientation(seed, context):
    atoms = cluster(seed)
    atoms.positions = 1.5 * atoms.positions @ Rotation.random(rng=seed).as_matrix().T
    forcefield = load_forcefield(ModelRequest(spec="analytic-lj"))
    row, by_atom, _ = measured(forcefield, atoms, context)
    assert not row["above_floor"]
    assert max(row["lambda"], *by_atom) < 1e-13


@pytest.mark.parametrize("seed", range(3))
def test_differences_agree_with_products(seed, context):
    forcefield = Swarm()
    exact, by_atom, _ = measured(forcefield, cluster(seed), context)
    differences, by_atom_again, _ = measured(forcefield, cluster(seed), context, method="finite-difference")
    assert abs(differences["lambda"] - exact["lambda"]) <= differences["lambda_se"] < 1e-5
    assert by_atom_again == pytest.approx(by_atom, rel=1e-4)
