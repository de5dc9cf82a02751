"""Batched relaxations: ASE's optimisers, one per structure, with the forces of each round from one batched call.

Each optimiser gets the forces of its own structure and follows the same path as without batching, up to the rounding of a model that
sums in another order for larger batches.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.optimize import FIRE, LBFGS
from numpy.typing import NDArray

from ncbench.errors import CODE_ERRORS, ModelError, UnsupportedError, error_sentence
from ncbench.md.ensemble import groups_of_equal_size
from ncbench.md.run import WARM_UP_CALLS, WARM_UP_SHIFT_A, warm_up
from ncbench.models.interface import Field, ForceField, MixedField
from ncbench.relaxation.relaxation import (
    ESCAPE_A,
    Ending,
    FloatArray,
    Relaxation,
    Start,
    require_known_constraints,
)

OPTIMIZERS: dict[str, Callable[..., Any]] = {"lbfgs": LBFGS, "fire": FIRE}

CPU_BATCH_ATOMS = 128
"""Default maximum number of atoms in one call on a CPU. For molecules of 18 atoms on one core, compared with calls of one: PET is twice
as fast per structure; SevenNet-0, which is bound by arithmetic and memory, is 10 % slower."""
KEPT = frozenset({0, *(round(1.15**k) for k in range(100))})
"""Maximum number of saved positions: all at first, then at growing intervals, since the path bends most at the start."""

SAVE_SECONDS, SAVE_SHARE = 20.0, 0.05


@dataclass(frozen=True)
class Trail:
    """The forces of an unfinished relaxation at each of its steps."""

    forces: FloatArray
    """[steps, N, 3], eV/Å."""
    energies: FloatArray
    """[steps], eV."""
    seconds: float


def relax_many(
    forcefield: ForceField,
    starts: Sequence[Start],
    *,
    fmax: float,
    max_steps: int,
    batch: int | None = None,
    keep_path: Callable[[int], bool] = lambda number: False,
    report: Callable[[float, str], None] = lambda done, note: None,
    trails: Mapping[int, Trail] | None = None,
    save: Callable[[Mapping[int, Trail]], None] = lambda trails: None,
    others_done: bool = False,
) -> Iterator[tuple[int, Relaxation]]:
    """Relax the positions of all ``starts`` at fixed cells until the largest force is below ``fmax`` (eV/Å); yields each result with its index when it ends.

    ASE's optimisers with their defaults (as in the paper). Constraints that hold atoms or directions are kept, and forces along these
    do not count; others are refused. Structures of equal size are relaxed in one batch, or of all sizes where processes share it;
    one that has ended is replaced by the next.

    Args:
        forcefield: the model.
        starts: structures of any sizes.
        fmax: the criterion, eV/Å.
        max_steps: steps after which a relaxation has failed.
        batch: structures in one model call; ``None``: all of one size on a GPU, about 128 atoms on a CPU for each process that shares it. Halved if the device runs
            out of memory.
        keep_path: whether the intermediate positions of the relaxation with this index are kept.
        report: called after each round with the relaxations done, fractions included, and a note.
        trails: the data passed to ``save`` for the same starts, to resume with bitwise identical results.
        save: called periodically with the unfinished relaxations.
        others_done: relaxations of the same set ended before, in an interrupted run.

    A structure for which the model raises an exception ends as :data:`Ending.FAILED`; the others of its batch go on. Where every structure does,
    the first exception is raised.

    Raises:
        StructureError, UnsupportedError: as :meth:`ForceField.bind` does; for unsupported constraints.
        torch.OutOfMemoryError: even a single structure does not fit.
    """
    ended, clock = 0, _Clock()
    endings = _Endings(others_done=others_done)
    for group, forces in _groups(forcefield, starts, batch):
        # FIRE takes the most steps: it is started first so that it does not run alone at the end.
        queue = deque(sorted(group, key=lambda number: starts[number].optimizer))
        lanes: list[_Lane] = []
        while queue or lanes:
            began = time.perf_counter()
            while queue and forces.has_room(lanes):
                number = queue.popleft()
                lanes.append(_Lane(number, starts[number], fmax, max_steps, keep_path=keep_path(number)))
                lanes[-1].follow((trails or {}).get(number))
            forces(lanes)
            for lane in lanes:
                lane.look()
            share = (time.perf_counter() - began) / len(lanes)
            for lane in lanes:
                lane.seconds += share
            for lane in endings.take(lanes):
                ended += 1
                yield lane.number, lane.result()
            lanes = [lane for lane in lanes if lane.ending is None]
            report(ended + sum(lane.steps / max_steps for lane in lanes), _note(lanes))
            began = time.perf_counter()
            for lane in lanes:
                lane.step()
            for lane in lanes:
                lane.seconds += (time.perf_counter() - began) / len(lanes)
            if lanes and clock.due():
                clock.begin()
                save({lane.number: lane.trail() for lane in lanes})
                clock.end()
    endings.raise_if_all_failed()


def relax(forcefield: ForceField, start: Atoms, optimizer: str, *, fmax: float, max_steps: int) -> Relaxation:
    """Relax one structure. Arguments and errors are those of :func:`relax_many`."""
    ((_, result),) = relax_many(forcefield, [Start(start, optimizer)], fmax=fmax, max_steps=max_steps)
    return result


def _default_batch(forcefield: ForceField, n_atoms: int) -> int:
    if forcefield.card.device != "cpu":
        return 2**31
    return max(1, CPU_BATCH_ATOMS // n_atoms)


def _groups(forcefield: ForceField, starts: Sequence[Start], batch: int | None) -> Iterator[tuple[list[int], _Forces]]:
    """Structures that are relaxed together, and what computes their forces."""
    if forcefield.card.processes > 1 and batch is None:
        yield list(range(len(starts))), _SharedForces(forcefield, forcefield.card.processes)
        return
    for group in groups_of_equal_size([start.atoms for start in starts]):
        yield group, _Forces(forcefield, batch or _default_batch(forcefield, len(starts[group[0]].atoms)))


def _note(lanes: Sequence[_Lane]) -> str:
    if not lanes:
        return ""
    slowest = max(lanes, key=lambda lane: lane.steps)
    return f"{slowest.optimizer} step {slowest.steps}, largest force {slowest.history[-1][0]:.1e} eV/Å"


class _Clock:
    """Decides when to save: at most every SAVE_SECONDS, and for at most a SAVE_SHARE of the time."""

    def __init__(self) -> None:
        self.last, self.pause, self.began = time.monotonic(), SAVE_SECONDS, 0.0

    def due(self) -> bool:
        """Whether enough time has passed."""
        return time.monotonic() - self.last >= self.pause

    def begin(self) -> None:
        """Saving begins."""
        self.began = time.monotonic()

    def end(self) -> None:
        """The relaxation has ended."""
        self.last = time.monotonic()
        self.pause = max(SAVE_SECONDS, (self.last - self.began) / SAVE_SHARE)


class _Held:
    """A calculator that holds the results of a round, the only positions at which an optimiser requests forces."""

    def __init__(self) -> None:
        self.energy = np.nan
        self.forces: FloatArray = np.zeros((0, 3))

    def get_forces(self, atoms: Atoms) -> FloatArray:
        """[N, 3], eV/Å; a copy, since optimisers work in place."""
        return self.forces.copy()


class _Lane:
    """One unfinished relaxation."""

    def __init__(self, number: int, start: Start, fmax: float, max_steps: int, *, keep_path: bool) -> None:
        self.number, self.optimizer, self.start = number, start.optimizer, start.atoms
        self.fmax, self.max_steps, self.keep_path = fmax, max_steps, keep_path
        # With its constraints: ASE's optimisers set the force along a fixed coordinate to zero, and do not move it.
        self.atoms: Atoms = start.atoms.copy()
        require_known_constraints(self.atoms)
        self.atoms.calc = self.held = _Held()
        self.origin = self.atoms.get_positions()
        self.dynamics = OPTIMIZERS[start.optimizer](self.atoms, logfile=None)
        self.history: list[tuple[float, float, float]] = []
        self.path: list[tuple[int, FloatArray]] = []
        self.ending: Ending | None = None
        self.forces: list[FloatArray] = []
        self.force_calls, self.seconds = 0, 0.0
        self.error: BaseException | None = None

    def follow(self, trail: Trail | None) -> None:
        """Replay the steps of an earlier run: an optimiser is a function of its past forces."""
        if trail is None:
            return
        for forces, energy in zip(trail.forces, trail.energies.tolist(), strict=True):
            self.held.forces, self.held.energy = forces, energy
            self.look()
            self.step()
        self.force_calls, self.seconds = len(trail.forces), trail.seconds

    def trail(self) -> Trail:
        """The data needed to replay the relaxation without the model."""
        return Trail(np.array(self.forces), np.array([energy for _, _, energy in self.history]), self.seconds)

    @property
    def steps(self) -> int:
        """Number of steps with known forces."""
        return len(self.history) - 1

    def look(self) -> None:
        """Record the forces of this round; ``ending`` is how the relaxation ended, if it did."""
        self.forces.append(self.held.forces)
        norms = np.linalg.norm(self.atoms.get_forces(), axis=1)
        self.history.append((float(norms.max()), float(np.sqrt(np.mean(norms**2))), self.held.energy))
        largest = self.history[-1][0]
        if self.error is not None:
            self.ending = Ending.FAILED
        elif not np.isfinite(largest) or np.linalg.norm(self.atoms.positions - self.origin, axis=1).max() > ESCAPE_A:
            self.ending = Ending.EXPLODED
        elif largest < self.fmax:
            self.ending = Ending.CONVERGED
        elif self.steps >= self.max_steps:
            self.ending = Ending.NOT_CONVERGED
        if self.keep_path and (self.ending is not None or self.steps in KEPT):
            self.path.append((self.steps, self.atoms.get_positions()))

    def step(self) -> None:
        """ASE's step."""
        # On a field without curvature, L-BFGS divides by yᵀs = 0; the non-finite positions end the relaxation.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            self.dynamics.step()

    def result(self) -> Relaxation:
        """The result of the relaxation."""
        assert self.ending is not None
        return Relaxation(
            ending=self.ending,
            steps=self.steps,
            history=np.array(self.history),
            positions=self.atoms.get_positions(),
            force_calls=self.force_calls,
            seconds=self.seconds,
            path_steps=np.array([step for step, _ in self.path], dtype=np.int64),
            path=np.array([at for _, at in self.path]).reshape(-1, len(self.atoms), 3),
            failure="" if self.error is None else error_sentence(self.error),
        )


class _Endings:
    """Ended relaxations. Failed ones are withheld until one has ended otherwise: a model that refuses every structure is reported as such."""

    def __init__(self, *, others_done: bool) -> None:
        self.others_done = others_done
        self.withheld: list[_Lane] = []

    def take(self, lanes: Sequence[_Lane]) -> list[_Lane]:
        """Those among ``lanes``, and those withheld, that may be reported now."""
        ended = [lane for lane in lanes if lane.ending is not None]
        self.others_done = self.others_done or any(lane.ending is not Ending.FAILED for lane in ended)
        self.withheld += ended
        if not self.others_done:
            return []
        free, self.withheld = self.withheld, []
        return free

    def raise_if_all_failed(self) -> None:
        """Raise the first exception of the model, if relaxations are still withheld."""
        for lane in self.withheld:
            assert lane.error is not None
            raise lane.error


class _Forces:
    """Forces of all lanes of equal size, in as few model calls as the batch size allows."""

    def __init__(self, forcefield: ForceField, room: int) -> None:
        self.forcefield = forcefield
        self.warm = False
        self.room = room
        """Number of structures in one call; reduced after the device ran out of memory."""
        self._fields: dict[tuple[int, ...], Field] = {}

    def has_room(self, lanes: Sequence[_Lane]) -> bool:
        """Whether another relaxation may begin."""
        return len(lanes) < self.room

    def __call__(self, lanes: Sequence[_Lane]) -> None:
        """Compute energy and forces of every lane. For non-finite positions the forces are NaN without a model call."""
        asked = []
        for lane in lanes:
            if np.isfinite(lane.atoms.positions).all():
                asked.append(lane)
            else:
                lane.held.energy, lane.held.forces = np.nan, np.full_like(lane.atoms.positions, np.nan)
        while True:
            try:
                self._ask(asked)
            except torch.OutOfMemoryError:
                largest = min(self.room, len(asked))
                if largest == 1:
                    raise
                self.room = (largest + 1) // 2
                self._fields.clear()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            except (*CODE_ERRORS, ModelError, UnsupportedError):
                self._ask_each(asked)
                break
            else:
                break
        for lane in asked:
            lane.force_calls += 1

    def _ask_each(self, lanes: Sequence[_Lane]) -> None:
        """One call for each structure after a call of several has failed: which of them the model does not accept."""
        for lane in lanes:
            try:
                self._ask([lane])
            except torch.OutOfMemoryError:
                raise
            except (*CODE_ERRORS, ModelError, UnsupportedError) as error:
                lane.error = error
                lane.held.energy, lane.held.forces = np.nan, np.full_like(lane.atoms.positions, np.nan)

    def _ask(self, lanes: Sequence[_Lane]) -> None:
        parts = [lanes[i : i + self.room] for i in range(0, len(lanes), self.room)]
        fields = {}
        for part in parts:
            key = tuple(lane.number for lane in part)
            # Fields of other lanes are released, since they may use much memory. The starting structure is bound: one whose atoms have
            # collapsed under the forces would be refused.
            field = fields[key] = self._fields.get(key) or self.forcefield.bind([lane.start for lane in part])
            if not self.warm:
                # Warm-up calls: a resumed run must get the same forces as an uninterrupted one, also from a model that is optimised in its first calls.
                warm_up(field)
                self.warm = True
            positions = np.stack([lane.atoms.get_positions() for lane in part])
            output = field(torch.as_tensor(positions, dtype=torch.float64, device=field.device))
            energies: NDArray[np.float64] = output.energy.cpu().numpy()
            forces: NDArray[np.float64] = output.forces.cpu().numpy()
            for lane, energy, force in zip(part, energies, forces, strict=True):
                lane.held.energy, lane.held.forces = float(energy), force
        self._fields = fields


class _SharedForces(_Forces):
    """Forces of lanes of any sizes, which processes share: those of one size alone would often leave one of them without work."""

    def __init__(self, forcefield: ForceField, processes: int) -> None:
        super().__init__(forcefield, processes)
        self._key: tuple[int, ...] = ()
        self._mixed: MixedField | None = None

    def has_room(self, lanes: Sequence[_Lane]) -> bool:
        atoms = sum(len(lane.atoms) for lane in lanes)
        return len(lanes) < self.room or atoms < self.room * CPU_BATCH_ATOMS

    def _ask(self, lanes: Sequence[_Lane]) -> None:
        key = tuple(lane.number for lane in lanes)
        if self._mixed is None or key != self._key:
            self._key, self._mixed = key, self.forcefield.bind_mixed([lane.start for lane in lanes])
        if not self.warm:
            for call in range(WARM_UP_CALLS):
                self._mixed([lane.start.get_positions() + (call + 1) * WARM_UP_SHIFT_A for lane in lanes])
            self.warm = True
        results = self._mixed([lane.atoms.get_positions() for lane in lanes])
        for lane, (energy, forces) in zip(lanes, results, strict=True):
            lane.held.energy, lane.held.forces = energy, forces
