"""Formatting of numbers: value(error), with as many digits as the error allows."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context

ABSENT = "–"
UNKNOWN = "?"
"""Follows a number whose error is only a lower bound, or not known at all."""


MOST_FIGURES = 8
"""Significant figures of a value whose error is smaller."""


def number(value: float | None, digits: int = 3) -> str:
    """A number to ``digits`` significant figures, or a dash."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value) or value == 0:
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e5:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}"
    return f"{value:.{digits - 1}e}"


def duration(seconds: float) -> str:
    """A time for reading, rounded: ``40 s``, ``12 min``, ``3.5 h`` or ``56 days``; at least a second."""
    for unit, size, limit in (("s", 1.0, 90.0), ("min", 60.0, 90 * 60.0), ("h", 3600.0, 48 * 3600.0)):
        if seconds < limit:
            return f"{max(1.0, seconds / size):.{int(unit == 'h')}f}".removesuffix(".0") + f" {unit}"
    return f"{seconds / 86400.0:,.0f} days"


def at_most(value: float) -> str:
    """``≤ 3e-08``: an upper bound, rounded up to one significant figure, so that the printed bound holds too."""
    if not math.isfinite(value) or value <= 0.0:
        return f"≤ {number(value, 1)}"
    # Of a value such as 3.0000000001e-9 the digits beyond the fifth are rounding.
    return f"≤ {number(float(Context(prec=1, rounding=ROUND_CEILING).create_decimal(f'{value:.4e}')), 1)}"


def with_error(value: float | None, error: float | None, *, known: bool = True) -> str:
    """``0.0213(4)``: the error to one figure, two if it begins with 1, in units of the last digit shown.

    97.2 ± 16.1 is ``97(16)``, 812 ± 31 is ``810(30)``; two figures also where the value would be rounded to zero, 0.3 ± 5 is ``0.3(5.0)``; an error across the decimal point keeps it, 3.0 ± 1.2 is ``3.0(1.2)``. Numbers below 1e-3
    or from 1e6 have a power of ten, ``2(3)e-8``. At most :data:`MOST_FIGURES` figures are shown, with an error of one in the last. Without an error the number alone; with ``known`` false a ``?`` follows: the error is a
    lower bound, or there is none.
    """
    if value is None or not math.isfinite(value):
        return number(value)
    mark = "" if known else UNKNOWN
    if error is None or not math.isfinite(error):
        return f"{number(value)}{mark}"
    if error <= 0:
        return number(value)
    leading, exponent = f"{error:.1e}".split("e")
    place = int(exponent) - (1 if leading.startswith("1") else 0)
    if value != 0.0:
        # More figures would only show the rounding of one machine.
        least = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - MOST_FIGURES)
        if error < least:
            return with_error(value, least, known=known)
    largest = max(abs(value), error)
    if largest < 1e-3 or largest >= 1e6:
        power = math.floor(math.log10(largest))
        return f"{with_error(value / 10.0**power, error / 10.0**power)}e{power}{mark}"
    shown_value = _rounded(value, place)
    if float(shown_value) == 0 and value != 0 and not leading.startswith("1"):
        # "Not resolved" must not look like zero: the second figure of the error gives the value one, too.
        place -= 1
        shown_value = _rounded(value, place)
    if place >= 0:
        return f"{shown_value}({_rounded(error, place)}){mark}"
    size = round(error * 10.0**-place)
    shown = f"{error:.{-place}f}" if size * 10.0**place >= 1.0 else str(size)
    return f"{shown_value}({shown}){mark}"


def _rounded(value: float, place: int) -> str:
    """``value`` rounded to 10**``place``, without the sign of a negative zero."""
    text = f"{round(value / 10**place) * 10**place:.0f}" if place >= 0 else f"{value:.{-place}f}"
    return text if float(text) else text.removeprefix("-")
