"""Run a check's jobs and read its metrics."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ncbench
from ncbench.check import suite as suites
from ncbench.check.baseline import Baseline
from ncbench.check.metrics import measure
from ncbench.check.suite import Suite
from ncbench.run.elsewhere import Consent
from ncbench.run.local import run_jobs, validate_jobs
from ncbench.run.reporter import Reporter
from ncbench.store.store import Store
from ncbench.types import ModelRequest, Status, SystemRequest


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check measured."""

    measured: Baseline
    failures: tuple[str, ...]
    """Diagnostics that failed, a sentence each."""
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    """Rows by diagnostic."""


def run(
    model: ModelRequest,
    suite: Suite,
    store: Store,
    reporter: Reporter,
    *,
    consent: Consent,
    system: SystemRequest | None = None,
    seed: int = 0,
) -> Checked:
    """Run the suite on a model; jobs that the store holds finished are not repeated.

    Raises:
        UsageError: there is no such model or system.
        StoreError: the results folder cannot be used.
    """
    jobs = suites.jobs(model, suite, system=system, seed=seed)
    validate_jobs(jobs)
    rows = run_jobs(jobs, store, reporter, consent=consent).rows
    first = next(row for found in rows.values() for row in found)
    timing = next(iter(rows.get("timing", ())), {})
    conditions = {
        "ncbench": ncbench.__version__,
        "python": platform.python_version(),
        "dtype": str(first["dtype"]),
        "device": str(first["device"]),
        "machine": str(timing.get("machine") or ""),
        "threads": str(timing.get("threads") or ""),
    }
    return Checked(
        measured=Baseline(
            model=str(first["model"]),
            force_mode=str(first["force_mode"]),
            suite=str(suite),
            system=jobs[0].system.label,
            seed=seed,
            metrics=measure(rows),
            conditions=conditions,
        ),
        failures=tuple(failures(rows)),
        rows=rows,
    )


def failures(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What was not measured and should have been. What a model does not have (``unsupported``) is no failure, nor is an explosion,
    which is a result.
    """
    bad = (Status.FAILED, Status.INCOMPLETE)
    return [
        f"{name} {row['status']}: {row['reason']}"
        for name, found in rows.items()
        for row in found
        if row["status"] in bad
    ]
