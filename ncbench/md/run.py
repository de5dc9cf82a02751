"""The driver of a run: steps, samples, checkpoints, and replicas that end early.

A run that was killed and resumed is bitwise identical to an uninterrupted one, which requires of a field that its output depends only on
the positions, not on earlier calls. A neighbour list with a skin must therefore return only pairs within
the cutoff, in an order that does not depend on when the list was built. TorchScript is an exception: it
optimises a model after its first call, so that the second differs by rounding; a few warm-up calls are therefore made before the first step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ncbench.md.random import NoiseSource
from ncbench.md.series import Observer
from ncbench.md.state import MDState, Particles, kinetic_energy, temperature
from ncbench.models.interface import Field
from ncbench.types import Checkpoint
from ncbench.units import KB

WARM_UP_CALLS = 2
WARM_UP_SHIFT_A = 1.0e-4
_PROGRESS_SECONDS = 0.5
CHECK_EVERY = 10
"""Steps after which the host asks a device other than the CPU which replicas have ended, and waits for the answer. The device itself freezes a
replica at the step at which it ends, so that results do not depend on this number."""
_TENSORS = ("positions", "momenta", "forces", "energy", "heat")


class Stepper(Protocol):
    """The integrator: :class:`ncbench.md.integrators.Dynamics`, or i-PI."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState: ...

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState: ...


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Length, sampling and limits of a run."""

    n_steps: int
    sample_every: int = 1
    max_temperature_K: float = 1.0e4
    """Temperature above which a replica counts as exploded, at any step."""
    checkpoint_seconds: float = 10.0


@dataclass(frozen=True)
class RunResult:
    """Result of a run."""

    state: MDState
    alive: NDArray[np.bool_]
    """[R]"""
    exploded_step: NDArray[np.int64]
    """[R], the step at which the replica exploded; −1 if it did not."""
    unusable: NDArray[np.bool_]
    """[R]: the forces at the initial positions were not finite, which is a failure of the model or structure and no explosion."""

    @property
    def force_calls(self) -> int:
        """Evaluations of the bound field, one per step and one at the start, without warm-up calls."""
        return self.state.step + 1

    def exploded_fs(self, replica: int, timestep_fs: float) -> float | None:
        """Time at which the replica ended early, fs, or ``None``."""
        step = int(self.exploded_step[replica])
        return None if step < 0 else step * timestep_fs


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C in a run; ``result`` is the state at the last complete step, with the samples so far."""

    def __init__(self, result: RunResult) -> None:
        super().__init__()
        self.result = result


def run_md(
    field: Field,
    particles: Particles,
    start: Callable[[], MDState],
    dynamics: Stepper,
    noise: NoiseSource,
    settings: RunSettings,
    *,
    observers: Sequence[Observer] = (),
    checkpoint: Checkpoint | None = None,
    report: Callable[[int, str], None] = lambda step, note: None,
) -> RunResult:
    """Run ``dynamics`` from ``start()``, or resume from the checkpoint, for ``settings.n_steps`` steps.

    Args:
        field: R bound structures.
        particles: the same R structures' particles.
        start: makes the state at step 0; not called if there is a checkpoint.
        dynamics: the integrator.
        noise: its random numbers.
        settings: length, stride, limits.
        observers: sampled at step 0 and every ``sample_every`` steps while any replica is active.
        checkpoint: stores the state for resuming, about every ``checkpoint_seconds`` and at the end.
        report: called about twice a second with the step and a short note.

    Raises:
        RunInterrupted: on KeyboardInterrupt, after the last complete step was saved.
    """
    run = _Run(field, particles, dynamics, noise, settings, observers, checkpoint)
    saved = checkpoint.load() if checkpoint is not None else None
    if saved is not None:
        run.restore(saved)
        if run.kept.step < settings.n_steps:
            warm_up(field)
    else:
        warm_up(field)
        run.begin(dynamics.initialise(start(), particles, noise))
    try:
        run.advance(report)
    except KeyboardInterrupt:
        run.save()
        raise RunInterrupted(run.result()) from None
    run.save()
    return run.result()


def warm_up(field: Field) -> None:
    """Warm-up calls of the field at the bound positions, until just-in-time optimisation has finished."""
    positions = field.initial_positions()
    for call in range(WARM_UP_CALLS):
        # Shifted rigidly, since an ASE calculator would otherwise return cached results.
        field(positions + (call + 1) * WARM_UP_SHIFT_A)


class _Run:
    """The mutable state of one call of :func:`run_md`. ``kept`` is the state of the last step with complete samples."""

    def __init__(
        self,
        field: Field,
        particles: Particles,
        dynamics: Stepper,
        noise: NoiseSource,
        settings: RunSettings,
        observers: Sequence[Observer],
        checkpoint: Checkpoint | None,
    ) -> None:
        self.field, self.dynamics, self.noise = field, dynamics, noise
        self.settings, self.observers, self.checkpoint = settings, observers, checkpoint
        self.all_particles = particles
        self.particles = particles
        self.exploded_step = np.full(particles.n_replicas, -1, dtype=np.int64)
        self.unusable = np.zeros(particles.n_replicas, dtype=np.bool_)
        self.safe_positions = field.initial_positions()
        degrees = particles.degrees_of_freedom
        self.kinetic_limit = 0.5 * degrees * KB * settings.max_temperature_K
        self.kept: MDState
        self.ended = torch.zeros(particles.n_replicas, dtype=torch.bool, device=field.device)
        self.on_host = field.device.type == "cpu"
        self.ended_at = torch.full((particles.n_replicas,), -1, dtype=torch.int64, device=field.device)
        """[R]: ``exploded_step`` on a device other than the CPU."""

    @property
    def alive(self) -> NDArray[np.bool_]:
        return np.asarray(self.exploded_step < 0)

    def begin(self, state: MDState) -> None:
        finite = _finite_forces(state)
        self.unusable = ~finite.cpu().numpy()
        state = self._end_exploded(state, finite)
        self._update_exploded_step()
        for observer in self.observers:
            observer.sample(state, self.alive)
        self.kept = state

    def advance(self, report: Callable[[int, str], None]) -> None:
        last_save = last_report = time.monotonic()
        # The time of the run is estimated from here on.
        report(self.kept.step, self._note(self.kept))
        while self.kept.step < self.settings.n_steps and self.alive.any():
            state = self.dynamics.step(self.kept, self.field, self.particles, self.noise)
            state = self._end_exploded(state)
            if self._answer_is_due(state.step):
                self._update_exploded_step()
            if state.step % self.settings.sample_every == 0:
                for observer in self.observers:
                    observer.sample(state, self.alive)
            self.kept = state
            now = time.monotonic()
            if now - last_report > _PROGRESS_SECONDS:
                report(state.step, self._note(state))
                last_report = now
            if now - last_save > self.settings.checkpoint_seconds:
                self.save()
                last_save = time.monotonic()
        report(self.settings.n_steps, self._note(self.kept))

    def _end_exploded(self, state: MDState, finite: torch.Tensor | None = None) -> MDState:
        """Freeze replicas that are non-finite (not ``finite`` [R]) or too hot at their initial positions, so that the others can continue."""
        kinetic = kinetic_energy(state.momenta, self.particles)
        # One comparison per step: a non-finite force or position makes the momenta non-finite, and NaN fails the comparison.
        within = (kinetic <= self.kinetic_limit) | self.ended
        if finite is not None:
            # The momenta of step 0 do not depend on the forces.
            within = within & finite
        now = ~within
        if not self.on_host:
            self.ended_at = torch.where(now, state.step, self.ended_at)
            self._end(now)
            return self._frozen(state)
        if bool(now.any()):
            self.exploded_step[now.numpy()] = state.step
            self._end(now)
        return state if self.alive.all() else self._frozen(state)

    def _end(self, now: torch.Tensor) -> None:
        self.ended = self.ended | now
        self.particles = self.particles.without(self.ended)

    def _answer_is_due(self, step: int) -> bool:
        """Whether the host needs to know at this step which replicas have ended: at samples, every :data:`CHECK_EVERY` steps and at the end."""
        return step % self.settings.sample_every == 0 or step % CHECK_EVERY == 0 or step == self.settings.n_steps

    def _update_exploded_step(self) -> None:
        """Copy ``ended_at`` to the host, which waits for the device."""
        if not self.on_host:
            self.exploded_step = self.ended_at.cpu().numpy().copy()

    def _frozen(self, state: MDState) -> MDState:
        """Replicas that have ended, at rest at their initial positions."""
        # At every step: a field that returned NaN may do so again, and NaN times a zero inverse mass is NaN.
        exploded = self.ended[:, None, None]
        return replace(
            state,
            positions=torch.where(exploded, self.safe_positions, state.positions),
            momenta=torch.where(exploded, 0.0, state.momenta),
            forces=torch.where(exploded, 0.0, state.forces),
            heat=torch.where(self.ended, 0.0, state.heat),
            # A thermostat's auxiliary momenta would reintroduce NaN.
            extra={
                name: torch.where(self.ended.reshape(-1, *[1] * (value.ndim - 1)), 0.0, value)
                for name, value in state.extra.items()
            },
        )

    def _note(self, state: MDState) -> str:
        self._update_exploded_step()
        values = temperature(kinetic_energy(state.momenta, self.particles), self.particles.degrees_of_freedom)
        living = values.cpu().numpy()[self.alive]
        return f"T = {living.mean():.0f} K" if len(living) else "exploded"

    def save(self) -> None:
        self._update_exploded_step()
        if self.checkpoint is None:
            return
        state = self.kept
        # An interrupt can occur between the detection of an explosion and the end of its step, which is then repeated.
        exploded_step = np.where(self.exploded_step > state.step, -1, self.exploded_step)
        saved: dict[str, Any] = {name: getattr(state, name).cpu().numpy() for name in _TENSORS}
        saved |= {f"extra.{name}": value.cpu().numpy() for name, value in state.extra.items()}
        saved |= {"step": state.step, "exploded_step": exploded_step, "unusable": self.unusable}
        for number, observer in enumerate(self.observers):
            saved |= {f"observer{number}.{name}": value for name, value in observer.saved(state.step).items()}
        self.checkpoint.save(saved)

    def restore(self, saved: Mapping[str, Any]) -> None:
        def tensor(name: str) -> torch.Tensor:
            return torch.as_tensor(np.array(saved[name], dtype=np.float64), device=self.field.device)

        extra = {name.removeprefix("extra."): tensor(name) for name in saved if name.startswith("extra.")}
        self.kept = MDState(**{name: tensor(name) for name in _TENSORS}, step=int(saved["step"]), extra=extra)
        self.exploded_step = np.array(saved["exploded_step"], dtype=np.int64)
        # Checkpoints of earlier versions do not have it: they hold no replica whose first forces were not finite.
        self.unusable = np.array(saved.get("unusable", np.zeros(len(self.exploded_step))), dtype=np.bool_)
        self.ended = torch.as_tensor(~self.alive, device=self.field.device)
        self.ended_at = torch.as_tensor(self.exploded_step, device=self.field.device)
        self.particles = self.all_particles.without(self.ended)
        for number, observer in enumerate(self.observers):
            prefix = f"observer{number}."
            observer.restore({k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)})

    def result(self) -> RunResult:
        return RunResult(self.kept, self.alive, self.exploded_step.copy(), self.unusable.copy())


def _finite_forces(state: MDState) -> torch.Tensor:
    """[R]: whether a replica's forces, and those of the integrator's own variables (fast forces), are finite."""
    tensors = [state.forces, *state.extra.values()]
    return torch.stack([value.flatten(1).isfinite().all(dim=1) for value in tensors]).all(dim=0)


def steps_of(duration_fs: float, timestep_fs: float) -> int:
    """Number of steps in a duration, at least one."""
    return max(1, round(duration_fs / timestep_fs))
