"""Regressions: beyond tolerance and beyond errors, and not otherwise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.check import limits
from ncbench.check.judge import FALSE_ALARMS, State, chance, compare
from ncbench.check.limits import Verdict
from ncbench.check.metrics import BY_NAME, METRICS, Measured, measure
from ncbench.errors import UsageError

LEVEL = FALSE_ALARMS / len(METRICS)


def state(new: Measured, old: Measured, name: str = "lambda", *, paired: bool = False) -> State:
    (finding,) = compare({name: new}, {name: old}, paired=paired)
    return finding.state


def test_a_regression_exceeds_tolerance_and_errors() -> None:
    sharp = Measured(0.0100, within=1e-5, between=1e-5)
    assert state(sharp, sharp) is State.SAME
    # 5 % more, a hundred errors: tolerated.
    assert state(replace(sharp, value=0.0105), sharp) is State.SAME
    assert state(replace(sharp, value=0.0120), sharp) is State.WORSE
    assert state(replace(sharp, value=0.0080), sharp) is State.BETTER
    # Twice as much, but within the error: noise.
    blurred = Measured(0.0200, within=0.01, between=0.01)
    assert state(blurred, sharp) is State.UNDECIDED
    assert not compare({"lambda": blurred}, {"lambda": sharp}, paired=False)[0].failed


def test_values_below_the_floor_count_as_zero() -> None:
    low, high = Measured(1e-9, floor=1e-5), Measured(9e-6, floor=1e-5)
    assert state(high, low) is State.SAME
    assert state(Measured(0.01, floor=1e-5, between=1e-4), low) is State.WORSE


def test_explosions_are_worse_than_any_value_and_equal_to_each_other() -> None:
    calm, gone = Measured(1.0, between=5.0, dof=3), Measured(math.inf)
    assert state(gone, calm, "drift") is State.WORSE
    assert state(gone, gone, "drift") is State.SAME
    assert state(calm, gone, "drift") is State.BETTER


def test_counts_follow_fishers_exact_test() -> None:
    def rate(k: int, n: int) -> Measured:
        return Measured(100.0 * k / n, successes=k, trials=n)

    # 1/C(20, 10): ten of ten, then none of ten.
    assert chance(rate(0, 10), rate(10, 10), paired=True) == pytest.approx(1 / math.comb(20, 10), rel=1e-12)
    assert state(rate(0, 10), rate(10, 10), "relax_success") is State.WORSE
    assert state(rate(7, 10), rate(10, 10), "relax_success") is State.UNDECIDED
    assert state(rate(10, 10), rate(0, 10), "relax_success") is State.BETTER


def test_a_rate_of_one_trial_cannot_be_compared() -> None:
    one, ten = Measured(0.0, successes=0, trials=1), Measured(40.0, successes=4, trials=10)
    (finding,) = compare({"relax_success": ten}, {"relax_success": one}, paired=True)
    assert finding.state is State.UNDECIDED
    assert finding.note == "1 and 10 trials are too few to be compared"
    # Ten and ten trials can: equal rates are equal, and all against none is a difference.
    assert state(ten, ten, "relax_success") is State.SAME


def test_a_single_structure_can_show_an_improvement_but_no_regression() -> None:
    direct = Measured(0.286, between=math.inf, dof=1)
    conservative = Measured(0.0030, between=math.inf, dof=1, floor=0.0038)
    assert state(conservative, direct, "energy_force_gap") is State.BETTER
    assert state(direct, conservative, "energy_force_gap") is State.UNDECIDED
    # Half may be another structure's value; a floor above a tenth of the baseline shows no fall either.
    assert state(replace(direct, value=0.14), direct, "energy_force_gap") is State.SAME
    assert state(replace(conservative, floor=0.03), direct, "energy_force_gap") is State.SAME
    # Known errors are used.
    blurred = replace(direct, within=0.2)
    assert state(conservative, blurred, "energy_force_gap") is State.SAME


def test_runs_with_equal_momenta_are_compared_in_pairs() -> None:
    scatter = np.random.default_rng(0).normal(scale=50.0, size=6)
    error = float(scatter.std(ddof=1) / 6**0.5)

    def drift(shift: float) -> Measured:
        values = scatter + 30.0 + shift
        return Measured(
            abs(values.mean()), error, error, 5, replicates={str(i): float(value) for i, value in enumerate(values)}
        )

    jitter = replace(drift(15.0), replicates={k: v + 0.1 * int(k) for k, v in drift(15.0).replicates.items()})
    # 15 of a scatter of 50 over six: not significant with other momenta, significant with equal ones.
    assert state(jitter, drift(0.0), "drift", paired=False) is State.UNDECIDED
    assert state(jitter, drift(0.0), "drift", paired=True) is State.WORSE


def test_missing_metrics_fail_and_new_ones_do_not() -> None:
    one = Measured(0.01)
    gone, new = compare({"drift": one}, {"lambda": one}, paired=True)
    assert (gone.metric.name, gone.state, gone.failed) == ("lambda", State.MISSING, True)
    assert (new.metric.name, new.state, new.failed) == ("drift", State.NEW, False)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([metric.name for metric in METRICS if metric.name != "relax_success"]),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
    st.floats(0, 1e2),
    st.floats(1, 100),
    st.booleans(),
)
def test_comparison_is_antisymmetric_and_a_model_equals_itself(
    name: str, a: float, b: float, error: float, dof: float, paired: bool
) -> None:
    first, second = Measured(a, error, error, dof), Measured(b, error, error, dof)
    assert state(first, first, name, paired=paired) is State.SAME
    there, back = state(first, second, name, paired=paired), state(second, first, name, paired=paired)
    assert not (there is State.WORSE and back is State.WORSE)
    if there is State.WORSE:
        assert first.value > second.value


def test_false_alarms_of_normal_noise_are_as_rare_as_stated() -> None:
    # Every metric drawn twice from one normal distribution with the error that the check is given, six values each, at worst without any
    # tolerance: 4000 checks of all metrics. 1 % is stated; the tolerance of 20 % or more reduces it much further, so that the test is of the
    # statistics alone: a mean of zero removes the effect of the tolerance.
    rng = np.random.default_rng(1)
    alarms, checks, n = 0, 4000, 6
    for _ in range(checks):
        draws = []
        for _ in range(2):
            values = rng.normal(scale=1e4, size=(len(METRICS), n))
            error = values.std(axis=1, ddof=1) / n**0.5
            draws.append(
                {
                    m.name: Measured(float(v.mean()), float(e), float(e), n - 1)
                    for m, v, e in zip(METRICS, values, error, strict=True)
                }
            )
        alarms += any(finding.failed for finding in compare(*draws, paired=False))
    # A binomial of 4000 at 1 % stays below 1.5 % but once in a thousand.
    assert alarms / checks < 0.015


def test_metrics_from_rows() -> None:
    work = [
        {"status": "ok", "structure": "a", "path": p, "work_meV": w, "gross_work_meV": 100.0, "work_error_meV": 0.1}
        for p, w in (("molecule", -4.0), ("planar-1", 2.0))
    ]
    drift = [
        {"status": "ok", "structure": f"a/{k}", "energy_drift_meV_per_atom_per_ps": value}
        for k, value in enumerate((-4.0, -8.0, -6.0))
    ]
    result = measure({"workloop": work, "nve-drift": drift})
    assert result["work_share"].value == pytest.approx(0.03)
    assert result["work_share"].floor == pytest.approx(0.003)
    # Cooling is as bad as heating; −6 ± 2/√3 over three replicas.
    assert result["drift"].value == pytest.approx(6.0)
    assert result["drift"].between == pytest.approx(2 / 3**0.5)
    assert result["drift"].dof == 2
    exploded = measure({"nve-drift": [{**drift[0], "status": "exploded"}, *drift[1:]]})
    assert math.isinf(exploded["drift"].value)
    assert measure({"nve-drift": [{"status": "failed"}]}) == {}


def test_limits_of_metrics() -> None:
    metrics = {
        "lambda": Measured(0.010, between=0.001),
        "drift": Measured(5.0, between=4.0, dof=4),
        "relax_success": Measured(50.0, successes=5, trials=10),
        "net_force": Measured(1e-3, floor=0.1),
    }

    def verdict(text: str) -> Verdict:
        return limits.judge([limits.parse(text)], metrics)[0].verdict

    assert verdict("lambda < 0.02") is Verdict.HOLDS
    assert verdict("lambda<5e-3") is Verdict.BROKEN
    assert verdict("lambda < 0.0095") is Verdict.UNDECIDED
    assert verdict("drift <= 0.1") is Verdict.UNDECIDED
    # The interval of five of ten at three standard errors is 9.6 % to 90.4 %.
    assert verdict("relax_success >= 9") is Verdict.HOLDS
    assert verdict("relax_success >= 40") is Verdict.UNDECIDED
    assert verdict("relax_success >= 91") is Verdict.BROKEN
    # A value inside by less than three standard errors does not hold either.
    assert verdict("lambda < 0.0125") is Verdict.UNDECIDED
    # At a floor of 0.1 the value may be anything up to 0.1.
    assert verdict("net_force < 0.01") is Verdict.UNDECIDED
    assert verdict("net_force < 0.2") is Verdict.HOLDS
    assert verdict("speed < 3") is Verdict.UNKNOWN
    assert limits.parse("drift < heating_power").bound == pytest.approx(0.07756, rel=1e-3)
    for wrong in ("drift < heating", "lambda", "lambda ~ 3", "lamda < 3", "lambda < x", "lambda < 1.2.3"):
        with pytest.raises(UsageError):
            limits.parse(wrong)


@pytest.mark.parametrize("name", limits.PROFILES)
def test_profiles_contain_only_known_metrics(name: str) -> None:
    assert {str(limit) for limit in limits.profile(name)}
    assert all(limit.metric is BY_NAME[limit.metric.name] for limit in limits.profile(name))


def test_significance_level_is_divided_among_metrics() -> None:
    assert pytest.approx(0.01) == LEVEL * len(METRICS)
