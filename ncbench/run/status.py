"""Status of a results folder: finished, failed, running, started and missing jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncbench.diagnostics import registry
from ncbench.store.keys import job_key
from ncbench.store.view import View
from ncbench.structures.load import load_cases
from ncbench.types import Case, Job, SystemRequest


class JobState(StrEnum):
    """Status of one job."""

    FINISHED = "finished"
    FAILED = "failed"
    """Recorded, with rows that another attempt may replace."""
    RUNNING = "running"
    """A process holds it."""
    BEGUN = "begun"
    """There is a checkpoint to resume from."""
    MISSING = "missing"
    OUTDATED = "outdated"
    """Recorded by another version of its diagnostic: kept in ``jobs/``, but not in the tables."""


def key_of(job: Job, cases: Sequence[Case]) -> str:
    """The content key of a job on its structures."""
    diagnostic = registry.get(job.diagnostic)
    return job_key(
        diagnostic=diagnostic.name,
        version=diagnostic.version,
        model=job.model,
        system=job.system.label,
        structures=[(case.name, case.atoms) for case in cases],
        settings=job.settings,
        seed=job.seed,
        reference=job.reference,
    )


@dataclass(frozen=True)
class JobStatus:
    """A job and its status."""

    key: str
    diagnostic: str
    model: str
    """As typed; empty if only the folder is known and nothing is recorded."""
    system: str
    state: JobState


def of_jobs(jobs: Sequence[Job], view: View) -> list[JobStatus]:
    """Every job of a suite.

    Raises:
        DataError: structures that are not available.
        StoreError: a job's lock cannot be opened.
    """
    # Jobs that differ by model or settings share their structures, which are loaded once and released.
    sharing: dict[tuple[SystemRequest, int, int], list[int]] = {}
    for place, job in enumerate(jobs):
        sharing.setdefault((job.system, job.default_structures, job.seed), []).append(place)
    states: dict[int, JobStatus] = {}
    for wanted, places in sharing.items():
        cases = load_cases(*wanted)
        for place in places:
            job = jobs[place]
            key = key_of(job, cases)
            states[place] = JobStatus(key, job.diagnostic, job.model.spec, job.system.label, state_of(key, view))
    return [states[place] for place in range(len(jobs))]


def of_folder(view: View) -> list[JobStatus]:
    """Every job in the folder, by key.

    Raises:
        StoreError: a job's lock cannot be opened.
    """
    names = {entry.diagnostic for entry in view.recorded.values()} & registry.diagnostics().keys()
    today = {name: registry.get(name).version for name in names}
    states = []
    for key in sorted(view.folders):
        entry = view.recorded.get(key)
        if entry is None:
            states.append(JobStatus(key, "", "", "", state_of(key, view)))
            continue
        state = JobState.FINISHED if entry.finished else state_of(key, view)
        if entry.version != today.get(entry.diagnostic, entry.version):
            state = JobState.OUTDATED
        states.append(JobStatus(key, entry.diagnostic, entry.model, entry.system, state))
    return states


def state_of(key: str, view: View) -> JobState:
    """The status of a job. For a finished one the index is trusted; the next run checks its files.

    Raises:
        StoreError: the job's lock cannot be opened.
    """
    if key not in view.folders:
        return JobState.MISSING
    entry = view.recorded.get(key)
    if entry is not None and entry.finished:
        return JobState.FINISHED
    if view.is_running(key):
        return JobState.RUNNING
    if entry is not None:
        return JobState.FAILED
    return JobState.BEGUN if view.has_checkpoint(key) else JobState.MISSING


def counted(statuses: Sequence[JobStatus]) -> dict[str, dict[str, int]]:
    """Jobs by diagnostic and state."""
    counts: dict[str, Counter[str]] = {}
    for one in statuses:
        counts.setdefault(one.diagnostic, Counter())[str(one.state)] += 1
    return {name: dict(states) for name, states in counts.items()}
