"""λ against closed forms, between methods, and its invariance under symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncbench.diagnostics import lambda_
from ncbench.diagnostics.lambda_ import LambdaSettings
from ncbench.errors import NotDifferentiableError
from ncbench.jacobian.asymmetry import asymmetry, noise_floor
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

K, KAPPA = 5.0, 0.4
CLOSED_FORM = float(np.sqrt(2 * KAPPA**2 / (3 * K**2 + 2 * KAPPA**2)))
"""Per atom J = −k 1 + κ [n]×: ‖A‖² = 2κ², ‖J‖² = 3k² + 2κ²."""
OPTIONS = (("k", str(K)), ("kappa", str(KAPPA)))


def crystal(n: int = 5, seed: int = 3) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms("Ar" * n, positions=4.0 * np.arange(n)[:, None] + rng.uniform(-1, 1, (n, 3)), cell=[30] * 3)
    atoms.arrays["sites"] = atoms.positions - rng.normal(scale=0.1, size=(n, 3))
    return atoms


def measure(spec: str, atoms: Atoms, context, *, dtype=None, options=(), seed=0, **settings_):
    forcefield = load_forcefield(ModelRequest(spec=spec, dtype=dtype, options=options))
    outcome = lambda_.run(forcefield, [Case("a", atoms)], LambdaSettings(**settings_), seed=seed, context=context)
    return outcome.rows[0], outcome.side["pairs"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["exact", "finite-difference"])
def test_lambda_equals_the_closed_form(method, dtype, context):
    row, _ = measure("analytic-solenoidal", crystal(), context, dtype=dtype, options=OPTIONS, method=method)
    assert row["status"] == "ok"
    assert abs(row["lambda"] - CLOSED_FORM) <= 3 * row["lambda_se"]
    # The error bar itself must be small: exact products round at ε; differences at ε·|f|/h (|f| ~ 1 eV/Å, ‖J‖/entry ~ k).
    limit = {"exact": 10 * np.finfo(dtype).eps, "finite-difference": {"float32": 2e-3, "float64": 1e-8}[dtype]}[method]
    assert row["lambda_se"] < limit
    assert row["above_floor"]


def test_lambda_through_ase_equals_the_closed_form(context):
    row, _ = measure("ncbench.models.families.analytic_ase:solenoidal", crystal(), context)
    assert row["method"] == "finite-difference"
    forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype="float64"))
    native = lambda_.run(forcefield, [Case("a", crystal())], LambdaSettings(), seed=0, context=context).rows[0]
    assert abs(row["lambda"] - native["lambda"]) <= 3 * (row["lambda_se"] + native["lambda_se"])
    assert row["lambda"] > 0.001


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["exact", "finite-difference", "stochastic"])
def test_conservative_forces_read_zero(method, dtype, context):
    row, _ = measure("analytic-lj", argon(), context, dtype=dtype, method=method, probes=8)
    assert row["status"] == "ok"
    assert not row["above_floor"], row
    assert row["lambda"] < {"float32": 5e-3, "float64": 1e-6}[dtype]


def argon() -> Atoms:
    from ase.build import bulk

    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat((2, 2, 2))
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def test_stochastic_agrees_with_exact(context):
    row, _ = measure(
        "analytic-solenoidal", crystal(), context, dtype="float64", options=OPTIONS, method="stochastic", probes=32
    )
    # (n×v)² and v² of ±1 vectors do not vary, so that the estimate is exact here up to rounding.
    assert row["lambda"] == pytest.approx(CLOSED_FORM, rel=1e-12)
    assert row["probes"] == 32


def test_target_error_stops_early(context):
    row, _ = measure(
        "analytic-solenoidal",
        crystal(),
        context,
        dtype="float64",
        options=OPTIONS,
        method="stochastic",
        target_error=0.05,
    )
    assert 8 <= row["probes"] < 16 * 16


def test_black_box_probes_agree_with_the_closed_form(context):
    row, _ = measure(
        "ncbench.models.families.analytic_ase:solenoidal", crystal(), context, method="stochastic", probes=64
    )
    dense, _ = measure("ncbench.models.families.analytic_ase:solenoidal", crystal(), context)
    assert row["method"] == "stochastic"
    assert row["products"] == 0
    assert abs(row["lambda"] - dense["lambda"]) <= 4 * row["lambda_se"]
    assert row["lambda_floor"] < 1e-6


def test_black_box_models_use_differences(context):
    with pytest.raises(NotDifferentiableError, match="finite-difference"):
        measure("ncbench.models.families.analytic_ase:solenoidal", crystal(), context, method="exact")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), shift=st.tuples(*[st.floats(-20, 20)] * 3))
def test_invariant_under_translation_and_permutation(seed, shift, context):
    atoms = argon()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(atoms))
    other = atoms[order]
    other.positions += shift
    kwargs = {"dtype": "float64", "options": OPTIONS, "method": "exact"}
    atoms.arrays["sites"], other.arrays["sites"] = atoms.positions.copy(), other.positions.copy()
    first, _ = measure("analytic-solenoidal", atoms, context, **kwargs)
    second, _ = measure("analytic-solenoidal", other, context, **kwargs)
    # Norms of 3N × 3N matrices: rounding grows as the root of the number of terms.
    assert second["lambda"] == pytest.approx(first["lambda"], rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 6))
def test_blocks_add_up_to_the_whole(seed, n):
    matrix = np.random.default_rng(seed).normal(size=(3 * n, 3 * n))
    parts = asymmetry(matrix)
    whole = np.linalg.norm((matrix - matrix.T) / 2) / np.linalg.norm(matrix)
    assert parts.whole == pytest.approx(whole, rel=1e-12)
    assert 0 <= parts.whole <= 1
    assert (parts.by_pair <= 1 + 1e-12).all()
    # Weighted by the blocks' norms, λ_ij² average to λ².
    assert np.average(parts.by_pair**2, weights=parts.jacobian**2) == pytest.approx(whole**2, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_block_norms_are_invariant_under_rotation(seed):
    from scipy.spatial.transform import Rotation

    matrix = np.random.default_rng(seed).normal(size=(12, 12))
    turn = np.kron(np.eye(4), Rotation.random(rng=seed).as_matrix())
    np.testing.assert_allclose(asymmetry(turn @ matrix @ turn.T).by_pair, asymmetry(matrix).by_pair, rtol=1e-10)


def test_limits_of_lambda():
    symmetric = np.array([[2.0, 1, 0], [1, 3, 0], [0, 0, 1]])
    assert asymmetry(symmetric).whole == 0
    assert asymmetry(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 0]])).whole == 1
    assert np.isnan(asymmetry(np.zeros((3, 3))).whole)


def test_noise_floor_equals_the_lambda_of_noise():
    rng = np.random.default_rng(5)
    symmetric = np.diag(rng.normal(size=60) * 10)
    sigma = 1e-3
    read = [asymmetry(symmetric + sigma * rng.normal(size=(60, 60))).whole for _ in range(50)]
    # 1770 independent entries fix the norm of A to 1/sqrt(2·1770) = 1.7 % a draw.
    assert noise_floor(symmetric, sigma) == pytest.approx(np.mean(read), rel=0.01)


def test_pairs_table(context):
    row, pairs = measure(
        "analytic-solenoidal", crystal(), context, dtype="float64", options=OPTIONS, resolve="pairs", method="exact"
    )
    assert len(pairs) == 5 * 6 // 2
    on_site = [p for p in pairs if p["atom_i"] == p["atom_j"]]
    assert all(p["lambda_ij"] == pytest.approx(CLOSED_FORM, rel=1e-12) for p in on_site)
    assert row["lambda_on_site"] == pytest.approx(CLOSED_FORM, rel=1e-12)
    assert all(p["jacobian_norm_eV_per_A2"] == 0 for p in pairs if p["atom_i"] != p["atom_j"])
    assert all(p["distance_A"] == 0 for p in on_site)


def test_a_zero_jacobian_is_a_failure_and_not_a_zero_lambda(context):
    row, _ = measure("analytic-harmonic", crystal(), context, dtype="float64", options=(("k", "0"),), method="exact")
    assert row["status"] == "failed"
    assert row["lambda"] is None
    assert row["above_floor"] is None
    assert "Jacobian is zero" in row["reason"]


def test_finished_structures_are_not_repeated(context):
    forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype="float64", options=OPTIONS))
    cases = [Case(f"c{k}", crystal(seed=k)) for k in range(3)]
    whole = lambda_.run(forcefield, cases, LambdaSettings(), seed=0, context=context)
    kept = context.checkpoint.load()
    kept["rows"] = [*kept["rows"][:1], dict(kept["rows"][1], structure="kept")]
    context.checkpoint.save(kept)
    again = lambda_.run(forcefield, cases, LambdaSettings(), seed=0, context=context)
    assert [r["structure"] for r in again.rows] == ["c0", "kept", "c2"]
    assert again.rows[2]["lambda"] == whole.rows[2]["lambda"]
