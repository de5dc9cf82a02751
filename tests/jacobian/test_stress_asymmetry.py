"""λ of forces and stress: zero for an energy, the closed form for a stress scaled by a factor, by every method."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from known_fields import card

from ncbench.diagnostics import lambda_
from ncbench.diagnostics.lambda_ import LambdaSettings
from ncbench.errors import UnsupportedError
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest


def argon(n: int = 2) -> Atoms:
    """Compressed, so that there is stress, and sheared, so that no axis is a symmetry axis."""
    atoms = bulk("Ar", "fcc", a=5.0, cubic=True).repeat(n)
    atoms.set_cell(
        atoms.cell.array @ (np.eye(3) + np.array([[0, 0.05, 0], [0, 0, 0.02], [0, 0, 0.03]])), scale_atoms=True
    )
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
    return atoms


def lennard_jones(dtype: str):
    return load_forcefield(ModelRequest(spec="analytic-lj", dtype=dtype, options=(("cutoff", "4.5"),)))


class Scaled(LennardJones):
    """ASE's Lennard-Jones with its stress times ``factor``: a reference that shares no code with ncbench."""

    factor = 1.0

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        self.results["stress"] = self.factor * self.results["stress"]


def black_box(factor: float) -> ASEForceField:
    calculator = Scaled(sigma=3.4, epsilon=0.0104, rc=4.5, ro=3.9, smooth=True)
    calculator.factor = factor
    return ASEForceField(calculator, card("scaled", has_stress=True))


def measure(forcefield, atoms, *, probes=8, exact_max_atoms=64, seed=0):
    return stress_asymmetry(
        forcefield, atoms, rng=np.random.default_rng(seed), probes=probes, exact_max_atoms=exact_max_atoms
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stress_lambda_of_an_energy_is_zero(dtype):
    result = measure(lennard_jones(dtype), argon())
    assert result.products == 6
    assert result.value <= result.floor
    # Truncation: strain² f‴r³/6 over P, some 1e2 for Lennard-Jones: 2e-3² × 1e2 and 5e-5² × 1e2, with rounding below.
    assert result.floor < {"float32": 5e-3, "float64": 1e-5}[dtype]


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5])
def test_scaled_stress_of_a_black_box_has_the_closed_form(factor):
    expected = abs(1 - factor) / np.sqrt(2 * (1 + factor**2))
    atoms = argon(1)
    whole = measure(black_box(factor), atoms)
    assert whole.products == 0
    assert "offers no gradients" in whole.note
    assert abs(whole.value - expected) <= 3 * whole.floor < 1e-4
    probed = measure(black_box(factor), atoms, probes=64, exact_max_atoms=0)
    assert abs(probed.value - expected) <= 4 * probed.standard_error + 3 * probed.floor
    assert probed.calls == 24 + 2 * 64 + 8


def test_standard_error_of_probes_equals_the_scatter():
    atoms = argon(1)
    forcefield = black_box(0.3)
    expected = measure(forcefield, atoms).value
    result = [measure(forcefield, atoms, probes=8, exact_max_atoms=0, seed=k) for k in range(24)]
    # For P = sQ both norms come from the same probe, and only the exactly known ‖P‖² is not scaled with it.
    values, errors = np.array([f.value for f in result]), np.array([f.standard_error for f in result])
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(24) + values.std() ** 2 / expected
    # A standard deviation of 24 draws is good to 15 %, the mean of jackknife errors of 8 probes to about as much.
    assert errors.mean() == pytest.approx(values.std(), rel=0.5)


def test_a_stress_with_a_partly_detached_graph_is_rejected():
    forcefield = lennard_jones("float64")
    bind = forcefield._bind

    def cut(structures):
        field = bind(structures)
        whole = field.stress_gradients
        field.stress_gradients = lambda positions: 0.7 * whole(positions)
        return field

    forcefield._bind = cut
    result = measure(forcefield, argon(1))
    assert result.products == 0
    assert "part of the dependence" in result.note
    assert result.value <= 3 * result.floor


def test_a_model_without_stress_is_reported(context):
    with pytest.raises(UnsupportedError, match="has no stress"):
        measure(load_forcefield(ModelRequest(spec="analytic-harmonic")), argon(1))
    molecule = Atoms("Ar3", positions=2.7 * np.eye(3))
    with pytest.raises(UnsupportedError, match="three directions"):
        measure(lennard_jones("float64"), molecule)
    wanted = LambdaSettings(stress=True, resolve="atoms")
    result = lambda_.run(lennard_jones("float64"), [Case("a", molecule)], wanted, seed=0, context=context)
    row = result.rows[0]
    assert (row["status"], row["lambda_stress"]) == ("ok", None)
    assert "three directions" in row["note"]


def test_stress_lambda_is_in_the_lambda_table(context):
    wanted = LambdaSettings(stress=True, method="stochastic", probes=4)
    row = lambda_.run(lennard_jones("float64"), [Case("a", argon())], wanted, seed=0, context=context).rows[0]
    assert row["lambda_stress"] <= row["lambda_stress_floor"]
    assert row["force_calls"] >= 28
