"""Jobs that cannot run in this process, the environments they need, and the worker that runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ncbench.errors import IsolatedEnvironmentError, UnsupportedError
from ncbench.models.family import reading
from ncbench.models.registry import parse_request
from ncbench.models.row import importable
from ncbench.run.attempt import Attempt, failed
from ncbench.run.environments import places, table
from ncbench.run.environments.disk import readable
from ncbench.run.environments.table import EnvironmentSpec
from ncbench.run.remote import Worker, WorkerDiedError
from ncbench.run.reporter import Reporter
from ncbench.types import Case, Job, ModelRequest

AUTO_VARIABLE = "NCBENCH_AUTO_ENV"
"""If set to 1, environments are created without asking."""

Consent = Callable[[Sequence[EnvironmentSpec]], bool]
"""Called to ask whether these environments may be created."""


def allowed_by_variable(_wanted: Sequence[EnvironmentSpec] = ()) -> bool:
    """Non-interactive consent: the :data:`Consent` of a process without a terminal."""
    return os.environ.get(AUTO_VARIABLE, "").lower() in ("1", "true", "yes", "on")


def environment_or_here(job: Job) -> str:
    """:func:`environment_of`, empty for a job that cannot run in any environment."""
    try:
        return environment_of(job)
    except UnsupportedError:
        return ""


def environment_of(job: Job) -> str:
    """Name of the environment that the job needs; empty if it can run in this process.

    Raises:
        UnsupportedError: its two models cannot be in one process.
    """
    requests = [request for request in (job.model, job.reference) if request is not None]
    needs = [(request, *_need(request)) for request in requests]
    if all(importable for _, importable, _ in needs):
        return ""
    # A model without a package can run in any environment.
    bound = {environment for _, _, environment in needs if environment is not None}
    if len(bound) == 1:
        return bound.pop()
    names = " and ".join(
        f"{parse_request(request).label} ({environment or 'here'})" for request, _, environment in needs
    )
    raise UnsupportedError(f"One process cannot hold both models: {names}.")


def _need(request: ModelRequest) -> tuple[bool, str | None]:
    """Whether the model is importable in this process, and the environment it can otherwise run in: ``None`` for any, empty for none."""
    parsed = parse_request(request)
    if parsed.factory:
        return True, ""
    if parsed.row is None:
        suffix = Path(parsed.name).suffix
        family = reading(suffix)
        if family is None:
            # The loader refuses such a file.
            return True, None
        environment = "" if family.environment is None else family.environment.name
        return importable(family.file_packages[suffix]), environment
    if not parsed.row.package:
        return True, None
    return parsed.row.installed() or not parsed.row.environment, parsed.row.environment


def in_groups(jobs: Sequence[Job]) -> list[Job]:
    """Jobs sorted by environment and model, so that each is started or loaded once."""
    place: dict[object, int] = {}
    keys = []
    for number, job in enumerate(jobs):
        environment = environment_or_here(job)
        keys.append((environment, (environment, job.model)))
        for key in keys[-1]:
            place.setdefault(key, number)
    order = sorted(range(len(jobs)), key=lambda number: tuple(place[key] for key in keys[number]))
    return [jobs[number] for number in order]


class Elsewhere:
    """Creates the required environments after consent, and keeps one worker running."""

    def __init__(self, reporter: Reporter, consent: Consent = allowed_by_variable) -> None:
        self.reporter = reporter
        self.consent = consent
        self._agreed: set[str] = set()
        self._refused: dict[str, IsolatedEnvironmentError] = {}
        """Environments that could not be created: they are not tried again."""
        self._worker: tuple[str, Worker] | None = None

    def is_ready(self, name: str) -> bool:
        """Whether the environment exists and is up to date."""
        return places.find(table.get(name)) is not None

    def ask(self, names: Sequence[str]) -> None:
        """Ask once for all required environments that do not exist."""
        missing = [spec for spec in map(table.get, dict.fromkeys(names)) if places.find(spec) is None]
        if missing and self.consent(missing):
            self._agreed |= {spec.name for spec in missing}

    def run(self, name: str, job: Job, cases: Sequence[Case], *, checkpoint: Path, may_refuse: bool) -> Attempt:
        """Run the job in an environment. An environment or a process that fails becomes rows with a reason.

        Raises:
            UsageError, StoreError, KeyboardInterrupt: see :meth:`ncbench.run.remote.Worker.run`.
        """
        try:
            worker = self._ready_worker(name)
            attempt = worker.run(job, cases, progress=self.reporter, checkpoint=checkpoint, may_refuse=may_refuse)
        except IsolatedEnvironmentError as error:
            return failed(job, cases, str(error))
        except WorkerDiedError as error:
            self.close()
            attempt = failed(job, cases, error.reason)
            attempt.traceback = error.log or error.reason
            return attempt
        except KeyboardInterrupt:
            self.close()
            raise
        if attempt.interrupted or (attempt.traceback and job.model.device != "cpu"):
            # A GPU context is not usable after a failed kernel.
            self.close()
        attempt.provenance["environment"] = {"name": name, "digest": table.get(name).digest}
        return attempt

    def make(self, name: str) -> None:
        """Create an environment with consent. A failure is stored and reported for each job that needs it."""
        with suppress(IsolatedEnvironmentError):
            self._interpreter(name)

    def close(self) -> None:
        """Stop the worker."""
        if self._worker is not None:
            self._worker[1].close()
            self._worker = None

    def _ready_worker(self, name: str) -> Worker:
        if self._worker is not None and (self._worker[0] != name or not self._worker[1].alive):
            self.close()
        if self._worker is None:
            self._worker = (name, Worker(self._interpreter(name)))
        return self._worker[1]

    def _interpreter(self, name: str) -> Path:
        spec = table.get(name)
        made = places.find(spec)
        if made is not None:
            return made.python
        if name not in self._agreed:
            raise IsolatedEnvironmentError(
                f"This model runs in the environment '{name}', which is {places.state(spec)} here.",
                hint=f"Run: ncbench env create {name}, or add --yes.",
            )
        if name in self._refused:
            raise self._refused[name]
        from ncbench.run.environments import build

        self.reporter.note(f"making the environment '{name}' (once)")
        clock = time.monotonic()
        try:
            made = build.create(spec, say=lambda words: self.reporter.note(words, passing=True))
        except IsolatedEnvironmentError as error:
            self._refused[name] = error
            raise
        self.reporter.note(f"the environment '{name}' is made: {disk_of(made)}, {time.monotonic() - clock:.0f} s")
        return made.python


def disk_of(made: places.Made) -> str:
    """Disk space of an environment as text."""
    own, shared = readable(made.mark.get("own_bytes", 0)), readable(made.mark.get("shared_bytes", 0))
    return f"{own} of its own, {shared} shared with the cache"
