"""What ``predict`` expects, in the words of a card. It decides nothing: the judge names it where the runs leave a use open."""

from __future__ import annotations

import pandas as pd

from ncbench.statistics.format import number
from ncbench.statistics.intervals import SIGMAS


def power_texts(rows: pd.DataFrame, *, nve: str, local: str, tau_ps: float) -> dict[str, str]:
    """By use, what the harmonic prediction expects; empty where it was not made.

    Args:
        rows: of ``predict``, one model.
        nve: name of the use at constant energy.
        local: name of the use under a local thermostat.
        tau_ps: time constant of its white noise.
    """
    if not len(rows):
        return {}
    rows = rows[rows["species"] == "all"]
    free = rows[rows["thermostat"] == "none"]
    damped = rows[(rows["thermostat"] == "langevin") & (rows["tau_fs"] == 1000.0 * tau_ps)]
    return {nve: _power_text(free[free["duration_fs"] == free["duration_fs"].max()]), local: _power_text(damped)}


def _power_text(rows: pd.DataFrame) -> str:
    """Mean over structures, with the range over frequency floors and treatments of imaginary modes."""
    if not len(rows):
        return ""
    if (rows["stable"] == False).any():  # noqa: E712 (a column that may hold missing values)
        return "a runaway, without a stationary state"
    if not rows["above_floor"].fillna(False).astype(bool).any():
        floor = SIGMAS * float(rows["power_floor_meV_per_atom_per_ps"].max())
        return f"no heating above {number(floor, 1)} meV/atom/ps"
    if rows["power_meV_per_atom_per_ps"].isna().all():
        return f"{number(rows['golden_rule_meV_per_atom_per_ps'].mean(), 2)} meV/atom/ps to second order"
    name = "power{}_meV_per_atom_per_ps"
    power, low, high = (rows[name.format(end)].mean() for end in ("", "_low", "_high"))
    ends = f" ({number(low, 2)} to {number(high, 2)})" if pd.notna(high) else ""
    return f"{number(power, 2)}{ends} meV/atom/ps"
