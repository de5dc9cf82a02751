"""Table and figure of the companion's runs: ``python benchmarks/companion/summarise.py results-companion results/companion``.

``companion.md``: the fluctuation of the total energy against the time step with its order, force constants against the displacement, drifts of metals with a vacancy and of
a molecule of MD22. ``figures/companion``: the same. The order p is the slope of ln(fluctuation) against ln Δt with the standard error of the least-squares fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ncbench.report.read import read_every_row
from ncbench.report.style import HUES, MARKERS, save, styled_figure
from ncbench.statistics.format import number, with_error

FloatArray = NDArray[np.float64]
SKIP = 0.2
"""Share of a run that is left out at its start, where the kinetic energy of the ideal structure spreads over the vibrations."""
LEAST_STEPS = 3
"""Time steps of an order."""


def label(model: object, mode: object) -> str:
    """``MODEL:MODE``, of a function its name alone."""
    name = str(model).rsplit(":", 1)[-1] if ".py:" in str(model) else str(model)
    return f"{name}:{mode}" if mode in ("direct", "conservative") and name == str(model) else name


def fluctuation(series: pd.DataFrame) -> float:
    """Standard deviation of the total energy about its linear trend, meV/atom, after the start of the run."""
    later = series[series["time_fs"] >= SKIP * series["time_fs"].max()]
    time, energy = (
        later["time_fs"].to_numpy(float),
        later["total_eV"].to_numpy(float) / later["n_atoms"].to_numpy(float),
    )
    trend = np.polynomial.polynomial.polyfit(time, energy, 1)
    return float(1000.0 * np.std(energy - np.polynomial.polynomial.polyval(time, trend), ddof=2))


def orders(series: pd.DataFrame) -> Iterator[tuple[str, str, FloatArray, FloatArray, float, float]]:
    """(label, system, time steps in fs, fluctuations in meV/atom, order, its standard error) of runs at several time steps."""
    for (model, mode, system), runs in series.groupby(["model", "force_mode", "system"], sort=False):
        of_steps = {float(step): fluctuation(one) for step, one in runs.groupby("timestep_fs")}
        if len(of_steps) < LEAST_STEPS:
            continue
        steps, sizes = np.array(list(of_steps)), np.array(list(of_steps.values()))
        (slope, _), covariance = np.polyfit(np.log(steps), np.log(sizes), 1, cov=True)
        yield label(model, mode), str(system), steps, sizes, float(slope), float(np.sqrt(covariance[0, 0]))


def write_table(
    found: Sequence[tuple[str, str, FloatArray, FloatArray, float, float]], tables: dict[str, pd.DataFrame], out: Path
) -> None:
    """``companion.md``."""
    lines = [
        "### Energy fluctuation against the time step",
        "",
        "| field | system | Δt, fs | fluctuation, meV/atom | order p |",
        "|---|---|---|---|---|",
    ]
    for name, system, steps, sizes, slope, error in found:
        lines.append(
            f"| {name} | {system} | {', '.join(f'{step:g}' for step in steps)} | {', '.join(number(size, 2) for size in sizes)} | {with_error(slope, error)} |"
        )
    lines += [
        "",
        "### Force constants against the displacement",
        "",
        "| model | structure | verdict | change at the shortest h | floor | highest frequency, cm⁻¹ | its range over h, cm⁻¹ |",
        "|---" * 7 + "|",
    ]
    for row in tables["phonon-smoothness"].to_dict("records"):
        if row["status"] != "ok":
            lines.append(
                f"| {label(row['model'], row['force_mode'])} | {row['structure']} | {row['status']}: {row['reason']} | – | – | – | – |"
            )
            continue
        values = (
            number(row["ratio_change_shortest"], 2),
            number(row["ratio_change_shortest_floor"], 1),
            f"{row['frequency_highest_per_cm']:.0f}",
            number(row["frequency_highest_shift_per_cm"], 2),
        )
        lines.append(
            f"| {label(row['model'], row['force_mode'])} | {row['structure']} | {row['verdict']} | {' | '.join(values)} |"
        )
    lines += [
        "",
        "### Drift outside of the training data",
        "",
        "| model | structure | atoms | Δt, fs | length, ps | drift, meV/atom/ps | ⟨T⟩, K |",
        "|---" * 7 + "|",
    ]
    for row in of_files(tables["nve-drift"]).to_dict("records"):
        drift = with_error(
            row["energy_drift_meV_per_atom_per_ps"],
            row["energy_drift_meV_per_atom_per_ps_se"],
            known=bool(row["plateau"]),
        )
        length = row["steps"] * row["timestep_fs"] / 1000.0
        lines.append(
            f"| {label(row['model'], row['force_mode'])} | {row['structure']} | {row['n_atoms']} | {row['timestep_fs']:g} | {length:g} | {drift} | {row['temperature_mean_K']:.0f} |"
        )
    (out / "companion.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def of_files(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of structure files."""
    return runs[runs["system"].astype(str).str.endswith(".xyz")]


def draw(
    found: Sequence[tuple[str, str, FloatArray, FloatArray, float, float]],
    tables: dict[str, pd.DataFrame],
    paths: Sequence[Path],
) -> None:
    """Three panels: fluctuation against Δt, change of the force constants against h, energy against time."""
    from matplotlib.ticker import NullLocator

    with styled_figure(10.0, 4.6) as figure:
        left, middle, right = figure.subplots(1, 3)
        for index, (name, system, steps, sizes, slope, error) in enumerate(found):
            left.plot(
                steps,
                sizes,
                marker=MARKERS[index],
                color=HUES[index],
                label=f"{name}, {system}: p = {with_error(slope, error)}",
            )
        left.set(
            xscale="log",
            yscale="log",
            xlabel="time step (fs)",
            ylabel="fluctuation of the energy (meV/atom)",
            title="a  Order in the time step",
        )
        groups = tables["phonon-smoothness-lengths"].groupby(["model", "force_mode", "structure"], sort=False)
        for index, ((model, mode, structure), one) in enumerate(groups):
            rows = one.sort_values("displacement_A").dropna(subset=["ratio_change"])
            look = {
                "color": HUES[index % len(HUES)],
                "marker": MARKERS[index % len(MARKERS)],
                "ms": 4,
                "mfc": "white" if index >= len(HUES) else None,
            }
            middle.plot(
                rows["displacement_A"],
                np.maximum(rows["ratio_change"], 1e-8),
                **look,
                label=f"{label(model, mode)}, {structure}",
            )
        middle.set(
            xscale="log",
            yscale="log",
            xlabel="displacement of an atom (Å)",
            ylabel="relative change of the force constants",
            title="b  Phonons",
        )
        for index, ((model, mode, structure), one) in enumerate(
            of_files(tables["nve-drift-series"]).groupby(["model", "force_mode", "structure"], sort=False)
        ):
            rows = one.sort_values("time_fs")
            energy = 1000.0 * (rows["total_eV"] - rows["total_eV"].iloc[0]) / rows["n_atoms"]
            right.plot(
                rows["time_fs"] / 1000.0,
                energy,
                color=HUES[index % len(HUES)],
                lw=1.0,
                label=f"{label(model, mode)}, {structure}",
            )
        right.set(xlabel="time (ps)", ylabel="total energy gained (meV/atom)", title="c  Constant energy")
        for axes, ticks in ((left, (0.25, 0.5, 1, 5, 10, 30)), (middle, (0.003, 0.01, 0.03))):
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        for axes in (left, middle, right):
            axes.legend(frameon=False, fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        save(figure, paths)


def main() -> None:
    """Write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    names = ("nve-drift", "nve-drift-series", "phonon-smoothness", "phonon-smoothness-lengths")
    tables = {
        name: frame for name in names if (frame := read_every_row(arguments.results / f"{name}.parquet")) is not None
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = list(orders(tables["nve-drift-series"]))
    write_table(found, tables, arguments.out)
    draw(found, tables, [arguments.out / "figures" / f"companion.{kind}" for kind in ("png", "svg")])


if __name__ == "__main__":
    main()
