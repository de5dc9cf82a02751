"""Values that rows of older versions lack, derived from their other columns: floors of mean temperatures, and the temperature's drift from the energy's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ncbench.statistics.floors import relaxation, temperature_error

if TYPE_CHECKING:
    import pandas as pd


def with_temperature_floors(rows: pd.DataFrame, totals: pd.Series[Any]) -> pd.DataFrame:
    """Rows of ``nvt`` with errors of at least the theoretical floor: those of version 2 and older do not hold the thermostat's fluctuations.

    ``totals``: degrees of freedom of all atoms by structure.
    """
    rows = rows.copy()
    for index, row in rows[rows["degrees_of_freedom"].notna() & rows["steps"].notna()].iterrows():
        floor = temperature_error(
            float(row["target_K"]),
            float(row["steps"] * row["timestep_fs"]),
            relaxation(str(row["thermostat"]), float(row["tau_fs"])),
            n_dof=float(row["degrees_of_freedom"]),
            n_dof_total=float(totals.get(row["structure"], row["degrees_of_freedom"])),
        )
        rows.loc[index, "temperature_K_se"] = max(float(row["temperature_K_se"]), floor)
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
