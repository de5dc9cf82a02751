"""The jobs of the requested targets, which of them are finished, and which models are left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ncbench.errors import DataError, UsageError
from ncbench.models.registry import parse_spec
from ncbench.models.row import importable as found_module
from ncbench.paper.reproduce.available import why_not
from ncbench.paper.reproduce.targets import Target
from ncbench.run.plan import load_suite
from ncbench.run.status import key_of
from ncbench.store.store import Store
from ncbench.structures.load import load_cases
from ncbench.types import Budget, Job, ModelRequest


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The planned jobs."""

    targets: tuple[Target, ...]
    jobs: tuple[Job, ...]
    """The jobs of all targets without duplicates, for models that can run here."""
    of: Mapping[str, tuple[Job, ...]]
    """By target."""
    left_out: Mapping[str, str]
    """Model → why it cannot run here."""
    no_data: Mapping[str, str]
    """System → why its structures are not available. Jobs on them are left out."""
    sizes: Mapping[Job, tuple[int, ...]]
    """Atoms of each structure."""
    finished: frozenset[Job]

    @property
    def unfinished(self) -> list[Job]:
        """The unfinished jobs, in order."""
        return [job for job in self.jobs if job not in self.finished]


def plan(
    targets: Sequence[Target],
    budget: Budget,
    store: Store,
    *,
    models: Sequence[str] = (),
    device: str = "cpu",
    dtype: str | None = None,
    download: bool = False,
) -> Plan:
    """Jobs of the targets at a budget.

    Args:
        targets: tables and figures.
        budget: determines the length of runs.
        store: contains the finished jobs.
        models: replace those of the suites. One that a suite names keeps its settings there; any other gets those of the run
            whose models have its force mode.
        device: of all jobs.
        dtype: of all jobs; ``None`` for each model's own.
        download: include models whose package or weights are not on this machine.

    Raises:
        UsageError: an unknown model; a suite that cannot be read; nothing to run.
    """
    left_out: dict[str, str] = {}
    of: dict[str, tuple[Job, ...]] = {}
    for target in targets:
        jobs = [_on(job, device, dtype) for job in load_suite(target.path, budget)]
        if any(_needs_ipi(job) for job in jobs) and not found_module("ipi"):
            left_out["i-PI"] = f"not installed (pip install 'ncbench[i-pi]'), and {target.name} needs it"
            jobs = [job for job in jobs if not _needs_ipi(job)]
        if models:
            # A model named by the user is always included.
            of[target.name] = tuple(dict.fromkeys(_for_models(jobs, models)))
            continue
        reasons = {} if download else {job.model.spec: why_not(job.model) for job in jobs}
        of[target.name] = tuple(dict.fromkeys(job for job in jobs if not reasons.get(job.model.spec)))
        left_out |= {spec: reason for spec, reason in reasons.items() if reason} | _of_larger_budgets(
            target, jobs, budget
        )
    wanted_jobs = tuple(dict.fromkeys(job for jobs in of.values() for job in jobs))
    run = {job.model.spec for job in wanted_jobs}
    left_out = {spec: reason for spec, reason in left_out.items() if spec not in run}
    if not wanted_jobs:
        why = "; ".join(f"{model}: {reason}" for model, reason in left_out.items())
        names = ", ".join(target.name for target in targets)
        raise UsageError(
            f"Nothing can be run here for {names}{f' ({why})' if why else ''}.",
            hint="Add --download to fetch what is missing.",
        )
    facts: dict[Job, tuple[tuple[int, ...], bool]] = {}
    no_data: dict[str, str] = {}
    for job in wanted_jobs:
        try:
            facts[job] = _facts(job, store)
        except DataError as error:
            no_data[job.system.label] = str(error)
    return Plan(
        targets=tuple(targets),
        jobs=tuple(facts),
        of={name: tuple(job for job in jobs if job in facts) for name, jobs in of.items()},
        left_out=left_out,
        no_data=no_data,
        sizes={job: sizes for job, (sizes, _) in facts.items()},
        finished=frozenset(job for job, (_, finished) in facts.items() if finished),
    )


def _needs_ipi(job: Job) -> bool:
    return job.diagnostic == "npt" or getattr(job.settings, "engine", "") == "i-pi"


def _of_larger_budgets(target: Target, jobs: Sequence[Job], budget: Budget) -> dict[str, str]:
    """Models that only a larger budget includes."""
    there = {job.model.spec for job in jobs}
    rest = {job.model.spec: job.model for job in load_suite(target.path, Budget.PAPER) if job.model.spec not in there}
    return {spec: why_not(model) or f"the budget {budget} leaves it out" for spec, model in rest.items()}


def _facts(job: Job, store: Store) -> tuple[tuple[int, ...], bool]:
    """Atoms of each structure, and whether the job is finished."""
    cases = load_cases(job.system, job.default_structures, job.seed)
    return tuple(len(case.atoms) for case in cases), store.is_finished(key_of(job, cases))


def _on(job: Job, device: str, dtype: str | None) -> Job:
    return replace(job, model=replace(job.model, device=device, dtype=dtype or job.model.dtype))


def _for_models(jobs: Sequence[Job], models: Sequence[str]) -> list[Job]:
    """The jobs of a suite for these models in place of its own."""
    chosen_jobs: list[Job] = []
    for spec in models:
        named = [job for job in jobs if _same_model(job.model.spec, spec)]
        # A model that is not in the suite is run as the suite's first one with the same force mode, or as its first.
        chosen_jobs += [_as(job, spec) for job in (named or _template(jobs, spec))]
    return chosen_jobs


def _as(job: Job, spec: str) -> Job:
    request = job.model
    return replace(job, model=ModelRequest(spec=spec, device=request.device, dtype=request.dtype))


def _same_model(planned: str, asked: str) -> bool:
    """Whether names are equal, and force modes if both specify one."""
    first, second = parse_spec(planned), parse_spec(asked)
    return first.name == second.name and (first.mode is None or second.mode is None or first.mode == second.mode)


def _template(jobs: Sequence[Job], spec: str) -> list[Job]:
    if not jobs:
        return []
    mode = parse_spec(spec).mode
    same = [job.model.spec for job in jobs if mode is not None and parse_spec(job.model.spec).mode == mode]
    pattern = (same or [jobs[0].model.spec])[0]
    return [job for job in jobs if job.model.spec == pattern]
