"""From a Jacobian to temperatures and powers: every number of ``ncbench predict`` for one structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncbench.md.settings import parse_thermostat, require_linear
from ncbench.prediction.covariance import HarmonicDynamics
from ncbench.prediction.harmonic import (
    FloatArray,
    HarmonicModel,
    Imaginary,
    group_temperatures,
    harmonic_model,
    held_translations,
)
from ncbench.prediction.resonances import HeatingMap, heating_map, pair_powers, power_of_noise, window_powers
from ncbench.units import FS, KB, MEV

FLOORS_PER_CM = (20.0, 50.0, 100.0)
"""Frequency floors whose spread is part of the result, cm⁻¹; the middle one is the default."""
IMAGINARY: tuple[Imaginary, ...] = ("absolute", "floor")
"""Treatments of imaginary frequencies; their spread is part of the result too."""


@dataclass(frozen=True)
class Thermostat:
    """A thermostat by its drift matrix."""

    name: str
    """``langevin`` or ``gle``."""
    tau_fs: float | None
    """Of white noise."""
    friction_per_fs: FloatArray
    """[1 + n_s, 1 + n_s]: A, 1/fs."""

    @classmethod
    def langevin(cls, tau_fs: float) -> Thermostat:
        """White noise, A = (1/τ)."""
        return cls("langevin", tau_fs, np.array([[1.0 / tau_fs]]))

    @classmethod
    def parse(cls, text: str) -> Thermostat:
        """``langevin:TAU`` with τ in fs, ``gle`` (the paper's high-pass), or ``gle:FILE`` (a drift matrix in 1/ps).

        Raises:
            UsageError: none of these, or a thermostat that :func:`require_linear` refuses.
        """
        from ncbench.md.gle import PAPER, read_drift

        name, tau_fs = parse_thermostat(text)
        require_linear(name)
        if tau_fs is not None:
            return cls.langevin(tau_fs)
        file = text.partition(":")[2]
        return cls(name, None, (read_drift(Path(file)) if file else PAPER) / 1000.0)

    @property
    def label(self) -> str:
        """``langevin:100``, ``gle``."""
        return self.name if self.tau_fs is None else f"{self.name}:{self.tau_fs:g}"


@dataclass(frozen=True)
class ThermostatPrediction:
    """The stationary state under one thermostat. Without one (a runaway), the numbers are ``None``."""

    thermostat: Thermostat
    temperature_K: dict[str, float] | None
    """Kinetic temperature of ``all`` atoms and of each element."""
    power: float | None
    """Heat that the thermostat removes, meV/atom/ps."""
    golden_rule_power: float | None
    """The same to second order with Γ = 1/τ, meV/atom/ps; ``None`` for a GLE."""
    growth_per_ps: float
    """Largest growth rate of a fluctuation, 1/ps; positive for a runaway."""

    @property
    def stable(self) -> bool:
        """There is a stationary state."""
        return self.temperature_K is not None


@dataclass(frozen=True)
class HeatingPrediction:
    """Effect of the antisymmetric part of one Jacobian on dynamics."""

    target_K: float
    """Temperature of thermostats and of starts at constant energy, T₀."""
    floor_per_cm: float
    imaginary: Imaginary
    n_imaginary: int
    n_floored: int
    n_modes: int
    thermostats: tuple[ThermostatPrediction, ...]
    nve_power: dict[float, float]
    """Time t in fs → (⟨E⟩(t) − ⟨E⟩(0))/t at constant energy, meV/atom/ps."""
    nve_second_order: dict[float, float]
    """Time t in fs → ⟨W²⟩/(2 k_B T t) of the work W of undamped modes, meV/atom/ps: the heating to second order in a."""
    critical_friction_per_fs: float
    """γ_c: white-noise friction below which the harmonic motion runs away, 1/fs; 0 where none does."""
    nve_growth_per_ps: float
    """Fastest exponential growth of an amplitude at constant energy, 1/ps."""

    @property
    def longest_stable_tau_fs(self) -> float | None:
        """1/γ_c, fs; ``None`` where no white-noise thermostat is too weak."""
        return 1.0 / self.critical_friction_per_fs if self.critical_friction_per_fs > 0 else None

    def under(self, label: str) -> ThermostatPrediction:
        """The prediction of one thermostat, such as ``langevin:100``.

        Raises:
            KeyError: it was not requested.
        """
        for one in self.thermostats:
            if one.thermostat.label == label:
                return one
        raise KeyError(label)


def critical_tau_fs(power: float, temperature_K: float, n_modes: int, n_atoms: int) -> float:
    """τ_c = n k_B T/P, fs: for P ∝ T, a white-noise thermostat of time constant τ leaves T/T₀ = 1/(1 − τ/τ_c).

    In equilibrium n k_B (T − T₀)/τ = P; with P = r n k_B T this is T/T₀ = 1/(1 − r τ), and r = 1/τ_c is the rate of exponential heating.

    Args:
        power: P at the temperature below, meV/atom/ps.
        temperature_K: T.
        n_modes: n, the degrees of freedom.
        n_atoms: N.
    """
    return float("inf") if power <= 0 else n_modes * KB * temperature_K / (power * MEV * n_atoms) * 1000.0


def spread_power(power: float, time_fs: float, temperature_K: float, n_modes: int, n_atoms: int) -> float:
    """Mean power over a time at constant energy if the heat spreads over all modes at once, P ∝ T, meV/atom/ps: P (e^(t/τ_c) − 1)/(t/τ_c).

    Args:
        power: P at the start, meV/atom/ps.
        time_fs: t.
        temperature_K: T of the start.
        n_modes: n.
        n_atoms: N.
    """
    grown = time_fs / critical_tau_fs(power, temperature_K, n_modes, n_atoms)
    return power * (math.expm1(grown) / grown if grown > 0 else 1.0)


def spread_excess_K(power: float, tau_fs: float, temperature_K: float, n_modes: int, n_atoms: int) -> float | None:
    """ΔT under white noise if the heat spreads over all modes at once: T₀ (1/(1 − τ/τ_c) − 1), K; ``None`` for τ ≥ τ_c, a runaway.

    Arguments are those of :func:`critical_tau_fs`, with P at T₀ to second order, and τ.
    """
    ratio = tau_fs / critical_tau_fs(power, temperature_K, n_modes, n_atoms)
    return temperature_K * (1.0 / (1.0 - ratio) - 1.0) if ratio < 1.0 else None


def power_from_excess(excess_K: float, tau_fs: float, n_modes: int, n_atoms: int) -> float:
    """P = n k_B ΔT/(N τ), meV/atom/ps: what a white-noise thermostat removes at the temperature T₀ + ΔT."""
    return n_modes * KB * excess_K / (tau_fs / 1000.0) / n_atoms / MEV


def species_groups(symbols: Sequence[str]) -> tuple[list[str], FloatArray]:
    """Names ``all``, then the elements in alphabetical order, and their membership [G, N]."""
    elements = sorted(set(symbols))
    present = np.array(symbols)
    members = [np.ones(len(present)), *((present == name).astype(np.float64) for name in elements)]
    return ["all", *elements], np.stack(members)


def predict(
    model: HarmonicModel,
    symbols: Sequence[str],
    *,
    temperature_K: float,
    thermostats: Sequence[Thermostat],
    nve_fs: Sequence[float] = (160.0, 1000.0),
    floor_per_cm: float = 50.0,
    imaginary: Imaginary = "absolute",
) -> HeatingPrediction:
    """Temperatures, powers and limits of stability of one harmonic model.

    Args:
        model: modes and coupling, from :func:`ncbench.prediction.harmonic.harmonic_model` with the floor below.
        symbols: N chemical symbols.
        temperature_K: T₀.
        thermostats: the requested ones.
        nve_fs: times over which the growth of ⟨E⟩ at constant energy is averaged, fs.
        floor_per_cm: what the model was made with, for the record, cm⁻¹.
        imaginary: the same.
    """
    dynamics = HarmonicDynamics(model)
    names, groups = species_groups(symbols)
    thermal = KB * temperature_K
    start = dynamics.energy(0.0, thermal)
    per_atom = 1.0 / (model.n_atoms * MEV)
    return HeatingPrediction(
        target_K=temperature_K,
        floor_per_cm=floor_per_cm,
        imaginary=imaginary,
        n_imaginary=model.n_imaginary,
        n_floored=model.n_floored,
        n_modes=len(model.omega),
        thermostats=tuple(_under(dynamics, one, names, groups, temperature_K) for one in thermostats),
        nve_power={t: (dynamics.energy(t * FS, thermal) - start) * per_atom / (t / 1000.0) for t in nve_fs},
        nve_second_order={
            t: in_meV(float(window_powers(model, np.array([t * FS]), thermal)[0]), model) for t in nve_fs
        },
        critical_friction_per_fs=dynamics.critical_friction * FS,
        nve_growth_per_ps=dynamics.growth_rate * 1000.0 * FS,
    )


def _under(
    dynamics: HarmonicDynamics, thermostat: Thermostat, names: list[str], groups: FloatArray, target_K: float
) -> ThermostatPrediction:
    model, thermal = dynamics.model, KB * target_K
    state = dynamics.stationary(thermostat.friction_per_fs / FS, thermal)
    golden = None
    if thermostat.tau_fs is not None:
        golden = in_meV(float(pair_powers(model, 1.0 / (thermostat.tau_fs * FS), thermal).sum()), model)
    temperatures = None
    if state.momenta is not None:
        temperature_tensor = group_temperatures(model, state.momenta, groups, KB)
        temperatures = dict(zip(names, temperature_tensor.tolist(), strict=True))
    power = None if state.power is None else in_meV(state.power, model)
    return ThermostatPrediction(thermostat, temperatures, power, golden, state.growth_rate * 1000.0 * FS)


def in_meV(power: float, model: HarmonicModel) -> float:
    """Of the whole system in internal units → meV/atom/ps."""
    return power / model.n_atoms / MEV * 1000.0 * FS


@dataclass(frozen=True)
class Sensitivity:
    """A prediction of the same Jacobian at every floor and treatment of imaginary modes."""

    predictions: tuple[HeatingPrediction, ...]
    default: HeatingPrediction
    """At the requested floor, imaginary frequencies by their absolute value."""
    map: HeatingMap
    map_tau_fs: float
    """The map's Γ is 1/τ."""
    map_power: float
    """Golden-rule power of all pairs at the map's Γ, meV/atom/ps."""
    species: tuple[str, ...]
    """``all``, then the elements."""
    n_atoms: int
    """N."""
    held_translations: int
    """0 to 3: translations that are not free and are vibrations here."""
    floor_power: float
    """Power that numerical errors of the Jacobian would give for conservative forces, meV/atom/ps, at the map's Γ."""


def predict_with_sensitivity(
    jacobian: FloatArray,
    noise: float,
    masses: FloatArray,
    symbols: Sequence[str],
    *,
    temperature_K: float,
    thermostats: Sequence[Thermostat],
    nve_fs: Sequence[float] = (160.0, 1000.0),
    floor_per_cm: float = 50.0,
    map_tau_fs: float = 100.0,
) -> Sensitivity:
    """Predictions of one Jacobian, the heating map and the numerical floor.

    Args:
        jacobian: J [3N, 3N], eV/Å².
        noise: root-mean-square error of its entries, eV/Å².
        masses: [N], u.
        symbols: N chemical symbols.
        temperature_K: T₀.
        thermostats: the requested ones.
        nve_fs: as in :func:`predict`.
        floor_per_cm: the default floor, cm⁻¹; :data:`FLOORS_PER_CM` are added.
        map_tau_fs: 1/Γ of the heating map, fs.
    """
    predictions: list[HeatingPrediction] = []
    held = held_translations(jacobian, masses)
    default_model = harmonic_model(jacobian, masses, floor_per_cm=floor_per_cm, held=held)
    for floor in sorted({*FLOORS_PER_CM, floor_per_cm}):
        for imaginary in IMAGINARY:
            model = harmonic_model(jacobian, masses, floor_per_cm=floor, imaginary=imaginary, held=held)
            if imaginary != IMAGINARY[0] and model.n_imaginary == 0:
                continue
            predictions.append(
                predict(
                    model,
                    symbols,
                    temperature_K=temperature_K,
                    thermostats=thermostats,
                    nve_fs=nve_fs,
                    floor_per_cm=floor,
                    imaginary=imaginary,
                )
            )
    default = next(p for p in predictions if p.floor_per_cm == floor_per_cm and p.imaginary == IMAGINARY[0])
    width, thermal = 1.0 / (map_tau_fs * FS), KB * temperature_K
    # Modes and powers are computed in float64, whose rounding of J leaves a power even where J is symmetric to the last bit.
    noise = max(noise, float(np.finfo(np.float64).eps * np.abs(jacobian).max()))
    resonances = heating_map(default_model, width, thermal)
    return Sensitivity(
        predictions=tuple(predictions),
        default=default,
        map=resonances,
        map_power=in_meV(float(resonances.power.sum()), default_model),
        species=tuple(species_groups(symbols)[0]),
        n_atoms=len(masses),
        held_translations=held.shape[1],
        map_tau_fs=map_tau_fs,
        floor_power=in_meV(power_of_noise(default_model, noise, width, thermal), default_model),
    )
