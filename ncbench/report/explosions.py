"""Explosions of dynamics, and whether the forces' work around closed paths can have caused them.

A model that explodes from a start that is not at rest (another material's structure, overlapping atoms) says nothing about its forces' curl, and a
gradient has none. Such explosions leave a use open; what caused them has to be changed first.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ncbench.report.aggregate import repartitioned_masses
from ncbench.report.decide import dynamics_rows
from ncbench.report.read import SERIES, Results
from ncbench.statistics.format import number

EARLY_FS = 20.0
"""Two periods of the fastest vibration (O-H, 10 fs). Forces whose Jacobian has the asymmetry λ heat a vibration ω by at most exp(λωt) (the eigenvalues of
its mass-weighted Jacobian are ω²(1 ± iλ)), so that within this time λ = 0.28 is needed to get from 300 K to 10⁴ K, ten times what direct models have."""
START_FORCE = 10.0
"""Root-mean-square force at the start, eV/Å, above which it is not at equilibrium: the stiffest bonds (50 eV/Å²) have √(k_B T k) = 1.1 eV/Å at 300 K."""
POTENTIAL_SHARE = 0.5
"""Share of the gained kinetic energy that the total energy must have gained, if the work of the forces' curl is to be the cause."""
ADVICE = "start from a relaxed structure of a material that the model knows"


@dataclass(frozen=True)
class Explosion:
    """The end of a run of dynamics, and what it says about the forces."""

    reason: str
    """Of the run's row, such as ``not finite or above 10000 K after 31 fs``, with repartitioned masses."""
    why_open: str = ""
    """Why the forces' curl is not shown to be the cause; empty where it is taken to be."""
    of_start: bool = False
    """Caused by the start: every other run from there explodes too."""

    @property
    def evidence(self) -> str:
        """As a judgement names it."""
        return f"it explodes: {self.reason}" + (f"; {self.why_open}: {ADVICE}" if self.why_open else "")


def constant_energy(results: Results, model: str, mode: str, system: str | None, *, gradient: bool) -> Explosion | None:
    """An explosion at constant energy, or under a thermostat, which holds more than none; ``None`` where no run explodes."""
    tables = ("nve-drift", "nvt")
    return _first([_explosions(results, name, model, mode, system, gradient=gradient) for name in tables])


def thermostatted(
    results: Results, model: str, mode: str, system: str | None, thermostat: str, at_most_fs: float, *, gradient: bool
) -> Explosion | None:
    """An explosion under a thermostat with τ up to ``at_most_fs``; ``None`` where no such run explodes."""
    found = _explosions(results, "nvt", model, mode, system, gradient=gradient)
    return _first(
        [[(row, one) for row, one in found if row["thermostat"] == thermostat and row["tau_fs"] <= at_most_fs]]
    )


def constant_pressure(rows: pd.DataFrame, *, gradient: bool) -> Explosion | None:
    """An explosion among rows of ``npt``; ``None`` where none is."""
    rows = rows[rows["status"] == "exploded"] if len(rows) else rows
    return _first([[(row, _judged(row, "npt", gradient, 0.0, None)) for _, row in rows.iterrows()]])


def _first(tables: list[list[tuple[pd.Series, Explosion]]]) -> Explosion | None:
    """The first that the forces' curl caused, otherwise the first."""
    every = [one for found in tables for _, one in found]
    return next((one for one in every if not one.why_open), every[0] if every else None)


def _explosions(
    results: Results, table: str, model: str, mode: str, system: str | None, *, gradient: bool
) -> list[tuple[pd.Series, Explosion]]:
    rows = dynamics_rows(results, table, model, mode, system, "exploded")
    if not len(rows):
        return []
    series = results.rows(SERIES, model, mode, system) if table == "nve-drift" else pd.DataFrame()
    return [
        (
            row,
            _judged(
                row, table, gradient, _start_force(results, model, mode, row["system"]), _energy_share(row, series)
            ),
        )
        for _, row in rows.iterrows()
    ]


def _judged(row: pd.Series, table: str, gradient: bool, force: float, share: float | None) -> Explosion:
    reason = row["reason"] if isinstance(row["reason"], str) and row["reason"] else f"{table} ended so"
    reason += repartitioned_masses(pd.DataFrame([row]))
    at_fs = row.get("exploded_at_fs")
    early = pd.notna(at_fs) and float(at_fs) <= EARLY_FS
    if force > START_FORCE:
        return Explosion(reason, f"the start is not relaxed (forces of {number(force, 2)} eV/Å rms)", of_start=True)
    if early:
        return Explosion(
            reason, f"within {EARLY_FS:g} fs, too early for the forces' curl: the start is not relaxed", of_start=True
        )
    if gradient:
        return Explosion(
            reason, "not by the forces' curl, which λ excludes: the start, the time step or the model is at fault"
        )
    if share is not None and share < POTENTIAL_SHARE:
        return Explosion(
            reason,
            f"the heat is potential energy (the total gained {100 * share:.0f} % of it): the start is not relaxed",
        )
    return Explosion(reason)


def _start_force(results: Results, model: str, mode: str, system: str) -> float:
    """Largest root-mean-square force of these structures, eV/Å, from ``consistency``; 0 where it was not measured."""
    rows = results.rows("consistency", model, mode, system)
    rows = rows[(rows["system"] == system) & rows["force_rms_eV_per_A"].notna()] if len(rows) else rows
    return float(rows["force_rms_eV_per_A"].max()) if len(rows) else 0.0


def _energy_share(row: pd.Series, series: pd.DataFrame) -> float | None:
    """Gain of the total over that of the kinetic energy up to the last sample of the run.

    ``None`` where the samples do not show the heating (the kinetic energy has not doubled), or there is no potential energy.
    """
    if not len(series) or "job" not in series:
        return None
    same = (series["job"] == row["job"]) & (series["structure"] == row["structure"])
    samples = series[same & (series["timestep_fs"] == row["timestep_fs"])].sort_values("time_fs")
    samples = samples[samples["total_eV"].notna()]
    if len(samples) < 2:
        return None
    first, last = samples.iloc[0], samples.iloc[-1]
    heated = float(last["kinetic_eV"] - first["kinetic_eV"])
    if heated < float(first["kinetic_eV"]):
        return None
    return float(last["total_eV"] - first["total_eV"]) / heated
