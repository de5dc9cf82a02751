"""Drifts of runs too short for a known error decide nothing; metrics that are refused fail a strict check."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from ase.build import molecule
from ase.constraints import FixAtoms
from scipy import stats

import ncbench
from ncbench.check import baseline, limits, outputs
from ncbench.check import suite as suites
from ncbench.check.baseline import Baseline
from ncbench.check.judge import State, compare
from ncbench.check.limits import Verdict
from ncbench.check.metrics import Measured, measure
from ncbench.check.outputs import CheckResult
from ncbench.check.suite import Suite
from ncbench.check.unmeasured import NOT_IN_SUITE, refused
from ncbench.diagnostics import nve_drift
from ncbench.diagnostics.base import Context
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.run.plan import apply_overrides
from ncbench.structures.load import load_cases
from ncbench.types import Budget, Case, ModelRequest, SystemRequest

QUICK = suites.SETTINGS[Suite.QUICK]["nve-drift"]
CONSTRAINTS = "The structure has constraints (FixAtoms), which the integrators do not support."


def drift_of(forcefield: ForceField, case: Case, seed: int, context: Context) -> Measured:
    settings = apply_overrides(nve_drift.DIAGNOSTIC.presets[Budget.SMOKE], QUICK, "nve-drift")
    rows = nve_drift.run(forcefield, [case], settings, seed=seed, context=context).rows
    return measure({"nve-drift": rows})["drift"]


def verdict(text: str, metrics: dict[str, Measured]) -> Verdict:
    return limits.judge([limits.parse(text)], metrics)[0].verdict


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_exact_gradient_breaks_no_limit_of_the_drift_in_20_fs(seed: int, context: Context) -> None:
    # A molecule far from the minimum of this potential: the energy error of the first steps is common to all replicas.
    emt = load_forcefield(ModelRequest(spec="ase.calculators.emt:EMT:conservative"))
    drift = drift_of(emt, Case("ethanol", molecule("CH3CH2OH")), seed, context)
    scatter = stats.sem([*drift.replicates.values()])
    # The scatter of replicas alone would break the limit, and the mean of the rows' own errors does not.
    assert drift.value > 5.0 * scatter
    assert drift.error > drift.value
    assert not drift.known
    for bound in ("heating_power", "1", "1e6"):
        assert verdict(f"drift < {bound}", {"drift": drift}) is Verdict.UNDECIDED


def test_a_strong_heater_breaks_the_limit_or_is_undecided(context: Context) -> None:
    heater = load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", "2"),)))
    (case,) = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)
    drift = drift_of(heater, case, 0, context)
    assert drift.value > 10.0
    assert verdict("drift < heating_power", {"drift": drift}) in (Verdict.BROKEN, Verdict.UNDECIDED)


def rows(values: list[float], error: float | None, *, plateau: bool) -> list[dict[str, object]]:
    name = "energy_drift_meV_per_atom_per_ps"
    more = {f"{name}_se": error, "energy_drift_dof": 7.0, "plateau": plateau, "status": "ok"}
    return [{"structure": f"a/{k}", name: value, **more} for k, value in enumerate(values)]


def test_the_error_of_a_drift_is_no_less_than_the_rows_own() -> None:
    near = [20.0, 21.0, 19.0]
    wide = measure({"nve-drift": rows(near, 6.0, plateau=True)})["drift"]
    assert (wide.within, wide.between, wide.dof, wide.shared, wide.known) == (6.0, 6.0, 7.0, 6.0, True)
    narrow = measure({"nve-drift": rows(near, 0.01, plateau=True)})["drift"]
    # 1 (sample standard deviation) over √3 replicas.
    assert narrow.within == pytest.approx(3**-0.5)
    assert (narrow.dof, narrow.known) == (2.0, True)
    assert not measure({"nve-drift": rows(near, 0.01, plateau=False)})["drift"].known
    assert not measure({"nve-drift": rows(near, None, plateau=True)})["drift"].known
    # A single row of unknown error is enough.
    mixed = [*rows(near, 0.01, plateau=True), *rows(near, 0.01, plateau=False)[:1]]
    assert not measure({"nve-drift": mixed})["drift"].known


def test_a_known_error_decides() -> None:
    drift = measure({"nve-drift": rows([20.0, 21.0, 19.0, 20.5, 19.5], 0.3, plateau=True)})
    assert verdict("drift < 1", drift) is Verdict.BROKEN
    assert verdict("drift < 50", drift) is Verdict.HOLDS


def test_an_unknown_error_makes_no_regression_and_no_improvement() -> None:
    low, high = Measured(1.0, 0.1, 0.1, 4), Measured(300.0, 0.1, 0.1, 4)
    for new, old in ((high, replace(low, known=False)), (replace(high, known=False), low)):
        for paired in (True, False):
            (finding,) = compare({"drift": new}, {"drift": old}, paired=paired)
            assert finding.state is State.UNDECIDED
            assert "not known" in finding.note
            (back,) = compare({"drift": old}, {"drift": new}, paired=paired)
            assert back.state is State.SAME
    (worse,) = compare({"drift": high}, {"drift": low}, paired=True)
    assert worse.state is State.WORSE
    # An explosion is a result of any run.
    (exploded,) = compare({"drift": Measured(math.inf)}, {"drift": replace(low, known=False)}, paired=True)
    assert exploded.state is State.WORSE


def test_transients_in_common_count_in_paired_comparisons() -> None:
    def drift(shift: float, shared: float) -> Measured:
        values = {str(k): 10.0 + k + shift * (1.0 + 0.01 * k) for k in range(5)}
        return Measured(12.0 + shift, 1.0, 1.0, 4, replicates=values, shared=shared)

    (sharp,) = compare({"drift": drift(20.0, 0.0)}, {"drift": drift(0.0, 0.0)}, paired=True)
    (blurred,) = compare({"drift": drift(20.0, 30.0)}, {"drift": drift(0.0, 30.0)}, paired=True)
    assert (sharp.state, blurred.state) == (State.WORSE, State.UNDECIDED)


def made(metrics: dict[str, Measured], *, suite: str = "quick", absent: dict[str, str] | None = None) -> Baseline:
    return Baseline(
        model="m", force_mode="direct", suite=suite, system="s", seed=0, metrics=metrics, unmeasured=absent or {},
        conditions={},
    )  # fmt: skip


def checked(new: Baseline, *bounds: str, old: Baseline | None = None, strict: bool = False) -> CheckResult:
    findings = () if old is None else compare(new.metrics, old.metrics, paired=True)
    judged = limits.judge([limits.parse(text) for text in bounds], new.metrics)
    return CheckResult(new=new, old=old, findings=tuple(findings), limits=tuple(judged), failures=(), strict=strict)


def test_a_drift_of_unknown_error_has_a_mark_and_advice() -> None:
    drift = {"drift": Measured(20.0, 2.0, 2.0, 4, known=False)}
    quick = checked(made(drift), "drift < 1")
    assert quick.passed
    assert outputs.shown(drift["drift"]) == "20(2)?"
    assert "too short for a known error: `--suite full` has longer ones, `ncbench nve-drift`" in quick.sentence()
    assert "--suite full" not in checked(made(drift, suite="full"), "drift < 1").sentence()
    assert "`ncbench nve-drift` has longer ones" in checked(made(drift, suite="full"), "drift < 1").sentence()
    assert outputs.as_json(quick)["metrics"]["drift"]["error_known"] is False
    assert quick.to_frame()["error_known"].tolist() == [False]
    assert b"too short for a known error" in outputs.junit(quick)


def test_baselines_keep_whether_an_error_is_known(tmp_path: Path) -> None:
    metrics = {"drift": Measured(20.0, 2.0, 2.0, 4, known=False, shared=2.0), "lambda": Measured(0.01, 1e-4, 1e-4)}
    path = tmp_path / "b.json"
    baseline.write(made(metrics), path)
    assert baseline.read(path).metrics == metrics
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["metrics"].values():
        del entry["known"]
    path.write_text(json.dumps(content), encoding="utf-8")
    # Of an earlier version: the error of its drift is the scatter of replicas alone.
    assert {name: value.known for name, value in baseline.read(path).metrics.items()} == {
        "drift": False,
        "lambda": True,
    }


def test_refused_metrics_are_those_that_could_exist() -> None:
    absent = {
        "drift": CONSTRAINTS,
        "net_torque": "exists for isolated structures only",
        "predicted_power": NOT_IN_SUITE,
    }
    assert refused(absent) == ["drift"]


def test_a_refused_metric_fails_a_strict_check_and_is_no_matter_of_the_suite() -> None:
    known = {"lambda": Measured(0.01, 1e-4, 1e-4, 11)}
    new = made(known, absent={"drift": CONSTRAINTS})
    lenient, strict = (checked(new, old=made(known), strict=one) for one in (False, True))
    assert lenient.passed
    assert lenient.sentence() == "m:direct passes: 1 metrics against the baseline; not measured: drift."
    assert not strict.passed
    assert strict.sentence() == "m:direct is not shown to pass: 1 of 2 hold, and undecided or not measured: drift."
    assert b"<failure" not in outputs.junit(lenient)
    assert outputs.junit(strict).count(b"<failure") == 1
    # A limit of it is reported once.
    limited = checked(new, "drift < 1", strict=True)
    assert limited.open == ["drift < 1 meV/atom/ps"]
    assert limited.refused == []
    assert "--suite full" not in limited.sentence()


def test_a_strict_check_of_a_structure_with_constraints_fails() -> None:
    (case,) = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)
    atoms = case.atoms.copy()
    atoms.set_constraint(FixAtoms([0]))
    first = ncbench.check("analytic-harmonic", atoms, progress=False)
    outcome = ncbench.check("analytic-harmonic", baseline=first.new, strict=True, progress=False)
    assert not outcome.passed
    assert "drift" in outcome.refused
    assert "--suite full" not in str(outcome)
