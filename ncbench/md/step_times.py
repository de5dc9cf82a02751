"""Wall time of a step of several kinds of dynamics, measured alternately so that changes of the machine's load affect all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ase import Atoms

from ncbench.md.ensemble import Scheme
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import WARM_UP_CALLS, warm_up
from ncbench.md.settings import MdSettings
from ncbench.md.state import MDState, Particles, draw_momenta, initial_state, momenta_of
from ncbench.models.interface import Field, ForceField


@dataclass(frozen=True)
class Stepping:
    """A kind of dynamics to be timed."""

    name: str
    model: ForceField
    scheme: Scheme

    @property
    def stride(self) -> int:
        """M: fast steps per slow-force evaluation."""
        return self.scheme.stride


def step_times(
    atoms: Atoms, kinds: Sequence[Stepping], settings: MdSettings, *, steps: int, rounds: int
) -> list[dict[str, Any]]:
    """Milliseconds per (fast) step of each kind, and the ratio to the first kind in the same round.

    Args:
        atoms: one structure.
        kinds: the first is the fast forces alone, the second the slow ones alone, then multiple time stepping.
        settings: time step, temperature, centre of mass.
        steps: least number of steps of a timed segment.
        rounds: timed segments of each kind.
    """
    steppers = [_Stepper(atoms, kind, settings, steps) for kind in kinds]
    by_round = [[stepper.milliseconds() for stepper in steppers] for _ in range(rounds)]
    columns = list(zip(*by_round, strict=True))
    slow_cost = statistics.median(slow / fast for fast, slow in zip(columns[0], columns[1], strict=True))
    shared = steppers[1].field.with_direct_forces(steppers[1].state.positions) is not None
    rows = []
    for kind, times in zip(kinds, columns, strict=True):
        ratios = [t / direct for t, direct in zip(times, columns[0], strict=True)]
        split = kind.scheme.fast is not None
        rows.append(
            {
                "ms_per_step": statistics.median(times),
                "ms_per_step_low": min(times),
                "ms_per_step_high": max(times),
                "ratio_cost": statistics.median(ratios),
                "ratio_cost_low": min(ratios),
                "ratio_cost_high": max(ratios),
                "ratio_two_calls": 1.0 + slow_cost / kind.stride if split else None,
                "ratio_one_call": 1.0 + (slow_cost - 1.0) / kind.stride if split else None,
                "both_in_one_call": shared,
            }
        )
    return rows


class _Stepper:
    """Times segments of one trajectory, which is discarded."""

    def __init__(self, atoms: Atoms, kind: Stepping, settings: MdSettings, steps: int) -> None:
        self.field: Field = kind.model.bind([atoms])
        self.particles = Particles.from_structures([atoms], fix_com=settings.fix_com, device=self.field.device)
        self.noise = NoiseSource(0, [0], device=self.field.device)
        self.dynamics = Dynamics(settings.timestep_fs * kind.stride, propagate=kind.scheme.propagator([atoms]))
        momenta = momenta_of([atoms], self.particles)
        if momenta is None:
            momenta = draw_momenta(self.particles, self.noise.initial_normals((len(atoms), 3)), settings.temperature_K)
        warm_up(self.field)
        self.state: MDState = initial_state(self.field, self.particles, momenta)
        self.outer = -(-steps // kind.stride)
        self.steps = self.outer * kind.stride
        for _ in range(WARM_UP_CALLS):
            self._advance()

    def milliseconds(self) -> float:
        """Time per (fast) step over one segment."""
        self._wait()
        began = time.perf_counter()
        for _ in range(self.outer):
            self._advance()
        self._wait()
        return 1e3 * (time.perf_counter() - began) / self.steps

    def _advance(self) -> None:
        self.state = self.dynamics.step(self.state, self.field, self.particles, self.noise)

    def _wait(self) -> None:
        if self.field.device.type == "cuda":
            torch.cuda.synchronize(self.field.device)
