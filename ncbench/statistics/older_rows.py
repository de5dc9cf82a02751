"""Values that rows of older versions lack, derived from their other columns: floors of mean temperatures, bounds of powers, the temperature's drift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ncbench.statistics.floors import relaxation, temperature_error

if TYPE_CHECKING:
    import pandas as pd


def with_temperature_floors(rows: pd.DataFrame, totals: pd.Series[Any] | None = None) -> pd.DataFrame:
    """Rows of ``nvt`` with errors of at least the theoretical floor: those of version 2 and older do not hold the thermostat's fluctuations.

    Args:
        rows: of one or more species. Without the columns of a run's length and degrees of freedom they are returned as they are.
        totals: degrees of freedom of all atoms by structure; by default from the rows of the species ``all``.
    """
    needed = {"degrees_of_freedom", "steps", "timestep_fs", "target_K", "temperature_K_se"}
    if not needed <= set(rows):
        return rows
    if totals is None:
        totals = rows[rows["species"] == "all"].groupby("structure")["degrees_of_freedom"].max()
    rows = rows.copy()
    # Rows of several tables may share an index.
    errors = rows["temperature_K_se"].to_numpy(dtype=float, copy=True)
    for position, row in enumerate(rows.to_dict("records")):
        if any(math.isnan(float(row[name])) for name in needed - {"temperature_K_se"}):
            continue
        tau_fs = float(row.get("tau_fs", math.nan))
        floor = temperature_error(
            float(row["target_K"]),
            float(row["steps"] * row["timestep_fs"]),
            relaxation(str(row["thermostat"]), None if math.isnan(tau_fs) else tau_fs),
            n_dof=float(row["degrees_of_freedom"]),
            n_dof_total=float(totals.get(row["structure"], row["degrees_of_freedom"])),
        )
        # A run without an error of its own does not get one from the floor alone.
        errors[position] = max(errors[position], floor)
    return rows.assign(temperature_K_se=errors)


RAISED_ERRORS = "the error is that of the thermostat's fluctuations, which the row of an older version does not hold"
"""The footnote of numbers from :func:`errors_raised`."""
RAISED = 1.01
"""Rows of the current version have a floor for a length with one sample more, so that theirs are smaller by less than this factor."""


def errors_raised(rows: pd.DataFrame) -> pd.Series[bool]:
    """Of each row of ``nvt``, whether :func:`with_temperature_floors` raises its error."""
    import pandas as pd

    if "temperature_K_se" not in rows:
        return pd.Series(False, index=rows.index)
    raised: pd.Series[bool] = with_temperature_floors(rows)["temperature_K_se"] > RAISED * rows["temperature_K_se"]
    return raised


def with_power_bounds(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``nvt`` with the errors of powers as :func:`ncbench.statistics.heating.drawn_power` gives them: those of version 4 and older are known from 2 ps on, or
    at any length, and have the error of their own run.

    Rows with the column ``power_error_is_bound`` are of a later version and returned as they are.
    """
    from ncbench.statistics.floors import power_memory_ps
    from ncbench.statistics.heating import DRAWN_MEMORY_PS, MEMORIES, SLOW_WIDENING

    name = "power_meV_per_atom_per_ps"
    if not {"steps", "timestep_fs", name, f"{name}_se"} <= set(rows):
        return rows
    rows = rows.reindex(columns=[*dict.fromkeys([*rows.columns, "power_error_known", "power_error_is_bound"])])
    known, errors = [], []
    for row in rows.to_dict("records"):
        error, sure = float(row[f"{name}_se"]), bool(row["power_error_known"])
        if not isinstance(row["power_error_is_bound"], bool):
            length_ps = float(row["steps"] * row["timestep_fs"]) / 1000.0
            tau_fs = float(row.get("tau_fs", math.nan))
            memory_ps = power_memory_ps(str(row["thermostat"]), None if math.isnan(tau_fs) else tau_fs)
            # A row without that column, of version 1 or 2, has an error without any statement.
            long_enough = length_ps >= DRAWN_MEMORY_PS - 1e-9
            sure = (sure or not isinstance(row["power_error_known"], bool)) and long_enough
            if long_enough and length_ps < MEMORIES * memory_ps - 1e-9:
                error *= SLOW_WIDENING
        known.append(sure)
        errors.append(error)
    rows[f"{name}_se"], rows["power_error_known"] = errors, known
    return rows


def with_drift_from_energy(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``nve-drift`` with the temperature's drift by equipartition: those of version 2 and older hold the energy's drift, from which it follows."""
    from ncbench.statistics.heating import Estimate, temperature_drift

    energy, column = "energy_drift_meV_per_atom_per_ps", "drift_from_energy_K_per_ps"
    # Frames that were not read through the store may lack columns.
    rows = rows.reindex(columns=[*dict.fromkeys([*rows.columns, energy, f"{energy}_se", column, f"{column}_se"])])
    for index, row in rows[rows[column].isna() & rows[energy].notna()].iterrows():
        n_atoms = int(row["n_atoms"])
        known = Estimate(float(row[energy]), float(row[f"{energy}_se"]), math.inf, True)
        drift = temperature_drift(known, n_atoms=n_atoms, n_dof=max(3 * n_atoms - 3, 1))
        rows.loc[index, [column, f"{column}_se"]] = drift.value, drift.error
    return rows
