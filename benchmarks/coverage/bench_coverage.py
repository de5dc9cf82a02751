"""Do 95 % intervals cover 95 %? Every quantity with an error, over lengths and correlations, against independently known true values.

    python benchmarks/coverage/bench_coverage.py --runs FOLDER    # FOLDER: what reference_runs.py wrote; some five minutes on one core
    python benchmarks/coverage/bench_coverage.py --section work   # measure some rows again and keep the others
    python benchmarks/coverage/bench_coverage.py --quick          # test of the script without reference runs, a minute

Sources: ``modes``, harmonic modes whose mean temperature, power and energy are exact (Lyapunov equation, propagated covariance); ``engine``, analytic fields
through the dynamics of this program; ``water``, windows of long runs of ``pet-m:conservative``. Writes ``results/bench/coverage.csv`` and ``.md``.
A row is judged by the windows with a known error; with fewer than one in ten, or an interval that is a bound, it counts as flagged.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import other_quantities
import pandas as pd
from covered import LEAST_WINDOWS, Found, Row, judged
from exact_modes import Modes
from few_blocks import of_blocks
from heated import NO_ENERGY, heating_power, is_bound, of_heated_modes
from numpy.typing import NDArray
from other_quantities import Forgets, Silent

from ncbench.statistics.floors import Relaxation, relaxation, temperature_error
from ncbench.statistics.heating import (
    GRADIENT_MEMORY_PS,
    GRADIENT_WIDENING,
    Bath,
    drawn_power,
    error_known_of_gradient,
    heating_slope,
    warming_slope,
)
from ncbench.statistics.series import blocking_mean
from ncbench.units import KB

FloatArray = NDArray[np.float64]
Windows = list[tuple[dict[str, FloatArray], slice]]
"""Runs, and the samples of each that a window holds."""
OUT = Path(__file__).resolve().parents[2] / "results" / "bench"
LENGTHS = (16, 50, 100, 300, 1000, 1600, 3000, 10000)
"""fs"""


def temperature(
    series: FloatArray, times: Relaxation, interval_fs: float, target: float, n_dof: float, n_total: float
) -> Found:
    """As :func:`ncbench.md.measured.mean_temperature` does it."""
    floor = temperature_error(target, len(series) * interval_fs, times, n_dof=n_dof, n_dof_total=n_total)
    slowest = times.slowest_fs(whole=n_dof == n_total)
    mean = blocking_mean(series, relaxation=slowest / interval_fs, floor=floor)
    return Found(mean.value, mean.error, mean.known)


def of_modes(lengths: tuple[int, ...], n_runs: int, rng: np.random.Generator) -> list[Row]:
    """Temperatures of harmonic modes and their slopes; every run gives one window per length, from its start."""
    rows = []
    for tau in (10.0, 100.0, 1000.0):
        modes = Modes.water(12, tau_fs=tau)
        run = modes.run(n_runs, lengths[-1], rng)
        n = modes.n_dof
        # Modes do not exchange energy among themselves: a part of them relaxes by the thermostat alone.
        times = relaxation("langevin", tau, exchange_fs=1e9)
        for name, kinetic, part in (("T of all", run.kinetic, n), ("T of the fast half", run.fast_kinetic, n / 2)):
            for length in lengths:
                windows = [temperature(2.0 * k[: length + 1] / part, times, 1.0, 1.0, part, n) for k in kinetic]
                rows.append(judged("modes", name, f"Langevin {tau:g} fs", length, windows, 1.0))
        for length in lengths:
            used = slice(0, length + 1)
            windows = [heating_power(run.times_fs[used], 1e-3 * k[used]) for k in run.fast_kinetic]
            name = "slope of slow noise under vibrations"
            # Stationary noise that is remembered over an eighth of the run is taken for a walk, whose slopes scatter more (tests/statistics/test_series.py).
            taken_for_a_walk = length < 8.0 * tau
            rows.append(judged("modes", name, f"Langevin {tau:g} fs", length, windows, 0.0, bound=taken_for_a_walk))
            if length >= 1000.0 * GRADIENT_MEMORY_PS:
                times_ps = run.times_fs[used] / 1000.0
                known = [error_known_of_gradient(times_ps, k[used]) for k in run.fast_kinetic]
                windows = [
                    replace(one, error=GRADIENT_WIDENING * one.error, known=sure)
                    for one, sure in zip(windows, known, strict=True)
                ]
                name = "slope, known of a gradient"
                rows.append(judged("modes", name, f"Langevin {tau:g} fs", length, windows, 0.0, bound=True))
    return rows


def of_engine(n_runs: int) -> list[Row]:
    """A harmonic crystal through the diagnostic ``nvt``, replicas with noise of their own."""
    from ncbench.diagnostics import nvt
    from ncbench.diagnostics.base import Context
    from ncbench.diagnostics.nvt import NvtSettings
    from ncbench.models.loading import load_forcefield
    from ncbench.structures.load import load_cases
    from ncbench.types import ModelRequest, SystemRequest

    cases = load_cases(SystemRequest(name="harmonic-crystal", structures=1), 1, 0)
    rows = []
    for length in (100.0, 1000.0):
        settings = NvtSettings(
            thermostats=("langevin:20", "langevin:200"),
            equilibration_fs=600.0,
            duration_fs=length,
            replicas=n_runs,
            redraw_momenta=True,
            sample_every=1,
        )
        field = load_forcefield(ModelRequest(spec="analytic-harmonic", dtype="float64"))
        outcome = nvt.run(field, cases, settings, seed=1, context=Context(progress=Silent(), checkpoint=Forgets()))
        table = pd.DataFrame([row for row in outcome.rows if row["species"] == "all"])
        for tau, part in table.groupby("tau_fs"):
            windows = [Found(r["temperature_K"], r["temperature_K_se"], r["plateau"]) for _, r in part.iterrows()]
            rows.append(judged("engine", "T of all", f"Langevin {tau:g} fs", length, windows, 300.0))
            name = "power_meV_per_atom_per_ps"
            windows = [Found(r[name], r[f"{name}_se"], r["power_error_known"]) for _, r in part.iterrows()]
            bound = is_bound("langevin", float(str(tau)), length)
            rows.append(
                judged("engine", "power, conservative", f"Langevin {tau:g} fs", length, windows, 0.0, bound=bound)
            )
    return rows


def of_water(folder: Path, lengths: tuple[int, ...], *, heating: bool) -> list[Row]:
    """Windows, end to end, of the reference runs; the truth is the thermostat's temperature, and no power and no drift."""
    rows = []
    ensembles: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*-8-*.npz")):
        ensembles.setdefault(path.name.split("-")[0], []).append(path)
    for name, paths in ensembles.items():
        runs = [dict(np.load(path)) for path in paths]
        if sum(len(run["heat"]) for run in runs) < 4000:
            continue
        thermostat = "langevin" if name.startswith("langevin") else "svr" if name.startswith("svr") else None
        tau = float(name.removeprefix(thermostat)) if thermostat else None
        for length in lengths:
            windows = [(run, w) for run in runs for w in _windows(run, length)]
            if len(windows) < LEAST_WINDOWS:
                continue
            rows += (_heating_rows if heating else _temperature_rows)(windows, thermostat, tau, length)
    return rows


def _windows(run: dict[str, FloatArray], length_fs: float) -> list[slice]:
    size = round(length_fs / float(run["timestep_fs"]))
    return [slice(start, start + size) for start in range(0, len(run["heat"]) - size + 1, size)]


def _label(thermostat: str | None, tau: float | None) -> str:
    return "NVE" if thermostat is None else f"{thermostat} {tau:g} fs"


def _temperature_rows(windows: Windows, thermostat: str | None, tau: float | None, length: int) -> Iterable[Row]:
    step, degrees = float(windows[0][0]["timestep_fs"]), windows[0][0]["degrees"]
    if thermostat is not None:
        times = relaxation(thermostat, tau)
        groups = [("T of all", slice(None), float(degrees.sum()))]
        groups += [(f"T of {s}", slice(g, g + 1), float(degrees[g])) for g, s in enumerate(windows[0][0]["species"])]
        for name, chosen, n_dof in groups:
            results = [
                temperature(
                    2.0 * run["kinetic"][w, chosen].sum(axis=1) / (n_dof * KB),
                    times,
                    step,
                    300.0,
                    n_dof,
                    float(degrees.sum()),
                )
                for run, w in windows
            ]
            yield judged("water", name, _label(thermostat, tau), length, results, 300.0)


def _heating_rows(windows: Windows, thermostat: str | None, tau: float | None, length: int) -> Iterable[Row]:
    step, label = float(windows[0][0]["timestep_fs"]), _label(thermostat, tau)
    degrees, atoms = windows[0][0]["degrees"], int(windows[0][0]["n_atoms"])
    results: list[Found] = []
    series = []
    for run, w in windows:
        conserved = (run["potential"] + run["kinetic"].sum(axis=1) - run["heat"])[w] / atoms * 1e3
        ps = np.arange(len(conserved)) * step / 1000.0
        series.append((ps, conserved))
        line = (
            heating_slope(ps, conserved, temperature_K=300.0, n_atoms=atoms)
            if thermostat is None
            else drawn_power(
                ps, conserved, temperature_K=300.0, n_atoms=atoms, bath=Bath(thermostat, tau, float(degrees.sum()))
            )
        )
        results.append(Found(line.value, line.error, line.known))
    if thermostat is None:
        yield judged("water", "energy drift", label, length, results, 0.0)
    else:
        bound = is_bound(thermostat, tau, length)
        yield judged("water", "power, conservative", label, length, results, 0.0, bound=bound)
    if thermostat is None and length >= 1000.0 * GRADIENT_MEMORY_PS:
        known = [error_known_of_gradient(ps, energy) for ps, energy in series]
        of_gradient = [
            replace(one, error=GRADIENT_WIDENING * one.error, known=sure)
            for one, sure in zip(results, known, strict=True)
        ]
        yield judged("water", "energy drift of a gradient", label, length, of_gradient, 0.0, bound=True)
    if thermostat is None:
        results = []
        for run, w in windows:
            series = 2.0 * run["kinetic"][w].sum(axis=1) / (degrees.sum() * KB)
            # As of a model without energies, whose temperature is all there is.
            ps = np.arange(len(series)) * step / 1000.0
            line = warming_slope(ps, series, NO_ENERGY, n_atoms=atoms, n_dof=round(degrees.sum()))
            results.append(Found(line.value, line.error, line.known))
        yield judged("water", "temperature drift, read off", label, length, results, 0.0)


_LEGEND = """*covers*: between 92 and 98 % of the intervals with a known error hold the truth, as far as the number of windows tells: *low* and *wide* are rows whose share lies outside
with its 95 % interval. *flagged*: fewer than one window in ten has a known error. *few windows*: too few with one.

*bound*: an interval that holds the truth at least as often as stated by construction and counts as flagged; *low* if it does not. Rates (Clopper-Pearson holds every p; verdicts use its ends at 99.7 %, either
"yes" or "no" where the limit lies beyond an end), λ of whole Jacobians and works of loops in float32 (rounding), slopes of a gradient, widened by half for
the smoothest noise (``tests/statistics/test_heating.py``), and slopes of stationary noise that is remembered over more than an eighth of the run: it is taken for a walk, whose slopes scatter more
(``tests/statistics/test_series.py``). A bound that is too wide supports "above" and "below" and no equality.

Energies that walk within the memory of the power, 2 ps, have no known error whatever their slope, nor has the power of a thermostat in any run below 3 ps: work is smooth there, and the error from its
residuals is a lower bound, which covers in as few as 0.3. Such a run decides one thing, that a power is above a limit, by the
bound √(2 k_B T P/(N t)) at three of them (``tests/report/test_short_powers.py``). A drift of the temperature read off has the bound of an exchange with
the potential energy as slow as the run; its error is known only where that of the energy is, and decides. Here no energy is given.

From 2 ps on the error is not known either if the power keeps its sign over a third of the run or more. Undamped pairs of modes that beat over 4 ps (the constant energy with a curl below) are so
recognised in 97 % of runs of 2 and 3 ps; of modes that are damped in 0.1 ps (Langevin 100 fs) 31 % at 2 ps and 12 % at 3 ps are flagged without need by this rule alone (240 runs each).

Powers of which a few soft modes draw most ("few modes": a pair draws more than 2 k_B T within the memory of its power) fluctuate slowly, which the energy of one run shorter than some memories does not
show. Under a thermostat a power has the error of its own run from 20 memories on (0.5 ps, and 2.0 ps at τ = 10 fs; 100 where it may heat by more than 8 %), and three times that error, a bound, below; no known error below 3 ps, nor below 20 memories where it
may heat by more than 8 %. The rows "few modes" reach up to 0.97 of the curl at which the softest pair has no stationary state.

Rows of λ, work, accuracy, timing, g(r), spectra and rates need no reference runs. Variance reductions are in [estimators](estimators.md)."""


def report(table: pd.DataFrame) -> str:
    """The tables as Markdown."""
    lines = ["# Coverage of error bars", "", (__doc__ or "").split("\n\n")[2], ""]
    parts = table[["section", "run", "made_of"]].drop_duplicates()
    lines += ["Sections, when each was measured (UTC), and of how many samples:", ""]
    lines += [f"- {part.section}, {part.run}: {part.made_of}." for part in parts.itertuples()] + [""]
    counts = table["verdict"].value_counts()
    lines += ["Rows: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + ".", ""]
    lines += [
        *_LEGEND.split("\n"),
        "",
        "| source | quantity | condition | length fs | windows | coverage | known | coverage where known | error/spread | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        where = "–" if math.isnan(row.coverage_known) else f"{row.coverage_known:.2f}"
        ratio = "–" if math.isnan(row.error_over_spread) else f"{row.error_over_spread:.2g}"
        length = "–" if math.isnan(row.length_fs) else f"{row.length_fs:g}"
        lines.append(
            f"| {row.source} | {row.quantity} | {row.condition} | {length} | {row.windows} | {row.coverage:.2f} | {row.share_known:.2f} "
            f"| {where} | {ratio} | {row.verdict} |"
        )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Section:
    """A part of the table that is measured at once."""

    rows: Callable[[bool, np.random.Generator], list[Row]]
    """Of (quick?, random numbers)."""
    made_of: str


def _made_of(paths: list[Path]) -> str:
    names = [f"{p.stem} {len(np.load(p)['heat']) * 5e-4:.0f} ps" for p in paths]
    return f"8 molecules, periodic, 0.5 fs, every step: {', '.join(names)}"


def sections(runs: Path | None) -> dict[str, Section]:
    """All parts by name; that of water where there are reference runs."""

    def lengths(quick: bool) -> tuple[int, ...]:
        return LENGTHS[:4] if quick else LENGTHS

    known = {
        "modes": Section(
            lambda quick, rng: of_modes(lengths(quick), 60 if quick else 200, rng),
            "24 harmonic modes of water's frequencies, 200 independent runs",
        ),
        "heated modes": Section(
            lambda quick, rng: of_heated_modes(lengths(quick), 60 if quick else 200, rng), "the same of 96 with a curl"
        ),
        "blocks": Section(lambda quick, rng: of_blocks(400 if quick else 4000, rng), "4000 draws"),
        "engine": Section(
            lambda quick, rng: [] if quick else of_engine(60), "60 replicas of 32 atoms of a harmonic crystal"
        ),
        "lambda": Section(lambda quick, rng: other_quantities.of_lambda(100 if quick else 400, rng), "400 draws"),
        "lambda of fields": Section(
            lambda quick, rng: other_quantities.of_engine_lambda(25 if quick else 100),
            "100 seeds of 16 probes; 20 of whole Jacobians",
        ),
        "work": Section(lambda quick, rng: other_quantities.of_work(50 if quick else 200, rng), "200 loops"),
        "accuracy": Section(lambda quick, rng: other_quantities.of_accuracy(100 if quick else 400, rng), "400 draws"),
        "timing": Section(lambda quick, rng: other_quantities.of_timing(100 if quick else 400, rng), "400 draws"),
        "observables": Section(
            lambda quick, rng: other_quantities.of_observables(50 if quick else 200, rng), "200 draws"
        ),
        "quenches": Section(
            lambda quick, rng: other_quantities.of_quenches(100 if quick else 1000, rng),
            "1000 draws of a spread of 30 %",
        ),
        "rates": Section(lambda quick, rng: other_quantities.of_rates(), "1000 draws"),
    }
    if runs is not None:
        made_of = _made_of(sorted(runs.rglob("*-8-*.npz")))
        for name in ("water", "energies of water"):
            heating = name != "water"
            known[name] = Section(
                lambda quick, rng, heating=heating: of_water(runs, lengths(quick), heating=heating), made_of
            )
    return known


def coverage(*, quick: bool, runs: Path | None, chosen: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of the chosen sections, of all by default; each section has random numbers of its own."""
    rows: list[Row] = []
    for name, section in sections(runs).items():
        if chosen and name not in chosen:
            continue
        began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        rng = np.random.default_rng([20261126, *name.encode()])
        rows += [row | {"section": name, "run": began, "made_of": section.made_of} for row in section.rows(quick, rng)]
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of reference runs")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--section",
        action="append",
        default=[],
        help="measure this one alone and keep the other rows of the table in --out",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    table = coverage(quick=options.quick, runs=options.runs, chosen=options.section)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "coverage.csv"
    if options.section:
        kept = pd.read_csv(path)
        table = pd.concat([kept[~kept["section"].isin(options.section)], table], ignore_index=True)
    order = list(sections(Path()))
    table = table.sort_values("section", key=lambda names: names.map(order.index), kind="stable")
    table.to_csv(path, index=False, float_format="%.4g")
    (options.out / "coverage.md").write_text(report(table), encoding="utf-8")
    print(report(table))


if __name__ == "__main__":
    main()
