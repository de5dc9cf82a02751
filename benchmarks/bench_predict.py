"""Predicted heating against measured heating.

    python benchmarks/bench_predict.py                  # quenches and Jacobians of two snapshots: some 5 minutes on one core
    python benchmarks/bench_predict.py --quick          # closed forms and the paper's tables: a minute

Crystals: a solenoidal Einstein crystal, predicted, in closed form and from dynamics. Water: ``pet-m:direct`` on 64 molecules against the runs in
``results/laptop`` (and, with ``--runs DIR``, further results folders). Blends (1 − s) conservative + s direct: how the power grows with s. Paper:
columns of Table 8 (which holds those of Table 2) from one column. Writes ``results/bench/predict.csv``, ``.md`` and ``.svg``. Quenches and Jacobians are kept in ``--work``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from predict_output import Comparison, write

from ncbench.diagnostics.base import Context
from ncbench.diagnostics.nvt import NvtSettings
from ncbench.diagnostics.nvt import run as run_nvt
from ncbench.models.loading import load_forcefield
from ncbench.paper import numbers
from ncbench.prediction.harmonic import harmonic_model
from ncbench.prediction.heating import (
    HeatingPrediction,
    Thermostat,
    critical_tau_fs,
    power_from_excess,
    predict,
    predict_with_sensitivity,
)
from ncbench.prediction.quench import force_jacobian, quench
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import number, with_error
from ncbench.structures.load import load_cases
from ncbench.types import ForceMode, ModelRequest, SystemRequest
from ncbench.units import FS

FloatArray = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[1]
TEMPERATURE_K = 300.0
THERMOSTATS = tuple(
    Thermostat.parse(text) for text in ("langevin:10", "langevin:30", "langevin:100", "langevin:1000", "gle")
)
QUENCH_STEPS, QUENCH_FMAX = 150, 0.02
BLENDS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


class _Silent:
    def start(self, total: float, unit: str) -> None:
        """No progress is shown."""

    def update(self, done: float, note: str = "") -> None:
        """No progress is shown."""

    def load(self) -> dict[str, Any] | None:
        """No checkpoint is kept."""
        return None

    def save(self, state: Any) -> None:
        """No checkpoint is kept."""


def crystals(duration_fs: float) -> Iterator[Comparison]:
    """ΔT of a solenoidal Einstein crystal under white noise: the harmonic theory, its closed form, and dynamics."""
    (case,) = load_cases(SystemRequest(name="harmonic-crystal"), 1, 0)
    k, mass = 5.0, 39.948
    for kappa, tau_fs in ((0.05, 500.0), (0.05, 1000.0), (0.2, 300.0), (0.2, 500.0)):
        forcefield = load_forcefield(ModelRequest(spec="analytic-solenoidal", options=(("kappa", str(kappa)),)))
        jacobian = force_jacobian(forcefield, case.atoms, rng=np.random.default_rng(0))
        model = harmonic_model(jacobian.matrix, case.atoms.get_masses())
        thermostat = Thermostat.langevin(tau_fs)
        predicted = predict(
            model, case.atoms.get_chemical_symbols(), temperature_K=TEMPERATURE_K, thermostats=[thermostat]
        ).under(thermostat.label)
        assert predicted.power is not None
        ratio = (kappa / mass) ** 2 / (k / mass) * (tau_fs * FS) ** 2
        closed = power_from_excess(TEMPERATURE_K * 2 / 3 * (1 / (1 - ratio) - 1), tau_fs, len(model.omega), 64)
        what = f"Einstein crystal, κ = {kappa} eV/Å², Langevin {tau_fs:g} fs: power"
        yield Comparison("crystal", what, "meV/atom/ps", predicted.power, None, None, closed, 0.0, "closed form")
        silent = _Silent()
        rows = run_nvt(
            forcefield,
            [case],
            NvtSettings(
                thermostats=(thermostat.label,),
                duration_fs=duration_fs,
                equilibration_fs=10 * tau_fs / (1 - ratio),
                timestep_fs=4.0,
                redraw_momenta=True,
            ),
            seed=1,
            context=Context(progress=silent, checkpoint=silent),
        ).rows
        row = next(row for row in rows if row["species"] == "all")
        # The work of the forces has this floor; T² enters, since the hot modes carry the current.
        error = max(
            row["power_meV_per_atom_per_ps_se"] or 0.0,
            power_error(closed, TEMPERATURE_K / (1 - ratio), duration_fs / 1000.0, 64),
        )
        measured = row["power_meV_per_atom_per_ps"]
        yield Comparison(
            "crystal",
            what,
            "meV/atom/ps",
            predicted.power,
            None,
            None,
            measured,
            error,
            f"nvt, {duration_fs / 1000:g} ps",
        )


@dataclass(frozen=True)
class Snapshot:
    """A quenched snapshot of water and its Jacobians."""

    masses: FloatArray
    symbols: list[str]
    direct: FloatArray
    noise: float
    conservative: FloatArray | None
    fmax: float
    seconds: float


def snapshots(work: Path, count: int) -> list[Snapshot]:
    """Quenches by the conservative head and Jacobians of both heads (of the conservative one for the first snapshot), kept in ``work``."""
    work.mkdir(parents=True, exist_ok=True)
    out = []
    for index, case in enumerate(load_cases(SystemRequest(name="water64", structures=count), count, 0)):
        file = work / f"snapshot{index}.npz"
        if not file.exists():
            direct = load_forcefield(ModelRequest(spec="pet-m:direct"))
            began = time.perf_counter()
            rested = quench(direct, None, case.atoms, fmax=QUENCH_FMAX, steps=QUENCH_STEPS)
            jacobian = force_jacobian(direct, rested.atoms, batch=4, rng=np.random.default_rng(0))
            seconds = time.perf_counter() - began
            arrays = {"direct": jacobian.matrix, "noise": jacobian.noise, "fmax": rested.fmax, "seconds": seconds}
            if index == 0:
                sibling = direct.sibling(ForceMode.CONSERVATIVE)
                arrays["conservative"] = force_jacobian(
                    sibling, rested.atoms, batch=2, rng=np.random.default_rng(0)
                ).matrix
            np.savez(file, **arrays)
        with np.load(file) as kept:
            out.append(
                Snapshot(
                    case.atoms.get_masses(),
                    case.atoms.get_chemical_symbols(),
                    kept["direct"],
                    float(kept["noise"]),
                    kept.get("conservative"),
                    float(kept["fmax"]),
                    float(kept["seconds"]),
                )
            )
    return out


def water(snapshots_: Sequence[Snapshot], folders: Sequence[Path], notes: list[str]) -> Iterator[Comparison]:
    """Power and temperatures of ``pet-m:direct``, the first snapshot's compared with the runs that started from it."""
    predictions: list[list[HeatingPrediction]] = []
    for index, one in enumerate(snapshots_):
        began = time.perf_counter()
        details = predict_with_sensitivity(
            one.direct, one.noise, one.masses, one.symbols, temperature_K=TEMPERATURE_K, thermostats=THERMOSTATS
        )
        seconds = time.perf_counter() - began
        predictions.append([details.default, *details.predictions])
        default = details.default
        limit = number(default.longest_stable_tau_fs)
        notes.append(
            f"Snapshot {index}: quench and Jacobian {one.seconds:.0f} s, largest force {one.fmax:.3f} eV/Å; {default.n_imaginary} imaginary "
            f"and {default.n_floored} floored modes of {default.n_modes}; predictions at {len(details.predictions)} floors and treatments "
            f"{seconds:.1f} s; numerical floor {details.floor_power:.1e} meV/atom/ps; harmonic limit of white noise {limit} fs."
        )
        top = details.map
        order = sorted(
            ((top.share[i, j] * (1 if i == j else 2), i, j) for i in range(len(top.share)) for j in range(i + 1)),
            reverse=True,
        )[:4]
        bins = top.edges_per_cm
        soft = float(top.share[: int(1200 // (bins[1] - bins[0])), : int(1200 // (bins[1] - bins[0]))].sum())
        norm = float(top.norm_share[: int(1200 // (bins[1] - bins[0])), : int(1200 // (bins[1] - bins[0]))].sum())
        named = ", ".join(f"{bins[i]:.0f} with {bins[j]:.0f} cm⁻¹: {100 * share:.0f} %" for share, i, j in order)
        notes.append(
            f"Snapshot {index}: pairs of modes below 1200 cm⁻¹ make {100 * soft:.0f} % of the power and {100 * norm:.0f} % of ‖a‖²; "
            f"lower edges of the bins of 200 cm⁻¹ with the most: {named}."
        )
    nvt = _tables(folders, "nvt")
    for thermostat in THERMOSTATS:
        chosen = nvt[(nvt["thermostat"] == thermostat.name) & (nvt["integrator"].fillna("verlet") == "verlet")]
        if thermostat.tau_fs is not None:
            chosen = chosen[chosen["tau_fs"] == thermostat.tau_fs]
        for species in ("all", "H", "O"):
            measured = chosen[chosen["species"] == species]
            yield _mean_of(measured, thermostat, species, "temperature_excess_K", predictions)
        yield _mean_of(chosen[chosen["species"] == "all"], thermostat, "all", "power_meV_per_atom_per_ps", predictions)
    nve = _tables(folders, "nve-drift")
    nve = nve[nve["integrator"].fillna("verlet") == "verlet"]
    for time_fs in (160.0, 1000.0):
        runs = nve[np.isclose(nve["steps"] * nve["timestep_fs"], time_fs)]
        values = [one.nve_power[time_fs] for group in predictions for one in group]
        mean = float(np.mean([group[0].nve_power[time_fs] for group in predictions]))
        value, error = _weighted(runs, "energy_drift_meV_per_atom_per_ps")
        yield Comparison(
            "water",
            f"pet-m:direct, NVE, first {time_fs:g} fs: power",
            "meV/atom/ps",
            mean,
            min(values),
            max(values),
            value,
            error,
            f"nve-drift, {len(runs)} runs",
        )


def _mean_of(
    rows: pd.DataFrame,
    thermostat: Thermostat,
    species: str,
    column: str,
    predictions: Sequence[Sequence[HeatingPrediction]],
) -> Comparison:
    power = column.startswith("power")

    def of(one: HeatingPrediction) -> float | None:
        state = one.under(thermostat.label)
        if state.temperature_K is None:
            return None
        return state.power if power else state.temperature_K[species] - one.target_K

    values = [of(one) for group in predictions for one in group]
    centre = [of(group[0]) for group in predictions]
    known = [value for value in values if value is not None]
    bounded = len(known) == len(values)
    value, error = _weighted(rows, column)
    what = f"pet-m:direct, {thermostat.label.replace(':', ' ')}{' fs' if thermostat.tau_fs else ''}: "
    return Comparison(
        "water",
        what + ("power" if power else f"ΔT of {species}"),
        "meV/atom/ps" if power else "K",
        float(np.mean([c for c in centre if c is not None])) if all(c is not None for c in centre) else None,
        min(known) if known else None,
        max(known) if known and bounded else None,
        value,
        error,
        f"nvt, {len(rows)} runs" if len(rows) else "",
    )


def _tables(folders: Sequence[Path], name: str) -> pd.DataFrame:
    parts = [pd.read_parquet(folder / f"{name}.parquet") for folder in folders if (folder / f"{name}.parquet").exists()]
    rows = pd.concat(parts, ignore_index=True)
    return rows[
        (rows["model"] == "pet-m")
        & (rows["force_mode"] == "direct")
        & (rows["system"] == "water64")
        & (rows["status"] == "ok")
    ]


def _weighted(rows: pd.DataFrame, column: str) -> tuple[float | None, float | None]:
    """Mean of runs weighted by length, with an error of at least the fluctuations of the work."""
    rows = rows[rows[column].notna()]
    if not len(rows):
        return None, None
    lengths = (rows["steps"] * rows["timestep_fs"]).to_numpy() / 1000.0
    values = rows[column].to_numpy()
    mean = float(np.average(values, weights=lengths))
    own = rows[f"{column}_se" if f"{column}_se" in rows else "temperature_K_se"].to_numpy()
    error = float(np.sqrt(np.sum((lengths * own) ** 2)) / lengths.sum())
    if column != "temperature_excess_K":
        error = max(error, power_error(abs(mean), TEMPERATURE_K, float(lengths.sum()), int(rows["n_atoms"].iloc[0])))
    return mean, error


def blends(one: Snapshot, notes: list[str]) -> Iterator[Comparison]:
    """P at τ = 30 fs of (1 − s) conservative + s direct over s² times that of the direct forces."""
    if one.conservative is None:
        return
    thermostat = Thermostat.parse("langevin:30")
    powers = {}
    for s in BLENDS:
        model = harmonic_model((1 - s) * one.conservative + s * one.direct, one.masses)
        predicted = predict(model, one.symbols, temperature_K=TEMPERATURE_K, thermostats=[thermostat])
        powers[s] = predicted.under(thermostat.label).power
        notes.append(f"Blend s = {s:g}: harmonic limit of white noise {number(predicted.longest_stable_tau_fs)} fs.")
    for s in BLENDS:
        yield Comparison(
            "blend",
            f"water64, blend s = {s:g}, Langevin 30 fs: power over s²",
            "meV/atom/ps",
            None if powers[s] is None else powers[s] / s**2,
            None,
            None,
            None,
            None,
            "predicted; constant where P ∝ s²",
        )


def paper() -> Iterator[Comparison]:
    """Table 8: ΔT at other τ from the ΔT at τ = 100 fs, where that is resolved: T/T₀ = 1/(1 − τ/τ_c). (Its columns of all atoms hold Table 2's.)"""
    cells: dict[str, dict[float, numbers.PaperCell]] = {}
    for cell in numbers.table("table8").cells:
        known, printed = cell.conditions, cell.printed
        if known.thermostat == "langevin" and printed.value is not None and known.tau_fs is not None:
            cells.setdefault(cell.model.label, {})[known.tau_fs] = cell
    for label, by_tau in cells.items():
        if 100.0 not in by_tau:
            continue
        known_excess, error = _temperature(by_tau[100.0]) - TEMPERATURE_K, by_tau[100.0].printed.error or 0.0
        if known_excess <= 3 * error:
            continue
        # Per atom; n = 3 degrees of freedom each, in both formulas.
        power = power_from_excess(known_excess, 100.0, 3, 1)
        tau_c = critical_tau_fs(power, TEMPERATURE_K + known_excess, 3, 1)
        for tau_fs, cell in by_tau.items():
            if tau_fs == 100.0:
                continue
            stable = tau_fs < tau_c
            yield Comparison(
                "paper",
                f"{label}, Table 8, WN {tau_fs:g} fs from 100 fs (τ_c = {tau_c / 1000:.2f} ps): ΔT",
                "K",
                TEMPERATURE_K * (1 / (1 - tau_fs / tau_c) - 1) if stable else None,
                None,
                None,
                _temperature(cell) - TEMPERATURE_K,
                cell.printed.error,
                "paper" if stable else "paper; predicted a runaway",
            )


def _temperature(cell: numbers.PaperCell) -> float:
    assert cell.printed.value is not None
    return cell.printed.value


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short crystal runs, no water")
    parser.add_argument(
        "--work", type=Path, default=Path("bench_predict_work"), help="where quenches and Jacobians are kept"
    )
    parser.add_argument(
        "--runs", type=Path, action="append", default=[], help="further results folders with nvt and nve-drift"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench")
    options = parser.parse_args()
    notes: list[str] = []
    rows = list(crystals(2_000.0 if options.quick else 100_000.0))
    if not options.quick:
        taken = snapshots(options.work, 2)
        rows += water(taken, [ROOT / "results" / "laptop", *options.runs], notes)
        rows += blends(taken[0], notes)
    rows += paper()
    options.out.mkdir(parents=True, exist_ok=True)
    write(rows, notes, options.out)
    for row in rows:
        print(f"{row.what}: {number(row.predicted)} against {with_error(row.measured, row.error)} {row.unit}")


if __name__ == "__main__":
    main()
