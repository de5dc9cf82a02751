"""Tables and the figure of the public comparison: ``python benchmarks/public/compare.py results-public results/public``.

``comparison.md`` and ``comparison.csv``: one row per system and model, each number measured on this system. ``figures/drift-lambda``: the drift of the energy
at constant energy against λ and against the drift that the force Jacobian predicts. Cards and the leaderboard are made by ``ncbench card`` and ``ncbench leaderboard``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ncbench.models import registry
from ncbench.report import aggregate
from ncbench.report.read import SERIES, Results, read
from ncbench.report.style import HUES, MARKERS, save, styled_figure
from ncbench.statistics.cells import Cell
from ncbench.statistics.format import number
from ncbench.statistics.intervals import SIGMAS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = (
    "lambda",
    "work_meV",
    "predicted_power_meV_per_atom_per_ps",
    "energy_drift_meV_per_atom_per_ps",
    "relax_percent",
    "step_ms",
)
LAMBDA, _, PREDICTED, DRIFT, *_ = QUANTITIES
PREDICTED_FS = 160.0
"""Duration for which the heating at constant energy is predicted, fs: about that of the runs."""
LEAST_SHOWN = 1e-3
"""Least |drift| of the figure, meV/atom/ps."""


@dataclass(frozen=True)
class Measured:
    """The numbers of one model on one system."""

    system: str
    model: str
    mode: str
    cells: dict[str, Cell]
    lambda_high: float | None
    """Largest upper end of λ over the structures."""
    predicted_floor: float | None
    """Floor of the predicted power, meV/atom/ps; below it the prediction is a bound."""

    @property
    def label(self) -> str:
        """``MODEL:MODE``."""
        return f"{self.model}:{self.mode}"


def collect(results: Results) -> list[Measured]:
    """The numbers of every model on every system, from rows of this system alone."""
    systems = list(dict.fromkeys(str(name) for table in results.tables.values() for name in table["system"]))
    made = []
    for system in systems:
        tables = {name: frame[frame["system"] == system] for name, frame in results.tables.items()}
        own = replace(results, tables={name: frame for name, frame in tables.items() if len(frame)})
        columns = {column.quantity.name: column for column in aggregate.columns(own)}
        for model, mode in own.models():
            cells = {
                name: aggregate.cell(own, columns[name], model, mode, system) for name in QUANTITIES if name in columns
            }
            highs = own.rows("lambda", model, mode, system)
            high = float(highs["lambda_high"].max()) if len(highs) and highs["lambda_high"].notna().any() else None
            made.append(Measured(system, model, mode, cells, high, _floor(own, model, mode, system)))
    return made


def _floor(results: Results, model: str, mode: str, system: str) -> float | None:
    rows = results.rows("predict", model, mode, system)
    rows = rows[rows["duration_fs"] == PREDICTED_FS] if len(rows) else rows
    return float(rows["power_floor_meV_per_atom_per_ps"].max()) if len(rows) else None


HEADINGS = {
    "lambda": "λ",
    "work_meV": "largest work, meV",
    "predicted_power_meV_per_atom_per_ps": "predicted heating, meV/atom/ps",
    "energy_drift_meV_per_atom_per_ps": "drift, meV/atom/ps",
    "relax_percent": "relaxed, %",
    "step_ms": "step, ms",
}


def _text(one: Measured, name: str) -> str:
    cell = one.cells.get(name, Cell())
    if (
        name == PREDICTED
        and cell.value is not None
        and one.predicted_floor is not None
        and abs(cell.value) < 3 * one.predicted_floor
    ):
        return f"≤ {number(max(cell.value, one.predicted_floor), 1)}"
    return str(cell)


def write_tables(measured: Sequence[Measured], out: Path) -> None:
    """``comparison.md``, a table per system with the columns that have a number; and ``comparison.csv`` with all of them."""
    parts = []
    for system in dict.fromkeys(one.system for one in measured):
        rows = [one for one in measured if one.system == system]
        names = [name for name in QUANTITIES if any(one.cells.get(name, Cell()).value is not None for one in rows)]
        parts += [
            f"### {system}",
            "",
            "| model | " + " | ".join(HEADINGS[name] for name in names) + " |",
            "|---" * (len(names) + 1) + "|",
        ]
        parts += ["| " + " | ".join([one.label, *(_text(one, name) for name in names)]) + " |" for one in rows]
        parts.append("")
    (out / "comparison.md").write_text("\n".join(parts), encoding="utf-8")
    records = []
    for one in measured:
        record: dict[str, object] = {"system": one.system, "model": one.model, "force_mode": one.mode}
        for name in QUANTITIES:
            cell = one.cells.get(name, Cell())
            known = cell.error is not None and not cell.loose
            record |= {name: cell.value, f"{name}_se": cell.error if known else None, f"{name}_text": _text(one, name)}
        records.append(record)
    pd.DataFrame(records).to_csv(out / "comparison.csv", index=False)


def draw(measured: Sequence[Measured], paths: Sequence[Path]) -> None:
    """|drift| against λ and against the predicted drift. Open markers: direct forces. Arrows: upper limits. No bar: the error of the drift is not known."""
    measured = [one for one in measured if one.cells.get(DRIFT, Cell()).value is not None]
    families = list(dict.fromkeys(registry.find(one.model).family for one in measured))
    systems = list(dict.fromkeys(one.system for one in measured if one.cells.get(DRIFT, Cell()).value is not None))
    with styled_figure(7.2, 4.2) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for one in measured:
            drift = one.cells.get(DRIFT, Cell())
            if drift.value is None:
                continue
            colour = HUES[families.index(registry.find(one.model).family)]
            look = {
                "color": colour,
                "marker": MARKERS[systems.index(one.system)],
                "mfc": "white" if one.mode == "direct" else colour,
            }
            lam = one.cells.get(LAMBDA, Cell())
            if lam.value is not None:
                nonzero = lam.significant is True
                _point(left, lam.value if nonzero else one.lambda_high or lam.value, not nonzero, drift, look)
            predicted = one.cells.get(PREDICTED, Cell())
            if predicted.value is not None and one.predicted_floor is not None:
                nonzero = abs(predicted.value) > 3 * one.predicted_floor
                _point(
                    right,
                    abs(predicted.value) if nonzero else max(abs(predicted.value), one.predicted_floor),
                    not nonzero,
                    drift,
                    look,
                )
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_yscale("log")
        left.set_xlabel("λ")
        left.set_ylabel("|drift of the energy| (meV/atom/ps)")
        right.set_xlabel("predicted drift (meV/atom/ps)")
        ends = [
            max(LEAST_SHOWN, min(right.get_xlim()[0], left.get_ylim()[0])),
            max(right.get_xlim()[1], left.get_ylim()[1]),
        ]
        right.plot(ends, ends, ":", color="0.5", lw=0.9)
        for index, family in enumerate(families):
            left.plot([], [], "s", color=HUES[index], label=family)
        for index, system in enumerate(systems):
            left.plot([], [], MARKERS[index], color="0.4", label=system)
        left.plot([], [], "o", color="0.4", mfc="white", label="direct forces")
        left.plot([], [], ":", color="0.5", lw=0.9, label="measured = predicted")
        figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=5)
        save(figure, paths)


def _point(axes: Axes, x: float, x_is_limit: bool, drift: Cell, look: dict[str, object]) -> None:
    value = drift.value
    if value is None:
        return
    error = drift.error or 0.0
    resolved = not drift.loose and abs(value) > SIGMAS * error
    # A drift that is not resolved is drawn at the end of its interval; one whose error is not known at its value, without a bar.
    y = max(abs(value) if resolved or drift.loose else abs(value) + SIGMAS * error, LEAST_SHOWN)
    axes.errorbar(
        [x],
        [y],
        yerr=[min(error, 0.9 * y) if resolved else 0.35 * y] if not drift.loose else None,
        xerr=[0.35 * x] if x_is_limit else None,
        xuplims=x_is_limit,
        uplims=not resolved and not drift.loose,
        ls="none",
        ms=5,
        lw=0.9,
        capsize=2,
        **look,
    )


def main() -> None:
    """Write the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    results = read(arguments.results)
    results = replace(results, tables={name: frame for name, frame in results.tables.items() if name != SERIES})
    arguments.out.mkdir(parents=True, exist_ok=True)
    measured = collect(results)
    write_tables(measured, arguments.out)
    draw(measured, [arguments.out / "figures" / f"drift-lambda.{kind}" for kind in ("png", "svg")])


if __name__ == "__main__":
    main()
