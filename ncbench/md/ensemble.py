"""Binds structures, draws initial momenta, and runs all of them as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from ase import Atoms

from ncbench.md.engines import external_engine
from ncbench.md.integrators import Dynamics, Propagator, velocity_verlet
from ncbench.md.mts import MultipleTimeStep
from ncbench.md.random import NoiseSource
from ncbench.md.rescaling import rescaled
from ncbench.md.run import RunInterrupted, RunResult, RunSettings, Stepper, run_md
from ncbench.md.series import EnergySeries, Observer
from ncbench.md.settings import Engine, MdSettings
from ncbench.md.state import MDState, Particles, bring_momenta, draw_momenta, initial_state, momenta_of
from ncbench.models.interface import Field, ForceField
from ncbench.types import NOT_FINITE_AT_START, Checkpoint, ForceMode, Status


@dataclass(frozen=True)
class Scheme:
    """The propagator: velocity Verlet, multiple time stepping with fast forces, or velocity Verlet with rescaling to constant energy."""

    fast: ForceField | None = None
    """The fast model of multiple time stepping."""
    stride: int = 1
    """M: fast steps per slow-force evaluation."""
    rescale: bool = False

    @property
    def name(self) -> str:
        """``verlet``, ``mts`` or ``rescaled``."""
        return "rescaled" if self.rescale else "mts" if self.fast is not None else "verlet"

    def propagator(self, structures: Sequence[Atoms]) -> Propagator:
        """The propagator, with the fast model bound to the structures."""
        inner: Propagator = velocity_verlet
        if self.fast is not None:
            inner = MultipleTimeStep(self.fast.bind(structures), self.stride)
        return rescaled(inner) if self.rescale else inner


VERLET = Scheme()


def fast_and_slow(forcefield: ForceField, reference: ForceField | None) -> tuple[ForceField, ForceField]:
    """(fast, slow) models of multiple time stepping: the model and its reference, or its direct and its conservative forces.

    Raises:
        UnsupportedError: no reference was named, and the model has one force mode only.
    """
    if reference is not None:
        return forcefield, reference
    return forcefield.sibling(ForceMode.DIRECT), forcefield.sibling(ForceMode.CONSERVATIVE)


@dataclass(frozen=True)
class EnsembleRun:
    """A finished run of R replicas."""

    series: EnergySeries
    result: RunResult
    momenta: str
    """``structure`` if the momenta are those of the structures, ``drawn`` otherwise."""
    stopped_fs: float | None = None
    """Simulated time if it was interrupted by Ctrl-C; ``None`` for a complete run."""


class EnsembleInterrupted(KeyboardInterrupt):
    """Ctrl-C in a run of several replicas; ``found`` holds the partial results by replica number."""

    def __init__(self, ensemble: EnsembleRun, replicas: Sequence[int]) -> None:
        super().__init__()
        self.found = {number: (ensemble, replica) for replica, number in enumerate(replicas)}


@dataclass(frozen=True)
class Start:
    """Bound structures with the momenta and random numbers of a run."""

    field: Field
    particles: Particles
    noise: NoiseSource
    given: torch.Tensor | None
    """Momenta of the structures, [R, N, 3]; ``None`` if they are drawn."""
    temperature_K: float

    @classmethod
    def of(
        cls,
        forcefield: ForceField,
        structures: Sequence[Atoms],
        replicas: Sequence[int],
        settings: MdSettings,
        *,
        seed: int,
        label: str,
    ) -> Start:
        """The start of a run; arguments as those of :func:`run_ensemble`."""
        field = forcefield.bind(structures)
        particles = Particles.from_structures(structures, fix_com=settings.fix_com, device=field.device)
        noise = NoiseSource(seed, replicas, label=label, device=field.device)
        given = None if settings.redraw_momenta else momenta_of(structures, particles, settings.temperature_K)
        return cls(field, particles, noise, given, settings.temperature_K)

    @property
    def momenta_from(self) -> str:
        """``structure`` if the momenta are those of the structures, ``drawn`` otherwise."""
        return "drawn" if self.given is None else "structure"

    def state(self) -> MDState:
        """The state at step 0; calls the field once."""
        momenta = self.given
        if momenta is None:
            normals = self.noise.initial_normals((self.particles.n_atoms, 3))
            momenta = draw_momenta(self.particles, normals, self.temperature_K)
        return initial_state(self.field, self.particles, momenta)


def run_ensemble(
    forcefield: ForceField,
    structures: Sequence[Atoms],
    replicas: Sequence[int],
    dynamics: Dynamics,
    settings: MdSettings,
    *,
    n_steps: int,
    seed: int,
    label: str,
    checkpoint: Checkpoint,
    report: Callable[[int, str], None],
    scheme: Scheme = VERLET,
    observers: Sequence[Observer] = (),
    engine: Engine = "own",
) -> EnsembleRun:
    """Run structures of equal size side by side; with another engine than our own, one structure.

    Args:
        forcefield: the model.
        structures: R structures of N atoms; their momenta are used if all of them have momenta.
        replicas: a number for each, which identifies its random numbers.
        dynamics: the integrator.
        settings: those of the diagnostic.
        n_steps: steps.
        seed: for momenta and noise.
        label: name of this run among those with the same seed.
        checkpoint: of this run.
        report: progress.
        scheme: the propagator, instead of the one in ``dynamics``, whose time step is then the outer one.
        observers: further observers, besides the energies.
        engine: the program that integrates.

    Raises:
        UnsupportedError: the engine is not installed, or does not support the requested dynamics.
        EnsembleInterrupted: on KeyboardInterrupt, with the series so far, after the checkpoint was written.
    """
    propagate = scheme.propagator(structures)
    start_of = Start.of(forcefield, structures, replicas, settings, seed=seed, label=label)
    field, particles, noise = start_of.field, start_of.particles, start_of.noise
    steps: Stepper = replace(dynamics, propagate=propagate)
    if engine != "own":
        steps = external_engine(
            engine,
            dynamics,
            scheme,
            forcefield,
            structures,
            seed=seed,
            replicas=replicas,
            label=label,
            temperature_K=settings.temperature_K,
        )

    def start() -> MDState:
        state = start_of.state()
        return propagate.with_fast_forces(state, particles) if isinstance(propagate, MultipleTimeStep) else state

    stride = min(settings.sample_every, n_steps)
    series = EnergySeries(particles, n_steps=n_steps, stride=stride, timestep_fs=dynamics.timestep_fs)
    run = RunSettings(n_steps=n_steps, sample_every=stride, max_temperature_K=settings.max_temperature_K)
    momenta_from = start_of.momenta_from
    try:
        result = run_md(
            field,
            particles,
            start,
            steps,
            noise,
            run,
            observers=[series, *observers],
            checkpoint=checkpoint,
            report=report,
        )
    except RunInterrupted as stop:
        # Samples of steps after the last saved one are taken again by the resumed run.
        series.restore(series.saved(stop.result.state.step))
        stopped_fs = stop.result.state.step * dynamics.timestep_fs
        raise EnsembleInterrupted(EnsembleRun(series, stop.result, momenta_from, stopped_fs), replicas) from None
    return EnsembleRun(series, result, momenta_from)


_LEAST_SAMPLES = 8
"""Least number of samples for a slope with an error."""


def enough_samples(ensemble: EnsembleRun, start_fs: float) -> bool:
    """Whether an interrupted run has enough samples after ``start_fs`` for results; a complete run always has."""
    sampled = int((ensemble.series.times_fs >= start_fs).sum())
    return ensemble.stopped_fs is None or sampled >= _LEAST_SAMPLES


def early_end(ensemble: EnsembleRun, replica: int, *, step_fs: float, max_temperature_K: float) -> dict[str, Any]:
    """The columns ``status``, ``reason`` and ``exploded_at_fs`` of a replica that ended early; empty for one that did not.

    Args:
        ensemble: the run.
        replica: index in it.
        step_fs: time of one step of the run (with multiple time stepping, an outer one).
        max_temperature_K: the limit of the run, for the reason.
    """
    if ensemble.result.unusable[replica]:
        return {"status": Status.FAILED, "reason": NOT_FINITE_AT_START, "exploded_at_fs": None}
    exploded = ensemble.result.exploded_fs(replica, step_fs)
    if exploded is None:
        return {}
    if exploded == 0.0:
        # Nothing of the model has acted on the momenta yet.
        reason = f"the momenta at the start are those of more than {max_temperature_K:g} K"
        return {"status": Status.FAILED, "reason": reason, "exploded_at_fs": None}
    reason = f"not finite or above {max_temperature_K:g} K after {exploded:g} fs"
    return {"status": Status.EXPLODED, "reason": reason, "exploded_at_fs": exploded}


def interrupted_at(ensemble: EnsembleRun) -> str:
    """The reason in the row of an interrupted run."""
    return f"interrupted after {ensemble.stopped_fs:g} fs; the results, if any, are from this time"


def groups_alike(structures: Sequence[Atoms]) -> list[list[int]]:
    """Indices grouped by size and by presence of momenta, so that the drawing of momenta does not depend on the batch."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, atoms in enumerate(structures):
        groups.setdefault((len(atoms), bring_momenta(atoms)), []).append(index)
    return list(groups.values())


def groups_of_equal_size(structures: Sequence[Atoms]) -> list[list[int]]:
    """Indices of the structures grouped by size, in the order of the first structure of each size."""
    groups: dict[int, list[int]] = {}
    for index, atoms in enumerate(structures):
        groups.setdefault(len(atoms), []).append(index)
    return list(groups.values())


CPU_BATCH_ATOMS = 256
"""Maximum number of atoms in one call on a CPU: batches of 192-atom boxes had 0.7 (R = 8) and 0.4 (R = 32) of the throughput of R = 1 (PET)."""


def default_batch(forcefield: ForceField, structures: Sequence[Atoms]) -> int | None:
    """Structures in one batch by default: all of one size on a GPU, about 256 atoms on a CPU for each process that shares the batch."""
    if forcefield.card.device != "cpu" or not structures:
        return None
    return forcefield.card.processes * max(1, CPU_BATCH_ATOMS // max(len(atoms) for atoms in structures))


def in_batches(groups: Sequence[Sequence[int]], batch: int | None) -> list[list[int]]:
    """Groups split into batches of at most ``batch``."""
    size = batch or max((len(group) for group in groups), default=1)
    return [list(group[i : i + size]) for group in groups for i in range(0, len(group), size)]


def with_room(group: Sequence[int], run: Callable[[Sequence[int]], EnsembleRun]) -> list[tuple[list[int], EnsembleRun]]:
    """``run`` of the group; if the device runs out of memory, of its halves one after the other, recursively.

    Raises:
        torch.OutOfMemoryError: even a single structure does not fit.
    """
    try:
        return [(list(group), run(group))]
    except torch.OutOfMemoryError:
        if len(group) == 1:
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (len(group) + 1) // 2
    return with_room(group[:half], run) + with_room(group[half:], run)
