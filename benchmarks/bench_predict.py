"""Predicted heating against measured heating.

    python benchmarks/bench_predict.py                  # quenches and Jacobians of two snapshots: some 5 minutes on one core
    python benchmarks/bench_predict.py --quick          # closed forms and the paper's tables: a minute

Crystals: a solenoidal Einstein crystal, predicted, in closed form and from dynamics. Water: ``pet-m:direct`` on 64 molecules against the runs in
``results/laptop`` (and, with ``--runs DIR``, further results folders). Blends (1 − s) conservative + s direct, and Green–Kubo: the runs that
``predict_runs.py`` left in ``--work``. Paper:
columns of Table 8 (which holds those of Table 2) from one column. Writes ``results/bench/predict.csv``, ``.md`` and ``.svg``. Quenches, Jacobians and runs of
crystals are kept in ``--work``.
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
import predict_runs
from numpy.typing import NDArray
from predict_blends import blends, green_kubo
from predict_crystals import crystals, kept_crystals
from predict_output import Comparison, write

from ncbench.models.loading import load_forcefield
from ncbench.paper import numbers
from ncbench.prediction.heating import (
    HeatingPrediction,
    Thermostat,
    critical_tau_fs,
    power_from_excess,
    predict_with_sensitivity,
    spread_excess_K,
    spread_power,
)
from ncbench.prediction.quench import force_jacobian, quench
from ncbench.statistics.floors import power_error
from ncbench.statistics.format import number, with_error
from ncbench.structures.load import load_cases
from ncbench.types import ForceMode, ModelRequest, SystemRequest

FloatArray = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[1]
TEMPERATURE_K = 300.0
THERMOSTATS = tuple(
    Thermostat.parse(text) for text in ("langevin:10", "langevin:30", "langevin:100", "langevin:1000", "gle")
)
QUENCH_STEPS, QUENCH_FMAX = 150, 0.02


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
            arrays: dict[str, Any] = {
                "direct": jacobian.matrix,
                "noise": jacobian.noise,
                "fmax": rested.fmax,
                "seconds": seconds,
            }
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
        if thermostat.tau_fs is not None:
            yield _spread(chosen[chosen["species"] == "all"], thermostat, predictions)
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
        spread = [
            [spread_power(one.nve_second_order[time_fs], time_fs, TEMPERATURE_K, one.n_modes, 192) for one in group]
            for group in predictions
        ]
        yield Comparison(
            "spread",
            f"pet-m:direct, NVE, first {time_fs:g} fs: power of second order, heat spread",
            "meV/atom/ps",
            float(np.mean([group[0] for group in spread])),
            min(min(group) for group in spread),
            max(max(group) for group in spread),
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


def _spread(
    rows: pd.DataFrame, thermostat: Thermostat, predictions: Sequence[Sequence[HeatingPrediction]]
) -> Comparison:
    """ΔT of all atoms under white noise from the golden rule, the heat spread over all modes."""

    def of(one: HeatingPrediction) -> float | None:
        power = one.under(thermostat.label).golden_rule_power
        if power is None or thermostat.tau_fs is None:
            return None
        return spread_excess_K(power, thermostat.tau_fs, one.target_K, one.n_modes, 192)

    values = [of(one) for group in predictions for one in group]
    centre, known = [of(group[0]) for group in predictions], [value for value in values if value is not None]
    value, error = _weighted(rows, "temperature_excess_K")
    return Comparison(
        "spread",
        f"pet-m:direct, {thermostat.label.replace(':', ' ')}: ΔT of all, of second order, heat spread",
        "K",
        float(np.mean([c for c in centre if c is not None])) if all(c is not None for c in centre) else None,
        min(known) if known else None,
        max(known) if known and len(known) == len(values) else None,
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


def blends_and_green_kubo(
    found: Sequence[Snapshot], runs: Sequence[predict_runs.Run], notes: list[str]
) -> Iterator[Comparison]:
    """See ``predict_blends.py``."""
    first = found[0]
    yield from green_kubo([one.direct for one in found], first.masses, runs, notes)
    if first.conservative is not None:
        yield from blends(first.direct, first.conservative, first.masses, first.symbols, runs)


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
    rows = list(crystals(2_000.0)) if options.quick else kept_crystals(options.work)
    if not options.quick:
        found = snapshots(options.work, 2)
        rows += water(found, [ROOT / "results" / "laptop", *options.runs], notes)
        rows += blends_and_green_kubo(found, predict_runs.read(options.work), notes)
    rows += paper()
    options.out.mkdir(parents=True, exist_ok=True)
    write(rows, notes, options.out)
    for row in rows:
        print(f"{row.what}: {number(row.predicted)} against {with_error(row.measured, row.error)} {row.unit}")


if __name__ == "__main__":
    main()
