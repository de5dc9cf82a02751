"""Sentences on runs that begin out of equilibrium, or settle at another temperature than that of their momenta."""

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
SETTLED = 0.75
"""Mean temperature after the first half of a run, as a share of that of the first momenta, below which the run has another temperature than was asked."""
LEAST_SAMPLES = 20
"""Of a series, below which its first temperature may be the highest by chance."""


def settling(rows: Rows, series: Rows) -> list[str]:
    """A sentence for each run that settles at a lower temperature than that of its first momenta, as a relaxed structure does.

    In a harmonic crystal the kinetic energy of momenta at T on resting sites becomes half potential energy, so that the run is one at T/2. The first
    temperature is then the highest of the run, which it is not by chance in an equilibrated start.

    Args:
        rows: of ``nve-drift``.
        series: temperatures of their runs against time: columns ``job``, ``structure``, ``timestep_fs``, ``time_fs`` and ``temperature_K``.
    """
    runs: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for one in series:
        key = (one.get("job"), one["structure"], one["timestep_fs"])
        runs.setdefault(key, []).append((float(one["time_fs"]), float(one["temperature_K"])))
    lines = []
    for row in rows:
        points = runs.get((row.get("job"), row["structure"], row["timestep_fs"]), [])
        if row["status"] != "ok" or len(points) < LEAST_SAMPLES:
            continue
        first, end = min(points)[1], max(points)[0]
        later = [temperature for time, temperature in points if time > 0.5 * end]
        mean = math.fsum(later) / len(later)
        if mean < SETTLED * first and first >= max(temperature for _, temperature in points):
            lines.append(
                f"{label_of(row)}, {row['structure']}: momenta of {first:.0f} K on a relaxed structure; half of their energy becomes potential energy, "
                f"and the run is at {mean:.0f} K. For {first:.0f} K give --temperature {2.0 * first:.0f}, or start from a structure of a run at that temperature."
            )
    return lines


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
