"""Sentences on runs that begin out of equilibrium."""

from __future__ import annotations

import math

from ncbench.diagnostics.base import Rows, label_of
from ncbench.statistics.format import with_error
from ncbench.statistics.intervals import SIGMAS

_NEEDED = (
    "drift_K_per_ps",
    "drift_K_per_ps_se",
    "drift_from_energy_K_per_ps",
    "drift_from_energy_K_per_ps_se",
)


def equilibrating(rows: Rows) -> list[str]:
    """A sentence for each run whose kinetic temperature changes by more than its total energy allows: the start was out of equilibrium.

    Momenta drawn at T on a structure without strain lose half of their kinetic energy to the potential. This changes the kinetic temperature
    and not the total energy, so it is no drift.
    """
    lines = []
    for row in rows:
        if row["status"] != "ok" or any(row.get(name) is None for name in _NEEDED):
            continue
        kinetic, kinetic_error, total, total_error = (float(row[name]) for name in _NEEDED)
        # A liquid's heat capacity makes the kinetic slope differ from the total one by up to half of it.
        if abs(kinetic - total) > max(SIGMAS * math.hypot(kinetic_error, total_error), abs(total)):
            lines.append(
                f"{label_of(row)}, {row['structure']}: the kinetic temperature changes by {with_error(kinetic, kinetic_error)} K/ps and the total energy by "
                f"{with_error(total, total_error)} K/ps: kinetic and potential energy were not in equilibrium at the start, which is no drift. "
                "--skip leaves the start out."
            )
    return lines
