"""How far a results folder is: what is finished, what failed, what runs, what is begun and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Case
from ncbench.results.keys import job_key
from ncbench.results.store import Store
from ncbench.runner.job import Job
from ncbench.structures.load import load_cases


class JobState(StrEnum):
    """Of one job."""

    FINISHED = "finished"
    FAILED = "failed"
    """Recorded, with rows that another attempt may mend."""
    RUNNING = "running"
    """Some process holds it now."""
    BEGUN = "begun"
    """A checkpoint waits for whoever goes on."""
    MISSING = "missing"


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
    """A job and where it stands."""

    key: str
    diagnostic: str
    model: str
    """As typed; empty where only the folder is known and nothing is recorded."""
    system: str
    state: JobState


def of_jobs(jobs: Sequence[Job], store: Store) -> list[JobStatus]:
    """Every job of a suite.

    Raises:
        DataError: structures that are not to be had.
    """
    found = []
    for job in jobs:
        key = key_of(job, load_cases(job.system, job.default_structures, job.seed))
        found.append(JobStatus(key, job.diagnostic, job.model.spec, job.system.label, state_of(key, store)))
    return found


def of_folder(store: Store) -> list[JobStatus]:
    """Every job that the folder knows of."""
    found = []
    for folder in sorted(path for path in store.jobs.iterdir() if path.is_dir()):
        key = folder.name
        rows = store.rows(key)
        stored = store.load(key)
        first = rows[0] if rows else {}
        model = ":".join(str(first[name]) for name in ("model", "force_mode") if first.get(name))
        diagnostic = stored.diagnostic if stored is not None else ""
        found.append(JobStatus(key, diagnostic, model, str(first.get("system", "")), state_of(key, store)))
    return found


def state_of(key: str, store: Store) -> JobState:
    """Where a job stands."""
    folder = store.folder(key)
    if not folder.is_dir():
        return JobState.MISSING
    if store.is_finished(key):
        return JobState.FINISHED
    with store.claim(key) as held:
        if not held:
            return JobState.RUNNING
    if store.load(key) is not None:
        return JobState.FAILED
    return JobState.BEGUN if (folder / "checkpoint.bin").is_file() else JobState.MISSING


def counted(statuses: Sequence[JobStatus]) -> dict[str, dict[str, int]]:
    """Jobs by diagnostic and state."""
    names = list(dict.fromkeys(one.diagnostic for one in statuses))
    return {name: dict(Counter(str(one.state) for one in statuses if one.diagnostic == name)) for name in names}
