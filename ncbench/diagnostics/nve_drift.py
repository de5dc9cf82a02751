"""Drift of constant-energy dynamics: what the work of non-conservative forces does to the temperature and the energy.

Velocity Verlet from an equilibrated structure (Bigi, Langer & Ceriotti 2025, Sec. 4.4 and App. G.1). The energy is the exact
measure, the temperature the visible one: in a conservative field it also moves, while potential and kinetic energy find their balance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.costs import calls_per_step
from ncbench.diagnostics.timesteps import TIMESTEPS, timestep_rows
from ncbench.errors import UsageError
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import (
    Engine,
    EnsembleInterrupted,
    EnsembleRun,
    Scheme,
    check_settings,
    default_batch,
    enough_samples,
    fast_and_right,
    groups_of_equal_size,
    in_batches,
    interrupted_at,
    run_ensemble,
    with_room,
)
from ncbench.md.integrators import Dynamics
from ncbench.md.run import steps_of
from ncbench.md.tables import NVE_SERIES, NVE_SPECIES_SERIES, number, series_rows, species_rows
from ncbench.md.trajectory import file_name, writers
from ncbench.models.interface import ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.series import Slope, slope
from ncbench.types import Budget, Case, Interrupted, Outcome, Status, replicated
from ncbench.units import MEV

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NveDriftSettings:
    """How long, how finely and from what start."""

    timestep_fs: float = 0.5
    """Of the cheap forces where ``mts`` is on."""
    timesteps: tuple[float, ...] = ()
    """Several time steps, fs, in place of the one: drift against Δt, and whose drift it is."""
    mts: int | None = None
    """Multiple time stepping: conservative forces every so many steps of direct ones, or the reference model's of the model's."""
    rescale: bool = False
    """Momenta rescaled after every step to hold the total energy."""
    replicas: int = 1
    """Runs a structure, each with momenta of its own."""
    engine: Engine = "own"
    """Who makes the steps: ``own``, or ``i-pi``, which takes one structure at a time."""
    batch: int | None = None
    """Structures in one model call; ``None``: all of a size on a GPU, some 256 atoms on a CPU."""
    trajectory_every: int = 0
    """Steps between frames of a trajectory, rounded up to whole samples; 0 writes none."""
    trajectory_precision: Literal["single", "double"] = "single"
    trajectory_format: Literal["xyz", "traj"] = "xyz"
    """Extended XYZ, or ASE's binary .traj."""
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
        for name in ("mts", "replicas", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, and 1 is the least.")
        if any(not (math.isfinite(step) and step > 0) for step in self.timesteps):
            raise UsageError(f"timesteps {self.timesteps} are not all positive numbers.")
        if len(set(self.timesteps)) != len(self.timesteps):
            raise UsageError(f"timesteps {self.timesteps} name one twice.")
        if self.mts is not None and self.rescale:
            raise UsageError("mts and rescale were both asked for.", hint="Leave one out.")
        if self.skip_fs >= self.duration_fs:
            raise UsageError(f"skip_fs ({self.skip_fs}) leaves nothing of duration_fs ({self.duration_fs}).")


SCHEMA = TableSchema(
    "nve-drift",
    4,
    (
        Column("engine", "str", "", "who made the steps: own, or i-pi"),
        Column("integrator", "str", "", "verlet, mts (multiple time stepping) or rescaled (energy held by rescaling)"),
        Column("stride", "int", "", "M: cheap steps to one evaluation of the right forces; 1 without mts"),
        Column("timestep_fs", "float", "fs", "time step of velocity Verlet; of the cheap forces with mts"),
        Column("steps", "int", "", "steps asked for, of that length"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column("skip_fs", "float", "fs", "start of the fits and means"),
        Column("drift_K_per_ps", "float", "K/ps", "slope of the kinetic temperature"),
        Column("drift_K_per_ps_se", "float", "K/ps", "its standard error, which knows of memory and random walks"),
        Column("drift_K_per_s", "float", "K/s", "the same slope as the paper quotes it"),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of potential + kinetic energy"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column(
            "plateau",
            "bool",
            "",
            "long enough to tell the energy's noise from a random walk; the error is wide where not",
        ),
        Column("energy_change_meV_per_atom", "float", "meV/atom", "last less first total energy of the fit"),
        Column("energy_fluctuation_share", "float", "", "rms of the detrended total over that of the kinetic energy"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_start_K", "float", "K", "mean over the first tenth of the fit"),
        Column("temperature_end_K", "float", "K", "mean over its last tenth"),
        Column("degrees_of_freedom", "int", "", "n_dof in T = 2K/(n_dof k_B)"),
        Column("power_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of total energy less what rescaling put in"),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("momenta", "str", "", "structure: the structures brought them; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "when it was found exploded"),
        Column("force_calls", "int", "", "force evaluations of the structure"),
        Column("trajectory", "str", "", "file of its frames, from the results folder"),
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
    """One row a structure, replica and time step; structures of equal size run as one batch.

    Raises:
        UnsupportedError: a structure carries constraints; or multiple time stepping of a model without a second kind of forces.
    """
    cases = replicated(cases, settings.replicas)
    right, scheme = forcefield, Scheme(rescale=settings.rescale)
    if settings.mts is not None:
        fast, right = fast_and_right(forcefield, context.reference)
        scheme = Scheme(fast=fast, stride=settings.mts)
    timesteps = settings.timesteps or (settings.timestep_fs,)
    structures = [case.atoms for case in cases]
    batch = 1 if settings.engine == "i-pi" else settings.batch or default_batch(right, structures)
    groups = in_batches(groups_of_equal_size(structures), batch)
    counts = [steps_of(settings.duration_fs, step * scheme.stride) for step in timesteps]
    context.progress.start(sum(counts) * len(groups), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"species": [], "series": [], "species_series": [], "timesteps": []})
    done = 0
    for timestep, n_steps in zip(timesteps, counts, strict=True):
        here = replace(
            settings,
            timestep_fs=timestep,
            sample_every=max(1, settings.sample_every // scheme.stride),
            redraw_momenta=settings.redraw_momenta or settings.replicas > 1,
        )
        found: dict[int, tuple[EnsembleRun, int]] = {}
        for group in groups:

            def one(part: Sequence[int], before: int = done, n: int = n_steps, here: Any = here) -> EnsembleRun:
                return run_ensemble(
                    right,
                    [cases[i].atoms for i in part],
                    part,
                    Dynamics(here.timestep_fs * scheme.stride),
                    here,
                    n_steps=n,
                    seed=seed,
                    label="nve",
                    checkpoint=stages.stage(f"dt{here.timestep_fs:g}.of{part[0]}to{part[-1]}"),
                    report=lambda step, note: context.progress.update(before + step, note),
                    scheme=scheme,
                    engine=settings.engine,
                    observers=writers(
                        context.files,
                        [cases[i].name for i in part],
                        [cases[i].atoms for i in part],
                        every=-(-settings.trajectory_every // scheme.stride),
                        stride=here.sample_every,
                        timestep_fs=here.timestep_fs * scheme.stride,
                        precision=settings.trajectory_precision,
                        kind=settings.trajectory_format,
                        label=f"dt{here.timestep_fs:g}",
                    ),
                )

            try:
                for part, ensemble in with_room(group, one):
                    found |= {index: (ensemble, replica) for replica, index in enumerate(part)}
            except EnsembleInterrupted as stop:
                _report(outcome, cases, found | stop.found, here, scheme, context)
                raise Interrupted(outcome) from None
            done += n_steps
        _report(outcome, cases, found, here, scheme, context)
    if len(timesteps) > 1:
        outcome.side["timesteps"] = timestep_rows(outcome.rows)
    return outcome


def _report(
    outcome: Outcome,
    cases: Sequence[Case],
    found: Mapping[int, tuple[EnsembleRun, int]],
    settings: NveDriftSettings,
    scheme: Scheme,
    context: Context,
) -> None:
    for index in sorted(found):
        _report_case(outcome, cases[index], *found[index], settings, scheme)
        if settings.trajectory_every and context.files is not None:
            name = file_name(cases[index].name, f"dt{settings.timestep_fs:g}", settings.trajectory_format)
            outcome.rows[-1]["trajectory"] = f"jobs/{context.files.name}/{name}"


def _report_case(
    outcome: Outcome, case: Case, ensemble: EnsembleRun, replica: int, settings: NveDriftSettings, scheme: Scheme
) -> None:
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    outer = settings.timestep_fs * scheme.stride
    exploded = ensemble.result.exploded_fs(replica, outer)
    row: dict[str, Any] = {
        **where,
        "engine": settings.engine,
        "integrator": scheme.name,
        "stride": scheme.stride,
        "timestep_fs": settings.timestep_fs,
        "steps": steps_of(settings.duration_fs, outer) * scheme.stride,
        "duration_fs": settings.duration_fs,
        "skip_fs": settings.skip_fs,
        "degrees_of_freedom": ensemble.series.particles.degrees_of_freedom,
        "momenta": ensemble.momenta,
    }
    if exploded is None:
        row |= {"force_calls": ensemble.result.force_calls, "status": Status.OK, "reason": ""}
        if ensemble.stopped_fs is not None:
            row |= {"duration_fs": ensemble.stopped_fs, "status": Status.INCOMPLETE, "reason": interrupted_at(ensemble)}
        if enough_samples(ensemble, settings.skip_fs):
            row |= _drifts(ensemble, replica, settings, scheme)
            outcome.side["species"] += _species(ensemble, replica, settings, where)
    else:
        row |= {
            "exploded_at_fs": exploded,
            "force_calls": int(ensemble.result.exploded_step[replica]) + 1,
            "status": Status.EXPLODED,
            "reason": f"not finite or above {settings.max_temperature_K:g} K after {exploded:g} fs",
        }
    outcome.rows.append(SCHEMA.row(**row))
    series = {**where, "timestep_fs": settings.timestep_fs}
    outcome.side["series"] += series_rows(ensemble.series, replica, NVE_SERIES, series)
    outcome.side["species_series"] += species_rows(ensemble.series, replica, NVE_SPECIES_SERIES, series)


def _drifts(ensemble: EnsembleRun, replica: int, settings: NveDriftSettings, scheme: Scheme) -> dict[str, Any]:
    series = ensemble.series
    fit = series.times_fs >= settings.skip_fs
    times_ps = series.times_fs[fit] / 1000.0
    temperature = series.temperature[fit, replica]
    n_atoms = series.particles.n_atoms
    total = series.total[fit, replica] / (n_atoms * MEV)
    heating, energy = slope(times_ps, temperature), slope(times_ps, total)
    values: dict[str, Any] = {}
    if scheme.rescale:
        power = slope(times_ps, series.conserved[fit, replica] / (n_atoms * MEV))
        values = {
            "power_meV_per_atom_per_ps": number(power.value),
            "power_meV_per_atom_per_ps_se": number(power.error),
        }
    return values | {
        **_temperatures(heating, temperature),
        "drift_K_per_s": number(heating.value * 1e12),
        "energy_drift_meV_per_atom_per_ps": number(energy.value),
        "energy_drift_meV_per_atom_per_ps_se": number(energy.error),
        "plateau": (heating if math.isnan(energy.value) else energy).plateau,
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


def cost(settings: NveDriftSettings, n_atoms: int) -> float:
    """Steps, all time steps and replicas together."""
    steps = settings.timesteps or (settings.timestep_fs,)
    return sum(settings.duration_fs / step for step in steps) * settings.replicas * calls_per_step(settings.mts)


SHOW = (
    Shown("Δt fs", "timestep_fs"),
    Shown("steps", "steps"),
    Shown("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"),
    Shown("drift K/ps", "drift_K_per_ps", "drift_K_per_ps_se"),
    Shown("⟨T⟩ K", "temperature_mean_K"),
)

DIAGNOSTIC = Diagnostic(
    name="nve-drift",
    rank=30,
    version=2,
    summary="Drift of temperature and energy in constant-energy dynamics: zero for conservative forces.",
    settings=NveDriftSettings,
    presets={
        Budget.SMOKE: NveDriftSettings(duration_fs=100.0, sample_every=1),
        Budget.LAPTOP: NveDriftSettings(duration_fs=500.0, sample_every=2),
        Budget.PAPER: NveDriftSettings(duration_fs=50_000.0, sample_every=10),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    side_schemas={
        "species": SPECIES,
        "series": NVE_SERIES,
        "species_series": NVE_SPECIES_SERIES,
        "timesteps": TIMESTEPS,
    },
)
