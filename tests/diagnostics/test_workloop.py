"""Work along closed paths against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.diagnostics import workloop
from ncbench.diagnostics.workloop import WorkloopSettings
from ncbench.errors import UnsupportedError
from ncbench.jacobian.closed_paths import molecule_loop, planar_loop
from ncbench.jacobian.work import _mean_magnitude, integrate
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest

K, KAPPA = 5.0, 0.4
OPTIONS = (("k", str(K)), ("kappa", str(KAPPA)))
Z = np.array([0.0, 0.0, 1.0])


def water() -> Atoms:
    atoms = molecule("H2O")
    atoms.arrays["sites"] = atoms.positions + np.array([0.1, -0.05, 0.02])
    return atoms


def solenoidal(dtype: str):
    return load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype=dtype, options=OPTIONS))


def closed_form(path) -> float:
    """∮ κ n×(r−s)·dr = κ n·∮ (r−s)×dr: twice κ times the area that each atom sweeps in the plane of n. eV."""
    s = np.arange(4096) * 2 * np.pi / 4096
    steps = [path.at(x) for x in s]
    return float(KAPPA * np.mean([np.cross(r - steps[0][0], t).sum(axis=0) @ Z for r, t in steps]) * 2 * np.pi)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_work_along_every_path_equals_the_closed_form(dtype, context):
    outcome = workloop.run(solenoidal(dtype), [Case("w", water())], WorkloopSettings(loops=3), seed=5, context=context)
    paths = workloop._paths(Case("w", water()), WorkloopSettings(loops=3), 5, 0)
    assert [row["path"] for row in outcome.rows] == ["molecule", "planar-1", "planar-2", "planar-3"]
    for row, path in zip(outcome.rows, paths, strict=True):
        expected = 1e3 * closed_form(path)
        # Trapezoid sums over trigonometric polynomials are exact: what is left is the arithmetic of closed_form itself.
        assert abs(row["work_meV"] - expected) <= 3 * row["work_error_meV"] + 1e-9 * abs(expected), row
        # ε times a gross work of order 1 eV
        assert row["work_error_meV"] < {"float32": 1e-2, "float64": 1e-9}[dtype]
        assert row["nonzero"]


def test_planar_loop_gives_the_curl():
    atoms = water()
    path = planar_loop(atoms, 0.3, np.random.default_rng(2), "p")
    u = path.at(0.0)[0]
    v = path.at(np.pi / 2)[0]
    expected = 2 * np.pi * KAPPA * np.cross(u, v).sum(axis=0) @ Z
    result = integrate(
        solenoidal("float64"), atoms, path, points=8, max_points=8, tolerance=1.0, batch=3, rng=np.random.default_rng(0)
    )
    assert result.work == pytest.approx(expected, rel=1e-12)
    assert path.area_A2 == pytest.approx(np.pi * 0.09)


@pytest.mark.parametrize("points", [8, 16, 64])
def test_gross_work_of_few_points_is_the_integral_of_the_absolute_value(points):
    """Against |f·dr/ds| of 8192 points; 2e-4 is the share of harmonics that 8 points do not hold, for forces linear to 1 % over the loop."""
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [4, 0, 0]])
    path = planar_loop(atoms, 0.05, np.random.default_rng(3), "p")
    forcefield = load_forcefield(ModelRequest(spec="analytic-lj", dtype="float64"))
    few, many = (
        integrate(forcefield, atoms, path, points=n, max_points=n, tolerance=1.0, batch=8, rng=np.random.default_rng(0))
        for n in (points, 8192)
    )
    fine = float(np.abs(np.gradient(many.cumulative, many.s)).mean() * 2 * np.pi)
    assert few.gross == pytest.approx(fine, rel=2e-4)


def test_gross_work_of_a_cosine():
    # ∮|cos s| ds = 4; points alone give 3.948 with n = 16, the interpolant 4 to (π/4096)²/3.
    for n in (8, 16, 30):
        power = np.cos(np.arange(n) * 2 * np.pi / n + 0.1)
        assert _mean_magnitude(power) * 2 * np.pi == pytest.approx(4.0, rel=1e-6)


def test_work_through_ase_equals_native(context):
    settings_ = WorkloopSettings(loops=1)
    native = load_forcefield(ModelRequest(spec="analytic-solenoidal", dtype="float64"))
    black_box = load_forcefield(ModelRequest(spec="ncbench.models.families.analytic_ase:solenoidal"))
    first = workloop.run(native, [Case("w", water())], settings_, seed=1, context=context).rows
    context.checkpoint.state = None
    second = workloop.run(black_box, [Case("w", water())], settings_, seed=1, context=context).rows
    for a, b in zip(first, second, strict=True):
        assert a["work_meV"] == pytest.approx(b["work_meV"], rel=1e-10)
        assert abs(a["work_meV"]) > 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conservative_forces_do_no_work(dtype, context):
    forcefield = load_forcefield(ModelRequest(spec="analytic-lj", dtype=dtype))
    rng = np.random.default_rng(0)
    atoms = Atoms("Ar8", positions=4.0 * np.array(list(np.ndindex(2, 2, 2))) + rng.normal(scale=0.2, size=(8, 3)))
    rows = workloop.run(forcefield, [Case("a", atoms)], WorkloopSettings(path="planar"), seed=2, context=context).rows
    assert len(rows) == 4
    for row in rows:
        assert not row["nonzero"], row
        # The energy is a difference of float32 numbers of some 0.1 eV: 1e-8 eV of rounding; the running sum is second order.
        assert row["energy_mismatch_meV"] < 0.05 * row["gross_work_meV"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), s=st.floats(0.0, 6.28))
def test_tangent_is_the_derivative_and_paths_close(seed, s):
    atoms = water()
    rng = np.random.default_rng(seed)
    for path in (molecule_loop(atoms, 0.05, rng), planar_loop(atoms, 0.5, rng, "p")):
        h = 1e-5
        difference = (path.at(s + h)[0] - path.at(s - h)[0]) / (2 * h)
        # Truncation h²/6 ~ 2e-11 Å, rounding 1e-16/1e-5 = 1e-11 Å.
        np.testing.assert_allclose(path.at(s)[1], difference, atol=2e-9)
        np.testing.assert_allclose(path.at(s + 2 * np.pi)[0], path.at(s)[0], atol=1e-12)


def test_only_one_molecule_moves_and_it_stays_whole_across_the_boundary():
    atoms = molecule("H2O")
    atoms.set_cell([6, 6, 6])
    atoms.pbc = True
    atoms = atoms.repeat((2, 1, 1))
    atoms.positions += [0.0, 0.0, -0.3]
    atoms.wrap()
    path = molecule_loop(atoms, 0.05, np.random.default_rng(0))
    moved = np.flatnonzero(np.abs(path.at(1.0)[0]).max(axis=1) > 1e-9)
    assert sorted(atoms.symbols[moved]) == ["H", "H", "O"]
    positions = (atoms.positions + path.at(1.0)[0])[moved]
    spread = np.linalg.norm(positions[:, None] - positions[None], axis=-1).max()
    assert spread < 2.0


def test_a_crystal_without_molecules_has_only_planar_loops(context):
    crystal = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 8.0]])
    with pytest.raises(UnsupportedError, match="--path planar"):
        workloop.run(
            solenoidal("float64"), [Case("c", crystal)], WorkloopSettings(path="molecule"), seed=0, context=context
        )
    crystal.arrays["sites"] = crystal.positions.copy()
    rows = workloop.run(
        solenoidal("float64"), [Case("c", crystal)], WorkloopSettings(loops=1), seed=0, context=context
    ).rows
    assert [row["path"] for row in rows] == ["planar-1"]


def test_points_double_until_the_work_converges():
    atoms = water()
    lj = load_forcefield(ModelRequest(spec="analytic-lj", dtype="float64"))
    two = Atoms("Ar3", positions=[[0, 0, 0], [3.6, 0, 0], [0, 3.9, 0.5]])
    path = planar_loop(two, 1.0, np.random.default_rng(4), "p")
    coarse = integrate(lj, two, path, points=8, max_points=8, tolerance=1e-9, batch=1, rng=np.random.default_rng(0))
    fine = integrate(lj, two, path, points=8, max_points=1024, tolerance=1e-9, batch=1, rng=np.random.default_rng(0))
    assert not coarse.converged
    assert fine.converged
    assert abs(fine.work) <= fine.halving_error + 5 * fine.rounding_error + 1e-12
    assert len(fine.s) > len(coarse.s)
    assert len(atoms) == 3


@pytest.mark.parametrize("hydrogen_bond_A", [1.4, 1.5, 1.6])
def test_one_molecule_of_a_dimer_is_rotated(hydrogen_bond_A):
    """ASE's neighbour list adds a skin of 0.3 Å per atom: two waters with a short hydrogen bond were one molecule."""
    first, second = molecule("H2O"), molecule("H2O")
    direction = (first.positions[1] - first.positions[0]) / first.get_distance(0, 1)
    second.translate(first.positions[1] + hydrogen_bond_A * direction - second.positions[0])
    second.rotate(180, direction, center=second.positions[0])
    dimer = first + second
    distances = dimer.get_all_distances()[:3, 3:]
    assert distances.min() == pytest.approx(hydrogen_bond_A)
    path = molecule_loop(dimer, 0.05, np.random.default_rng(0))
    moved = np.abs(path.at(1.0)[0]).max(axis=1) > 1e-9
    assert moved.sum() == 3
    assert moved[:3].all() or moved[3:].all()


def test_a_stretched_bond_holds_a_molecule_together():
    water = molecule("H2O")
    water.positions[1] = water.positions[0] + (water.positions[1] - water.positions[0]) * 1.2 / 0.9686
    path = molecule_loop(water, 0.05, np.random.default_rng(0))
    assert (np.abs(path.at(1.0)[0]).max(axis=1) > 1e-9).all()
