"""Decides, job by job, whether processes of one thread share its batches, and keeps these processes for the next job of the same model."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch

from ncbench import memory
from ncbench.diagnostics import registry
from ncbench.errors import REFUSED, HelperError, NotDifferentiableError
from ncbench.models import in_process
from ncbench.models.division import measured
from ncbench.models.division.connection import Helper
from ncbench.models.division.divided import DividedForceField
from ncbench.models.division.setting import processes_set
from ncbench.models.interface import ForceField
from ncbench.models.registry import parse_request
from ncbench.types import Case, Job, ModelRequest

LEAST_GAIN = 1.15
"""How many times faster the processes must have been: less is the scatter of timings."""
STARTS = 4.0
"""The estimated time of a job, in times that its processes take to start, from which they are started."""
LEAST_START_S = 1.5
"""Least time to start a process with a model, s."""
LEAST_CALLS = 100.0
"""Force calls of a job below which it is not divided: a measurement takes at most 15, where calls are slow."""


class Division:
    """The helper processes of the jobs that run in this process, one job at a time."""

    def __init__(self) -> None:
        self._helpers: list[Helper] = []
        self._request: ModelRequest | None = None
        """The model that they have loaded."""

    def close(self) -> None:
        """End the processes."""
        for helper in self._helpers:
            helper.close()
        self._helpers = []
        self._request = None

    def divided(
        self, job: Job, cases: Sequence[Case], forcefield: ForceField, reference: ForceField | None
    ) -> tuple[ForceField, ForceField | None]:
        """The job's models, divided among processes where that is forced or was measured to be faster.

        Raises:
            UsageError: the variable has no valid value.
            HelperError: processes that are forced cannot be started.
        """
        forced = processes_set()
        processes = _most_processes(job, cases, forced)
        if processes < 2:
            return forcefield, reference
        if forced is None:
            try:
                divided = self._if_faster(job, cases, forcefield, processes)
            except HelperError as error:
                self.close()
                warnings.warn(f"{error.message} The job runs in one process.", stacklevel=2)
                divided = None
        else:
            divided = DividedForceField(forcefield, job.model, self._started(job.model, processes - 1))
        if divided is None:
            return forcefield, reference
        if reference is not None and job.reference is not None:
            reference = DividedForceField(reference, job.reference, divided.helpers)
        return divided, reference

    def _if_faster(
        self, job: Job, cases: Sequence[Case], forcefield: ForceField, processes: int
    ) -> DividedForceField | None:
        """The divided model where the job is long enough, memory suffices, and processes were or are now measured to be faster."""
        diagnostic = registry.get(job.diagnostic)
        assert diagnostic.divisible is not None
        # Without products, the Jacobian is measured by differences of forces.
        kind = diagnostic.divisible.kind if forcefield.card.differentiable else "forces"
        largest = max((case.atoms for case in cases), key=len)
        calls = sum(diagnostic.cost(job.settings, len(case.atoms)) for case in cases)
        if calls < LEAST_CALLS or (kind == "products" and forcefield.jacobian_in_one(largest)):
            return None
        copies = measured.copies_of(len(largest), diagnostic.divisible.items(job.settings, cases), processes)
        key = measured.key_of(forcefield.card, kind, len(largest), copies, processes)
        times = measured.known(key)
        try:
            if times is None:
                times = measured.Times(measured.seconds_of_one(forcefield, largest, kind))
                measured.keep(key, times)
            if not _worth_it(times, calls) or not _memory_suffices(processes):
                return None
            began = time.perf_counter()
            divided = DividedForceField(forcefield, job.model, self._started(job.model, processes - 1))
            if times.faster is None:
                start_s = time.perf_counter() - began
                faster = measured.times_faster(divided, largest, kind, copies)
                times = replace(times, faster=faster, start_s=start_s)
                measured.keep(key, times)
        except (*REFUSED, NotDifferentiableError):
            # Of the structure that was tried: the job reports it.
            self.close()
            return None
        # The same question again, so that this job is divided if the next one like it is.
        if _worth_it(times, calls):
            return divided
        self.close()
        return None

    def _started(self, request: ModelRequest, count: int) -> list[Helper]:
        """``count`` processes that have loaded the model: those of the last job, or new ones."""
        if self._request != request or len(self._helpers) < count or not all(one.alive for one in self._helpers):
            self.close()
            # Kept at once: an interrupt must not leave one that nothing ends.
            for _ in range(count):
                self._helpers.append(Helper())
            for helper, number in [(one, one.ask("load", (request, ()))) for one in self._helpers]:
                helper.answer(number)
            self._request = request
        return self._helpers[:count]


def _most_processes(job: Job, cases: Sequence[Case], forced: int | None) -> int:
    """Processes that the job's threads and structures allow; 1 where it cannot be divided."""
    divisible = registry.get(job.diagnostic).divisible
    if divisible is None or not cases or forced == 1 or job.model.device != "cpu" or os.name != "posix":
        return 1
    for request in (job.model, job.reference):
        factory = "" if request is None else parse_request(request).factory
        # A factory of the user's may write files of fixed names or start programs, which two processes must not do at once.
        if factory and (forced is None or factory.startswith(in_process.__name__)):
            return 1
    threads = min(torch.get_num_threads(), _cores())
    items = divisible.items(job.settings, cases)
    return min(threads if forced is None else forced, threads, items)


def _worth_it(times: measured.Times, calls: float) -> bool:
    """Whether a job of this many calls is long enough, and processes are faster, as far as measured."""
    long_enough = calls * times.one_s >= STARTS * max(times.start_s or 0.0, LEAST_START_S)
    return long_enough and (times.faster is None or times.faster >= LEAST_GAIN)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_suffices(processes: int) -> bool:
    """Whether each further process may take twice what this one takes with the model: pages of the largest batches are kept."""
    free = memory.available(torch.device("cpu"))
    return free is None or free > 2 * (processes - 1) * memory.resident()
