"""Parses options of a family as typed after -O."""

from __future__ import annotations

from collections.abc import Sequence

from ncbench.errors import UsageError, did_you_mean
from ncbench.types import ModelRequest

NET_FORCE_REMOVAL = "net-force removal of direct forces: on or off (on)"
"""Meaning of the option ``net-force-removal``, for :attr:`ncbench.models.row.ModelRow.options`."""


def number(request: ModelRequest, key: str, default: float) -> float:
    """A number. Raises UsageError for anything else."""
    text = dict(request.options).get(key)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"The option {key}={text} is not a number.") from None


def whole_number(request: ModelRequest, key: str, default: int) -> int:
    """A whole number, which may be typed as 2 or 2.0. Raises UsageError for anything else, so that no charge of 0.6 becomes 0."""
    value = number(request, key, default)
    if value != round(value):
        raise UsageError(f"The option {key}={value:g} is not a whole number.")
    return round(value)


def refuse_unread(request: ModelRequest, keys: Sequence[str], label: str) -> None:
    """Raises UsageError where one of ``keys``, which this model does not read, was typed."""
    for key in keys:
        if key in dict(request.options):
            raise UsageError(f"{label} reads no {key}.", hint=f"Leave -O {key}=… out.")


def charge_and_spin(
    request: ModelRequest, label: str, *, reads: bool, spin: int = 1, least_spin: int = 1
) -> dict[str, int]:
    """The options ``charge`` (0) and ``spin`` (multiplicity, ``spin`` where none is typed) of a model that reads them; else nothing.

    Raises:
        UsageError: one of them is not a whole number, the multiplicity is below ``least_spin``, or it is typed for a model that reads neither.
    """
    if not reads:
        refuse_unread(request, ("charge", "spin"), label)
        return {}
    values = {"charge": whole_number(request, "charge", 0), "spin": whole_number(request, "spin", spin)}
    if values["spin"] < least_spin:
        raise UsageError(f"The option spin={values['spin']} is not a multiplicity 2S + 1: {least_spin} is the least.")
    return values


def choice(request: ModelRequest, key: str, choices: Sequence[str], default: str) -> str:
    """One of ``choices``. Raises UsageError for anything else."""
    text = dict(request.options).get(key, default)
    if text not in choices:
        raise UsageError(
            f"Unknown value in the option {key}={text}.",
            hint=did_you_mean(text, choices) or f"Choose one of: {', '.join(choices)}.",
        )
    return text
