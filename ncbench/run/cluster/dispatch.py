"""Sends jobs to the workers of a cluster and collects their rows into the same summary as the local runner."""

from __future__ import annotations

import queue
import secrets
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncbench.diagnostics import registry
from ncbench.errors import StoreError, UsageError
from ncbench.run.attempt import failed
from ncbench.run.cases import CaseLoader
from ncbench.run.cluster.connect import connected, scheduler_losses
from ncbench.run.cluster.reporting import BatchReporter
from ncbench.run.cluster.request import ClusterError, ClusterRequest, NoSchedulerError, TimeUpError
from ncbench.run.cluster.task import run_job
from ncbench.run.elsewhere import Consent, Elsewhere, allowed_by_variable, environment_or_here, in_groups
from ncbench.run.local import REBUILD_SECONDS, Summary, validate_jobs
from ncbench.run.messages import case_content, decode, encode, job_content
from ncbench.run.reuse import Reuse, is_reusable
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.types import Job

OUTSTANDING = 32
"""Jobs at the scheduler per worker: enough that none waits, few enough for a plan of 100,000 jobs."""
BUSY_SECONDS = 1.0
"""Time before a job held by another process is tried again, s."""
STOP_SECONDS = 20.0
"""Time that running jobs have to save their checkpoints, s."""
TICK_SECONDS = 0.2
LOST_SECONDS = 300.0
"""Time during which reconnection to a lost scheduler is tried, s."""


@dataclass(frozen=True)
class _Ready:
    job: Job
    key: str
    request: bytes


def run_jobs(
    jobs: Sequence[Job],
    store: Store,
    reporter: BatchReporter,
    request: ClusterRequest,
    *,
    consent: Consent = allowed_by_variable,
    retries: int = 0,
    max_hours: float | None = None,
    reuse: Reuse = Reuse.KNOWN,
) -> Summary:
    """Run the unfinished jobs on a cluster; see :func:`ncbench.run.local.run_jobs`.

    A job whose worker dies is resumed by another one from its checkpoint. Reconnection to a lost scheduler is tried.

    Raises:
        UsageError: the request is wrong (before anything runs).
        StoreError: the results folder cannot be used.
        ClusterError: there is no cluster, it cannot run the jobs, or the connection was lost permanently.
        TimeUpError: ``max_hours`` are over; running jobs saved their checkpoints.
        KeyboardInterrupt: running jobs saved their checkpoints.
    """
    validate_jobs(jobs)
    for job in jobs:
        if request.workers is not None and job.model.device.startswith("cuda:"):
            raise UsageError(
                f"--device {job.model.device} names a GPU, but each worker sees only its own.",
                hint="Write --device cuda.",
            )
    dispatch = _Dispatch(jobs, store, reporter, request, retries, max_hours, reuse)
    try:
        dispatch.make_environments(consent)
        lost: float | None = None
        while True:
            try:
                with connected(request, store.out) as client:
                    dispatch.run(client)
                break
            except _SchedulerLostError:
                lost = time.monotonic()
                reporter.note("the scheduler is gone; trying to reconnect")
            except NoSchedulerError:
                if lost is None:
                    raise
            if request.scheduler is None or time.monotonic() - lost > LOST_SECONDS:
                raise ClusterError(
                    "The scheduler is gone. What is finished is kept.", hint="Run the same command again."
                )
    finally:
        dispatch.rebuild_tables()
    return dispatch.summary


class _SchedulerLostError(Exception):
    """The connection to the scheduler ended."""


class _Dispatch:
    def __init__(
        self,
        jobs: Sequence[Job],
        store: Store,
        reporter: BatchReporter,
        request: ClusterRequest,
        retries: int,
        max_hours: float | None,
        reuse: Reuse,
    ) -> None:
        self.store, self.reporter, self.request, self.retries, self.reuse = store, reporter, request, retries, reuse
        self.summary = Summary()
        self.jobs = in_groups(jobs)
        self.left: deque[Job] = deque(self.jobs)
        self.again: list[tuple[float, Job]] = []
        """Jobs that other processes hold, and when to try them again."""
        self.running: dict[Any, _Ready] = {}
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.deadline = None if max_hours is None else time.monotonic() + 3600.0 * max_hours
        self.max_hours = max_hours
        self.stop = (store.jobs / f".stop-{secrets.token_hex(6)}").absolute()
        self._cases = CaseLoader()
        self._stale: dict[str, None] = {}
        self._last_rebuild = time.monotonic()
        self._finished = store.finished_keys()

    def make_environments(self, consent: Consent) -> None:
        """Ask for consent and create the environments that jobs need here, so that workers do not create them concurrently."""
        names = list(dict.fromkeys(name for job in self.jobs if (name := environment_or_here(job))))
        elsewhere = Elsewhere(self.reporter, consent)
        missing = [name for name in names if not elsewhere.is_ready(name)]
        elsewhere.ask(missing)
        for name in missing:
            elsewhere.make(name)

    def run(self, client: Any) -> None:
        self.running.clear()
        self.reporter.batch(len(self.jobs), len(self.jobs) - len(self.left) - len(self.again))
        try:
            with scheduler_losses():
                self._loop(client)
        except NoSchedulerError:
            self._put_back()
            raise _SchedulerLostError from None
        except KeyboardInterrupt:
            self._end(client)
            raise
        except TimeUpError:
            self._end(client)
            raise
        finally:
            # Rows of stopped jobs are in the store, and must be in the tables.
            self._stale |= dict.fromkeys(registry.get(job.diagnostic).name for job in self.jobs)
            self.stop.unlink(missing_ok=True)

    def _loop(self, client: Any) -> None:
        while self.left or self.again or self.running:
            if self.deadline is not None and time.monotonic() > self.deadline:
                finished = self.summary.n_run + self.summary.n_reused
                raise TimeUpError(
                    f"{self.max_hours:g} h are over: {finished} of {len(self.jobs)} jobs are finished.",
                    hint="Run the same command again to continue.",
                )
            if client.status != "running":
                self._put_back()
                raise _SchedulerLostError
            self._feed(client)
            try:
                future = self.done.get(timeout=TICK_SECONDS)
            except queue.Empty:
                continue
            self._collect(client, future)
            if time.monotonic() - self._last_rebuild > REBUILD_SECONDS:
                self.rebuild_tables()

    def _feed(self, client: Any) -> None:
        """Submit as many jobs as the workers need soon."""
        now = time.monotonic()
        self.left.extendleft(job for when, job in self.again if when <= now)
        self.again = [(when, job) for when, job in self.again if when > now]
        most = OUTSTANDING * max(1, len(_workers(client))) if self.left else 0
        while self.left and len(self.running) < most:
            job = self.left.popleft()
            cases = self._cases.of(job)
            key = key_of(job, cases)
            # The index is fast; the files are opened to be sure.
            if key in self._finished and is_reusable(self.reuse, job, self.store, key, threads=self.request.threads):
                self._record(job, self.store.rows(key), 0.0, reused=True)
                continue
            resources = self._resources(client, job)
            content = encode(
                "run",
                job=job_content(job),
                cases=[case_content(case) for case in cases],
                key=key,
                out=str(self.store.out.absolute()),
                stop=str(self.stop),
                retries=self.retries,
                reuse=str(self.reuse),
                threads=self.request.threads,
                command_line=[Path(sys.argv[0]).name, *sys.argv[1:]],
            )
            future = client.submit(
                run_job, content, key=f"{key}-{secrets.token_hex(3)}", pure=False, resources=resources or None
            )
            self.running[future] = _Ready(job, key, content)
            future.add_done_callback(self.done.put)

    def _resources(self, client: Any, job: Job) -> dict[str, float]:
        """The worker resources that the job needs.

        Raises:
            ClusterError: no worker offers them.
        """
        wanted = job.resources.needs(job.model.device)
        offered = [worker.get("resources", {}) for worker in _workers(client)]
        # A worker that does not declare its memory is assumed to have enough.
        if "memory" in wanted and not any("memory" in one for one in offered):
            wanted.pop("memory")
        if (
            wanted
            and offered
            and not any(all(one.get(name, 0) >= least for name, least in wanted.items()) for one in offered)
        ):
            words = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items())
            raise ClusterError(
                f"No worker offers what {job.diagnostic} of {job.model.spec} needs: {words}.",
                hint="Start workers with, say, `dask worker --resources GPU=1`, or ask for less in the suite.",
            )
        return wanted

    def _collect(self, client: Any, future: Any) -> None:
        from distributed import KilledWorker

        ready = self.running.pop(future, None)
        if ready is None:
            return
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                self._lost(ready)
                return
            raise error
        if future.status != "finished":
            # Cancelled: the worker that ran it is gone.
            self.left.appendleft(ready.job)
            return
        answer = decode(future.result())
        match answer["kind"]:
            case "recorded":
                self._record(ready.job, answer["rows"], answer["seconds"], reused=answer["reused"])
            case "busy":
                self.again.append((time.monotonic() + BUSY_SECONDS, ready.job))
            case "refused":
                raise StoreError(answer["message"], hint=answer["hint"])
            case "stopped":
                self.left.append(ready.job)

    def _lost(self, ready: _Ready) -> None:
        """A job during which several workers died is a failed job."""
        job, cases = ready.job, self._cases.of(ready.job)
        reason = "Several workers died while they ran this job, for example because memory ran out."
        with self.store.claim(ready.key, wait=True):
            if is_reusable(self.reuse, job, self.store, ready.key, threads=self.request.threads):
                self._record(job, self.store.rows(ready.key), 0.0, reused=True)
                return
            attempt = failed(job, cases, reason)
            rows = self.store.record(
                ready.key, registry.get(job.diagnostic), attempt.common, attempt.outcome, attempt.provenance
            )
        self._record(job, rows, 0.0, reused=False)

    def _record(self, job: Job, rows: list[dict[str, Any]], seconds: float, *, reused: bool) -> None:
        if reused:
            self.summary.n_reused += 1
        else:
            self.summary.n_run += 1
        self.summary.rows.setdefault(job.diagnostic, []).extend(rows)
        self._stale[registry.get(job.diagnostic).name] = None
        self.reporter.finished(job, rows, seconds, reused=reused)

    def _put_back(self) -> None:
        self.left.extendleft(reversed([ready.job for ready in self.running.values()]))
        self.running.clear()

    def _end(self, client: Any) -> None:
        """Let running jobs save their checkpoints, and cancel the others."""
        self.stop.write_bytes(b"")
        self.reporter.note("stopping; running jobs save their checkpoints")
        until = time.monotonic() + STOP_SECONDS
        # A task that has not started detects the file and returns; tasks are not cancelled, since a cancelled one would continue unobserved.
        while self.running and time.monotonic() < until and client.status == "running":
            try:
                self._collect(client, self.done.get(timeout=TICK_SECONDS))
            except queue.Empty:
                continue

    def rebuild_tables(self) -> None:
        for command in self._stale:
            self.store.rebuild_tables(command)
        self._stale.clear()
        self._last_rebuild = time.monotonic()


def _workers(client: Any) -> list[dict[str, Any]]:
    """The scheduler's information on its workers; none while the connection is lost."""
    return list(client.scheduler_info(n_workers=-1).get("workers", {}).values())
