"""Numbers for people: value(error), as many digits as the error allows."""

from __future__ import annotations

import math

ABSENT = "–"


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


def with_error(value: float | None, error: float | None) -> str:
    """``12.3(4)``: the error in units of the last digit shown, one figure of it, two where it begins with 1.

    Without an error, or with one that is zero or not finite, the number alone.
    """
    if value is None or not math.isfinite(value):
        return number(value)
    if error is None or not math.isfinite(error) or error <= 0:
        return number(value)
    exponent = math.floor(math.log10(error))
    leading = round(error / 10**exponent)
    if leading == 10:
        exponent, leading = exponent + 1, 1
    if leading == 1:
        exponent -= 1
    small, large = min(exponent, 0), max(abs(value), error)
    if large < 1e-3 or large >= 1e6:
        power = math.floor(math.log10(large))
        mantissa = with_error(value / 10**power, error / 10**power)
        return f"{mantissa}e{power:+03d}"
    if exponent > 0:
        return f"{round(value / 10**exponent) * 10**exponent:.0f}({round(error / 10**exponent) * 10**exponent:.0f})"
    return f"{value:.{-small}f}({round(error / 10**exponent)})"
