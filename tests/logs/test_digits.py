"""Printed digits: their place, and the error of a slope from rounding."""

from __future__ import annotations

import numpy as np
import pytest

from ncbench.errors import UsageError
from ncbench.logs.digits import hidden_step, parse, repeated_step, rounding_error_of_slope
from ncbench.statistics.rounding import printed_step
from ncbench.statistics.series import slope


@pytest.mark.parametrize(
    ("texts", "step"),
    [
        (["-12345.6789", "-12345.6700"], 1e-4),
        # %g drops zeros at the end: the others of the decade show the place.
        (["-7.6", "-7.6052841", "-7.605"], 1e-7),
        (["1.2345e+03", "1.2346e+03"], 1e-1),
        (["12", "13"], 1.0),
        (["nan", "1.25"], 1e-2),
        (["nan"], 0.0),
        (["0", "0.001"], 1e-3),
    ],
)
def test_printed_step_is_the_place_of_the_last_digit(texts, step):
    assert printed_step(texts, parse(texts, "x")) == pytest.approx(step, rel=1e-12)


def test_significant_digits_over_two_decades_have_the_coarser_place():
    values = [f"{x:.8g}" for x in np.linspace(-1010.123456, -990.654321, 200)]
    assert printed_step(values, parse(values, "x")) == pytest.approx(1e-4, rel=1e-12)


def test_texts_that_are_not_numbers_are_named():
    with pytest.raises(UsageError, match="E holds 'abc'"):
        parse(["1", "abc"], "E")


def test_single_precision_energies_are_recognised():
    rng = np.random.default_rng(0)
    values = np.float64(np.float32(-123456.78 + 0.02 * rng.normal(size=500)))
    assert repeated_step(values) == pytest.approx(2.0**-7, rel=1e-12)
    assert repeated_step(rng.normal(size=500)) == 0.0
    # Printed with six decimals, the step was there before; printed with that step, it is the printing's.
    assert hidden_step(values, 1e-6) == pytest.approx(2.0**-7, rel=1e-12)
    assert hidden_step(values, 2.0**-7) == 0.0


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15, 0.3, 0.6, 1.5])
@pytest.mark.parametrize("rise", [0.3, 1.7, 12.0])
def test_errors_cover_the_slopes_of_rounded_series(noise, rise):
    """Series of 100 samples, rounded to 1, that rise by ``rise`` in all: 95 % intervals hold the slope in at least 90 % of 200 series.

    The binomial error of 95 % is 1.5 %; the interval of white noise alone is exact, and what rounding adds is a bound.
    """
    rng = np.random.default_rng(7)
    times = np.linspace(0.0, 1.0, 100)
    inside = 0
    for _ in range(200):
        values = np.round(rng.uniform() + rise * times + noise * rng.normal(size=100))
        line = slope(times, values)
        bound = rounding_error_of_slope(times, values, 1.0)
        error = 0.0 if np.ptp(values) == 0.0 else line.error
        inside += abs(line.value - rise) <= np.hypot(1.96 * error, bound)
    assert inside >= 180


def test_rounding_bound_of_a_slope_and_its_absence_under_dither():
    times = np.linspace(0.0, 10.0, 2001)
    assert rounding_error_of_slope(times, np.zeros(2001), 0.2) == pytest.approx(1.5 * 0.2 / 10.0, rel=1e-2)
    noisy = 0.2 * np.round(np.random.default_rng(1).normal(size=2001))
    assert rounding_error_of_slope(times, noisy, 0.2) < 1e-6
    assert rounding_error_of_slope(times, noisy, 0.0) == 0.0
