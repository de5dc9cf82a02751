"""Check an environment by imports and force evaluations in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ncbench.errors import IsolatedEnvironmentError
from ncbench.run.environments.table import EnvironmentSpec, pinned


def check(spec: EnvironmentSpec, python: Path) -> dict[str, Any]:
    """Import the adapters, compare versions with the pins, and evaluate forces, in a worker process of that interpreter.

    Returns:
        ``python``, ``families``, ``versions`` of the installed pinned packages, and ``forces`` (largest component, eV/Å, on
        two atoms, per model).

    Raises:
        IsolatedEnvironmentError: a package is missing, cannot be imported, has another version, or gives forces that are zero or not finite.
    """
    # Not at the top of the file: listing environments must not import torch.
    from ncbench.run.remote import Worker, WorkerDiedError

    pins = pinned(spec.constraints)
    again = f"Create it again: ncbench env create {spec.name} --again"
    with Worker(python) as worker:
        try:
            report = worker.check(spec.name, sorted(pins))
        except WorkerDiedError as error:
            raise IsolatedEnvironmentError(
                f"The environment '{spec.name}' does not work. {error.reason}", hint=again
            ) from error
    wrong = [
        f"{name} {version} in place of {pins[name]}"
        for name, version in report["versions"].items()
        # A local label such as +cpu describes the build of a version.
        if version.partition("+")[0] != pins[name]
    ]
    if wrong:
        raise IsolatedEnvironmentError(f"The environment '{spec.name}' holds {', '.join(wrong)}.", hint=again)
    for model, force in report["forces"].items():
        if not (math.isfinite(force) and force > 0):
            raise IsolatedEnvironmentError(f"In the environment '{spec.name}', {model} gives a force of {force} eV/Å.")
    del report["kind"]
    return report
