"""Powers, drifts and temperatures from a run's series, with errors that include the thermostat's fluctuations: columns of ``nvt`` and ``nve-drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncbench.md.tables import number
from ncbench.statistics.floors import ENERGY_RELAXATION, relaxation, temperature_error
from ncbench.statistics.heating import (
    Bath,
    Estimate,
    drawn_power,
    excess_from_power,
    heating_rate,
    heating_slope,
    temperature_drift,
    warming_slope,
)
from ncbench.statistics.series import blocking_mean
from ncbench.units import MEV

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncbench.md.series import EnergySeries
    from ncbench.statistics.series import Slope

    FloatArray = NDArray[np.float64]
    Chosen = NDArray[np.bool_]
    """[S]: samples that are used."""


def heating(
    series: EnergySeries, replica: int, used: Chosen, energy: FloatArray, *, bath: Bath | None = None
) -> tuple[Slope, dict[str, Any]]:
    """Slope of an energy, meV/atom/ps, whose error includes the fluctuation of the work at this heating power, and the heating rate.

    Args:
        series: the run.
        replica: its index.
        used: mask of the samples to fit.
        energy: [S, R], eV: the total energy, or the conserved quantity under a thermostat.
        bath: the thermostat, whose power has the error of :func:`ncbench.statistics.heating.drawn_power`.

    Returns:
        the slope, and the columns ``heating_rate_per_ps`` and ``heating_rate_per_ps_se``.
    """
    times_ps = series.times_fs[used] / 1000.0
    n_atoms = series.particles.n_atoms
    values = energy[used, replica] / (n_atoms * MEV)
    kinetic = series.kinetic[used, replica] / (n_atoms * MEV)
    temperature_K = float(series.temperature[used, replica].mean())
    if bath is None:
        drift = heating_slope(times_ps, values, temperature_K=temperature_K, n_atoms=n_atoms)
    else:
        drift = drawn_power(times_ps, values, temperature_K=temperature_K, n_atoms=n_atoms, bath=bath)
    rate = heating_rate(times_ps, values, kinetic)
    # The rate is the slope in other units, with the same relative error.
    mean_kinetic = float(kinetic.mean())
    error = max(rate.error, drift.error / (2.0 * mean_kinetic)) if mean_kinetic > 0.0 else rate.error
    return drift, {"heating_rate_per_ps": number(rate.value), "heating_rate_per_ps_se": number(error)}


def power_of_thermostat(
    series: EnergySeries, replica: int, used: Chosen, *, thermostat: str, tau_fs: float | None
) -> dict[str, Any]:
    """Columns of the power that the thermostat removes, and of the excess temperature that follows from it."""
    bath = Bath(thermostat, tau_fs, series.particles.degrees_of_freedom)
    power, row = heating(series, replica, used, series.conserved, bath=bath)
    row |= {
        "power_meV_per_atom_per_ps": number(power.value),
        "power_meV_per_atom_per_ps_se": number(power.error),
        "power_dof": number(power.dof),
        "power_error_known": power.known,
        "power_error_is_bound": power.bound,
    }
    if thermostat in ENERGY_RELAXATION and tau_fs is not None:
        excess = excess_from_power(
            Estimate(power.value, power.error, power.dof, power.known),
            thermostat=thermostat,
            tau_fs=tau_fs,
            n_atoms=series.particles.n_atoms,
            n_dof=series.particles.degrees_of_freedom,
        )
        row |= {"excess_from_power_K": number(excess.value), "excess_from_power_K_se": number(excess.error)}
    return row


def warming(series: EnergySeries, replica: int, used: Chosen, drift: Slope) -> Slope:
    """Slope of the kinetic temperature at constant energy, K/ps; see :func:`ncbench.statistics.heating.warming_slope`.

    Args:
        series: the run.
        replica: its index.
        used: mask of the samples to fit.
        drift: slope of the total energy of these samples, meV/atom/ps.
    """
    return warming_slope(
        series.times_fs[used] / 1000.0,
        series.temperature[used, replica],
        Estimate(drift.value, drift.error, drift.dof, drift.known),
        n_atoms=series.particles.n_atoms,
        n_dof=series.particles.degrees_of_freedom,
    )


def drift_from_energy(series: EnergySeries, drift: Slope) -> dict[str, Any]:
    """Columns of the temperature's drift by equipartition, from that of the total energy in meV/atom/ps."""
    temperature = temperature_drift(
        Estimate(drift.value, drift.error, drift.dof, drift.known),
        n_atoms=series.particles.n_atoms,
        n_dof=series.particles.degrees_of_freedom,
    )
    return {
        "drift_from_energy_K_per_ps": number(temperature.value),
        "drift_from_energy_K_per_ps_se": number(temperature.error),
    }


def mean_temperature(
    temperature: FloatArray,
    *,
    interval_fs: float,
    target_K: float,
    thermostat: str,
    tau_fs: float | None,
    n_dof: float,
    n_dof_total: float,
    whole: bool,
) -> dict[str, Any]:
    """Columns of a mean kinetic temperature.

    Args:
        temperature: [S], K.
        interval_fs: time between samples.
        target_K: temperature of the thermostat.
        thermostat: its name.
        tau_fs: its time constant.
        n_dof: degrees of freedom of these atoms.
        n_dof_total: of all atoms.
        whole: whether these are all atoms.
    """
    times = relaxation(thermostat, tau_fs)
    duration_fs = len(temperature) * interval_fs
    mean = blocking_mean(
        temperature,
        relaxation=times.slowest_fs(whole=whole) / interval_fs,
        floor=temperature_error(target_K, duration_fs, times, n_dof=n_dof, n_dof_total=n_dof_total),
    )
    return {
        "temperature_K": number(mean.value),
        "temperature_K_se": number(mean.error),
        "temperature_K_dof": number(mean.dof),
        "temperature_excess_K": number(mean.value - target_K),
        "blocks": mean.blocks,
        "plateau": mean.plateau,
        "correlation_time_fs": number(mean.correlation_time * interval_fs),
    }
