"""The figure of a summary: λ of the forces, and their effect on dynamics.

Direct and conservative forces are distinguished without colour: dashed lines, open markers and hatches against solid ones. Hues
are Okabe and Ito's, which colour-blind readers can separate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ncbench.report.aggregate import longest, preferred, ranks_of
from ncbench.report.read import SERIES, Results
from ncbench.report.style import Look, few_ticks, save, styled_figure
from ncbench.statistics.cells import Cell

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Row(Protocol):
    """The required attributes of a model's row."""

    @property
    def model(self) -> str: ...
    @property
    def force_mode(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def cells(self) -> dict[str, Cell]: ...


@dataclass(frozen=True)
class Drawing:
    """The data of all panels."""

    results: Results
    rows: Sequence[Row]
    looks: dict[str, Look]
    system: str | None


def panels(results: Results, rows: Sequence[Row]) -> list[str]:
    """The panels with data, of ``temperature``, ``energy``, ``lambda`` and ``excess``."""
    series = results.tables.get(SERIES)
    shown = ["temperature"] if series is not None else []
    shown += ["energy"] if series is not None and bool(series["total_eV"].notna().any()) else []
    shown += ["lambda"] if any(_lambda_cell(row).value is not None for row in rows) else []
    shown += ["excess"] if _species(rows) else []
    return shown


def draw(results: Results, rows: Sequence[Row], system: str | None, paths: Sequence[Path]) -> None:
    """Draw the panels and save them under each of ``paths`` (the suffix names the format)."""
    shown = panels(results, rows)
    looks = {row.label: Look.of(index, row.force_mode) for index, row in enumerate(rows)}
    drawing = Drawing(results, rows, looks, system)
    width = min(len(shown), 2)
    height = -(-len(shown) // width)
    with styled_figure(4.6 * width, 3.0 * height + 0.7) as figure:
        grid = np.asarray(figure.subplots(height, width, squeeze=False)).T.ravel()
        for letter, name, axes in zip("abcd", shown, grid, strict=False):
            _PANELS[name](axes, drawing)
            axes.set_title(f"{letter}  {axes.get_title('left')}", loc="left")
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        figure.legend(
            handles=_keys(rows, looks),
            loc="outside upper center",
            ncols=min(len(rows), 3),
            frameon=False,
            handlelength=3.2,
        )
        save(figure, paths)


def _keys(rows: Sequence[Row], looks: dict[str, Look]) -> list[object]:
    from matplotlib.lines import Line2D

    made: list[object] = []
    for row in rows:
        look = looks[row.label]
        made.append(
            Line2D(
                [], [], color=look.colour, ls=look.line, marker=look.marker, markerfacecolor=look.fill, label=row.label
            )
        )
    return made


def _trajectories(axes: Axes, drawing: Drawing, column: str) -> None:
    """One curve per model: the longest run by the preferred integrator, since curves cannot be averaged if one may explode."""
    for row in drawing.rows:
        one = _longest_run(drawing, row)
        if not len(one):
            continue
        y = one["temperature_K"].to_numpy(float)
        if column == "energy":
            total = one["total_eV"].to_numpy(float)
            y = 1000.0 * (total - total[0]) / one["n_atoms"].to_numpy(float)
        look = drawing.looks[row.label]
        axes.plot(
            one["time_fs"].to_numpy(float) / 1000.0,
            y,
            color=look.colour,
            ls=look.line,
            lw=1.4,
            marker=look.marker,
            markerfacecolor=look.fill,
            markersize=4.5,
            markevery=max(1, len(one) // 8),
        )
    axes.set_xlabel("time (ps)")
    axes.margins(x=0.02)
    few_ticks(axes)


def _longest_run(drawing: Drawing, row: Row) -> pd.DataFrame:
    """Samples of one run in the order of time: of several equally long ones the first structure and seed."""
    series = drawing.results.rows(SERIES, row.model, row.force_mode, drawing.system)
    runs = longest(
        preferred(drawing.results.rows("nve-drift", row.model, row.force_mode, drawing.system), ranks_of("nve-drift"))
    )
    if len(runs) and "job" in runs and "job" in series:
        of_runs = series[series["job"].isin(runs["job"])]
        series = of_runs if len(of_runs) else series
    if not len(series):
        return series
    first = series.iloc[0]
    same = [name for name in ("job", "structure", "seed", "timestep_fs") if name in series]
    return series[(series[same] == first[same]).all(axis=1)].sort_values("time_fs")


def _temperature(axes: Axes, drawing: Drawing) -> None:
    _trajectories(axes, drawing, "temperature")
    axes.set_ylabel("kinetic temperature (K)")
    axes.set_title(f"Constant-energy dynamics of {drawing.system}")


def _energy(axes: Axes, drawing: Drawing) -> None:
    _trajectories(axes, drawing, "energy")
    axes.axhline(0.0, color="0.6", lw=0.6, zorder=0)
    axes.set_ylabel("total energy gained (meV/atom)")
    axes.set_title("Total energy of the same runs")


def _lambda_cell(row: Row) -> Cell:
    return row.cells.get("lambda", Cell())


def _lambda(axes: Axes, drawing: Drawing) -> None:
    """Bars on a logarithmic axis. A λ that is not resolved from zero is drawn faint, with its upper bound."""
    values = [abs(value) for row in drawing.rows if (value := _lambda_cell(row).value)]
    lowest = min(values, default=1.0e-3)
    bottom = 10.0 ** (np.floor(np.log10(lowest)) - 1)
    for place, row in enumerate(drawing.rows):
        cell, look = _lambda_cell(row), drawing.looks[row.label]
        if cell.value is None:
            axes.text(place, bottom * 1.5, "not measured", rotation=90, ha="center", va="bottom", color="0.4")
            continue
        zero = not cell.significant
        value = max(cell.value, bottom)
        face = "white" if look.hatch or zero else look.colour
        axes.bar(
            place,
            value - bottom,
            bottom=bottom,
            width=0.6,
            facecolor=face,
            edgecolor=look.colour,
            hatch=look.hatch,
            ls=":" if zero else "-",
        )
        if cell.error and not zero:
            axes.errorbar(place, value, yerr=min(cell.error, 0.9 * value), color="black", capsize=3, lw=1)
        axes.text(place, value * 1.6, str(cell), ha="center", va="bottom", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylim(bottom, max([bottom, *values]) * 30)
    axes.set_xticks(range(len(drawing.rows)), [row.label.replace(":", ":\n") for row in drawing.rows])
    axes.set_ylabel("λ = ‖A‖ / ‖J‖")
    axes.set_title("Antisymmetric share of the force Jacobian")


def _excess(axes: Axes, drawing: Drawing) -> None:
    species = _species(drawing.rows)
    width = 0.8 / len(drawing.rows)
    for index, row in enumerate(drawing.rows):
        look = drawing.looks[row.label]
        for group, name in enumerate(species):
            cell = row.cells[f"excess_{name}"]
            place = group + (index - (len(drawing.rows) - 1) / 2) * width
            if cell.value is None:
                axes.text(place, 0.0, "–", ha="center", va="bottom", color="0.4")
                continue
            axes.bar(
                place,
                cell.value,
                width=0.85 * width,
                yerr=cell.error,
                capsize=3,
                facecolor="white" if look.hatch else look.colour,
                edgecolor=look.colour,
                hatch=look.hatch,
                ecolor="black" if not cell.loose else "0.7",
                # Faint if the error is only a lower bound.
                alpha=0.3 if cell.loose else 1.0,
                ls=":" if cell.loose else "-",
            )
    axes.axhline(0.0, color="0.3", lw=0.8)
    axes.set_xticks(range(len(species)), species)
    axes.set_xlim(-0.5, len(species) - 0.5)
    axes.set_xlabel("element")
    axes.set_ylabel("mean temperature − target (K)")
    loose = any(row.cells[f"excess_{name}"].loose for row in drawing.rows for name in species)
    axes.set_title("SVR thermostat" + (" (faint: error not known)" if loose else ""))


def _species(rows: Sequence[Row]) -> list[str]:
    species = {
        key.removeprefix("excess_")
        for row in rows
        for key, cell in row.cells.items()
        if key.startswith("excess_") and cell.value is not None
    }
    return sorted(species)


_PANELS = {"temperature": _temperature, "energy": _energy, "lambda": _lambda, "excess": _excess}
