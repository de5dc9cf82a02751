"""Run a check's jobs and read its metrics."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ncbench
from ncbench.check import judge, limits
from ncbench.check import suite as suites
from ncbench.check.baseline import Baseline
from ncbench.check.judge import Finding
from ncbench.check.limits import Limit
from ncbench.check.metrics import Measured, measure
from ncbench.check.outputs import CheckResult
from ncbench.check.suite import Suite
from ncbench.check.unmeasured import NO_SUCH_QUANTITY, NOT_IN_SUITE, contradictions, unmeasured
from ncbench.errors import UsageError
from ncbench.run.cases import CaseLoader
from ncbench.run.elsewhere import Consent
from ncbench.run.local import run_jobs, validate_jobs
from ncbench.run.reporter import Reporter
from ncbench.run.reuse import Reuse
from ncbench.store.store import Store
from ncbench.structures.hashing import content_hash
from ncbench.types import Case, ModelRequest, Status, SystemRequest


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Measurements of a check."""

    measured: Baseline
    failures: tuple[str, ...]
    """One sentence per failed diagnostic."""
    contradictions: tuple[str, ...]
    """One sentence where the measurement contradicts the declared force mode."""
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
    baseline: Baseline | None = None,
    cases: Mapping[SystemRequest, Sequence[Case]] | None = None,
) -> Checked:
    """Run the suite on a model, without reusing stored results.

    With a ``baseline``, on its structures: ``system`` is to be left out, or must give the same ones. ``cases`` are the structures of requests
    that are in memory.

    Raises:
        UsageError: there is no such model or system, or its structures are not the baseline's.
        StoreError: the results folder cannot be used.
    """
    given: dict[SystemRequest, Sequence[Case]] = dict(cases or {})
    if baseline is not None and system is None:
        system = baseline.request
        if system is not None and baseline.cases:
            given[system] = baseline.cases
    jobs = suites.jobs(model, suite, system=system, seed=seed)
    loader = CaseLoader(given)
    validate_jobs(jobs, given)
    measured_on = {case.name: case for job in jobs for case in loader.of(job)}
    digests = {name: content_hash(case.atoms) for name, case in measured_on.items()}
    if baseline is not None:
        _refuse_other_structures(baseline, digests, system=jobs[0].system.label, seed=seed)
    rows = run_jobs(jobs, store, reporter, consent=consent, reuse=Reuse.NEVER, cases=loader).rows
    first = next(row for diagnostic_rows in rows.values() for row in diagnostic_rows)
    timing = next(iter(rows.get("timing", ())), {})
    metrics = measure(rows)
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
            force_mode=str(first["force_mode"] or ""),
            suite=str(suite),
            system=jobs[0].system.label,
            seed=seed,
            structures=digests,
            request=system,
            cases=tuple(measured_on.values()) if system is not None and system.path is not None else (),
            metrics=metrics,
            unmeasured=unmeasured(rows, metrics),
            conditions=conditions,
        ),
        failures=tuple(failures(rows) or nothing_measured(metrics, unmeasured(rows, metrics))),
        contradictions=tuple(contradictions(rows)),
        rows=rows,
    )


def require_same_suite(baseline: Baseline, requested: str | None) -> None:
    """Numbers of different suites cannot be compared.

    Raises:
        UsageError: the baseline is of another suite than the requested one.
    """
    if requested is not None and requested != baseline.suite:
        raise UsageError(
            f"The baseline is of suite {baseline.suite}, but --suite {requested} was given.", hint="Leave --suite out."
        )


def result_of(checked: Checked, baseline: Baseline | None, bounds: Sequence[Limit], *, strict: bool) -> CheckResult:
    """The measurements judged against a baseline and limits.

    Args:
        checked: what was measured.
        baseline: compared with; ``None`` for limits alone.
        bounds: limits that must hold.
        strict: what is undecided or not measured fails too.
    """
    findings: Sequence[Finding] = ()
    if baseline is not None:
        paired = checked.measured.comparable(baseline)
        findings = judge.compare(checked.measured.metrics, baseline.metrics, paired=paired)
    return CheckResult(
        new=checked.measured,
        old=baseline,
        findings=tuple(findings),
        limits=tuple(limits.judge(list(bounds), checked.measured.metrics)),
        failures=checked.failures,
        contradictions=checked.contradictions,
        strict=strict,
    )


def _refuse_other_structures(baseline: Baseline, digests: Mapping[str, str], *, system: str, seed: int) -> None:
    """Numbers of different structures cannot be compared.

    Another seed may draw other displacements or frames of the same named system, which is no mismatch: such metrics are compared
    by the errors that hold between seeds.

    Raises:
        UsageError: the structures are not the baseline's.
    """
    by_seed = baseline.seed != seed and not baseline.cases
    # A part of the suite needs a part of the structures.
    if system == baseline.system and (by_seed or digests.items() <= baseline.structures.items()):
        return
    if system != baseline.system:
        what = f"The baseline is of {baseline.system}, but {system} was requested."
    else:
        changed = [name for name, digest in digests.items() if baseline.structures.get(name) != digest]
        what = f"The structures of {system} are not the baseline's ({', '.join(changed)})."
    raise UsageError(what, hint="Leave --system and --structure out: the baseline's own structures are taken.")


def nothing_measured(metrics: Mapping[str, Measured], reasons: Mapping[str, str]) -> list[str]:
    """A sentence where no metric at all has a value, such as for a model that refuses the structure: a check of nothing is no pass."""
    if metrics:
        return []
    refused = [reason for reason in reasons.values() if reason not in (NOT_IN_SUITE, NO_SUCH_QUANTITY)]
    return [f"all metrics: {(refused or list(reasons.values()) or ['the suite has no metric'])[0].rstrip('.')}"]


def failures(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What was not measured and should have been. What a model does not have (``unsupported``) is no failure, nor is an explosion,
    which is a result.
    """
    bad = (Status.FAILED, Status.INCOMPLETE)
    # One cause, such as a model that cannot be loaded, fails every diagnostic and is reported once.
    names: dict[tuple[str, str], dict[str, None]] = {}
    for name, diagnostic_rows in rows.items():
        for row in diagnostic_rows:
            if row["status"] in bad:
                reason = str(row["reason"]).partition(" (see ")[0]
                names.setdefault((str(row["status"]), reason), {})[name] = None
    return [f"{', '.join(failed)} {status}: {reason}" for (status, reason), failed in names.items()]
