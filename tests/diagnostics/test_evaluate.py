"""Energies, forces and stresses as tables."""

from __future__ import annotations

import numpy as np
from known_fields import Well

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.evaluate import EvaluateSettings, run
from ncbench.structures.load import load_cases
from ncbench.types import Case, SystemRequest


def test_rows_hold_energies_forces_and_stresses_of_the_field(context: Context) -> None:
    cases = load_cases(SystemRequest(name="harmonic-crystal", structures=2), 1, 0)
    outcome = run(Well(k=5.0), cases, EvaluateSettings(), seed=0, context=context)
    for case, row in zip(cases, outcome.rows, strict=True):
        away = case.atoms.positions - case.atoms.arrays["sites"]
        # V = k u²/2, f = −k u, to the rounding of a sum.
        np.testing.assert_allclose(row["energy_eV"], 2.5 * (away**2).sum(), rtol=1e-12)
        own = [side for side in outcome.side["forces"] if side["structure"] == case.name]
        forces = [[side[f"force_{axis}_eV_per_A"] for axis in "xyz"] for side in own]
        np.testing.assert_allclose(forces, -5.0 * away, rtol=1e-12, atol=1e-15)
        assert [side["atom_i"] for side in own] == list(range(len(case.atoms)))


def test_forces_that_are_not_finite_are_a_failure(context: Context) -> None:
    case = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)[0]
    row = run(Well(k=np.nan), [Case("x", case.atoms)], EvaluateSettings(), seed=0, context=context).rows[0]
    assert (row["status"], row["energy_eV"]) == ("failed", None)
