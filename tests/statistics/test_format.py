"""Numbers with their errors in brackets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncbench.statistics.format import at_most, number, with_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.34, 0.4, "12.3(4)"),
        (12.34, 0.04, "12.34(4)"),
        (12.34, 0.0142, "12.340(14)"),
        (501.2, 548.0, "500(500)"),
        (97.2, 16.1, "97(16)"),
        (812.0, 31.0, "810(30)"),
        (812.0, 97.0, "810(100)"),
        (0.0213, 0.0004, "0.0213(4)"),
        (3.04, 1.2, "3.0(1.2)"),
        (2.1e-8, 3.0e-8, "2(3)e-8"),
        (0.0, 4.0e-7, "0(4)e-7"),
        (-0.02, 0.1, "-0.02(10)"),
        (12.34, 0.99, "12.3(1.0)"),
        (0.0081646, 1e-5, "0.008165(10)"),
        (3.2e-7, 5e-8, "3.2(5)e-7"),
        (1234567.0, 1000.0, "1.2346(10)e6"),
        (1.0, 0.0, "1.00"),
        (1.0, None, "1.00"),
        (1.0, math.nan, "1.00"),
        (None, 1.0, "–"),
        (math.nan, 1.0, "–"),
        (math.inf, 1.0, "inf"),
        (0.0, 0.5, "0.0(5)"),
        (0.3, 5.0, "0.3(5.0)"),
        (-0.003, 0.05, "-0.003(50)"),
        (4.0, 81.0, "4(81)"),
        (1e-5, 5.0, "0.0(5.0)"),
        (-1e-5, 0.5, "0.00(50)"),
        (-0.3, 1.9, "-0.3(1.9)"),
        (0.5362393923708552, 7e-16, "0.536239392(10)"),
        (-123.4, 1e-30, "-123.400000(10)"),
        (2.5e-9, 1e-30, "2.50000000(10)e-9"),
    ],
)
def test_numbers_with_errors_in_brackets(value, error, text):
    assert with_error(value, error) == text


@given(st.floats(-1e8, 1e8), st.floats(1e-9, 1e8))
def test_printed_text_is_within_the_error(value, error):
    text = with_error(value, error)
    head, _, tail = text.partition("(")
    digits, _, exponent = tail.partition(")")
    scale = 10.0 ** int(exponent[1:] or 0) if exponent else 1.0
    # Eight figures at most; at least one figure of the error is shown, so that rounding the value costs half of it at most.
    assert abs(float(head) * scale - value) <= 0.51 * max(error, 1e-7 * abs(value))
    assert float(digits) > 0


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0"), (123.456, "123"), (0.01234, "0.0123"), (1e-7, "1.00e-07")]
)
def test_numbers_without_errors(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.37e-8, "≤ 2e-08"),
        (3e-9, "≤ 3e-09"),
        (3.0 * 1e-8 / 1.0, "≤ 3e-08"),
        (0.031, "≤ 0.04"),
        (0.96, "≤ 1"),
        (0.0, "≤ 0"),
    ],
)
def test_bounds_are_rounded_up(value, text):
    """Rounded to the nearest figure, 1.37e-8 would be bounded by 1e-8."""
    assert at_most(value) == text


def test_an_error_that_is_a_lower_bound_is_marked():
    assert with_error(287.2, 3.1, known=False) == "287(3)?"
    assert with_error(3.2e-7, 5e-8, known=False) == "3.2(5)e-7?"
