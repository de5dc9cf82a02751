"""The predicted power as a metric: its value against the closed form, its error, and its structures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms

from ncbench.check.judge import State, compare
from ncbench.check.metrics import Measured, measure
from ncbench.check.suite import SMALL, Suite, jobs
from ncbench.diagnostics.base import Context
from ncbench.diagnostics.predict import PredictSettings, run
from ncbench.models.loading import load_forcefield
from ncbench.types import Case, ModelRequest, SystemRequest
from ncbench.units import FS, KB, MEV

K, MASS, TEMPERATURE_K, TAU_FS = 5.0, 39.948, 300.0, 100.0


def crystal() -> Atoms:
    sites = np.array([[x, y, z] for x in (0.0, 3.0) for y in (0.0, 3.0) for z in (0.0, 3.0)])
    atoms = Atoms("Ar8", positions=sites, cell=[6.0] * 3, pbc=True)
    atoms.arrays["sites"] = sites.copy()
    return atoms


def measured(kappa: float, context: Context, *, structure: str = "crystal#0") -> Measured:
    spec = ModelRequest(spec="analytic-solenoidal", options=(("kappa", str(kappa)),))
    settings = PredictSettings(thermostats=(f"langevin:{TAU_FS:g}",), quench_steps=0)
    rows = run(load_forcefield(spec), [Case(structure, crystal())], settings, seed=0, context=context).rows
    return measure({"predict": rows})["predicted_power"]


def closed_form(kappa: float) -> float:
    """Golden rule for 8 × 2 coupled pairs (site springs hold the centre of mass too) of equal frequency ω: P = k_B T Σ a²(2/ω)²τ/4, Γ = 1/τ.

    a = κ/m couples x and y, both orders counted; 4/ω² L_Γ(0) = 4τ/ω², and (1/ω − 1/ω)² = 0.
    """
    internal = KB * TEMPERATURE_K * 8 * 2 * (kappa / MASS) ** 2 / (K / MASS) * TAU_FS * FS
    return internal / 8 / MEV * 1000.0 * FS


@pytest.mark.parametrize("kappa", [0.01, 0.5])
def test_value_equals_the_golden_rule_also_for_runaways(kappa: float, context: Context) -> None:
    result = measured(kappa, context)
    # The Jacobian of a linear field is exact to rounding.
    assert result.value == pytest.approx(closed_form(kappa), rel=1e-6)
    assert result.value > result.floor


def test_an_increase_of_10_percent_is_a_regression_and_1_percent_is_not(context: Context) -> None:
    old = {"predicted_power": measured(0.05, context)}
    for factor, state in ((1.1, State.WORSE), (1.01, State.SAME), (0.9, State.BETTER)):
        new = {"predicted_power": measured(0.05 * math.sqrt(factor), context)}
        (finding,) = compare(new, old, paired=True)
        assert finding.state is state


def test_small_boxes_are_comparable_across_seeds_but_not_across_structures(context: Context) -> None:
    small = measured(0.05, context, structure="water8#0")
    assert small.between == small.within < 1e-3 * small.value
    assert measured(0.05, context).between == math.inf


def test_conservative_forces_are_below_the_floor(context: Context) -> None:
    settings = PredictSettings(thermostats=(f"langevin:{TAU_FS:g}",), quench_steps=0)
    field = load_forcefield(ModelRequest(spec="analytic-harmonic"))
    rows = run(field, [Case("crystal#0", crystal())], settings, seed=0, context=context).rows
    result = measure({"predict": rows})["predicted_power"]
    assert result.value <= result.floor < 1e-6


def test_structures_of_the_predicted_power_in_each_suite() -> None:
    model, file = ModelRequest(spec="pet-m:direct"), SystemRequest(name="argon")

    def where(suite: Suite, system: SystemRequest | None) -> list[str]:
        return [job.system.label for job in jobs(model, suite, system=system) if job.diagnostic == "predict"]

    assert where(Suite.QUICK, None) == [SMALL.name]
    assert where(Suite.QUICK, file) == []
    assert where(Suite.FULL, None) == ["water64"]
    assert where(Suite.FULL, file) == ["argon"]
