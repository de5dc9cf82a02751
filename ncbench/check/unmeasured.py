"""Metrics without a value, each with the reason; and a declared force mode that the measurement contradicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ncbench.check.metrics import BY_NAME, METRICS, Measured
from ncbench.statistics.format import with_error
from ncbench.types import ForceMode, Status

Rows = Sequence[Mapping[str, Any]]

NOT_IN_SUITE = "left out of the quick suite where structures are given; --suite full measures it"
NO_SUCH_QUANTITY = "the model or the structure has no such quantity"
FAILED = (Status.FAILED, Status.INCOMPLETE)


def unmeasured(rows: Mapping[str, Rows], measured: Mapping[str, Measured]) -> dict[str, str]:
    """Reason by name of every metric that has no value, except those of failed diagnostics, which are reported as failures.

    Args:
        rows: main rows by diagnostic.
        measured: metrics with a value.
    """
    reasons: dict[str, str] = {}
    for metric in METRICS:
        if metric.name in measured:
            continue
        own = rows.get(metric.source, ())
        if not own:
            reasons[metric.name] = NOT_IN_SUITE
        elif refused := [row for row in own if row["status"] == Status.UNSUPPORTED]:
            reasons[metric.name] = str(refused[0]["reason"])
        elif not any(row["status"] in FAILED for row in own):
            reasons[metric.name] = metric.absent or NO_SUCH_QUANTITY
    return reasons


def refused(reasons: Mapping[str, str]) -> list[str]:
    """Metrics that the model or the structure refused, such as a drift with constraints; not those that do not exist for it or are not in the suite.

    Args:
        reasons: by name of each metric without a value (:func:`unmeasured`).
    """
    expected = (NOT_IN_SUITE, NO_SUCH_QUANTITY)
    return [name for name, reason in reasons.items() if reason not in (*expected, BY_NAME[name].absent)]


def contradictions(rows: Mapping[str, Rows]) -> list[str]:
    """One sentence where forces declared conservative are resolved to be no gradient of an energy (λ above its floor by three standard errors)."""
    wrong = [
        row
        for row in rows.get("lambda", ())
        if row["force_mode"] == ForceMode.CONSERVATIVE and row["status"] == Status.OK and row["above_floor"]
    ]
    if not wrong:
        return []
    values = ", ".join(f"{with_error(row['lambda'], row['lambda_se'] or 0.0)} ({row['structure']})" for row in wrong)
    return [f"declared conservative, but the forces are not the gradient of an energy: lambda = {values}"]


def lines(reasons: Mapping[str, str]) -> list[str]:
    """``not measured: NAME, NAME: REASON``, metrics of one reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"not measured: {', '.join(of_reason)}: {reason.rstrip('.')}." for reason, of_reason in names.items()]
