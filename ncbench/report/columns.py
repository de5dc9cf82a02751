"""How each column of the summary comes out of the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ncbench.report.read import Results
from ncbench.statistics.cells import Cell, mean, wilson

LANGEVIN_TAU_FS = 100.0
"""Of several couplings, the one nearest to this stands in the summary."""


@dataclass(frozen=True)
class SummaryColumn:
    """A column: its key in the CSV, its heading, its unit, and the function that fills it."""

    key: str
    heading: str
    unit: str
    """Of the numbers in the CSV; a heading in words has its own."""
    table: str
    fill: Callable[[pd.DataFrame], Cell]

    @property
    def title(self) -> str:
        """Heading with the unit."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def name(self) -> str:
        """Name in the CSV, unit included."""
        unit = self.unit.replace("%", "percent").replace("/", "_per_")
        return "_".join(part for part in (self.key, unit) if part)


def columns(results: Results) -> tuple[SummaryColumn, ...]:
    """The columns of the summary; one temperature column a species that ``nvt`` saw."""
    nvt = results.tables.get("nvt")
    species = sorted({str(name) for name in nvt["species"].dropna()} - {"all"}) if nvt is not None else []
    return (
        SummaryColumn("lambda", "λ", "", "lambda", _lambda),
        SummaryColumn("work", "loop work", "meV", "workloop", _work),
        SummaryColumn("drift", "NVE drift", "K/ps", "nve-drift", _slope("drift_K_per_ps")),
        SummaryColumn(
            "energy_drift", "NVE drift", "meV/atom/ps", "nve-drift", _slope("energy_drift_meV_per_atom_per_ps")
        ),
        *(SummaryColumn(f"excess_{name}", f"SVR ΔT of {name}", "K", "nvt", _excess(name)) for name in species),
        SummaryColumn("power", "Langevin power", "meV/atom/ps", "nvt", _power),
        SummaryColumn("relax", "relaxed", "%", "relax", _relax),
        SummaryColumn("step", "time a step", "ms", "timing", _timing),
    )


def cell(results: Results, column: SummaryColumn, model: str, mode: str, system: str | None) -> Cell:
    """The column's cell for one model, or the reason why it is empty. A number from another system names it."""
    rows = results.rows(column.table, model, mode, system)
    if not len(rows):
        return Cell(missing=f"{column.table} was not run")
    good = rows[rows["status"] == "ok"]
    if not len(good):
        row = rows.iloc[0]
        reason = row["reason"] if isinstance(row["reason"], str) and row["reason"] else "no reason given"
        return Cell(missing=f"{column.table} {row['status']}: {reason}")
    found = column.fill(good)
    elsewhere = str(good["system"].iloc[0])
    return found if found.value is None or elsewhere == system else replace(found, text=f"{found} [{elsewhere}]")


def _mean(rows: pd.DataFrame, value: str, error: str) -> Cell:
    """Mean over structures and seeds."""
    known = rows[rows[value].notna()]
    if not len(known):
        return Cell(missing=f"no value of {value}")
    errors = known[error] if error in known else pd.Series(np.nan, index=known.index)
    middle, spread = mean([float(x) for x in known[value]], [float(x) for x in errors])
    return Cell(middle, spread)


def _lambda(rows: pd.DataFrame) -> Cell:
    rank = {"exact": 0, "finite-difference": 1, "stochastic": 2}
    best = rows[rows["method"] == min(rows["method"], key=lambda name: rank.get(name, 3))]
    found = _mean(best, "lambda", "lambda_se")
    if found.value is None:
        return found
    if "above_floor" not in best:
        return found
    judged = bool(best["above_floor"].fillna(False).astype(bool).any())
    if judged:
        return replace(found, significant=True)
    bounds = best[["lambda", "lambda_floor"]].max(axis=1)
    # Digits of a number that is rounding say nothing: what can be said is that λ is not larger.
    mantissa, exponent = f"{bounds.max():.0e}".split("e")
    return replace(found, significant=False, text=f"≤ {mantissa}e{int(exponent)}")


def _work(rows: pd.DataFrame) -> Cell:
    """The molecule's loop where there is one; of several, the one that W singles out most clearly."""
    rows = rows[rows["work_meV"].notna()]
    if not len(rows):
        return Cell(missing="no value of work_meV")
    molecule = rows[~rows["path"].astype(str).str.startswith("planar")]
    rows = molecule if len(molecule) else rows
    row = rows.iloc[int(rows["work_meV"].abs().to_numpy().argmax())]
    error = float(row["work_error_meV"] if "work_error_meV" in rows else row["quadrature_error_meV"])
    value = float(row["work_meV"])
    return Cell(value, error, significant=bool(abs(value) > 3 * error) if np.isfinite(error) else None)


def _slope(name: str) -> Callable[[pd.DataFrame], Cell]:
    def fill(rows: pd.DataFrame) -> Cell:
        longest = rows["steps"] * rows["timestep_fs"]
        return _mean(rows[longest == longest.max()], name, f"{name}_se")

    return fill


def _excess(species: str) -> Callable[[pd.DataFrame], Cell]:
    def fill(rows: pd.DataFrame) -> Cell:
        rows = rows[(rows["thermostat"] == "svr") & (rows["species"] == species)]
        if not len(rows):
            return Cell(missing="nvt was not run with svr")
        rows = rows[rows["tau_fs"] == rows["tau_fs"].min()]
        found = _mean(rows, "temperature_excess_K", "temperature_K_se")
        known = "plateau" not in rows or bool(rows["plateau"].fillna(True).astype(bool).all())
        return replace(found, loose=found.value is not None and not known)

    return fill


def _power(rows: pd.DataFrame) -> Cell:
    rows = rows[(rows["thermostat"] == "langevin") & (rows["species"] == "all")]
    if not len(rows):
        return Cell(missing="nvt was not run with langevin")
    distance = np.log(rows["tau_fs"] / LANGEVIN_TAU_FS).abs()
    return _mean(rows[distance == distance.min()], "power_meV_per_atom_per_ps", "power_meV_per_atom_per_ps_se")


def _relax(rows: pd.DataFrame) -> Cell:
    first = "lbfgs" if (rows["optimizer"] == "lbfgs").any() else rows["optimizer"].iloc[0]
    rows = rows[(rows["optimizer"] == first) & (rows["set"] == rows["set"].iloc[0])]
    trials, successes = int(rows["n"].sum()), int(rows["n_success"].sum())
    if not trials:
        return Cell(missing="no relaxation was started")
    low, high = wilson(successes, trials)
    percent = 100.0 * successes / trials
    return Cell(percent, 50.0 * (high - low), text=f"{percent:.0f} ({successes} of {trials})")


def _timing(rows: pd.DataFrame) -> Cell:
    """Through the adapter, which every model has; a family's own ASE calculator is in the table behind."""
    return _mean(rows[rows["path"] == "adapter"] if "path" in rows else rows, "ms_per_step", "ms_per_step_se")
