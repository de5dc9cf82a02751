"""Blends of pet-m's two heads and Green–Kubo along conservative dynamics, for ``bench_predict.py``: predictions beside the runs of ``predict_runs.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from predict_output import Comparison
from predict_runs import Run

from ncbench.prediction.green_kubo import relative_error, work_growth
from ncbench.prediction.harmonic import harmonic_model
from ncbench.prediction.heating import FLOORS_PER_CM, Thermostat, in_meV, predict
from ncbench.prediction.resonances import window_powers
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import number
from ncbench.statistics.series import blocking_mean
from ncbench.units import FS, KB, MEV

FloatArray = NDArray[np.float64]
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
THERMOSTATS = ("langevin:30", "langevin:100", "langevin:1000")
WINDOWS_FS = (20.0, 50.0, 100.0, 200.0)
TEMPERATURE_K = 300.0
DEFAULT_FLOOR = 50.0


def measured_power(run: Run) -> tuple[float, float]:
    """Mean of the work rate of s f_nc in the blend's own dynamics and its standard error, meV/atom/ps."""
    n_atoms = len(run.series.end)
    rates = run.share * run.series.rates * 1000.0 / (n_atoms * MEV)
    mean = float(rates.mean())
    floor = power_error(abs(mean), run.series.mean_temperature_K, run.series.duration_fs / 1000.0, n_atoms)
    return mean, max(floor, blocking_mean(rates, floor=floor).error)


def blends(
    direct: FloatArray, conservative: FloatArray, masses: FloatArray, symbols: list[str], runs: Sequence[Run]
) -> Iterator[Comparison]:
    """P over s² of (1 − s) conservative + s direct, s ≤ 1, predicted at the minimum of the first snapshot and measured where there is a run."""
    by_condition = {(run.thermostat, run.share): run for run in runs if run.structure == 0}
    thermostats = [Thermostat.parse(label) for label in THERMOSTATS]
    rows = []
    for s in SHARES:
        found = [
            predict(
                harmonic_model((1 - s) * conservative + s * direct, masses, floor_per_cm=floor),
                symbols,
                temperature_K=TEMPERATURE_K,
                thermostats=thermostats,
                floor_per_cm=floor,
            )
            for floor in FLOORS_PER_CM
        ]
        for label in THERMOSTATS:
            powers = {one.floor_per_cm: one.under(label).power for one in found}
            known = [power / s**2 for power in powers.values() if power is not None]
            power, run = powers[DEFAULT_FLOOR], by_condition.get((label, s))
            value, error = (None, None) if run is None else measured_power(run)
            rows.append(
                Comparison(
                    "blend",
                    f"water64, blend s = {s:g}, {label.replace(':', ' ')} fs: power over s²",
                    "meV/atom/ps",
                    None if power is None else power / s**2,
                    min(known) if known else None,
                    max(known) if len(known) == len(powers) else None,
                    None if value is None else value / s**2,
                    None if error is None else error / s**2,
                    "predicted alone"
                    if run is None
                    else f"{run.series.duration_fs / 1000:g} ps, {run.series.mean_temperature_K:.0f} K",
                )
            )
    for label in THERMOSTATS:
        yield from (row for row in rows if f" {label.replace(':', ' ')} fs:" in row.what)


def green_kubo(
    jacobians: Sequence[FloatArray], masses: FloatArray, runs: Sequence[Run], notes: list[str]
) -> Iterator[Comparison]:
    """⟨W²⟩/(2 k_B T t) along conservative runs against that of undamped harmonic modes at the minima: both are of second order in f_nc."""
    floors = (DEFAULT_FLOOR, *(floor for floor in FLOORS_PER_CM if floor != DEFAULT_FLOOR))
    models = [harmonic_model(jacobian, masses, floor_per_cm=floor) for floor in floors for jacobian in jacobians]
    for run in runs:
        if run.share != 0.0:
            continue
        series, n_atoms = run.series, len(run.series.end)
        kelvin = series.mean_temperature_K
        where = "constant energy" if run.thermostat == "none" else run.thermostat.replace(":", " ") + " fs"
        found = work_growth(series.rates, series.spacing_fs, n_atoms=n_atoms, temperature_K=kelvin)
        notes.append(
            f"Green–Kubo, conservative dynamics, {where}, {series.duration_fs / 1000:g} ps at {kelvin:.0f} K: growth from {found.fit_from_fs:g} to "
            f"{found.lags_fs[-1]:g} fs {number(found.power)} ± {number(found.standard_error, 2)} meV/atom/ps; its gradient part is a transient of "
            f"{number(found.transient_meV, 2)} meV (rms of the potential)."
        )
        for window_fs in WINDOWS_FS:
            wide = work_growth(
                series.rates, series.spacing_fs, n_atoms=n_atoms, temperature_K=kelvin, longest_fs=window_fs
            )
            harmonic = [
                in_meV(float(window_powers(model, np.array([window_fs * FS]), KB * kelvin)[0]), model)
                for model in models
            ]
            power = float(wide.powers[-1])
            yield Comparison(
                "green-kubo",
                f"pet-m, conservative dynamics, {where}: ⟨W²⟩/(2 k_B T t), t = {window_fs:g} fs",
                "meV/atom/ps",
                float(np.mean(harmonic[: len(jacobians)])),
                min(harmonic),
                max(harmonic),
                power,
                power * relative_error(window_fs, series.duration_fs),
                f"{series.duration_fs / 1000:g} ps, {kelvin:.0f} K",
            )
