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


def choice(request: ModelRequest, key: str, choices: Sequence[str], default: str) -> str:
    """One of ``choices``. Raises UsageError for anything else."""
    text = dict(request.options).get(key, default)
    if text not in choices:
        raise UsageError(
            f"Unknown value in the option {key}={text}.",
            hint=did_you_mean(text, choices) or f"Choose one of: {', '.join(choices)}.",
        )
    return text
