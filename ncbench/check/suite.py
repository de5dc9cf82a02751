"""The diagnostics and settings of a check, short enough for CI (``quick``) or with smaller errors (``full``)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ncbench.diagnostics.predict import SUMMARY_TAU_FS
from ncbench.errors import UsageError, did_you_mean
from ncbench.run.plan import plan_jobs
from ncbench.types import Budget, Job, ModelRequest, SystemRequest

MOLECULE = SystemRequest(name="water-molecule", structures=1)
SMALL = SystemRequest(name="water8", structures=1)
"""Where the quick suite takes the whole force Jacobian."""


class Suite(StrEnum):
    """How much is run."""

    QUICK = "quick"
    """Some 400 force calls of the structure, 1500 of a molecule and the Jacobian of :data:`SMALL`: two minutes of a small model on 2 cores."""
    FULL = "full"
    """Some ten times as much."""


def suite_of(name: str) -> Suite:
    """The suite of this name.

    Raises:
        UsageError: no such suite.
    """
    try:
        return Suite(name)
    except ValueError:
        hint = did_you_mean(name, list(Suite)) or f"There are {', '.join(Suite)}."
        raise UsageError(f"There is no suite '{name}'.", hint=hint) from None


PREDICT: Mapping[str, Any] = {"thermostats": (f"langevin:{SUMMARY_TAU_FS:g}",), "quench_steps": 0}
"""Without a quench, whose end depends on rounding: the prediction is then as reproducible as the Jacobian."""

WHOLE_ATOMS = 8
"""Up to so many atoms the whole Jacobian costs about as much as random probes, whose λ of few coordinates has an error that hides a change."""

SETTINGS: Mapping[Suite, Mapping[str, Mapping[str, Any]]] = {
    Suite.QUICK: {
        "lambda": {"method": "auto", "exact_max_atoms": WHOLE_ATOMS, "probes": 12, "sibling_floor": False},
        "workloop": {"path": "all", "loops": 2, "points": 48, "max_points": 48},
        "nve-drift": {"duration_fs": 20.0, "replicas": 5, "sample_every": 1},
        "consistency": {"directions": 6, "rotations": 3, "points": 24},
        "relax": {"optimizer": "lbfgs", "n": 10, "max_steps": 300},
        "predict": PREDICT,
        "timing": {"path": "adapter", "repeats": 12, "steps": 1, "warmup_steps": 2, "reference_workload": True},
    },
    Suite.FULL: {
        "lambda": {"method": "auto", "exact_max_atoms": WHOLE_ATOMS, "probes": 32, "sibling_floor": False},
        "workloop": {"path": "all", "loops": 8, "points": 64, "max_points": 128},
        "nve-drift": {"duration_fs": 100.0, "replicas": 8, "sample_every": 1},
        "consistency": {"directions": 16, "rotations": 8, "points": 96},
        "relax": {"optimizer": "both", "n": 40, "max_steps": 1000},
        "predict": PREDICT,
        "timing": {"path": "adapter", "repeats": 40, "steps": 2, "warmup_steps": 5, "reference_workload": True},
    },
}
"""Diagnostics by suite, with what differs from the smoke budget."""


def jobs(
    model: ModelRequest,
    suite: Suite,
    *,
    system: SystemRequest | None = None,
    molecule: SystemRequest | None = None,
    seed: int = 0,
) -> list[Job]:
    """The jobs of a check.

    Args:
        model: to be checked.
        suite: how much.
        system: of everything but the relaxations; ``None`` for the first structure of ``water64``, and :data:`SMALL` for the quick
            suite's predicted power, which is left out where a system is given.
        molecule: what is displaced and relaxed; ``None`` for a water molecule, or ``system`` where that is given.
        seed: of random directions, momenta and displacements.

    Raises:
        UsageError: no such model or system.
    """
    default_system = system or SystemRequest(name="water64", structures=1)
    places = {"relax": molecule or system or MOLECULE}
    if suite is Suite.QUICK:
        places["predict"] = SMALL
    jobs_ = []
    for name, overrides in SETTINGS[suite].items():
        if name == "predict" and suite is Suite.QUICK and system is not None:
            # One product a coordinate: of large structures that is the longest part of a check.
            continue
        where = places.get(name, default_system)
        jobs_ += plan_jobs([name], [model], where, budget=Budget.SMOKE, seeds=[seed], overrides={name: overrides})
    return jobs_
