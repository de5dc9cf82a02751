"""Kinetic temperatures under a thermostat: what is left of the heating, and who gets it.

Langevin (WN) and stochastic velocity rescaling (SVR), Tables 2 and 8 of Bigi, Langer & Ceriotti 2025. A thermostat
that holds the mean can leave the species apart; the conserved quantity tells how much heat it carries off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.costs import calls_per_step
from ncbench.errors import UsageError
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import (
    VERLET,
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
from ncbench.md.tables import NVT_SERIES, NVT_SPECIES_SERIES, number, series_rows, species_rows
from ncbench.md.thermostats import make_thermostat, parse_thermostat
from ncbench.md.trajectory import file_name, writers
from ncbench.models.interface import ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.series import blocking_mean, slope
from ncbench.types import Budget, Case, Interrupted, Outcome, Status, replicated
from ncbench.units import MEV


@dataclass(frozen=True, kw_only=True)
class NvtSettings:
    """Which thermostats, how long and how finely."""

    thermostats: tuple[str, ...] = ("langevin:10", "langevin:100", "langevin:1000", "svr:10")
    """``NAME:TAU`` each, τ in fs, ``gle`` (the paper's high-pass) or ``gle:FILE``; one run after another from the same start."""
    mts: int | None = None
    """Multiple time stepping: conservative forces every so many steps of direct ones, or the reference model's of the model's."""
    replicas: int = 1
    """Runs a structure, each with momenta and noise of its own."""
    engine: Engine = "own"
    """Who makes the steps: ``own``, or ``i-pi``, which takes one structure at a time."""
    batch: int | None = None
    """Structures in one model call; ``None``: all of a size on a GPU, some 256 atoms on a CPU."""
    trajectory_every: int = 0
    """Steps between frames of a trajectory, rounded up to whole samples; 0 writes none."""
    trajectory_precision: Literal["single", "double"] = "single"
    trajectory_format: Literal["xyz", "traj"] = "xyz"
    """Extended XYZ, or ASE's binary .traj."""
    temperature_K: float = 300.0
    timestep_fs: float = 0.5
    equilibration_fs: float = 200.0
    """Under the thermostat, before anything is averaged."""
    duration_fs: float = 1000.0
    """Averaged over."""
    redraw_momenta: bool = False
    """Draw momenta even where the structures bring some."""
    sample_every: int = 2
    max_temperature_K: float = 1.0e4
    """A structure hotter than this has exploded."""
    fix_com: bool = True
    """Centre of mass at rest, forces and noise projected accordingly, 3N − 3 degrees of freedom (i-PI's default)."""

    def __post_init__(self) -> None:
        check_settings(self, duration_fs=self.duration_fs, equilibration_fs=self.equilibration_fs)
        for name in ("mts", "replicas", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, and 1 is the least.")
        if not self.thermostats:
            raise UsageError("No thermostat is asked for.", hint="Write langevin:100, say.")
        for text in self.thermostats:
            parse_thermostat(text)


SCHEMA = TableSchema(
    "nvt",
    3,
    (
        Column("thermostat", "str", "", "langevin (white noise, WN), svr (stochastic velocity rescaling) or gle"),
        Column(
            "tau_fs", "float", "fs", "time constant: of momenta (langevin), of the kinetic energy (svr); none of gle"
        ),
        Column("engine", "str", "", "who made the steps: own, or i-pi"),
        Column("integrator", "str", "", "verlet, or mts (multiple time stepping)"),
        Column("stride", "int", "", "M: cheap steps to one evaluation of the right forces; 1 without mts"),
        Column("species", "str", "", "all, or an element"),
        Column("temperature_K", "float", "K", "mean kinetic temperature of these atoms"),
        Column("temperature_K_se", "float", "K", "its standard error by blocking"),
        Column("temperature_excess_K", "float", "K", "mean less target temperature"),
        Column("target_K", "float", "K", "the thermostat's temperature"),
        Column("blocks", "int", "", "independent blocks the error comes from"),
        Column("plateau", "bool", "", "the error stopped growing with the block length; a lower bound where not"),
        Column("correlation_time_fs", "float", "fs", "integrated autocorrelation time of the temperature"),
        Column("degrees_of_freedom", "float", "", "n_dof of these atoms in T = 2K/(n_dof k_B)"),
        Column(
            "power_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of the whole system's conserved quantity, potential + kinetic energy − heat",
        ),
        Column("power_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("timestep_fs", "float", "fs", "time step"),
        Column("steps", "int", "", "steps averaged over"),
        Column("equilibration_fs", "float", "fs", "time under the thermostat before that"),
        Column("momenta", "str", "", "structure: the structures brought them; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "when it was found exploded"),
        Column("force_calls", "int", "", "force evaluations of the structure"),
        Column("trajectory", "str", "", "file of its frames, from the results folder"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: NvtSettings, *, seed: int, context: Context
) -> Outcome:
    """One row a thermostat, structure and species; structures of equal size run as one batch.

    Raises:
        UnsupportedError: a structure carries constraints.
    """
    cases = replicated(cases, settings.replicas)
    right, scheme = forcefield, VERLET
    if settings.mts is not None:
        fast, right = fast_and_right(forcefield, context.reference)
        scheme = Scheme(fast=fast, stride=settings.mts)
    here = replace(
        settings,
        timestep_fs=settings.timestep_fs * scheme.stride,
        sample_every=max(1, settings.sample_every // scheme.stride),
        redraw_momenta=settings.redraw_momenta or settings.replicas > 1,
    )
    n_steps = _equilibration_steps(here) + steps_of(here.duration_fs, here.timestep_fs)
    structures = [case.atoms for case in cases]
    batch = 1 if settings.engine == "i-pi" else settings.batch or default_batch(right, structures)
    groups = in_batches(groups_of_equal_size(structures), batch)
    context.progress.start(n_steps * len(groups) * len(settings.thermostats), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"series": [], "species_series": []})
    done = 0
    for text in settings.thermostats:
        dynamics = Dynamics(here.timestep_fs, make_thermostat(text, settings.temperature_K))
        found: dict[int, tuple[EnsembleRun, int]] = {}
        for group in groups:

            def one(
                part: Sequence[int], before: int = done, text: str = text, dynamics: Dynamics = dynamics
            ) -> EnsembleRun:
                return run_ensemble(
                    right,
                    [cases[i].atoms for i in part],
                    part,
                    dynamics,
                    here,
                    n_steps=n_steps,
                    seed=seed,
                    label=text,
                    checkpoint=stages.stage(f"{text}.of{part[0]}to{part[-1]}"),
                    report=lambda step, note: context.progress.update(before + step, f"{text} {note}"),
                    scheme=scheme,
                    engine=settings.engine,
                    observers=writers(
                        context.files,
                        [cases[i].name for i in part],
                        [cases[i].atoms for i in part],
                        every=-(-settings.trajectory_every // scheme.stride),
                        stride=here.sample_every,
                        timestep_fs=here.timestep_fs,
                        precision=settings.trajectory_precision,
                        kind=settings.trajectory_format,
                        label=text,
                    ),
                )

            try:
                for part, ensemble in with_room(group, one):
                    found |= {index: (ensemble, replica) for replica, index in enumerate(part)}
            except EnsembleInterrupted as stop:
                _report(outcome, cases, text, found | stop.found, here, scheme, context)
                raise Interrupted(outcome) from None
            done += n_steps
        _report(outcome, cases, text, found, here, scheme, context)
    return outcome


def _report(
    outcome: Outcome,
    cases: Sequence[Case],
    text: str,
    found: Mapping[int, tuple[EnsembleRun, int]],
    settings: NvtSettings,
    scheme: Scheme,
    context: Context,
) -> None:
    for index in sorted(found):
        before = len(outcome.rows)
        _report_case(outcome, cases[index], text, *found[index], settings, scheme)
        if settings.trajectory_every and context.files is not None:
            for row in outcome.rows[before:]:
                row["trajectory"] = (
                    f"jobs/{context.files.name}/{file_name(cases[index].name, text, settings.trajectory_format)}"
                )


def _equilibration_steps(settings: NvtSettings) -> int:
    return round(settings.equilibration_fs / settings.timestep_fs)


def _report_case(
    outcome: Outcome,
    case: Case,
    text: str,
    ensemble: EnsembleRun,
    replica: int,
    settings: NvtSettings,
    scheme: Scheme,
) -> None:
    """``settings`` with the outer time step and its stride of samples."""
    name, tau_fs = parse_thermostat(text)
    where = {"structure": case.name, "n_atoms": len(case.atoms), "thermostat": name, "tau_fs": tau_fs}
    exploded = ensemble.result.exploded_fs(replica, settings.timestep_fs)
    ended = int(ensemble.result.exploded_step[replica])
    common: dict[str, Any] = {
        **where,
        "target_K": settings.temperature_K,
        "engine": settings.engine,
        "integrator": scheme.name,
        "stride": scheme.stride,
        "timestep_fs": settings.timestep_fs / scheme.stride,
        "steps": steps_of(settings.duration_fs, settings.timestep_fs) * scheme.stride,
        "equilibration_fs": settings.equilibration_fs,
        "momenta": ensemble.momenta,
        "exploded_at_fs": exploded,
        "force_calls": ensemble.result.force_calls if exploded is None else ended + 1,
    }
    told = exploded is None and enough_samples(ensemble, _start_fs(settings))
    if exploded is None:
        common |= {"status": Status.OK, "reason": "", **(_power(ensemble, replica, settings) if told else {})}
        if ensemble.stopped_fs is not None:
            averaged = max(0, ensemble.result.state.step - _equilibration_steps(settings)) * scheme.stride
            common |= {"steps": averaged, "status": Status.INCOMPLETE, "reason": interrupted_at(ensemble)}
    else:
        reason = f"not finite or above {settings.max_temperature_K:g} K after {exploded:g} fs"
        common |= {"status": Status.EXPLODED, "reason": reason}
    outcome.rows += [SCHEMA.row(**common, **values) for values in _temperatures(ensemble, replica, settings, ok=told)]
    outcome.side["series"] += series_rows(ensemble.series, replica, NVT_SERIES, where)
    outcome.side["species_series"] += species_rows(ensemble.series, replica, NVT_SPECIES_SERIES, where)


def _power(ensemble: EnsembleRun, replica: int, settings: NvtSettings) -> dict[str, Any]:
    series = ensemble.series
    used = series.times_fs >= _start_fs(settings)
    conserved = series.conserved[used, replica] / (series.particles.n_atoms * MEV)
    power = slope(series.times_fs[used] / 1000.0, conserved)
    return {
        "power_meV_per_atom_per_ps": number(power.value),
        "power_meV_per_atom_per_ps_se": number(power.error),
    }


def _temperatures(ensemble: EnsembleRun, replica: int, settings: NvtSettings, *, ok: bool) -> list[dict[str, Any]]:
    series = ensemble.series
    particles = series.particles
    used = series.times_fs >= _start_fs(settings)
    degrees = particles.species_degrees_of_freedom()[replica].tolist()
    groups = [("all", float(particles.degrees_of_freedom), series.temperature[used, replica])]
    groups += [
        (name, degrees[g], series.species_temperature[used, replica, g])
        for g, name in enumerate(particles.species)
        if bool(particles.membership[replica, g].any())
    ]
    rows = []
    for name, n_dof, temperature in groups:
        row: dict[str, Any] = {"species": name, "degrees_of_freedom": n_dof}
        if ok:
            mean = blocking_mean(temperature)
            row |= {
                "temperature_K": number(mean.value),
                "temperature_K_se": number(mean.error),
                "temperature_excess_K": number(mean.value - settings.temperature_K),
                "blocks": mean.blocks,
                "plateau": mean.plateau,
                "correlation_time_fs": number(mean.correlation_time * series.stride * series.timestep_fs),
            }
        rows.append(row)
    return rows


def _start_fs(settings: NvtSettings) -> float:
    # Half a step below the boundary: the sample on it belongs to the average whatever its time rounds to.
    return (_equilibration_steps(settings) - 0.5) * settings.timestep_fs


def cost(settings: NvtSettings, n_atoms: int) -> float:
    """Steps under all thermostats, equilibration included."""
    steps = (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs
    return steps * len(settings.thermostats) * settings.replicas * calls_per_step(settings.mts)


SHOW = (
    Shown("thermostat", "thermostat"),
    Shown("τ fs", "tau_fs"),
    Shown("atoms", "species"),
    Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
    Shown("P meV/atom/ps", "power_meV_per_atom_per_ps", "power_meV_per_atom_per_ps_se"),
)

DIAGNOSTIC = Diagnostic(
    name="nvt",
    rank=40,
    version=2,
    summary="Kinetic temperatures by species under thermostats, and the power the thermostat carries off.",
    settings=NvtSettings,
    presets={
        Budget.SMOKE: NvtSettings(
            thermostats=("langevin:100", "svr:10"), equilibration_fs=10.0, duration_fs=50.0, sample_every=1
        ),
        Budget.LAPTOP: NvtSettings(thermostats=("langevin:100", "svr:10"), equilibration_fs=100.0, duration_fs=400.0),
        Budget.PAPER: NvtSettings(equilibration_fs=50_000.0, duration_fs=1_000_000.0, sample_every=20),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    side_schemas={"series": NVT_SERIES, "species_series": NVT_SPECIES_SERIES},
)
