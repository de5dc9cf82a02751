from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ncbench.statistics.intervals import Z_95, half_width, rate_interval, student_error, student_interval


def test_the_95_percent_interval_is_the_same_for_all_degrees_of_freedom():
    for dof in (1.0, 3.0, 50.0, math.inf, math.nan):
        assert half_width(2.0, dof) == pytest.approx(2.0 * Z_95)


def test_intervals_of_other_levels_follow_students_t():
    # Of n = 4 values: the plain error times t(0.9973; 3).
    plain = 1.7
    error = student_error(plain, 3.0)
    assert half_width(error, 3.0, confidence=0.9973) == pytest.approx(plain * stats.t.ppf(0.99865, 3))
    assert half_width(1.0, math.inf, confidence=0.6826894921) == pytest.approx(1.0)
    assert student_interval(5.0, 1.0, math.inf) == pytest.approx((5.0 - Z_95, 5.0 + Z_95))
    assert math.isnan(student_error(1.0, 0.0))
    for confidence, dof, words in ((1.0, 3.0, "confidence is 1.0"), (0.95, 0.0, "dof is 0.0")):
        with pytest.raises(ValueError, match=words):
            half_width(1.0, dof, confidence=confidence)


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_intervals_of_few_values_cover_at_95_and_99_percent(count):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4000, count))
    plain = values.std(axis=1, ddof=1) / math.sqrt(count)
    for confidence in (0.95, 0.99):
        width = np.array(
            [half_width(student_error(one, count - 1.0), count - 1.0, confidence=confidence) for one in plain]
        )
        # Binomial standard error of 4000 repeats: 0.35 % and 0.16 %.
        assert np.mean(np.abs(values.mean(axis=1)) < width) == pytest.approx(confidence, abs=0.012)


def test_interval_of_a_rate():
    # Newcombe, Stat. Med. 17, 857 (1998), Table I, method 5 (Clopper-Pearson).
    assert rate_interval(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert rate_interval(0, 20) == pytest.approx((0.0, 0.1684), abs=5e-5)
    assert rate_interval(29, 29) == pytest.approx((0.8806, 1.0), abs=5e-5)
    assert rate_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes in 2"):
        rate_interval(3, 2)


@pytest.mark.parametrize("confidence", [0.6827, 0.95, 0.9973])
@pytest.mark.parametrize("trials", [1, 2, 5, 20])
def test_the_interval_of_a_rate_covers_at_least_as_stated_at_every_probability(trials, confidence):
    # The coverage is a sum over all outcomes: no draws.
    ends = np.array([rate_interval(k, trials, confidence=confidence) for k in range(trials + 1)])
    counts = np.arange(trials + 1)
    for p in np.linspace(0.0, 1.0, 201):
        chance = [math.comb(trials, int(k)) * p**k * (1 - p) ** (trials - k) for k in counts]
        holds = (ends[:, 0] <= p + 1e-12) & (p - 1e-12 <= ends[:, 1])
        assert float(holds @ chance) >= confidence - 1e-12
