from __future__ import annotations

import math

import pytest

from ncbench.statistics.cells import Cell, mean, rate_cell
from ncbench.statistics.format import with_error


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.02134, 0.0004, "0.0213(4)"),
        (0.02134, 0.00012, "0.02134(12)"),
        (-83.2, 0.02, "-83.20(2)"),
        (812.0, 31.0, "810(30)"),
        (3.04, 1.2, "3.0(1.2)"),
        (2.1e-8, 3.0e-8, "2(3)e-8"),
        (0.0, 4.0e-7, "0(4)e-7"),
        (50.0, None, "50.0"),
        (1100.0, None, "1100"),
        (50.0, math.nan, "50.0"),
    ],
)
def test_errors_are_printed_in_units_of_the_last_digit(value: float, error: float | None, shown: str) -> None:
    assert with_error(value, error) == shown


def test_a_missing_number_is_a_dash() -> None:
    assert str(Cell(missing="not run")) == "–"


def test_mean_takes_the_larger_of_both_errors() -> None:
    # Single errors 1: 1/√2 together. Scatter of 0 and 10: 10/√2/√2 = 5, χ² = 50, so that Student's t of one degree enters, 12.706/1.960.
    assert mean([0.0, 10.0], [1.0, 1.0]) == (5.0, pytest.approx(5.0 * 12.7062 / 1.95996, rel=1e-5))
    # χ² = 2 of one degree is no contradiction.
    assert mean([0.0, 2.0], [1.0, 1.0]) == (1.0, pytest.approx(1.0))
    # Without single errors the scatter is all there is.
    assert mean([0.0, 2.0], [None, None]) == (1.0, pytest.approx(12.7062 / 1.95996, rel=1e-5))
    assert mean([4.9, 5.1], [1.0, 1.0]) == (5.0, pytest.approx(math.sqrt(0.5)))
    assert mean([3.0], [None]) == (3.0, None)


def test_one_trial_is_printed_as_a_count_without_a_known_error() -> None:
    assert str(rate_cell(1, 1)) == "1 of 1"
    assert rate_cell(1, 1).loose
    assert str(rate_cell(9, 10)) == "90 (9 of 10)"
    assert not rate_cell(9, 10).loose


def test_a_number_whose_error_is_not_known_at_all_is_marked() -> None:
    assert with_error(6.06, None, known=False) == "6.06?"
    assert with_error(6.06, None) == "6.06"
