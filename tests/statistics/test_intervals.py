from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ncbench.statistics.intervals import Z_95, half_width, student_error, student_interval, wilson_interval


def test_the_95_percent_interval_needs_no_degrees_of_freedom():
    for dof in (1.0, 3.0, 50.0, math.inf, math.nan):
        assert half_width(2.0, dof) == pytest.approx(2.0 * Z_95)


def test_other_levels_widen_as_students_t_does():
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


def test_wilson_covers_where_the_normal_interval_does_not():
    rng = np.random.default_rng(2)
    for rate in (0.5, 0.9, 0.97):
        hits = [wilson_interval(int(k), 20) for k in rng.binomial(20, rate, size=2000)]
        assert np.mean([low <= rate <= high for low, high in hits]) > 0.92
