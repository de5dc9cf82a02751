"""Coverage of heating powers and drifts: harmonic modes with a curl, whose powers and energies are exact."""

from __future__ import annotations

import math

import numpy as np
from covered import Found, Row, judged
from exact_modes import Modes
from numpy.typing import NDArray

from ncbench.statistics.floors import power_memory_ps
from ncbench.statistics.heating import (
    FAR,
    MEMORIES,
    MEMORIES_FAR,
    Bath,
    Estimate,
    drawn_power,
    heating_slope,
    warming_slope,
)
from ncbench.units import KB, MEV

FloatArray = NDArray[np.float64]
NO_ENERGY = Estimate(math.nan, math.nan, math.nan, False)
CURLS = (
    (100.0, 30.0),
    (1000.0, 10.0),
    (30.0, 40.0),
    (10.0, 60.0),
    (100.0, 36.0),
    (60.0, 45.0),
    (30.0, 60.0),
    (10.0, 100.0),
    (100.0, 40.0),
    (60.0, 52.0),
    (10.0, 120.0),
    (100.0, 44.0),
    (60.0, 56.0),
)
"""(τ, fs; √a, 1/cm) of heated modes under Langevin, up to 0.97 of the curl that has no stationary state."""
FEW_MODES = 2.0
"""k_B T that a pair may draw within the memory of its power for the second order in the forces."""
STEP_FS = 2.0
"""Of the modes' trajectories, whose propagator is exact."""
MOST_SAMPLES = 5000
"""Of one estimate; a longer run is thinned, which removes no slow fluctuation."""
LONG_FS = 40_000.0
"""A length from which every error near equilibrium is the run's own; :data:`FAR_FS` far from it."""
FAR_FS = 50_000.0


def heating_power(times_fs: FloatArray, energy: FloatArray, *, bath: Bath | None = None) -> Found:
    """Slope of an energy of modes, k_B T/fs; as the diagnostics fit it, with k_B T = 1 meV and all modes one atom."""
    times_ps, kelvin = times_fs / 1000.0, MEV / KB
    if bath is None:
        line = heating_slope(times_ps, energy, temperature_K=kelvin, n_atoms=1)
    else:
        line = drawn_power(times_ps, energy, temperature_K=kelvin, n_atoms=1, bath=bath)
    return Found(line.value / 1000.0, line.error / 1000.0, line.known)


def is_bound(thermostat: str, tau_fs: float | None, length_fs: float, excess: float = 0.0) -> bool:
    """Whether a power has a bound and no error of its own, by the true excess of the temperature."""
    least = MEMORIES_FAR if excess > FAR else MEMORIES
    return length_fs < 1000.0 * least * power_memory_ps(thermostat, tau_fs)


def of_drawn_power(
    tau_fs: float, curl_per_cm: float, lengths: tuple[int, ...], n_runs: int, rng: np.random.Generator
) -> list[Row]:
    """Powers of one friction and curl."""
    modes = Modes.water(48, curl_per_cm=curl_per_cm, tau_fs=tau_fs)
    run = modes.run(n_runs, lengths[-1], rng, step_fs=STEP_FS)
    few = ", few modes" if modes.drawn_within_memory() > FEW_MODES else ""
    bath = Bath("langevin", tau_fs, modes.n_dof)
    rows = []
    for length in lengths:
        samples = round(length / STEP_FS) + 1
        used = slice(0, samples, max(1, samples // MOST_SAMPLES))
        windows = [heating_power(run.times_fs[used], work[used], bath=bath) for work in run.work]
        condition = f"Langevin {tau_fs:g} fs, curl of {curl_per_cm:g}/cm{few}"
        bound = is_bound("langevin", tau_fs, length, modes.excess())
        rows.append(judged("modes", "power", condition, length, windows, modes.power(), bound=bound))
    return rows


def of_heated_modes(lengths: tuple[int, ...], n_runs: int, rng: np.random.Generator) -> list[Row]:
    """Powers and drifts of harmonic modes with a curl."""
    rows = []
    quick = lengths[-1] < 3000
    for number, (tau, curl) in enumerate(CURLS[:4] if quick else CURLS):
        used = tuple(length for length in lengths if length >= 300 or number == 0)
        if not quick:
            # 2 ps: the first length at which the error of a drift may be known.
            far = Modes.water(48, curl_per_cm=curl, tau_fs=tau).excess() > FAR
            long = (FAR_FS,) if far else (LONG_FS,) if is_bound("langevin", tau, used[-1]) else ()
            used = tuple(sorted({*used, 2000, *map(int, long)}))
        rows += of_drawn_power(tau, curl, used, n_runs, rng)
    modes = Modes.water(48, curl_per_cm=12.0)
    lengths = tuple(sorted({*lengths, *(() if quick else (2000,))}))
    run = modes.run(n_runs, lengths[-1], rng)
    for length in lengths:
        window, knots = slice(0, length + 1), np.linspace(0.0, length, 33)
        truth = float(np.polyfit(knots, modes.energy_after(knots), 1)[0])
        energy = run.kinetic + run.potential
        windows = [heating_power(run.times_fs[window], e[window]) for e in energy]
        rows.append(judged("modes", "energy drift", "constant energy, curl", length, windows, truth))
        windows = [
            Found(s.value, s.error, s.known)
            for s in (
                warming_slope(
                    run.times_fs[window], 2.0 * k[window] / modes.n_dof, NO_ENERGY, n_atoms=1, n_dof=modes.n_dof
                )
                for k in run.kinetic
            )
        ]
        rows.append(
            judged(
                "modes", "temperature drift, read off", "constant energy, curl", length, windows, truth / modes.n_dof
            )
        )
    return rows
