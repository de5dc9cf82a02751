"""Drift of constant-energy dynamics: what the work of non-conservative forces does to the temperature and the energy.

Velocity Verlet from an equilibrated structure (Bigi, Langer & Ceriotti 2025, Sec. 4.4 and App. G.1). The energy is the exact
measure, the temperature the visible one: in a conservative field it also moves, while potential and kinetic energy find their balance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncbench.diagnostics.base import Budget, Case, Context, Diagnostic, Outcome
from ncbench.diagnostics.statistics import Slope, slope
from ncbench.errors import UsageError
from ncbench.forcefields.base import ForceField
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import EnsembleRun, check_settings, groups_of_equal_size, run_ensemble
from ncbench.md.integrators import Dynamics
from ncbench.md.run import steps_of
from ncbench.md.tables import NVE_SERIES, NVE_SPECIES_SERIES, number, series_rows, species_rows
from ncbench.results.schema import Column, Status, TableSchema
from ncbench.units import MEV

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NveDriftSettings:
    """How long, how finely and from what start."""

    timestep_fs: float = 0.5
    duration_fs: float = 1000.0
    skip_fs: float = 0.0
    """Start of the fit: leaves out the first exchange between potential and kinetic energy of a start out of balance."""
    temperature_K: float = 300.0
    """Of drawn momenta. Momenta a structure brings are taken as they are."""
    redraw_momenta: bool = False
    """Draw momenta even where the structures bring some."""
    sample_every: int = 2
    max_temperature_K: float = 1.0e4
    """A structure hotter than this has exploded."""
    fix_com: bool = True
    """Centre of mass at rest, forces projected accordingly, 3N − 3 degrees of freedom (i-PI's default). Off for a field
    that is not invariant to translation."""

    def __post_init__(self) -> None:
        check_settings(self, duration_fs=self.duration_fs, skip_fs=self.skip_fs)
        if self.skip_fs >= self.duration_fs:
            raise UsageError(f"skip_fs ({self.skip_fs}) leaves nothing of duration_fs ({self.duration_fs}).")


SCHEMA = TableSchema(
    "nve-drift",
    1,
    (
        Column("timestep_fs", "float", "fs", "time step of velocity Verlet"),
        Column("steps", "int", "", "steps asked for"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("skip_fs", "float", "fs", "start of the fits and means"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature"),
        Column(
            "drift_K_per_ps_se", "float", "K/ps", "its standard error (block bootstrap, random-walk noise included)"
        ),
        Column("drift_K_per_s", "float", "K/s", "the same slope as the paper quotes it"),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of potential + kinetic energy"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("energy_change_meV_per_atom", "float", "meV/atom", "last less first total energy of the fit"),
        Column("energy_fluctuation_share", "float", "", "rms of the detrended total over that of the kinetic energy"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_start_K", "float", "K", "mean over the first tenth of the fit"),
        Column("temperature_end_K", "float", "K", "mean over its last tenth"),
        Column("degrees_of_freedom", "int", "", "n_dof in T = 2K/(n_dof k_B)"),
        Column("momenta", "str", "", "structure: the structures brought them; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "when it was found exploded"),
        Column("force_calls", "int", "", "force evaluations of the structure"),
    ),
)

SPECIES = TableSchema(
    "nve-drift-species",
    1,
    (
        Column("species", "str", "", "element"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the element's kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error"),
        Column("temperature_mean_K", "float", "K", "mean of the element's kinetic temperature"),
        Column("temperature_start_K", "float", "K", "mean over the first tenth of the fit"),
        Column("temperature_end_K", "float", "K", "mean over its last tenth"),
        Column("degrees_of_freedom", "float", "", "3N_s, less the mass share of a fixed centre of mass"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: NveDriftSettings, *, seed: int, context: Context
) -> Outcome:
    """One row a structure; structures of equal size run as one batch.

    Raises:
        UnsupportedError: a structure carries constraints.
    """
    n_steps = steps_of(settings.duration_fs, settings.timestep_fs)
    groups = groups_of_equal_size([case.atoms for case in cases])
    context.progress.start(n_steps * len(groups), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    found: dict[int, tuple[EnsembleRun, int]] = {}
    for number_, group in enumerate(groups):

        def report(step: int, note: str, before: int = number_ * n_steps) -> None:
            context.progress.update(before + step, note)

        ensemble = run_ensemble(
            forcefield,
            [cases[i].atoms for i in group],
            group,
            Dynamics(settings.timestep_fs),
            settings,
            n_steps=n_steps,
            seed=seed,
            label="nve",
            checkpoint=stages.stage(f"group{number_}"),
            report=report,
        )
        found |= {index: (ensemble, replica) for replica, index in enumerate(group)}
    outcome = Outcome(side={"species": [], "series": [], "species_series": []})
    for index, case in enumerate(cases):
        _report_case(outcome, case, *found[index], settings)
    return outcome


def _report_case(outcome: Outcome, case: Case, ensemble: EnsembleRun, replica: int, settings: NveDriftSettings) -> None:
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    exploded = ensemble.result.exploded_fs(replica, settings.timestep_fs)
    row: dict[str, Any] = {
        **where,
        "timestep_fs": settings.timestep_fs,
        "steps": steps_of(settings.duration_fs, settings.timestep_fs),
        "duration_fs": settings.duration_fs,
        "skip_fs": settings.skip_fs,
        "degrees_of_freedom": ensemble.series.particles.degrees_of_freedom,
        "momenta": ensemble.momenta,
    }
    if exploded is None:
        row |= _drifts(ensemble, replica, settings) | {
            "force_calls": ensemble.result.force_calls,
            "status": Status.OK,
            "reason": "",
        }
        outcome.side["species"] += _species(ensemble, replica, settings, where)
    else:
        row |= {
            "exploded_at_fs": exploded,
            "force_calls": int(ensemble.result.exploded_step[replica]) + 1,
            "status": Status.EXPLODED,
            "reason": f"not finite or above {settings.max_temperature_K:g} K after {exploded:g} fs",
        }
    outcome.rows.append(SCHEMA.row(**row))
    outcome.side["series"] += series_rows(ensemble.series, replica, NVE_SERIES, where)
    outcome.side["species_series"] += species_rows(ensemble.series, replica, NVE_SPECIES_SERIES, where)


def _drifts(ensemble: EnsembleRun, replica: int, settings: NveDriftSettings) -> dict[str, Any]:
    series = ensemble.series
    fit = series.times_fs >= settings.skip_fs
    times_ps = series.times_fs[fit] / 1000.0
    temperature = series.temperature[fit, replica]
    n_atoms = series.particles.n_atoms
    total = series.total[fit, replica] / (n_atoms * MEV)
    heating, energy = slope(times_ps, temperature), slope(times_ps, total)
    return {
        **_temperatures(heating, temperature),
        "drift_K_per_s": number(heating.value * 1e12),
        "energy_drift_meV_per_atom_per_ps": number(energy.value),
        "energy_drift_meV_per_atom_per_ps_se": number(energy.error),
        "energy_change_meV_per_atom": number(total[-1] - total[0]),
        "energy_fluctuation_share": number(
            _fluctuation(times_ps, total, energy.value, series.kinetic[fit, replica] / (n_atoms * MEV))
        ),
    }


def _temperatures(heating: Slope, temperature: FloatArray) -> dict[str, Any]:
    tenth = max(1, len(temperature) // 10)
    return {
        "drift_K_per_ps": number(heating.value),
        "drift_K_per_ps_se": number(heating.error),
        "temperature_mean_K": number(float(temperature.mean())),
        "temperature_start_K": number(float(temperature[:tenth].mean())),
        "temperature_end_K": number(float(temperature[-tenth:].mean())),
    }


def _fluctuation(times: FloatArray, total: FloatArray, drift: float, kinetic: FloatArray) -> float:
    moving = float(np.std(kinetic))
    return float(np.std(total - drift * times)) / moving if moving > 0.0 else math.nan


def _species(
    ensemble: EnsembleRun, replica: int, settings: NveDriftSettings, where: dict[str, Any]
) -> list[dict[str, Any]]:
    series = ensemble.series
    fit = series.times_fs >= settings.skip_fs
    times_ps = series.times_fs[fit] / 1000.0
    degrees = series.particles.species_degrees_of_freedom()[replica].tolist()
    rows = []
    for group, name in enumerate(series.particles.species):
        if not bool(series.particles.membership[replica, group].any()):
            continue
        temperature = series.species_temperature[fit, replica, group]
        values = _temperatures(slope(times_ps, temperature), temperature)
        rows.append(SPECIES.row(**where, species=name, degrees_of_freedom=degrees[group], **values))
    return rows


DIAGNOSTIC = Diagnostic(
    name="nve-drift",
    version=1,
    summary="Drift of temperature and energy in constant-energy dynamics: zero for conservative forces.",
    settings=NveDriftSettings,
    presets={
        Budget.SMOKE: NveDriftSettings(duration_fs=100.0, sample_every=1),
        Budget.LAPTOP: NveDriftSettings(duration_fs=500.0, sample_every=2),
        Budget.PAPER: NveDriftSettings(duration_fs=50_000.0, sample_every=10),
    },
    run=run,
    schema=SCHEMA,
    side_schemas={"species": SPECIES, "series": NVE_SERIES, "species_series": NVE_SPECIES_SERIES},
)
