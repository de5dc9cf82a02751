"""How many force calls a job will make, for an estimate of its time before it starts.

Counts follow from the settings where they decide (steps of dynamics, points of a path), and from typical runs where only the run
can tell (steps of a relaxation). A Jacobian product counts as the force calls that take as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ncbench.types import Job

DIRECT_SHARE = 0.5
"""Time of direct forces over that of conservative ones: 1/1.925 in the paper's Table 10."""
PRODUCT = 2.5
"""A product with the Jacobian and its transpose, in force calls: a backward pass or two through what one call does."""
RELAXATION_STEPS = {"lbfgs": 120, "fire": 300}
"""Typical ones of a relaxation that converges."""


def force_calls(job: Job, sizes: Sequence[int]) -> list[float]:
    """Force calls a structure, in the order of ``sizes`` (atoms a structure)."""
    settings = job.settings
    count = _COUNTS[job.diagnostic]
    return [float(count(settings, n)) for n in sizes]


def _lambda(settings: Any, n: int) -> float:
    whole = settings.method in ("exact", "coloured", "finite-difference") or settings.resolve != "none"
    whole = whole or (settings.method == "auto" and n <= settings.exact_max_atoms)
    if settings.method == "finite-difference":
        return 6.0 * n
    return PRODUCT * (3.0 * n if whole else 2.0 * settings.probes)


def _split(settings: Any) -> float:
    """Force calls a step, where multiple time stepping mixes dear and cheap ones."""
    return DIRECT_SHARE + 1.0 / settings.mts if settings.mts else 1.0


def _drift(settings: Any) -> float:
    steps = settings.timesteps or (settings.timestep_fs,)
    return float(sum(settings.duration_fs / step for step in steps) * settings.replicas * _split(settings))


def _nvt(settings: Any) -> float:
    steps = (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs
    return float(steps * len(settings.thermostats) * settings.replicas * _split(settings))


def _npt(settings: Any) -> float:
    return float(
        (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs * settings.replicas * _split(settings)
    )


def _mts(settings: Any) -> float:
    steps = settings.duration_fs / settings.timestep_fs + settings.rounds * settings.timed_steps
    return float(steps * (1.0 + DIRECT_SHARE + sum(DIRECT_SHARE + 1.0 / stride for stride in settings.strides)))


def _workloop(settings: Any) -> float:
    molecule = math.sqrt(settings.points * settings.max_points)
    planar = settings.loops * settings.points / 2.0
    return float({"molecule": molecule, "planar": planar}.get(settings.path, molecule + planar))


def _relax(settings: Any) -> float:
    most = settings.max_steps or 1000
    return float(sum(min(most, RELAXATION_STEPS[name]) for name in settings.optimizers))


def _timing(settings: Any) -> float:
    ways = 2 if settings.path == "auto" else 1
    return float(ways * settings.batch * float(settings.repeats * settings.steps + settings.warmup_steps + 1))


def _consistency(settings: Any) -> float:
    return float(4.0 * settings.directions + 2.0 * settings.rotations + 2.0 * settings.points)


_COUNTS: Mapping[str, Callable[[Any, int], float]] = {
    "lambda": _lambda,
    "nve-drift": lambda settings, n: _drift(settings),
    "nvt": lambda settings, n: _nvt(settings),
    "npt": lambda settings, n: _npt(settings),
    "mts": lambda settings, n: _mts(settings),
    "workloop": lambda settings, n: _workloop(settings),
    "relax": lambda settings, n: _relax(settings),
    "timing": lambda settings, n: _timing(settings),
    "accuracy": lambda settings, n: 1.0,
    "evaluate": lambda settings, n: 1.0,
    "consistency": lambda settings, n: _consistency(settings),
}
