"""Estimated times of jobs: the time of a force call of each model, measured on a small and a large structure, times the calls of each job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncbench.diagnostics import registry
from ncbench.diagnostics.timing import TimingSettings
from ncbench.paper.reproduce.cost import force_calls
from ncbench.run.elsewhere import Consent
from ncbench.run.local import run_jobs
from ncbench.run.reporter import Reporter
from ncbench.store.store import Store
from ncbench.types import Job, SystemRequest

FOLDER = "calibration"
"""Folder of the measured force calls, separate from the results: they are estimates only."""
PROBE = TimingSettings(path="adapter", repeats=3, steps=1, warmup_steps=1)
OVERHEAD_S = 0.5
"""Overhead of a job for structures, checks and files, s."""


@dataclass(frozen=True)
class CallTime:
    """Seconds of a force call, ``at_rest + per_atom · N``."""

    at_rest: float
    per_atom: float

    def seconds(self, n_atoms: int) -> float:
        """For a structure with this number of atoms."""
        return self.at_rest + self.per_atom * n_atoms


@dataclass(frozen=True)
class Estimate:
    """Seconds per unfinished job; ``None`` if the model's force call could not be measured."""

    seconds: Mapping[Job, float | None]

    def total(self, jobs: Sequence[Job]) -> float:
        """Total for these jobs; finished and unknown ones count as zero."""
        return sum(self.seconds.get(job) or 0.0 for job in jobs)


def estimate(
    jobs: Sequence[Job], sizes: Mapping[Job, Sequence[int]], out: Path, reporter: Reporter, *, consent: Consent
) -> Estimate:
    """Measure force calls and count them.

    Args:
        jobs: the unfinished jobs.
        sizes: atoms of each structure of each job.
        out: results folder; measurements are stored in ``out/calibration`` and reused.
        reporter: receives the progress of the measurements.
        consent: asked before environments are created that a measurement needs.

    Raises:
        UsageError, StoreError: see :func:`ncbench.run.local.run_jobs`.
    """
    times: dict[str, CallTime | None] = {}
    store = Store(out / FOLDER) if jobs else None
    for job in _one_of_each_model(jobs):
        assert store is not None
        rows = run_jobs(_probes(job, sizes), store, reporter, consent=consent).rows["timing"]
        timings = [(int(row["n_atoms"]), float(row["ms_per_step"]) / 1000.0) for row in rows if row["status"] == "ok"]
        times[_model(job)] = _fit(timings)
    return Estimate({job: _seconds(job, sizes[job], times.get(_model(job))) for job in jobs})


def _model(job: Job) -> str:
    return job.model.spec


def _one_of_each_model(jobs: Sequence[Job]) -> list[Job]:
    return list({_model(job): job for job in reversed(jobs)}.values())


def _probes(job: Job, sizes: Mapping[Job, Sequence[int]]) -> list[Job]:
    """Jobs that time a force call on the smallest and the largest system of this model, by the mean number of atoms."""
    same_model = [other for other in sizes if _model(other) == _model(job)]
    same_model.sort(key=lambda other: sum(sizes[other]) / len(sizes[other]))
    timing = registry.get("timing")
    systems = dict.fromkeys((same_model[0].system, same_model[-1].system))
    return [
        Job(
            diagnostic=timing.name,
            model=job.model,
            system=SystemRequest(name=system.name, path=system.path, structures=1, repeat=system.repeat),
            settings=PROBE,
        )
        for system in systems
    ]


def _fit(measured: Sequence[tuple[int, float]]) -> CallTime | None:
    """The line through the smallest and the largest, with a slope of at least zero."""
    if not measured:
        return None
    (small, fast), (large, slow) = min(measured), max(measured)
    if large == small:
        return CallTime(slow, 0.0)
    per_atom = max(0.0, (slow - fast) / (large - small))
    return CallTime(max(0.0, fast - per_atom * small), per_atom)


def _seconds(job: Job, sizes: Sequence[int], call: CallTime | None) -> float | None:
    if call is None:
        return None
    counts = force_calls(job, sizes)
    repeats = 1
    if job.diagnostic == "relax" and job.settings.n is not None:
        # The number of relaxations is for all structures together.
        counts, repeats = [sum(counts) / len(counts)], job.settings.n
        sizes = [round(sum(sizes) / len(sizes))]
    return OVERHEAD_S + repeats * sum(count * call.seconds(n) for count, n in zip(counts, sizes, strict=True))
