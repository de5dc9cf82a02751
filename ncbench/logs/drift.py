"""Results for a run of a log: slope of the conserved quantity, temperatures and rates, with errors that include the rounding of printed digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncbench.logs.digits import rounding_error_of_slope
from ncbench.logs.grid import LEAST_SAMPLES, UNEQUAL_STEPS, equal_steps
from ncbench.logs.log import Ensemble, Run, Series
from ncbench.logs.tables import SCHEMA
from ncbench.statistics.heating import (
    POWER_MEMORY_PS,
    Bath,
    Estimate,
    drawn_power,
    heating_rate,
    heating_slope,
    warming_slope,
)
from ncbench.statistics.intervals import Z_95
from ncbench.statistics.series import Slope, blocking_mean, slope
from ncbench.types import Status
from ncbench.units import KB, MEV

FloatArray = NDArray[np.float64]

FREEDOM = (1.0, 3.3)
"""Degrees of freedom per atom that a log's K and T may give: rigid molecules of many atoms have few; more than 3 mean wrong units."""

WIDEST = 4.0
LEAST_MEMORIES = 3.0
"""Where a spectrum does not say whether its noise is a walk, the error is that of the worst walk that fits: in 20 000 random walks of 256 samples
95 % of the slopes' errors are below 1.96 c R/t, R being the range of the residuals and t the length, with c = 1.06; c = 1.9, 2.5 and 3.6 if the
steps remember t/12, t/6 and t/3. A power forgets within :data:`ncbench.statistics.heating.POWER_MEMORY_PS`, a third of the least length."""
HOTTEST_K = 1e5
"""A run that reaches this temperature counts as exploded: atoms lie on top of each other."""
LEAST_SHARE = 0.01
"""Of the highest temperature: below it a temperature may be printed as zero without a loss of atoms."""


@dataclass(frozen=True)
class Chosen:
    """The quantity whose slope is taken."""

    series: Series
    conserved: bool | None
    """Exact dynamics conserve it; ``None`` where the log does not say."""
    why: str


def chosen_quantity(run: Run) -> Chosen | None:
    """The conserved quantity of a run, or the total energy where the log has none; ``None`` without a total energy."""
    total = total_energy(run)
    series = _sum(run, "conserved")
    if series is not None:
        if run.ensemble is Ensemble.NVE and total is not None and total.resolution < series.resolution:
            return Chosen(total, True, "at constant energy, and printed with more digits than the conserved quantity")
        if run.uncounted:
            return Chosen(series, False, f"does not hold all that {' and '.join(run.exchange)} exchanges")
        return Chosen(series, True, "the log's conserved quantity")
    if total is None:
        return None
    if run.ensemble is Ensemble.NVE:
        return Chosen(total, True, "the total energy, at constant energy")
    if run.ensemble is Ensemble.THERMOSTAT:
        return Chosen(total, False, f"the total energy, which {' and '.join(run.exchange)} changes")
    return Chosen(
        total, None, "the total energy, conserved without a thermostat: the log does not say whether there is one"
    )


def _sum(run: Run, role: str) -> Series | None:
    """A column that contains the potential energy, no finer than a potential energy that was rounded before it was added.

    The kinetic energy has all digits, so that such a sum never repeats and does not show its rounding.
    """
    series, potential = run.series.get(role), run.series.get("potential")
    if series is None or potential is None:
        return series
    return replace(series, resolution=max(series.resolution, potential.hidden))


def total_energy(run: Run) -> Series | None:
    """Potential and kinetic energy: the log's own column or their sum, where that is printed with more digits."""
    total = _sum(run, "total")
    if "potential" not in run.series or "kinetic" not in run.series:
        return total
    potential, kinetic = run.series["potential"], run.series["kinetic"]
    # Both are rounded: errors of half a step each.
    resolution = potential.resolution + kinetic.resolution
    if total is not None and total.resolution <= 2.0 * resolution:
        return total
    return Series(potential.values + kinetic.values, resolution, f"{potential.name} + {kinetic.name}")


def measured(run: Run, *, skip_fs: float = 0.0) -> dict[str, Any]:
    """The row of a run in :data:`ncbench.logs.tables.SCHEMA`.

    Args:
        run: from a log.
        skip_fs: left out at the start.
    """
    row: dict[str, Any] = {
        "structure": run.file,
        "n_atoms": run.n_atoms,
        "run": run.number,
        "engine": run.engine,
        "ensemble": run.ensemble.value,
        "exchange": ", ".join(run.exchange),
        "timestep_fs": run.timestep_fs,
    }
    notes = list(run.notes)
    if run.ensemble is Ensemble.MINIMISATION:
        return _without(row, notes, Status.UNSUPPORTED, "a minimisation, not dynamics")
    quantity = chosen_quantity(run)
    if quantity is None:
        return _without(
            row, notes, Status.UNSUPPORTED, "neither a total energy nor potential and kinetic energy in the log"
        )
    row |= {
        "quantity": quantity.series.name,
        "choice": quantity.why,
        "conserved": quantity.conserved,
        "resolution_meV": quantity.series.resolution / MEV,
    }
    used = run.times_fs >= run.times_fs[0] + skip_fs - 1e-9 * skip_fs
    if reason := _explosion(run, quantity.series, used):
        return _without(row, [note for note in notes if note != run.exploded], Status.EXPLODED, reason)
    rows = np.flatnonzero(used)
    grid = equal_steps(run.times_fs[rows], run.time_resolution_fs)
    rows = rows[grid.rows]
    left_out = int(used.sum()) - len(rows)
    row |= {
        "samples": len(rows),
        "interval_fs": grid.interval_fs,
        "duration_ps": float(grid.times_fs[-1]) / 1000.0 if len(rows) else 0.0,
    }
    if len(rows) < LEAST_SAMPLES:
        reason = f"{len(rows)} samples at equal steps; {LEAST_SAMPLES} are the least"
        return _without(row, notes, Status.INCOMPLETE, reason)
    if left_out:
        # The first and the last step of a run may lie beside the others; many that do are another matter.
        unequal = f", since {UNEQUAL_STEPS}" if left_out > len(rows) / 10 else ""
        notes.append(f"{left_out} samples beside the equal steps are left out{unequal}")
    row |= _numbers(run, quantity, rows, grid.times_fs / 1000.0, notes)
    if row["freedom_dof"] is not None and not FREEDOM[0] <= row["freedom_dof"] <= FREEDOM[1]:
        reason = (
            f"2K/(N k_B T) is {row['freedom_dof']:.3g}, where 3 are expected: units or the number of atoms are wrong"
        )
        kept = {name: row[name] for name in row if name in _DESCRIPTION}
        return _without(kept, notes, Status.FAILED, reason)
    return SCHEMA.row(**row, status=Status.OK.value, reason="", note="; ".join(notes))


def _explosion(run: Run, energy: Series, used: NDArray[np.bool_]) -> str:
    """Why the run counts as exploded; empty where it does not."""
    if run.exploded:
        return run.exploded
    if (bad := np.flatnonzero(used & ~np.isfinite(energy.values))).size:
        return f"{energy.name} is not finite from {run.times_fs[bad[0]] / 1000.0:g} ps on"
    if "temperature" not in run.series:
        return ""
    temperatures = run.series["temperature"].values
    hot = np.flatnonzero(used & ~(temperatures < HOTTEST_K))
    if hot.size:
        return f"the temperature is not below {HOTTEST_K:g} K from {run.times_fs[hot[0]] / 1000.0:g} ps on"
    # A gradual cooling passes through the last digit that is printed; atoms that left the box are gone from one sample to the next.
    still = np.flatnonzero((temperatures[1:] == 0) & (temperatures[:-1] > LEAST_SHARE * temperatures.max(initial=0.0)))
    if still.size and not temperatures[still[-1] + 1 :].any():
        last = still[-1]
        return (
            f"the temperature is {temperatures[last]:g} K at {run.times_fs[last] / 1000.0:g} ps and 0 in all later samples: "
            "the atoms are lost, or no longer move"
        )
    return ""


_DESCRIPTION = (
    "structure", "n_atoms", "run", "engine", "ensemble", "exchange", "timestep_fs", "quantity", "choice", "samples", "interval_fs",
    "duration_ps", "freedom_dof",
)  # fmt: skip
"""Columns that are emptied in a row without valid numbers."""


def _without(row: Mapping[str, Any], notes: list[str], status: Status, reason: str) -> dict[str, Any]:
    return SCHEMA.row(**row, status=status.value, reason=reason, note="; ".join(notes))


def _numbers(
    run: Run, quantity: Chosen, rows: NDArray[np.int64], times_ps: FloatArray, notes: list[str]
) -> dict[str, Any]:
    per_atom = 1.0 / (run.n_atoms * MEV)
    energy = quantity.series.part(rows).times(per_atom)
    kinetic = run.series["kinetic"].values[rows] * per_atom if "kinetic" in run.series else None
    temperature = run.series["temperature"].values[rows] if "temperature" in run.series else None
    freedom: float | None = None
    # Means of both: the ratio at single samples has no meaning where a printed temperature is zero.
    if kinetic is not None and temperature is not None and np.mean(temperature) > 0:
        freedom = float(np.mean(kinetic) * MEV / (0.5 * KB * np.mean(temperature)))
    elif kinetic is not None:
        temperature = kinetic * MEV / (1.5 * KB) * run.n_atoms / max(run.n_atoms - 1, 1)
        notes.append("no temperature in the log: from the kinetic energy and 3N − 3 degrees of freedom")
    elif temperature is not None:
        kinetic = 1.5 * KB / MEV * temperature
        notes.append("no kinetic energy in the log: from the temperature and 3N degrees of freedom")
    else:
        notes.append("neither temperature nor kinetic energy: no rate, and the error is that of the scatter alone")
    if kinetic is not None and not np.isfinite(kinetic).all():
        notes.append("kinetic energies are not finite")
        temperature = kinetic = None
    row = _power(energy, times_ps, temperature, run)
    row["freedom_dof"] = freedom
    if temperature is not None:
        mean, warming = blocking_mean(temperature), _warming(run, row, times_ps, temperature)
        row |= {
            "temperature_K": mean.value,
            "temperature_K_se": _finite(mean.error),
            "temperature_known": mean.known,
            "drift_K_per_ps": warming.value,
            "drift_K_per_ps_se": _finite(warming.error),
        }
    if kinetic is not None and row["power_meV_per_atom_per_ps"] is not None:
        rate = heating_rate(times_ps, energy.values, kinetic)
        least = row["power_meV_per_atom_per_ps_se"] / (2.0 * float(kinetic.mean()))
        row |= {
            "heating_rate_per_ps": _finite(rate.value),
            "heating_rate_per_ps_se": max(least, _finite(rate.error) or 0.0),
        }
        scatter = float(np.std(_detrended(times_ps, kinetic)))
        row["energy_fluctuation_share"] = (
            float(np.std(_detrended(times_ps, energy.values))) / scatter if scatter else None
        )
    total = total_energy(run)
    if total is not None and quantity.conserved and total.name != quantity.series.name:
        part = total.part(rows).times(per_atom)
        drift = _power(part, times_ps, temperature, run)
        row["total_drift_meV_per_atom_per_ps"] = drift["power_meV_per_atom_per_ps"]
        row["total_drift_meV_per_atom_per_ps_se"] = drift["power_meV_per_atom_per_ps_se"]
    return row


def _warming(run: Run, row: Mapping[str, Any], times_ps: FloatArray, temperature: FloatArray) -> Slope:
    """Slope of the temperature; a thermostat decouples it from the conserved quantity, whose error then says nothing about it."""
    if run.ensemble is not Ensemble.NVE:
        return slope(times_ps, temperature)
    value, error = row["power_meV_per_atom_per_ps"], row["power_meV_per_atom_per_ps_se"]
    energy = Estimate(math.nan, math.nan, math.nan, False)
    if error is not None:
        energy = Estimate(value, error, row["power_dof"] or math.inf, row["power_error_known"])
    return warming_slope(times_ps, temperature, energy, n_atoms=run.n_atoms, n_dof=max(3 * run.n_atoms - 3, 1))


def _power(energy: Series, times_ps: FloatArray, temperature: FloatArray | None, run: Run) -> dict[str, Any]:
    """Slope of an energy per atom (meV) with its error: the suite's, and the rounding's bound as the half-width of a 95 % interval."""
    rounding = rounding_error_of_slope(times_ps, energy.values, energy.resolution)
    row: dict[str, Any] = {"power_rounding_meV_per_atom_per_ps": rounding, "below_resolution": False}
    changes = float(np.ptp(energy.values))
    if changes <= 1.5 * energy.resolution:
        # One or two neighbouring numbers: a line through them is a line through rounding errors.
        length = float(times_ps[-1] - times_ps[0])
        limit = (changes + energy.resolution) / length
        return row | {
            "power_meV_per_atom_per_ps": None,
            "power_meV_per_atom_per_ps_se": None,
            "power_limit_meV_per_atom_per_ps": limit,
            "power_error_known": False,
            "below_resolution": True,
        }
    if temperature is None:
        line = slope(times_ps, energy.values)
    elif run.ensemble is Ensemble.THERMOSTAT:
        # A log does not hold the thermostat's kind and time constant, and so not how far a power heats.
        bath = Bath("unknown", None, math.inf)
        kelvin = float(np.mean(temperature))
        line = drawn_power(times_ps, energy.values, temperature_K=kelvin, n_atoms=run.n_atoms, bath=bath)
    else:
        line = heating_slope(times_ps, energy.values, temperature_K=float(np.mean(temperature)), n_atoms=run.n_atoms)
    error, dof = _with_rounding(line, rounding)
    known = line.known and temperature is not None
    length_ps = float(times_ps[-1] - times_ps[0])
    if temperature is not None and not known and math.isfinite(error) and length_ps >= LEAST_MEMORIES * POWER_MEMORY_PS:
        span = float(np.ptp(_detrended(times_ps, energy.values)))
        error, dof, known = max(error, WIDEST * span / length_ps), math.inf, True
    return row | {
        "power_meV_per_atom_per_ps": line.value,
        "power_meV_per_atom_per_ps_se": error,
        "power_dof": dof if math.isfinite(dof) else None,
        "power_error_known": known,
        "power_limit_meV_per_atom_per_ps": abs(line.value) + Z_95 * error,
    }


def _with_rounding(line: Slope, rounding: float) -> tuple[float, float]:
    """Standard error and degrees of freedom with a bound of rounding, which is an error of 95 % that has no degrees of freedom to estimate."""
    error = math.hypot(line.error, rounding / Z_95)
    dof = line.dof * (error / line.error) ** 4 if line.error > 0 and math.isfinite(line.dof) else math.inf
    return error, dof


def _detrended(times: FloatArray, values: FloatArray) -> FloatArray:
    centred = times - times.mean()
    return np.asarray(values - values.mean() - centred * (centred @ values) / (centred @ centred))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
