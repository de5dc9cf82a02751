"""The unit of printed numbers, from their values alone."""

from __future__ import annotations

import numpy as np
import pytest

from ncbench.statistics.rounding import printed_unit


@pytest.mark.parametrize("digits", [2, 3, 4, 5, 8])
def test_the_unit_of_fixed_decimals(digits):
    values = np.random.default_rng(digits).normal(size=(9, 9))
    assert printed_unit(np.round(values, digits)) == pytest.approx(10.0**-digits, rel=1e-12)


def test_the_unit_of_significant_digits_is_that_of_large_values():
    values = [float(f"{value:.4g}") for value in np.random.default_rng(0).uniform(-9, 9, 200)]
    assert printed_unit(values) == pytest.approx(1e-3, rel=1e-12)


def test_values_that_symmetry_repeats_count_once():
    # Six times the same value with zeros at the end; the others have five decimals.
    values = [*[1.5] * 6, *np.round(np.random.default_rng(1).uniform(0.1, 0.9, 12), 5)]
    assert printed_unit(values) == pytest.approx(1e-5, rel=1e-12)


def test_numbers_in_full_precision_and_zeros():
    assert printed_unit(np.random.default_rng(2).normal(size=100)) <= 1e-15
    assert printed_unit(np.zeros(5)) == 0.0
    assert printed_unit([np.nan, np.inf, 0.25, 0.5]) == pytest.approx(0.01, rel=1e-12)
