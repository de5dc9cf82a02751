"""Stress heads of ORB and EquiformerV2: equal to those of the packages' own calculators, and used by ``lambda --stress`` and ``npt``."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from ase import Atoms

from ncbench.diagnostics.base import Context
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.models.interface import ForceField
from ncbench.models.row import importable
from ncbench.types import Case

pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    # i-PI calls names that Python is about to drop, and leaves files to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MODELS = {
    "orb-v2": ("orb_models", ("tiny_orb.py", "orb-v2", "--layers", "1")),
    "orb-v3-direct-20-omat": ("orb_models", ("tiny_orb.py", "orb-v3-direct-20-omat", "--layers", "1")),
    "equiformer": ("fairchem.core.trainers", ("tiny_equiformer.py",)),
}


def _load(name: str, dtype: str) -> ForceField:
    module, script = MODELS[name]
    if not importable(module):
        pytest.skip(f"needs {module}")
    path = tiny_models.checkpoint(*script, name=f"{name}-stress.pt")
    return tiny_models.load(name, path, dtype=dtype)


def _close_pair() -> Atoms:
    """Water with two hydrogen atoms within the range of pair repulsion, which adds to forces and stress of ORB-v3."""
    atoms = tiny_models.water()[0]
    atoms.positions[1] = atoms.positions[0] + [0.6, 0.2, 0.1]
    return atoms


@pytest.mark.parametrize("name", MODELS)
def test_stress_equals_that_of_the_own_calculator(name: str) -> None:
    forcefield = _load(name, "float32")
    assert forcefield.card.has_stress
    for atoms in (tiny_models.water()[0], _close_pair()):
        tiny_models.agrees_with_own_calculator(forcefield, atoms, force_tolerance=1e-4)
        stress = forcefield.evaluate([atoms], stress=True)[0].stress
        assert stress is not None
        assert np.abs(stress).max() > 1e-5
        np.testing.assert_array_equal(stress, stress.T)


@pytest.mark.parametrize("name", MODELS)
def test_lambda_of_the_stress_is_that_of_two_independent_heads(name: str) -> None:
    forcefield = _load(name, "float64")
    settings = {"probes": 2, "exact_max_atoms": 0}
    result = stress_asymmetry(forcefield, tiny_models.water()[0], rng=np.random.default_rng(0), **settings)
    # λ = |P − Q| / (2 (|P|² + |Q|²))^½ is 1/√2 for orthogonal P and Q of any size; random ones are orthogonal but for a few per cent.
    assert result.value == pytest.approx(np.sqrt(0.5), abs=0.15)
    # Autograd does not reach the positions in EquiformerV2.
    assert (result.products > 0) == forcefield.card.differentiable == (name != "equiformer")


@pytest.mark.parametrize("name", MODELS)
def test_constant_pressure_runs_with_the_head(name: str, context: Context) -> None:
    pytest.importorskip("ipi")
    from ncbench.diagnostics.npt import NptSettings, run

    settings = NptSettings(duration_fs=2.0, equilibration_fs=0.5, sample_every=1)
    case = Case("water", tiny_models.water()[0])
    (row,) = run(_load(name, "float32"), [case], settings, seed=0, context=context).rows
    assert row["status"] == "ok", row["reason"]
    assert row["stress_from"] == "direct"
