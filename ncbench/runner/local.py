"""Run jobs one after another: in this process, or in the isolated environment that the model needs.

A failure of a job is a row with a status and a reason, and the next job goes on. What is wrong with the request itself (a model,
system, device or folder that is not there) is found before the first job runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Case, Diagnostic
from ncbench.errors import UnsupportedError, UsageError
from ncbench.forcefields.loading import check_device
from ncbench.forcefields.registry import checkpoint_of, parse_spec
from ncbench.results.schema import Status
from ncbench.results.store import Store
from ncbench.runner.attempt import Attempt, Attempter, failed
from ncbench.runner.elsewhere import (
    Consent,
    Elsewhere,
    allowed_by_variable,
    environment_of,
    environment_or_here,
    in_groups,
)
from ncbench.runner.job import Job
from ncbench.runner.reporter import Reporter
from ncbench.runner.status import key_of
from ncbench.structures.load import load_cases, validate_system

REBUILD_SECONDS = 10.0


@dataclass
class Summary:
    """What became of the jobs."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Main rows of the jobs asked for, by command, whether run now or found finished."""
    n_run: int = 0
    n_reused: int = 0

    @property
    def failed(self) -> bool:
        """Some row is neither ok nor exploded, which is a result too."""
        good = (Status.OK, Status.EXPLODED)
        return any(row["status"] not in good for rows in self.rows.values() for row in rows)


def validate_jobs(jobs: Sequence[Job]) -> None:
    """Refuse what cannot run as typed.

    Raises:
        UsageError: nothing to run; or a model, mode, device, system or file that is not there.
    """
    if not jobs:
        raise UsageError("There is nothing to run.")
    named = [model for job in jobs for model in (job.model, job.reference) if model is not None]
    for model in dict.fromkeys(named):
        parse_spec(model.spec)
        checkpoint_of(model)
        check_device(model.device)
    for system in dict.fromkeys(job.system for job in jobs):
        validate_system(system)


def run_jobs(
    jobs: Sequence[Job], store: Store, reporter: Reporter, *, consent: Consent = allowed_by_variable
) -> Summary:
    """Run what is not finished; rows of finished jobs are reused. Jobs of one environment and model run one after another.

    ``consent`` is asked once, before anything runs, whether environments that are missing may be made.

    Raises:
        UsageError: the request is wrong (before anything runs).
        StoreError: the results folder cannot be used.
        KeyboardInterrupt: after the running job kept its checkpoint, its rows are recorded as incomplete, and the tables were made.
    """
    validate_jobs(jobs)
    runner = _Runner(store, reporter, consent)
    try:
        runner.ask(jobs)
        for number, job in enumerate(in_groups(jobs), 1):
            reporter.begin(job, number, len(jobs))
            runner.run(job)
    finally:
        runner.elsewhere.close()
        runner.rebuild_tables()
    return runner.summary


class _Runner:
    def __init__(self, store: Store, reporter: Reporter, consent: Consent) -> None:
        self.store, self.reporter = store, reporter
        self.summary = Summary()
        self.here = Attempter()
        self.elsewhere = Elsewhere(reporter, consent)
        self._cases: dict[Any, list[Case]] = {}
        self._stale: dict[str, None] = {}
        self._last_rebuild = time.monotonic()

    def ask(self, jobs: Sequence[Job]) -> None:
        """May the environments be made that unfinished jobs need?"""
        wanted: dict[str, None] = {}
        for job in jobs:
            environment = environment_or_here(job)
            if environment and environment not in wanted and not self.elsewhere.is_ready(environment):
                key = key_of(job, self._load_cases(job))
                if not self.store.is_finished(key):
                    wanted[environment] = None
        self.elsewhere.ask(list(wanted))

    def run(self, job: Job) -> None:
        diagnostic = registry.get(job.diagnostic)
        cases = self._load_cases(job)
        key = key_of(job, cases)
        self._stale[diagnostic.name] = None
        # A job that another process works on is waited for: its rows are then reused.
        with self.store.claim(key, wait=True):
            reused = self.store.is_finished(key)
            rows = self.store.rows(key) if reused else self._run_now(job, diagnostic, cases, key)
        if reused:
            self.summary.n_reused += 1
        else:
            self.summary.n_run += 1
        self.summary.rows.setdefault(job.diagnostic, []).extend(rows)
        self.reporter.end(job, rows, reused=reused)
        if time.monotonic() - self._last_rebuild > REBUILD_SECONDS:
            self.rebuild_tables()

    def _run_now(self, job: Job, diagnostic: Diagnostic, cases: Sequence[Case], key: str) -> list[dict[str, Any]]:
        attempt = self._attempt(job, cases, key)
        if attempt.traceback:
            log = self.store.write_log(key, attempt.traceback)
            for row in attempt.outcome.rows:
                row["reason"] = f"{row['reason']} (see {log})"
        # What was typed, wherever it ran.
        attempt.provenance["command_line"] = [Path(sys.argv[0]).name, *sys.argv[1:]]
        rows = self.store.record(key, diagnostic, attempt.common, attempt.outcome, attempt.provenance)
        if attempt.interrupted:
            raise KeyboardInterrupt
        return rows

    def _attempt(self, job: Job, cases: Sequence[Case], key: str) -> Attempt:
        # Refused like any other wrong request as long as nothing has run.
        may_refuse = not self.summary.rows
        checkpoint = self.store.checkpoint(key)
        try:
            environment = environment_of(job)
        except UnsupportedError as error:
            return failed(job, cases, str(error), Status.UNSUPPORTED)
        if not environment:
            return self.here.run(
                job,
                cases,
                progress=self.reporter,
                checkpoint=checkpoint,
                may_refuse=may_refuse,
                files=self.store.folder(key),
            )
        self.here.forget()
        return self.elsewhere.run(environment, job, cases, checkpoint=checkpoint.path, may_refuse=may_refuse)

    def rebuild_tables(self) -> None:
        for command in self._stale:
            self.store.rebuild_tables(command)
        self._stale.clear()
        self._last_rebuild = time.monotonic()

    def _load_cases(self, job: Job) -> list[Case]:
        wanted = (job.system, job.default_structures, job.seed)
        if wanted not in self._cases:
            self._cases[wanted] = load_cases(job.system, job.default_structures, job.seed)
        return [Case(case.name, case.atoms.copy()) for case in self._cases[wanted]]
