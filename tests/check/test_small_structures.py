"""λ of structures with few atoms in a check: of the whole Jacobian, so that a change is not hidden by the scatter of random probes."""

from __future__ import annotations

import pytest
from known_fields import Well, cluster

from ncbench.check import suite as suites
from ncbench.check.judge import State, compare
from ncbench.check.metrics import Measured, measure
from ncbench.diagnostics import lambda_
from ncbench.diagnostics.base import Context
from ncbench.run.plan import apply_overrides
from ncbench.types import Budget, Case


def measured(field: Well, suite: suites.Suite, formula: str, context: Context) -> tuple[Measured, str]:
    settings = apply_overrides(lambda_.DIAGNOSTIC.presets[Budget.SMOKE], suites.SETTINGS[suite]["lambda"], "lambda")
    rows = lambda_.run(field, [Case("a", cluster(formula))], settings, seed=0, context=context).rows
    return measure({"lambda": rows})["lambda"], rows[0]["method"]


@pytest.mark.parametrize("suite", list(suites.Suite))
def test_a_small_curl_that_disappears_is_found_in_a_molecule(suite: suites.Suite, context: Context) -> None:
    old, method = measured(Well(k=5.0, kappa=0.5), suite, "H2O", context)
    # Whole Jacobian; of this field, which autograd does not see, by differences.
    assert method == "finite-difference"
    # J = −k per coordinate and ∓κ between x and y: λ = κ √2 / √(3 k² + 2 κ²).
    assert old.value == pytest.approx(0.5 * 2**0.5 / (75 + 0.5) ** 0.5, rel=1e-6)
    new, _ = measured(Well(k=5.0, kappa=0.0), suite, "H2O", context)
    [finding] = compare({"lambda": new}, {"lambda": old}, paired=True)
    assert finding.state is State.BETTER
    [finding] = compare({"lambda": old}, {"lambda": new}, paired=True)
    assert finding.state is State.WORSE
    assert measured(Well(k=5.0, kappa=0.5), suite, "Ar9", context)[1] == "stochastic"
