"""Carries out a list of runs (time steps, thermostats) of all structures and replicas, in batches and resumable; shared by ``nve-drift`` and ``nvt``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ncbench.errors import REFUSED
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import (
    EnsembleInterrupted,
    EnsembleRun,
    Scheme,
    default_batch,
    fast_and_slow,
    groups_alike,
    in_batches,
    run_ensemble,
    with_room,
)
from ncbench.md.integrators import Dynamics
from ncbench.md.settings import ReplicaSettings
from ncbench.md.trajectory import file_name, writers
from ncbench.models.interface import ForceField
from ncbench.types import Case, Checkpoint, Progress


@dataclass(frozen=True)
class PlannedRun:
    """One run of every structure and replica."""

    name: str
    """Name in checkpoint stages and trajectory files, unique among the runs of a job."""
    stream: str
    """Label of its random numbers; equal labels and seeds give equal momenta and noise."""
    settings: ReplicaSettings
    """The job's settings with this run's time step."""
    dynamics: Dynamics
    """Integrator and thermostat; its time step is the outer one."""
    n_steps: int
    """Outer steps."""
    note: str = ""
    """Shown before the running temperature in the progress."""


@dataclass(frozen=True)
class Replica:
    """One structure's result in a run."""

    case: Case
    ensemble: EnsembleRun
    """Results of the batch it ran in."""
    index: int
    """Its index in the batch."""
    trajectory: str
    """Trajectory file relative to the results folder; empty if none was written."""


def run_replicas(
    forcefield: ForceField,
    reference: ForceField | None,
    cases: Sequence[Case],
    runs: Sequence[PlannedRun],
    settings: ReplicaSettings,
    *,
    seed: int,
    rescale: bool = False,
    progress: Progress,
    checkpoint: Checkpoint,
    files: Path | None,
    report: Callable[[PlannedRun, Replica, Scheme], None],
    refuse: Callable[[PlannedRun, Case, BaseException], None],
) -> None:
    """Carry out the runs one after another; after each, ``report`` is called for each replica, in the order of ``cases``.

    A structure for which the model raises an exception takes no other of its batch with it: the batch is split, and ``refuse`` is called
    for that structure alone instead of ``report``.

    Structures of equal size run as one batch. With ``settings.mts``, the model's force head (or the model) gives the fast forces and its
    conservative forces (or the reference model) the slow ones.

    Raises:
        UnsupportedError: multiple time stepping of a model without a second kind of forces.
        torch.OutOfMemoryError: even a single structure does not fit.
        EnsembleInterrupted: on Ctrl-C, after the partial results were reported.
    """
    slow, scheme = forcefield, Scheme(rescale=rescale)
    if settings.mts is not None:
        fast, slow = fast_and_slow(forcefield, reference)
        scheme = Scheme(fast=fast, stride=settings.mts)
    structures = [case.atoms for case in cases]
    batch = 1 if settings.engine != "own" else settings.batch or default_batch(slow, structures)
    groups = in_batches(groups_alike(structures), batch)
    progress.start(sum(run.n_steps for run in runs) * len(groups), "steps")
    stages = StagedCheckpoint(checkpoint)
    steps_before = 0
    for run in runs:
        finished: dict[int, tuple[EnsembleRun, int]] = {}
        refused: dict[int, BaseException] = {}
        for group in groups:

            def run_part(part: Sequence[int], run: PlannedRun = run, before: int = steps_before) -> EnsembleRun:
                return run_ensemble(
                    slow,
                    [cases[i].atoms for i in part],
                    part,
                    run.dynamics,
                    # Engine and observers count outer steps.
                    replace(
                        run.settings,
                        sample_every=run.settings.outer_samples,
                        redraw_momenta=run.settings.with_replicas_drawn(),
                    ),
                    n_steps=run.n_steps,
                    seed=seed,
                    label=run.stream,
                    checkpoint=stages.stage(f"{run.name}.of{part[0]}to{part[-1]}"),
                    report=lambda step, note: progress.update(before + step, f"{run.note} {note}".strip()),
                    scheme=scheme,
                    engine=settings.engine,
                    observers=writers(
                        files,
                        [cases[i].name for i in part],
                        [cases[i].atoms for i in part],
                        every=-(-settings.trajectory_every // scheme.stride),
                        stride=run.settings.outer_samples,
                        timestep_fs=run.dynamics.timestep_fs,
                        precision=settings.trajectory_precision,
                        kind=settings.trajectory_format,
                        label=run.name,
                    ),
                )

            try:
                for part, ensemble in _without_refused(group, run_part, refused):
                    finished |= {index: (ensemble, place) for place, index in enumerate(part)}
            except EnsembleInterrupted as stop:
                _report_all(run, cases, finished | stop.found, refused, scheme, files, report, refuse)
                raise
            steps_before += run.n_steps
        _report_all(run, cases, finished, refused, scheme, files, report, refuse)


def _without_refused(
    group: Sequence[int], run: Callable[[Sequence[int]], EnsembleRun], refused: dict[int, BaseException]
) -> list[tuple[list[int], EnsembleRun]]:
    """``run`` of the group; if the model raises an exception, of its halves, recursively, so that only the refused structures are left out.

    Args:
        group: numbers of the structures.
        run: runs structures as one batch.
        refused: receives the exceptions, by the number of the structure.
    """
    try:
        return with_room(group, run)
    except torch.OutOfMemoryError:
        raise
    except REFUSED as error:
        if len(group) == 1:
            refused[group[0]] = error
            return []
    half = (len(group) + 1) // 2
    return _without_refused(group[:half], run, refused) + _without_refused(group[half:], run, refused)


def _report_all(
    run: PlannedRun,
    cases: Sequence[Case],
    finished: dict[int, tuple[EnsembleRun, int]],
    refused: dict[int, BaseException],
    scheme: Scheme,
    files: Path | None,
    report: Callable[[PlannedRun, Replica, Scheme], None],
    refuse: Callable[[PlannedRun, Case, BaseException], None],
) -> None:
    for number in sorted(finished.keys() | refused.keys()):
        if number in refused:
            refuse(run, cases[number], refused[number])
            continue
        ensemble, place = finished[number]
        trajectory = ""
        if run.settings.trajectory_every and files is not None:
            trajectory = f"jobs/{files.name}/{file_name(cases[number].name, run.name, run.settings.trajectory_format)}"
        report(run, Replica(cases[number], ensemble, place, trajectory), scheme)
