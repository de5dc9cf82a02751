"""What ``ncbench predict`` gives for a structure whose modes are too many to compute: powers to second order, with errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncbench.prediction.harmonic import FloatArray
from ncbench.prediction.heating import FLOORS_PER_CM, IMAGINARY, Thermostat
from ncbench.prediction.moments import Moments, Weight, moments, probes_for, terms_for
from ncbench.prediction.resonances import BIN_PER_CM, HeatingMap, pair_weights, window_weights
from ncbench.prediction.sparse_modes import LANCZOS_STEPS, MARGIN, SparseModes
from ncbench.types import Tick, silent
from ncbench.units import FS, KB, MEV, WAVENUMBER

FLOOR_PROBES = 2
"""Random vectors for the power of the numerical error, which is an order of magnitude."""


@dataclass(frozen=True)
class Power:
    """A power to second order, meV/atom/ps."""

    value: float
    error: float
    """Standard error, of the random vectors and of the series."""
    low: float
    """Least over frequency floors and treatments of imaginary modes."""
    high: float


@dataclass(frozen=True)
class SecondOrder:
    """Powers of one structure."""

    thermostats: dict[float, Power]
    """τ of white noise in fs → power with the line width 1/τ."""
    windows: dict[float, Power]
    """t in fs → mean power at constant energy over this time."""
    floor_power: float
    """Power that the numerical error of the Jacobian would give, meV/atom/ps, with the line width of the map."""
    map: HeatingMap
    map_power: float
    """Power of all pairs with the map's line width, meV/atom/ps."""
    map_tau_fs: float
    n_modes: int
    n_atoms: int
    held_translations: int
    terms: int
    """Chebyshev polynomials, M."""
    probes: int
    """Random vectors."""
    unstable: bool
    """D has negative eigenvalues beyond the margin of its bounds."""


def second_order(
    modes: SparseModes,
    antisymmetric_error: float,
    *,
    temperature_K: float,
    thermostats: Sequence[Thermostat],
    nve_fs: Sequence[float],
    floor_per_cm: float,
    map_tau_fs: float,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> SecondOrder:
    """Powers to second order under white noise and at constant energy; thermostats of other kinds are left out.

    Args:
        modes: D and a of the structure.
        antisymmetric_error: ‖δA‖ of the numerical error of J, eV/Å².
        temperature_K: T₀.
        thermostats: the requested ones.
        nve_fs: times at constant energy, fs.
        floor_per_cm: the frequency floor, cm⁻¹; :data:`ncbench.prediction.heating.FLOORS_PER_CM` give the range.
        map_tau_fs: 1/Γ of the heating map and of the numerical floor, fs.
        rng: draws the vectors.
        tick: called with the number of finished vectors.
    """
    taus = [one.tau_fs for one in thermostats if one.tau_fs is not None]
    bounds = modes.spectrum(rng)
    terms = terms_for(bounds, [t * FS for t in (*taus, *nve_fs, map_tau_fs)], floor_per_cm * WAVENUMBER)
    drawn = moments(modes, bounds, terms, rng=rng, probes=probes_for(modes.size), tick=tick)
    errors = moments(
        modes.noise(antisymmetric_error, rng), bounds, terms, rng=rng, probes=FLOOR_PROBES, tick=lambda count: None
    )
    n_atoms = len(modes.masses)
    unit = KB * temperature_K / n_atoms / MEV * 1000.0 * FS

    def power(weight: Weight) -> Power:
        found = drawn.total(weight, floor=floor_per_cm * WAVENUMBER)
        others = [
            drawn.total(weight, floor=other * WAVENUMBER, imaginary=imaginary).value
            for other in sorted({*FLOORS_PER_CM, floor_per_cm})
            for imaginary in (IMAGINARY if bounds[0] < 0 else IMAGINARY[:1])
        ]
        return Power(found.value * unit, found.error * unit, min(others) * unit, max(others) * unit)

    def damped(width: float) -> Weight:
        return lambda omega: pair_weights(omega, width)

    def undamped(window: float) -> Weight:
        return lambda omega: window_weights(omega, window)

    of_map = damped(1.0 / (map_tau_fs * FS))
    resonances = band_map(drawn, of_map, floor_per_cm * WAVENUMBER)
    return SecondOrder(
        thermostats={tau: power(damped(1.0 / (tau * FS))) for tau in taus},
        windows={t: power(undamped(t * FS)) for t in nve_fs},
        floor_power=abs(errors.total(of_map, floor=floor_per_cm * WAVENUMBER).value) * unit,
        map=resonances,
        map_power=float(resonances.power.sum()) * unit,
        map_tau_fs=map_tau_fs,
        n_modes=modes.n_modes,
        n_atoms=n_atoms,
        held_translations=modes.n_held,
        terms=terms,
        probes=len(drawn.values),
        # The bounds are wider than the spectrum by a margin at each end.
        unstable=bounds[0] < -2.0 * MARGIN * (bounds[1] - bounds[0]) / LANCZOS_STEPS**2,
    )


def band_map(drawn: Moments, weight: Weight, floor: float) -> HeatingMap:
    """Shares of Σ_ij a_ij² W and of Σ_ij a_ij² by bands of :data:`~ncbench.prediction.resonances.BIN_PER_CM`; ``power`` is the former sum.

    Args:
        drawn: moments of the coupling.
        weight: W.
        floor: least frequency, internal unit of 1/time.
    """
    density = drawn.density()
    omega = drawn.frequencies(len(density), floor, "absolute")
    per_cm = omega / WAVENUMBER
    count = int(per_cm.max() // BIN_PER_CM) + 1
    members = np.zeros((count, len(omega)))
    members[(per_cm // BIN_PER_CM).astype(int), np.arange(len(omega))] = 1.0
    power: FloatArray = members @ (density * weight(omega)) @ members.T
    norms: FloatArray = members @ density @ members.T
    edges: FloatArray = BIN_PER_CM * np.arange(count + 1, dtype=np.float64)
    return HeatingMap(edges, _shares(power), power, _shares(norms))


def _shares(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return values / total if total > 0 else values
