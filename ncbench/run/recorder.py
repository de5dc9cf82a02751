"""Runs and records one job, from its lock to its rows; used by all runners, local or on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncbench.diagnostics import registry
from ncbench.errors import UnsupportedError
from ncbench.run.attempt import Attempt, Attempter, failed
from ncbench.run.crash_message import CrashMessage
from ncbench.run.elsewhere import Consent, Elsewhere, allowed_by_variable, environment_of
from ncbench.run.reporter import Reporter
from ncbench.run.reuse import Reuse, is_reusable, threads_now
from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.resumes import MOST_DEATHS, Resumes
from ncbench.store.store import Store
from ncbench.types import Case, Job, Status


@dataclass(frozen=True)
class Recorded:
    """A job's record in the store."""

    rows: list[dict[str, Any]]
    """Rows of the main table."""
    reused: bool
    """Whether it was already finished."""


class Recorder:
    """Runs jobs into a store, in this process or in the environment that the model needs; keeps the last model and worker for the next job."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        consent: Consent = allowed_by_variable,
        *,
        retries: int = 0,
        reuse: Reuse = Reuse.KNOWN,
        command_line: Sequence[str] | None = None,
    ) -> None:
        """``command_line`` is recorded in the provenance; by default that of this process."""
        self.store, self.reporter, self.retries, self.reuse = store, reporter, retries, reuse
        self.command_line = list(command_line or [Path(sys.argv[0]).name, *sys.argv[1:]])
        self.here = Attempter()
        self.elsewhere = Elsewhere(reporter, consent)
        self._crash_message = CrashMessage()

    def run(self, job: Job, cases: Sequence[Case], key: str, *, may_refuse: bool, wait: bool) -> Recorded | None:
        """Run a job whose result cannot be reused, and record it. ``None`` if another process holds it and ``wait`` is false.

        Raises:
            UsageError: only with ``may_refuse``: the request is wrong.
            StoreError: the results folder cannot be used.
            KeyboardInterrupt: after the job saved its checkpoint and its rows were recorded as incomplete.
        """
        with self.store.claim(key, wait=wait) as held:
            if not held:
                return None
            if is_reusable(self.reuse, job, self.store, key, threads=threads_now(), note=self.reporter.note):
                return Recorded(self.store.rows(key), reused=True)
            if self.reuse is Reuse.NEVER:
                # An interrupted check may have used other weights under the same name.
                checkpoint = self.store.checkpoint(key)
                checkpoint.clear()
                Resumes(checkpoint).end()
            return Recorded(self._run_now(job, cases, key, may_refuse=may_refuse), reused=False)

    def close(self) -> None:
        """Stop the processes that share batches, the worker of another environment, and the process that reports crashes."""
        self.here.close()
        self.elsewhere.close()
        self._crash_message.close()

    def _run_now(self, job: Job, cases: Sequence[Case], key: str, *, may_refuse: bool) -> list[dict[str, Any]]:
        attempt = self._attempt(job, cases, key, may_refuse=may_refuse)
        for number in range(1, self.retries + 1):
            if not attempt.traceback or attempt.interrupted:
                break
            self.reporter.note(f"{job.diagnostic} of {job.model.spec} failed; attempt {number + 1}")
            attempt = self._attempt(job, cases, key, may_refuse=False)
        if attempt.traceback:
            log = self.store.write_log(key, attempt.traceback)
            for row in attempt.outcome.rows:
                row["reason"] = f"{row['reason']} (see {log})"
        # The typed command, also for jobs run elsewhere.
        attempt.provenance["command_line"] = self.command_line
        rows = self.store.record(key, registry.get(job.diagnostic), attempt.common, attempt.outcome, attempt.provenance)
        if attempt.interrupted:
            raise KeyboardInterrupt
        return rows

    def _attempt(self, job: Job, cases: Sequence[Case], key: str, *, may_refuse: bool) -> Attempt:
        checkpoint = self.store.checkpoint(key)
        try:
            environment = environment_of(job)
        except UnsupportedError as error:
            return failed(job, cases, str(error), Status.UNSUPPORTED)
        resumes = Resumes(checkpoint)
        if resumes.is_given_up():
            reason = (
                f"Its process crashed in {MOST_DEATHS} attempts (a fault in the model's native code, see {resumes.crash_log}), so it was not tried "
                f"again. Remove {resumes.path} and {resumes.crash_log.name} to try again."
            )
            return failed(job, cases, reason)
        if resumes.begin():
            self.reporter.note(
                f"{job.diagnostic} of {job.model.spec} starts from the beginning: its process died whenever it resumed"
            )
        self._crash_message.expect(resumes.crash_log, _crashed(job, resumes))
        ended_well = False
        try:
            with resumes.watched():
                attempt = self._in_its_environment(environment, job, cases, key, checkpoint, may_refuse=may_refuse)
            # A died process of another environment leaves a traceback; a failure in this process has already dropped the checkpoint.
            ended_well = not attempt.traceback
        finally:
            # Without a checkpoint, only the survival of the process is relevant.
            if ended_well or not checkpoint.path.exists():
                resumes.end()
        return attempt

    def _in_its_environment(
        self,
        environment: str | None,
        job: Job,
        cases: Sequence[Case],
        key: str,
        checkpoint: FileCheckpoint,
        *,
        may_refuse: bool,
    ) -> Attempt:
        if environment:
            self.here.forget()
            return self.elsewhere.run(environment, job, cases, checkpoint=checkpoint.path, may_refuse=may_refuse)
        return self.here.run(
            job,
            cases,
            progress=self.reporter,
            checkpoint=checkpoint,
            may_refuse=may_refuse,
            files=self.store.folder(key),
        )


def _crashed(job: Job, resumes: Resumes) -> str:
    """What is printed if the process crashes in the attempt that begins."""
    number = resumes.crashes + 1
    again = "it is tried once more" if number < MOST_DEATHS else "it is then recorded as failed, and the other jobs run"
    if resumes.checkpoint.path.exists():
        again = "it resumes"
    return (
        f"{job.diagnostic} of {job.model.spec}: a fault in the model's native code ended the program (crash {number} of this job; see {resumes.crash_log}). "
        f"Run the same command again: {again}."
    )
