"""Sets of relaxations, each run once, resumable at any step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ncbench.models.interface import ForceField
from ncbench.relaxation.batch import Trail, relax_many
from ncbench.relaxation.path import path_rows, write_path
from ncbench.relaxation.relaxation import Relaxation, Start, displaced_start
from ncbench.relaxation.schemas import RUNS
from ncbench.relaxation.tables import RelaxSet, run_record, summary, trace_rows
from ncbench.types import Checkpoint, Outcome, Progress


class RelaxOptions(Protocol):
    """The diagnostic's settings that a set of relaxations needs."""

    @property
    def optimizers(self) -> tuple[str, ...]: ...
    @property
    def batch(self) -> int | None: ...
    @property
    def history(self) -> bool: ...
    @property
    def traces(self) -> int: ...


class Relaxations:
    """Relaxations, each run once: ``done`` holds the finished ones of an interrupted run and the trails of the unfinished ones."""

    def __init__(
        self,
        forcefield: ForceField,
        settings: RelaxOptions,
        seed: int,
        *,
        progress: Progress,
        checkpoint: Checkpoint,
        files: Path | None,
    ) -> None:
        self.forcefield, self.settings, self.seed = forcefield, settings, seed
        self.progress, self.checkpoint, self.files = progress, checkpoint, files
        self.done: dict[str, Any] = dict(checkpoint.load() or {})
        self.before = 0

    def relax(self, group: RelaxSet) -> None:
        """Run the remaining relaxations of a set with every optimiser."""
        tasks = [(optimizer, start) for optimizer in self.settings.optimizers for start in range(group.n)]
        open_tasks = [task for task in tasks if _key(group, *task) not in self.done]
        # The optimiser is not part of the seed, so that both start from the same displaced structures.
        begun = {
            start: displaced_start(
                group.case(start).atoms, group.displacement_A, np.random.default_rng([self.seed, start])
            )
            for start in sorted({start for _, start in open_tasks})
        }
        already = self.before + len(tasks) - len(open_tasks)
        for number, result in relax_many(
            self.forcefield,
            [Start(begun[start][0], optimizer) for optimizer, start in open_tasks],
            fmax=group.fmax,
            max_steps=group.max_steps,
            batch=self.settings.batch,
            keep_path=lambda number: self.settings.history and open_tasks[number][1] < self.settings.traces,
            report=lambda done, note: self.progress.update(already + done, note),
            trails=self._trails(group, open_tasks),
            save=lambda trails: self._save(group, open_tasks, trails),
            others_done=len(open_tasks) < len(tasks),
        ):
            optimizer, start = open_tasks[number]
            self._keep(group, optimizer, start, begun[start][1], result)
        self.before += len(tasks)
        self.progress.update(self.before)

    def _keep(self, group: RelaxSet, optimizer: str, start: int, redrawn: int, result: Relaxation) -> None:
        key = _key(group, optimizer, start)
        self.done.pop(f"{key}|trail", None)
        whole = self.settings.history or start < self.settings.traces
        self.done[f"{key}|history"] = result.history if whole else result.history[-1:]
        if len(result.path):
            self.done[f"{key}|path"], self.done[f"{key}|path_steps"] = result.path, result.path_steps
            if self.files is not None:
                name = f"{group.name}-{optimizer}-{start}.xyz"
                self.done[f"{key}|file"] = write_path(
                    self.files, name, group.case(start).atoms, result.path_steps, result.path
                )
        self.done[key] = run_record(group, optimizer, start, redrawn, result)
        self.checkpoint.save(self.done)

    def _trails(self, group: RelaxSet, tasks: Sequence[tuple[str, int]]) -> dict[int, Trail]:
        """The unfinished relaxations of an interrupted run, by task index."""
        kept = {number: self.done.get(f"{_key(group, *task)}|trail") for number, task in enumerate(tasks)}
        return {
            number: Trail(np.asarray(one["forces"]), np.asarray(one["energies"]), float(one["seconds"]))
            for number, one in kept.items()
            if one is not None
        }

    def _save(self, group: RelaxSet, tasks: Sequence[tuple[str, int]], trails: Mapping[int, Trail]) -> None:
        for number, trail in trails.items():
            self.done[f"{_key(group, *tasks[number])}|trail"] = vars(trail)
        self.checkpoint.save(self.done)

    def rows(self, group: RelaxSet, optimizer: str, outcome: Outcome) -> None:
        """Add the rows of a set and optimiser."""
        records = [self.done[_key(group, optimizer, start)] for start in range(group.n)]
        outcome.rows.append(summary(group, optimizer, records))
        outcome.side["runs"] += [RUNS.row(**record) for record in records]
        for start, record in enumerate(records):
            key = _key(group, optimizer, start)
            if self.settings.history or start < self.settings.traces:
                outcome.side["trace"] += trace_rows(record, np.asarray(self.done[f"{key}|history"]))
            if f"{key}|path" in self.done:
                steps, path = np.asarray(self.done[f"{key}|path_steps"]), np.asarray(self.done[f"{key}|path"])
                outcome.side["path"] += path_rows(
                    record, group.case(start).atoms, steps, path, self.done.get(f"{key}|file")
                )


def _key(group: RelaxSet, optimizer: str, start: int) -> str:
    return f"{group.name}|{optimizer}|{start}"
