"""Run jobs one after another: in this process, or in the isolated environment that the model needs.

A failure of a job is a row with a status and a reason, and the next job runs. An error in the request itself (a model,
system, device or folder that does not exist) is detected before the first job runs.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncbench.diagnostics import registry
from ncbench.errors import UsageError
from ncbench.models.loading import check_device
from ncbench.models.registry import checkpoint_of, parse_request
from ncbench.run.cases import CaseLoader
from ncbench.run.elsewhere import Consent, allowed_by_variable, environment_or_here, in_groups
from ncbench.run.recorder import Recorder
from ncbench.run.reporter import Reporter
from ncbench.run.reuse import Reuse, is_reusable, threads_now
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.structures.load import validate_system
from ncbench.types import Job, Status, SystemRequest

REBUILD_SECONDS = 10.0


@dataclass
class Summary:
    """Results of the jobs."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Main rows of the requested jobs by command, whether run now or reused."""
    n_run: int = 0
    n_reused: int = 0

    @property
    def failed(self) -> bool:
        """Whether any row is neither ok nor exploded (an explosion is a result)."""
        good = (Status.OK, Status.EXPLODED)
        return any(row["status"] not in good for rows in self.rows.values() for row in rows)


def validate_jobs(jobs: Sequence[Job], given: Container[SystemRequest] = ()) -> None:
    """Refuse jobs that cannot run as requested; systems in ``given`` need no file.

    Raises:
        UsageError: nothing to run; or a model, mode, device, system or file that does not exist.
    """
    if not jobs:
        raise UsageError("There is nothing to run.")
    named = [model for job in jobs for model in (job.model, job.reference) if model is not None]
    for model in dict.fromkeys(named):
        parse_request(model)
        checkpoint_of(model)
        check_device(model.device)
    for system in dict.fromkeys(job.system for job in jobs if job.system not in given):
        validate_system(system)


def run_jobs(
    jobs: Sequence[Job],
    store: Store,
    reporter: Reporter,
    *,
    consent: Consent = allowed_by_variable,
    retries: int = 0,
    reuse: Reuse = Reuse.KNOWN,
    cases: CaseLoader | None = None,
) -> Summary:
    """Run the unfinished jobs; rows of finished jobs are reused as ``reuse`` allows. Jobs of the same environment and model run consecutively.

    ``consent`` is asked once, before anything runs, whether missing environments may be created. A job that fails unexpectedly
    is run again up to ``retries`` times before its failure is recorded.

    Raises:
        UsageError: the request is wrong (before anything runs).
        StoreError: the results folder cannot be used.
        KeyboardInterrupt: after the running job saved its checkpoint, its rows were recorded as incomplete, and the tables were updated.
    """
    loader = cases or CaseLoader()
    validate_jobs(jobs, loader.given)
    runner = _Runner(loader, Recorder(store, reporter, consent, retries=retries, reuse=reuse))
    try:
        runner.ask(jobs)
        for number, job in enumerate(in_groups(jobs), 1):
            reporter.begin(job, number, len(jobs))
            runner.run(job)
    finally:
        runner.recorder.close()
        runner.rebuild_tables()
    return runner.summary


class _Runner:
    def __init__(self, cases: CaseLoader, recorder: Recorder) -> None:
        self.store, self.reporter, self.recorder = recorder.store, recorder.reporter, recorder
        self.summary = Summary()
        self._cases = cases
        self._stale: dict[str, None] = {}
        self._last_rebuild = time.monotonic()

    def ask(self, jobs: Sequence[Job]) -> None:
        """Ask whether the environments that unfinished jobs need may be created."""
        wanted: dict[str, None] = {}
        elsewhere = self.recorder.elsewhere
        for job in jobs:
            environment = environment_or_here(job)
            if environment and environment not in wanted and not elsewhere.is_ready(environment):
                key = key_of(job, self._cases.of(job))
                if not is_reusable(self.recorder.reuse, job, self.store, key, threads=threads_now()):
                    wanted[environment] = None
        elsewhere.ask(list(wanted))

    def run(self, job: Job) -> None:
        cases = self._cases.of(job)
        self._stale[registry.get(job.diagnostic).name] = None
        # A wrong request is refused as long as nothing has run. If another process runs the job, this one waits: its
        # rows are then reused.
        recorded = self.recorder.run(job, cases, key_of(job, cases), may_refuse=not self.summary.rows, wait=True)
        assert recorded is not None
        if recorded.reused:
            self.summary.n_reused += 1
        else:
            self.summary.n_run += 1
        self.summary.rows.setdefault(job.diagnostic, []).extend(recorded.rows)
        self.reporter.end(job, recorded.rows, reused=recorded.reused)
        if time.monotonic() - self._last_rebuild > REBUILD_SECONDS:
            self.rebuild_tables()

    def rebuild_tables(self) -> None:
        for command in self._stale:
            self.store.rebuild_tables(command)
        self._stale.clear()
        self._last_rebuild = time.monotonic()
