"""Estimators of heating that are more precise than the slope and the mean of a kinetic temperature.

A kinetic temperature is noisy, because vibrations exchange kinetic and potential energy all the time. The total energy is not. Each function
of this module computes a temperature from an energy, with documented assumptions; its variance is compared with the direct estimator's in ``results/bench/estimators.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ncbench.statistics.floors import (
    ENERGY_RELAXATION,
    power_error,
    power_memory_ps,
    relaxation,
    temperature_slope_error,
)
from ncbench.statistics.intervals import SIGMAS, Z_95
from ncbench.statistics.series import Slope, slope
from ncbench.units import KB, MEV

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its error in the convention of :mod:`ncbench.statistics.series`."""

    value: float
    error: float
    dof: float
    known: bool


POWER_MEMORY_PS = 2.0
"""Within this the power of a non-conservative force is one fluctuation, longer than any vibration of a liquid keeps its phase (assumed for all systems)."""
_MAY_WALK = 0.5
_MAY_PERSIST = 0.2
"""Posterior probability of a persistent power up to which an error may be known. At 0.5 a fifth of the runs of 2 to 4 ps of modes that are damped in 1 ps keep a known error, which covers in 0.84 to
0.93; at 0.2 fewer than a tenth. Runs of water, and of ``pet-m`` under Langevin, have at most 0.05."""


def heating_slope(times_ps: FloatArray, energy: FloatArray, *, temperature_K: float, n_atoms: int) -> Slope:
    """Slope of an energy, meV/atom/ps, with the error of a heating power.

    If heating is found beyond three errors of the plain slope, its error is at least that of its fluctuations, √(2 k_B T P/(N t))
    (:mod:`ncbench.statistics.floors`). They grow with P, which is itself uncertain: a run in which the power comes out small would show too small an error. The P in
    the floor is the upper end of the 95 % interval, the larger solution of (P − P̂)² = 1.96² · 2 k_B T P/(N t) (the score interval of a
    Poisson mean, by the same argument), but no more than four times P̂, so that a tiny drift of an integrator stays tiny.

    If an energy is a random walk and the run is shorter than :data:`POWER_MEMORY_PS`, the error is not known: its residuals contain only one
    fluctuation of the power. This depends on the kind of the noise and on the length alone and not on the slope: errors that
    were known wherever heating is found would select the runs whose power came out large. Conservative forces without a random walk
    or drift of the energy have no floor.

    Nor is the error known, at any length, if the residuals show a power that keeps its sign over a third of the run or more
    (:attr:`ncbench.statistics.series.Slope.persistent`): undamped modes that beat, or one that keeps its amplitude. Such a run contains one or two fluctuations of it.

    Args:
        times_ps: [n], at equal steps.
        energy: [n], meV/atom: the total energy, or what is conserved under a thermostat.
        temperature_K: T.
        n_atoms: N.
    """
    plain = slope(times_ps, energy)
    return _with_fluctuations(plain, times_ps, _unit(times_ps, temperature_K, n_atoms))


def _unit(times_ps: FloatArray, temperature_K: float, n_atoms: int) -> float:
    """2 k_B T/(N t): the variance of a power over the power, meV/atom/ps."""
    return power_error(1.0, temperature_K, float(times_ps[-1] - times_ps[0]), n_atoms) ** 2


def _found(plain: Slope) -> bool:
    """Whether heating is found beyond three errors of the plain slope."""
    return bool(np.isfinite(plain.error) and abs(plain.value) > SIGMAS * plain.error)


def _with_fluctuations(plain: Slope, times_ps: FloatArray, unit: float) -> Slope:
    """With the error of a power whose variance is the power times ``unit``, where heating is found, and the rules of known errors."""
    if not np.isfinite(plain.error):
        return plain
    settled = (_remembered(times_ps) or plain.walk <= _MAY_WALK) and plain.persistent <= _MAY_PERSIST
    line = replace(plain, plateau=plain.plateau and settled)
    if not _found(plain):
        return line
    power = abs(plain.value)
    most = power + 0.5 * Z_95**2 * unit + Z_95 * float(np.sqrt(unit * power + 0.25 * Z_95**2 * unit**2))
    error = float(np.sqrt(unit * min(most, 4.0 * power)))
    # A floor from theory has infinitely many degrees of freedom; a unit of the run's own has the run's.
    dof = plain.dof if unit * power <= 1.001 * plain.error**2 else math.inf
    return replace(line, error=error, dof=dof) if error > plain.error else line


DRAWN_MEMORY_PS = 3.0
"""Length from which the power that a thermostat draws may have a known error, or a bound. At 2 ps the rules of the kind of the noise keep the runs whose power came
out small: of a strong curl, three times the error held the truth in 0.94 of all runs and in 0.86 of those."""
MEMORIES = 20.0
"""Memories of a power that a run must contain for a known error of its own, as :data:`ncbench.statistics.series.RELAXATIONS` for a mean."""
MEMORIES_FAR = 100.0
"""The same where the power heats by more than :data:`FAR`."""
FAR = 0.08
"""Excess of the temperature, as a share, from which a system may be far from equilibrium: soft modes near the threshold of their instability remember the power for many times as long."""
SLOW_WIDENING = 3.0
"""Factor on the error of a shorter run, which then is a bound. In runs of 3 ps of modes of which one pair draws half of the power, the truth was within 1.0 to 3.1 errors of
0.95 of them (``results/bench/coverage.md``, rows "few modes")."""


@dataclass(frozen=True)
class Bath:
    """What a thermostat does to a power."""

    thermostat: str
    tau_fs: float | None
    n_dof: float
    """Degrees of freedom."""


def drawn_power(
    times_ps: FloatArray, conserved: FloatArray, *, temperature_K: float, n_atoms: int, bath: Bath
) -> Slope:
    """Power that a thermostat draws, meV/atom/ps: :func:`heating_slope` of the conserved quantity, with an error for the thermostat.

    Below :data:`DRAWN_MEMORY_PS` it is not known. At constant energy a shorter run without a visible random walk has a known error. Under a thermostat the conserved
    quantity contains a walk of the integrator's error as well, which a short run does not show under its vibrations: in 11 to 27 % of windows of conservative
    forces of 0.3 and 1 ps, in which no walk was recognised, 0.89 of 27 intervals held the truth, too few to be sure of either.

    A few soft modes may draw most of a power, which then fluctuates as slowly as these do. Such fluctuations are proportional to the power too: where heating is found, the error
    from the residuals is also taken at the upper end of the power's interval. A run of fewer than :data:`MEMORIES` memories
    (:func:`ncbench.statistics.floors.power_memory_ps`) contains too few of their fluctuations to show them: its error is multiplied by :data:`SLOW_WIDENING` and is a bound, whether heating is found or
    not: the runs in which it is not are those whose power came out small. Near the
    threshold at which the non-conservative forces overcome the friction, modes are hot and their memory grows without limit. This shows in the
    excess of the temperature, P τ_E N/(n_dof k_B T): where the bound allows more than :data:`FAR`, the error is not known below :data:`MEMORIES`
    and a bound below :data:`MEMORIES_FAR`.

    Args:
        times_ps: [n], at equal steps.
        conserved: [n], meV/atom.
        temperature_K: T.
        n_atoms: N.
        bath: the thermostat.
    """
    plain = slope(times_ps, conserved)
    unit = _unit(times_ps, temperature_K, n_atoms)
    if _found(plain):
        # Slow fluctuations of the power are proportional to it as well.
        unit = max(unit, plain.error**2 / abs(plain.value))
    line = _with_fluctuations(plain, times_ps, unit)
    length_ps = float(times_ps[-1] - times_ps[0])
    if length_ps < DRAWN_MEMORY_PS - 1e-9:
        return replace(line, plateau=False)
    memories = length_ps / power_memory_ps(bath.thermostat, bath.tau_fs) + 1e-9
    bound = SLOW_WIDENING * line.error
    removal_ps = relaxation(bath.thermostat, bath.tau_fs).total_fs / 1000.0
    # The upper end of the bound: by the value alone the runs whose power came out small would seem to be near equilibrium.
    most = abs(line.value) + Z_95 * bound
    far = most * removal_ps * n_atoms * MEV > FAR * bath.n_dof * KB * temperature_K
    if memories >= (MEMORIES_FAR if far else MEMORIES):
        return line
    return replace(line, error=bound, bound=True, plateau=line.plateau and not (far and memories < MEMORIES))


def _remembered(times_ps: FloatArray) -> bool:
    """Whether the run is as long as the memory of the power; sums of time steps are exact to much less than 1e-9 ps."""
    return bool(times_ps[-1] - times_ps[0] >= POWER_MEMORY_PS - 1e-9)


GRADIENT_MEMORY_PS = 1.0
"""Of forces that are a gradient the energy of a run of this length or more has the error of its own residuals, where these show the kind of its noise:
there is no power with a memory, only the integrator's fluctuations and rounding (``results/bench/coverage.md``, rows "energy drift of a gradient")."""


GRADIENT_WIDENING = 1.5
"""By which such an error is multiplied. Exponential or diffusive noise needs none. Smooth noise slower than a third of the run looks like a drift: unwidened intervals held the
truth in 82 to 87 % for noise with squared-exponential and Matérn correlations."""


def error_known_of_gradient(times_ps: FloatArray, energy: FloatArray) -> bool:
    """Whether the error of :func:`heating_slope` is an estimate, and no lower bound, if the forces are known to be the gradient of a smooth energy.

    Args:
        times_ps: [n], at equal steps.
        energy: [n], the total energy.
    """
    line = slope(times_ps, energy)
    return bool(np.isfinite(line.error) and line.plateau and times_ps[-1] - times_ps[0] >= GRADIENT_MEMORY_PS - 1e-9)


def temperature_drift(energy_drift: Estimate, *, n_atoms: int, n_dof: int) -> Estimate:
    """Drift of the temperature, K/ps, from that of the total energy in NVE: dT/dt = (dE/dt)/(n_dof k_B).

    The control variate of the kinetic temperature: K = (E + D)/2 with D = K − U; D is stationary noise of the exchange
    between K and U under equipartition, and is omitted.

    Assumes harmonic equipartition, a heat capacity of k_B per degree of freedom (half kinetic, half potential). Anharmonic liquids differ: the
    heat capacity C of classical water models is 1.0 to 1.3 times this, and the drift is too large by that factor; see
    :func:`heat_capacity_share`.

    Args:
        energy_drift: meV/atom/ps.
        n_atoms: N.
        n_dof: degrees of freedom, 3N − 3 with the centre of mass at rest.
    """
    factor = n_atoms * MEV / (n_dof * KB)
    return Estimate(energy_drift.value * factor, energy_drift.error * factor, energy_drift.dof, energy_drift.known)


def warming_slope(
    times_ps: FloatArray, temperature: FloatArray, energy_drift: Estimate, *, n_atoms: int, n_dof: int
) -> Slope:
    """Slope of the kinetic temperature of all atoms in NVE, K/ps, with the error of a heating.

    Added energy becomes heat, so the error is at least that of :func:`temperature_drift`. The residuals of the temperature alone can be much smaller:
    where the power fluctuates slowly, the temperature follows the energy of this one run closely, and other runs have other slopes. Nor is the error
    less than that of an exchange with the potential energy as slow as the run (:func:`ncbench.statistics.floors.temperature_slope_error`).

    The error is known where that of the energy is, and decides. The exchange's is a bound and no estimate; the residuals of the temperature
    exceed it only in runs of a few vibrations, of which they hold too few to estimate a drift's error (1.00 of such intervals of water held it).

    Args:
        times_ps: [n], at equal steps.
        temperature: [n], K.
        energy_drift: slope of the total energy of the same samples, meV/atom/ps; an error that is not finite sets no limit.
        n_atoms: N.
        n_dof: degrees of freedom, 3N − 3 with the centre of mass at rest.
    """
    least = temperature_drift(energy_drift, n_atoms=n_atoms, n_dof=n_dof).error
    exchange = temperature_slope_error(float(np.mean(temperature)), float(times_ps[-1] - times_ps[0]), n_dof)
    plain = slope(times_ps, temperature)
    line = slope(times_ps, temperature, floor=max((one for one in (least, exchange) if np.isfinite(one)), default=0.0))
    # NaN is in no comparison: without an error of the energy nothing is known.
    decided_by_energy = least >= max(plain.error, exchange)
    return replace(line, plateau=bool(decided_by_energy and energy_drift.known))


def excess_from_power(power: Estimate, *, thermostat: str, tau_fs: float, n_atoms: int, n_dof: int) -> Estimate:
    """Excess of the mean kinetic temperature over the thermostat's, K, from the power that the thermostat removes.

    The thermostat removes (2K − n_dof k_B T₀)/τ (Langevin) or (K − n_dof k_B T₀/2)/τ (velocity rescaling, Andersen), on average, for any forces.
    In a stationary state that is the power P put in: ΔT = τP/(n_dof k_B) under Langevin, 2τP/(n_dof k_B) under the others. Only stationarity is assumed, and
    a time step short against τ; for Andersen also many atoms, since a fixed centre of mass changes its rate by a relative O(1/N). Of all atoms together: a
    single species' share is not in P.

    Args:
        power: slope of the conserved quantity, meV/atom/ps.
        thermostat: one of :data:`ncbench.statistics.floors.ENERGY_RELAXATION`.
        tau_fs: its τ.
        n_atoms: N.
        n_dof: degrees of freedom.

    Raises:
        ValueError: a thermostat whose law is not one of these.
    """
    if thermostat not in ENERGY_RELAXATION:
        raise ValueError(f"The power of the thermostat {thermostat!r} has no closed relation to the temperature.")
    factor = ENERGY_RELAXATION[thermostat] * (tau_fs / 1000.0) * n_atoms * MEV / (n_dof * KB)
    return Estimate(power.value * factor, power.error * factor, power.dof, power.known)


def heating_rate(times_ps: FloatArray, energy: FloatArray, kinetic: FloatArray) -> Estimate:
    """Rate r of an exponential heating, 1/ps: dE/dt = r · 2K, so that r = P/(3 k_B T) at any temperature.

    Non-conservative work grows with the square of the amplitudes (P ∝ T in the harmonic limit), so that energy rises as e^(rt) and a slope depends
    on the length of the run. Against Θ(t) = ∫₀ᵗ 2K dt′ the energy is a straight line, whose slope is r; it is fitted at equal steps of Θ.

    Args:
        times_ps: [n], at equal steps.
        energy: [n], what grows by the work: total energy in NVE, potential + kinetic − heat under a thermostat. Any unit.
        kinetic: [n], K in the same unit.
    """
    times_ps, energy, kinetic = (np.asarray(x, dtype=np.float64) for x in (times_ps, energy, kinetic))
    if len(energy) < 2 or not (np.isfinite(energy).all() and np.isfinite(kinetic).all()):
        return Estimate(np.nan, np.nan, np.nan, False)
    steps = np.diff(times_ps) * (kinetic[1:] + kinetic[:-1])
    theta = np.concatenate([[0.0], np.cumsum(steps)])
    if not theta[-1] > 0.0:
        return Estimate(np.nan, np.nan, np.nan, False)
    even = np.linspace(0.0, theta[-1], len(theta))
    line = slope(even, np.interp(even, theta, energy))
    return Estimate(line.value, line.error, line.dof, line.known)


def heat_capacity_share(kinetic: FloatArray, total: FloatArray) -> float:
    """dK/dE of a canonical run, the share of an added energy that becomes kinetic: 1/2 by harmonic equipartition, less in an anharmonic liquid.

    cov(K, E)/var(E); in the canonical ensemble cov(K, E) = Var K, and the share is n_dof k_B/(2C) with the heat capacity C. Twice the share corrects
    :func:`temperature_drift`.
    """
    kinetic, total = np.asarray(kinetic, dtype=np.float64), np.asarray(total, dtype=np.float64)
    return float(np.cov(kinetic, total)[0, 1] / np.var(total, ddof=1))
