"""Runs one job in this process or a worker: exceptions become rows with a status and a reason."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ncbench.diagnostics import registry
from ncbench.diagnostics.base import Context
from ncbench.errors import CODE_ERRORS, NcbenchError, StoreError, UnsupportedError, UsageError
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.models.registry import parse_request
from ncbench.run.division import Division
from ncbench.run.versions import versions_of
from ncbench.store.checkpoint import FileCheckpoint
from ncbench.store.keys import model_file_digest
from ncbench.store.provenance import collect
from ncbench.structures.hashing import content_hash
from ncbench.types import Case, Checkpoint, Interrupted, Job, ModelRequest, Outcome, Progress, Status


@dataclass
class Attempt:
    """Result of a job: everything that a store needs to record it."""

    common: dict[str, Any]
    """Values of the common columns of all tables."""
    outcome: Outcome
    provenance: dict[str, Any]
    traceback: str = ""
    """Traceback of an unexpected failure, for a log named in the rows."""
    interrupted: bool = False


class Attempter:
    """Runs jobs, and keeps the last model, and the processes that share its batches, for the next job with the same request."""

    def __init__(self) -> None:
        self._loaded: tuple[ModelRequest, ForceField] | None = None
        self._reference: tuple[ModelRequest, ForceField] | None = None
        self._division = Division()

    def run(
        self,
        job: Job,
        cases: Sequence[Case],
        *,
        progress: Progress,
        checkpoint: Checkpoint,
        may_refuse: bool,
        files: Path | None = None,
    ) -> Attempt:
        """Run the job on its structures; ``files`` is a folder for data too large for tables.

        With ``may_refuse``, a request that the model or the diagnostic finds to be wrong raises UsageError;
        otherwise the job fails, as it must once other jobs have run. A checkpoint is dropped if the job fails unexpectedly after resuming from it,
        since it may be the cause, and the next attempt starts from the beginning.

        Raises:
            UsageError: only with ``may_refuse``.
            StoreError: the checkpoint cannot be saved.
        """
        started, clock = datetime.now(UTC), time.monotonic()
        forcefield: ForceField | None = None
        log, interrupted = "", False
        versions = _marked(checkpoint, job)
        try:
            forcefield = self._load_model(job.model)
            reference = None if job.reference is None else self._load_reference(job.reference)
            forcefield, reference = self._division.divided(job, cases, forcefield, reference)
            context = Context(progress=progress, checkpoint=checkpoint, reference=reference, files=files)
            outcome = registry.get(job.diagnostic).run(forcefield, cases, job.settings, seed=job.seed, context=context)
        except StoreError:
            raise
        except UsageError as error:
            if may_refuse:
                raise
            outcome = failure(cases, Status.FAILED, str(error))
        except UnsupportedError as error:
            outcome = failure(cases, Status.UNSUPPORTED, str(error))
        except NcbenchError as error:
            outcome = failure(cases, Status.FAILED, str(error))
        except torch.OutOfMemoryError:
            reason = f"The device {job.model.device} ran out of memory. Use a smaller structure, or a smaller batch."
            outcome = failure(cases, Status.FAILED, reason)
        except CODE_ERRORS as error:
            log = traceback.format_exc()
            first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
            outcome = failure(cases, Status.FAILED, f"{type(error).__name__}: {first}{_dropped(checkpoint)}")
        except MemoryError:
            outcome = failure(
                cases, Status.FAILED, "The memory of this machine ran out. Use a smaller structure, or a smaller batch."
            )
        except SystemExit as end:
            # A calculator that calls sys.exit must not end the other jobs.
            outcome = failure(cases, Status.FAILED, f"the model ended the program: sys.exit({end.code!r})")
        except Interrupted as stop:
            interrupted, outcome = True, incomplete(cases, stop.outcome)
        except KeyboardInterrupt:
            interrupted, outcome = True, failure(cases, Status.INCOMPLETE, "interrupted")
        record = collect(
            card=None if forcefield is None else forcefield.card,
            settings=job.settings,
            seed=job.seed,
            request=_described(job, cases),
            versions=versions,
            started=started,
            ended=datetime.now(UTC),
            wall_s=time.monotonic() - clock,
        )
        return Attempt(_common(job, forcefield), outcome, record, log, interrupted)

    def close(self) -> None:
        """End the processes that share batches."""
        self._division.close()

    def forget(self) -> None:
        """Release the models and their memory."""
        self._division.close()
        self._loaded = self._reference = None
        gc.collect()
        torch.cuda.empty_cache()

    def _load_model(self, request: ModelRequest) -> ForceField:
        if self._loaded is None or self._loaded[0] != request:
            self._loaded = None
            self._division.close()
            gc.collect()
            self._loaded = (request, load_forcefield(request))
        return self._loaded[1]

    def _load_reference(self, request: ModelRequest) -> ForceField:
        if self._reference is None or self._reference[0] != request:
            self._reference = None
            gc.collect()
            self._reference = (request, load_forcefield(request))
        return self._reference[1]


def failed(job: Job, cases: Sequence[Case], reason: str, status: Status = Status.FAILED) -> Attempt:
    """A job that could not be started, or whose process died: every structure gets a row with the reason."""
    now = datetime.now(UTC)
    record = collect(
        settings=job.settings,
        seed=job.seed,
        request=_described(job, cases),
        versions=versions_of(job),
        started=now,
        ended=now,
    )
    return Attempt(_common(job, None), failure(cases, status, reason), record)


def failure(cases: Sequence[Case], status: Status, reason: str) -> Outcome:
    """One row per structure, without numbers."""
    return Outcome(
        rows=[{"structure": c.name, "n_atoms": len(c.atoms), "status": status, "reason": reason} for c in cases]
    )


def incomplete(cases: Sequence[Case], partial: Outcome) -> Outcome:
    """The results of an interrupted job, marked incomplete, with a row without numbers for each structure not reached."""

    def marked(row: dict[str, Any]) -> dict[str, Any]:
        reason = row.get("reason") or "the job was interrupted after this part of it had finished"
        return row | {"status": Status.INCOMPLETE, "reason": reason}

    names = {row["structure"] for row in partial.rows}
    # A replica is named after its structure: NAME/0.
    there = names | {name.rpartition("/")[0] for name in names}
    missing = failure([case for case in cases if case.name not in there], Status.INCOMPLETE, "interrupted")
    return Outcome(
        rows=[*map(marked, partial.rows), *missing.rows],
        side={name: [marked(row) for row in rows] for name, rows in partial.side.items()},
    )


def _marked(checkpoint: Checkpoint, job: Job) -> dict[str, str]:
    """The versions that decide the job's results, which its checkpoint holds from now on."""
    versions = versions_of(job)
    if isinstance(checkpoint, FileCheckpoint):
        checkpoint.versions = versions
    return versions


def _dropped(checkpoint: Checkpoint) -> str:
    """Drop the checkpoint if the job resumed from it; returns a remark, empty if the job started from the beginning."""
    if not (isinstance(checkpoint, FileCheckpoint) and checkpoint.resumed):
        return ""
    checkpoint.clear()
    return "; it had resumed from a checkpoint, which is dropped: the next run starts this job from the beginning"


def _common(job: Job, forcefield: ForceField | None) -> dict[str, Any]:
    parsed = parse_request(job.model)
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


def _described_model(model: ModelRequest) -> dict[str, Any]:
    folderless = None if model.checkpoint is None else model.checkpoint.rpartition("/")[2]
    return asdict(replace(model, checkpoint=folderless)) | {
        "spec": parse_request(model).label,
        "file_sha256": model_file_digest(model),
    }


def _described(job: Job, cases: Sequence[Case]) -> dict[str, Any]:
    reference = {} if job.reference is None else {"reference": _described_model(job.reference)}
    return reference | {
        "diagnostic": job.diagnostic,
        "version": registry.get(job.diagnostic).version,
        "model": _described_model(job.model),
        "system": job.system.label,
        "structures": {case.name: content_hash(case.atoms) for case in cases},
    }
