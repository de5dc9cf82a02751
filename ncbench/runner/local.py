"""Run jobs one after another in this process.

A failure of a job is a row with a status and a reason, and the next job goes on. What is wrong with the request itself (a model,
system, device or folder that is not there) is found before the first job runs.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Case, Context, Diagnostic, Outcome
from ncbench.errors import NcbenchError, StoreError, UnsupportedError, UsageError
from ncbench.forcefields.base import ForceField
from ncbench.forcefields.loading import check_device, load_forcefield
from ncbench.forcefields.registry import checkpoint_of, parse_spec
from ncbench.forcefields.request import ModelRequest
from ncbench.results.keys import job_key
from ncbench.results.provenance import collect
from ncbench.results.schema import Status
from ncbench.results.store import Store
from ncbench.runner.job import Job
from ncbench.runner.reporter import Reporter
from ncbench.structures.hashing import content_hash
from ncbench.structures.load import load_cases, validate_system

REBUILD_SECONDS = 10.0
JOB_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the code of a model or of a library raises when it fails; anything else is no failure of a job."""


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


def run_jobs(jobs: Sequence[Job], store: Store, reporter: Reporter) -> Summary:
    """Run what is not finished; rows of finished jobs are reused.

    Raises:
        UsageError: the request is wrong (before anything runs).
        StoreError: the results folder cannot be used.
        KeyboardInterrupt: after the running job kept its checkpoint and the tables were made.
    """
    validate_jobs(jobs)
    runner = _Runner(store, reporter)
    try:
        for number, job in enumerate(jobs, 1):
            reporter.begin(job, number, len(jobs))
            runner.run(job)
    finally:
        runner.rebuild_tables()
    return runner.summary


class _Runner:
    def __init__(self, store: Store, reporter: Reporter) -> None:
        self.store, self.reporter = store, reporter
        self.summary = Summary()
        self._loaded: tuple[ModelRequest, ForceField] | None = None
        self._reference: tuple[ModelRequest, ForceField] | None = None
        self._cases: dict[Any, list[Case]] = {}
        self._stale: dict[str, None] = {}
        self._last_rebuild = time.monotonic()

    def run(self, job: Job) -> None:
        diagnostic = registry.get(job.diagnostic)
        cases = self._load_cases(job)
        key = job_key(
            diagnostic=diagnostic.name,
            version=diagnostic.version,
            model=job.model,
            system=job.system.label,
            structures=[(case.name, case.atoms) for case in cases],
            settings=job.settings,
            seed=job.seed,
            reference=job.reference,
        )
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
        started, clock = datetime.now(UTC), time.monotonic()
        forcefield, outcome = self._attempt(job, diagnostic, cases, key)
        record = collect(
            card=None if forcefield is None else forcefield.card,
            settings=job.settings,
            seed=job.seed,
            request=_described(job, cases),
            started=started,
            ended=datetime.now(UTC),
            wall_s=time.monotonic() - clock,
        )
        return self.store.record(key, diagnostic, _common(job, forcefield), outcome, record)

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

    def _attempt(
        self, job: Job, diagnostic: Diagnostic, cases: Sequence[Case], key: str
    ) -> tuple[ForceField | None, Outcome]:
        forcefield: ForceField | None = None
        try:
            forcefield = self._load_model(job.model)
            context = Context(
                progress=self.reporter,
                checkpoint=self.store.checkpoint(key),
                reference=None if job.reference is None else self._load_reference(job.reference),
            )
            return forcefield, diagnostic.run(forcefield, cases, job.settings, seed=job.seed, context=context)
        except StoreError:
            raise
        except UsageError as error:
            # Wrong as typed, though only the model or the diagnostic could tell: refused like any other wrong request as long
            # as nothing has run.
            if not self.summary.rows:
                raise
            return forcefield, _failure(cases, Status.FAILED, str(error))
        except UnsupportedError as error:
            return forcefield, _failure(cases, Status.UNSUPPORTED, str(error))
        except NcbenchError as error:
            return forcefield, _failure(cases, Status.FAILED, str(error))
        except torch.OutOfMemoryError:
            reason = f"The device {job.model.device} ran out of memory. Use a smaller structure, or a smaller batch."
            return forcefield, _failure(cases, Status.FAILED, reason)
        except JOB_ERRORS as error:
            log = self.store.write_log(key, traceback.format_exc())
            first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
            return forcefield, _failure(cases, Status.FAILED, f"{type(error).__name__}: {first} (see {log})")

    def _load_model(self, request: ModelRequest) -> ForceField:
        if self._loaded is None or self._loaded[0] != request:
            self._loaded = None
            gc.collect()
            self._loaded = (request, load_forcefield(request))
        return self._loaded[1]

    def _load_reference(self, request: ModelRequest) -> ForceField:
        if self._reference is None or self._reference[0] != request:
            self._reference = None
            gc.collect()
            self._reference = (request, load_forcefield(request))
        return self._reference[1]


def _common(job: Job, forcefield: ForceField | None) -> dict[str, Any]:
    parsed = parse_spec(job.model.spec)
    common: dict[str, Any] = {
        "model": parsed.label,
        "force_mode": parsed.mode,
        "system": job.system.label,
        "seed": job.seed,
        "dtype": job.model.dtype,
        "device": job.model.device,
        "status": Status.OK,
        "reason": "",
    }
    if forcefield is not None:
        card = forcefield.card
        common |= {"model": card.name, "force_mode": card.force_mode, "dtype": card.dtype, "device": card.device}
    return common


def _failure(cases: Sequence[Case], status: Status, reason: str) -> Outcome:
    return Outcome(
        rows=[{"structure": c.name, "n_atoms": len(c.atoms), "status": status, "reason": reason} for c in cases]
    )


def _described_model(model: ModelRequest) -> dict[str, Any]:
    folderless = None if model.checkpoint is None else model.checkpoint.rpartition("/")[2]
    return asdict(replace(model, checkpoint=folderless)) | {"spec": parse_spec(model.spec).label}


def _described(job: Job, cases: Sequence[Case]) -> dict[str, Any]:
    reference = {} if job.reference is None else {"reference": _described_model(job.reference)}
    return reference | {
        "diagnostic": job.diagnostic,
        "version": registry.get(job.diagnostic).version,
        "model": _described_model(job.model),
        "system": job.system.label,
        "structures": {case.name: content_hash(case.atoms) for case in cases},
    }
