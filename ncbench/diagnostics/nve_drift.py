"""Drift of constant-energy dynamics: effect of the work of non-conservative forces on temperature and energy.

Velocity Verlet from an equilibrated structure (Bigi, Langer & Ceriotti 2025, Sec. 4.4 and App. G.1). The total energy is the exact
measure. The temperature also changes in a conservative field, while potential and kinetic energy exchange.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ncbench.diagnostics import protocol_rows, protocols
from ncbench.diagnostics.base import (
    INTEGRATORS,
    REAL_MASSES,
    Context,
    Diagnostic,
    Quantity,
    Rows,
    Shown,
    SideRows,
    label_of,
)
from ncbench.diagnostics.costs import calls_per_step
from ncbench.diagnostics.equilibration import equilibrating, settling
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import UsageError
from ncbench.md.limits import require_timestep
from ncbench.md.schemas import NVE_DRIFT, NVE_SERIES, NVE_SPECIES, NVE_SPECIES_SERIES, TIMESTEPS
from ncbench.md.settings import ReplicaSettings, require_non_negative
from ncbench.options import KEYED_IF_SET, Option
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.format import ABSENT, with_error
from ncbench.statistics.older_rows import with_drift_from_energy
from ncbench.types import Budget, Case, Interrupted, Outcome, Status, replicated
from ncbench.units import MEV

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.md.ensemble import Scheme
    from ncbench.md.replicas import PlannedRun, Replica
    from ncbench.models.interface import ForceField
    from ncbench.statistics.series import FloatArray, Slope


@dataclass(frozen=True, kw_only=True)
class NveDriftSettings(ReplicaSettings):
    """Length, time step and initial conditions."""

    steps: Annotated[
        int | None, Option("Length of the run in (fast) steps, instead of --duration.", metavar="N", minimum=1)
    ] = None
    """With several time steps, each run has this number of steps."""
    timesteps: Annotated[
        tuple[float, ...],
        Option(
            "Several time steps: is the drift caused by the integrator or by the forces?", metavar="FS,FS,…", comma=True
        ),
    ] = ()
    """Used instead of the single time step."""
    rescale: Annotated[bool, Option("Keep the total energy constant by rescaling momenta after every step.")] = False
    protocol: Annotated[
        Literal["mlipaudit-nve", "lambench-nve"] | None,
        Option(
            "Run with the constants of another suite's protocol, and give its number beside ours; other options override single constants.",
            metavar="mlipaudit-nve|lambench-nve",
        ),
    ] = field(default=None, metadata={KEYED_IF_SET: True})
    skip_fs: Annotated[float, Option("Initial time excluded from the fit, fs.", flag="--skip", metavar="FS")] = 0.0
    """Excludes the initial exchange between potential and kinetic energy of a start out of equilibrium."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_non_negative("--skip", self.skip_fs)
        for step in self.timesteps:
            require_timestep("timesteps", step)
        if len(set(self.timesteps)) != len(self.timesteps):
            raise UsageError(f"timesteps {self.timesteps} contains a duplicate.")
        if self.mts is not None and self.rescale:
            raise UsageError("mts and rescale were both requested.", hint="Leave one out.")
        if self.protocol is not None and (self.mts is not None or self.rescale or self.hmr is not None):
            raise UsageError(
                f"The protocol {self.protocol} is one of velocity Verlet: it takes none of mts, rescale and hmr."
            )
        for timestep in self.timesteps or (self.timestep_fs,):
            length = self.with_timestep(timestep).length_fs
            if length <= 0:
                raise UsageError(f"The run is {length:g} fs long.", hint="Give a --duration above 0 fs.")
            if self.skip_fs >= length:
                raise UsageError(
                    f"--skip {self.skip_fs:g} fs is not shorter than the run of {length:g} fs.",
                    hint="Choose a shorter --skip or a longer --duration.",
                )
            interval = protocols.snapshot_steps(self.protocol or "", round(length / timestep))
            if self.protocol is not None and interval % self.sample_every:
                raise UsageError(
                    f"The protocol {self.protocol} takes an energy every {interval} steps, which is no multiple of sample_every, {self.sample_every}."
                )

    @property
    def length_fs(self) -> float:
        """Length of the run, fs."""
        return self.duration_fs if self.steps is None else self.steps * self.timestep_fs

    def with_timestep(self, timestep_fs: float) -> NveDriftSettings:
        """The settings of one run among several time steps."""
        if not self.timesteps and timestep_fs == self.timestep_fs:
            return self
        return replace(self, timestep_fs=timestep_fs, timesteps=())


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: NveDriftSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure, replica and time step; structures of equal size run as one batch.

    Raises:
        UnsupportedError: multiple time stepping of a model without a second kind of forces; or the model supports no structure.
    """
    from ncbench.md.ensemble import EnsembleInterrupted
    from ncbench.md.hydrogen_mass import repartitioned_cases
    from ncbench.md.integrators import Dynamics
    from ncbench.md.replicas import PlannedRun, run_replicas
    from ncbench.md.run import steps_of
    from ncbench.md.timesteps import timestep_rows

    outcome = Outcome(
        side={"protocol": [], "protocol_series": [], "species": [], "series": [], "species_series": [], "timesteps": []}
    )
    timesteps = settings.timesteps or (settings.timestep_fs,)
    runs = [
        PlannedRun(
            name=f"dt{one.timestep_fs:g}",
            stream="nve",
            settings=one,
            dynamics=Dynamics(one.outer_fs),
            n_steps=steps_of(one.length_fs, one.outer_fs),
        )
        for one in map(settings.with_timestep, timesteps)
    ]
    cases = replicated(repartitioned_cases(cases, settings.hmr), settings.replicas)
    refusals = Refusals(NVE_DRIFT, len(cases) * len(runs))

    def refuse(planned: PlannedRun, case: Case, error: BaseException) -> None:
        where = {"engine": settings.engine, "timestep_fs": planned.settings.timestep_fs}
        outcome.rows.append(refusals.row(case, error, **where))

    try:
        run_replicas(
            forcefield,
            context.reference,
            cases,
            runs,
            settings,
            seed=seed,
            rescale=settings.rescale,
            progress=context.progress,
            checkpoint=context.checkpoint,
            files=context.files,
            report=lambda planned, replica, scheme: _add_rows(outcome, planned, replica, scheme),
            refuse=refuse,
        )
    except EnsembleInterrupted:
        raise Interrupted(outcome) from None
    if len(timesteps) > 1:
        outcome.side["timesteps"] = timestep_rows(outcome.rows)
    return outcome


def _add_rows(outcome: Outcome, planned: PlannedRun, replica: Replica, scheme: Scheme) -> None:
    from ncbench.md.ensemble import early_end, enough_samples, interrupted_at
    from ncbench.md.hydrogen_mass import masses_by_element
    from ncbench.md.tables import series_rows, species_rows

    settings, ensemble = planned.settings, replica.ensemble
    assert isinstance(settings, NveDriftSettings)
    where = {"structure": replica.case.name, "n_atoms": len(replica.case.atoms)}
    ended = early_end(ensemble, replica.index, step_fs=settings.outer_fs, max_temperature_K=settings.max_temperature_K)
    row: dict[str, Any] = {
        **where,
        "engine": settings.engine,
        "integrator": scheme.name,
        "stride": scheme.stride,
        "timestep_fs": settings.timestep_fs,
        "masses_u": masses_by_element(replica.case.atoms, settings.hmr),
        "steps": planned.n_steps * scheme.stride,
        "duration_fs": settings.length_fs,
        "skip_fs": settings.skip_fs,
        "degrees_of_freedom": ensemble.series.particles.degrees_of_freedom,
        "momenta": ensemble.momenta,
        "trajectory": replica.trajectory or None,
        "force_calls": ensemble.result.force_calls,
    }
    if not ended:
        row |= {"status": Status.OK, "reason": ""}
        if ensemble.stopped_fs is not None:
            row |= {"duration_fs": ensemble.stopped_fs, "status": Status.INCOMPLETE, "reason": interrupted_at(ensemble)}
        if enough_samples(ensemble, settings.skip_fs):
            row |= _drifts(replica, settings, scheme)
            outcome.side["species"] += _species(replica, settings, where)
    else:
        row |= {**ended, "force_calls": int(ensemble.result.exploded_step[replica.index]) + 1}
    outcome.rows.append(NVE_DRIFT.row(**row))
    if settings.protocol is not None and row["status"] != Status.FAILED:
        used = asdict(settings) | {"steps": row["steps"], "redraw_momenta": ensemble.momenta == "drawn"}
        sides = protocol_rows.nve_rows(settings.protocol, row, ensemble.series, replica.index, used)
        for table, rows in sides.items():
            outcome.side[table] += rows
    series = {**where, "timestep_fs": settings.timestep_fs}
    outcome.side["series"] += series_rows(ensemble.series, replica.index, NVE_SERIES, series)
    outcome.side["species_series"] += species_rows(ensemble.series, replica.index, NVE_SPECIES_SERIES, series)


def _drifts(replica: Replica, settings: NveDriftSettings, scheme: Scheme) -> dict[str, Any]:
    import numpy as np

    from ncbench.md.measured import drift_from_energy, heating, warming
    from ncbench.md.tables import number
    from ncbench.statistics.heating import error_known_of_gradient

    series = replica.ensemble.series
    fit = series.times_fs >= settings.skip_fs
    times_ps = series.times_fs[fit] / 1000.0
    temperature = series.temperature[fit, replica.index]
    per_atom = 1.0 / (series.particles.n_atoms * MEV)
    total, kinetic = series.total[fit, replica.index] * per_atom, series.kinetic[fit, replica.index] * per_atom
    energy, values = heating(series, replica.index, fit, series.total)
    warmed = warming(series, replica.index, fit, energy)
    if scheme.rescale:
        power, values = heating(series, replica.index, fit, series.conserved)
        values |= {
            "power_meV_per_atom_per_ps": number(power.value),
            "power_meV_per_atom_per_ps_se": number(power.error),
        }
    kinetic_rms = float(np.std(kinetic))
    fluctuation = float(np.std(total - energy.value * times_ps)) / kinetic_rms if kinetic_rms > 0.0 else math.nan
    return values | {
        **_temperatures(warmed, temperature),
        **drift_from_energy(series, energy),
        "drift_K_per_s": number(warmed.value * 1e12),
        "energy_drift_meV_per_atom_per_ps": number(energy.value),
        "energy_drift_meV_per_atom_per_ps_se": number(energy.error),
        "energy_drift_dof": number(energy.dof),
        "plateau": (warmed if math.isnan(energy.value) else energy).plateau,
        "error_known_of_gradient": error_known_of_gradient(times_ps, total),
        "energy_change_meV_per_atom": number(total[-1] - total[0]),
        "energy_fluctuation_share": number(fluctuation),
    }


def _temperatures(heating: Slope, temperature: FloatArray) -> dict[str, Any]:
    from ncbench.md.tables import number

    tenth = max(1, len(temperature) // 10)
    return {
        "drift_K_per_ps": number(heating.value),
        "drift_K_per_ps_se": number(heating.error),
        "temperature_mean_K": number(float(temperature.mean())),
        "temperature_start_K": number(float(temperature[:tenth].mean())),
        "temperature_end_K": number(float(temperature[-tenth:].mean())),
    }


def _species(replica: Replica, settings: NveDriftSettings, where: dict[str, Any]) -> list[dict[str, Any]]:
    from ncbench.statistics.floors import temperature_slope_error
    from ncbench.statistics.series import slope

    series = replica.ensemble.series
    fit = series.times_fs >= settings.skip_fs
    times_ps = series.times_fs[fit] / 1000.0
    degrees = series.particles.species_degrees_of_freedom()[replica.index].tolist()
    rows = []
    for group, name in enumerate(series.particles.species):
        if not bool(series.particles.membership[replica.index, group].any()):
            continue
        temperature = series.species_temperature[fit, replica.index, group]
        length_ps = float(times_ps[-1] - times_ps[0]) if len(times_ps) else 0.0
        floor = temperature_slope_error(float(temperature.mean()), length_ps, degrees[group])
        values = _temperatures(slope(times_ps, temperature, floor=floor if floor > 0 else 0.0), temperature)
        rows.append(NVE_SPECIES.row(**where, species=name, degrees_of_freedom=degrees[group], **values))
    return rows


def cost(settings: NveDriftSettings, n_atoms: int) -> float:
    """Total number of steps of all time steps and replicas."""
    runs = map(settings.with_timestep, settings.timesteps or (settings.timestep_fs,))
    steps = sum(one.length_fs / one.timestep_fs for one in runs)
    return steps * settings.replicas * calls_per_step(settings.mts)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Drifts of the longest runs."""
    return (
        # The energy gives the drift of the temperature by equipartition, with a much smaller error in short runs.
        Quantity("drift_from_energy", "NVE heating", "K/ps", _of_longest("drift_from_energy_K_per_ps")),
        Quantity("energy_drift", "NVE drift", "meV/atom/ps", _of_longest("energy_drift_meV_per_atom_per_ps")),
    )


def _of_longest(column: str) -> Callable[[pd.DataFrame], Cell]:
    def value(rows: pd.DataFrame) -> Cell:
        length = rows["steps"] * rows["timestep_fs"]
        longest = with_drift_from_energy(rows[length == length.max()])
        # The smallest of several time steps, whose drift is least affected by the integrator.
        smallest = longest[longest["timestep_fs"] == longest["timestep_fs"].min()]
        cell = mean_cell(smallest, column)
        known = "plateau" not in smallest or bool(smallest["plateau"].fillna(True).astype(bool).all())
        return replace(cell, loose=cell.value is not None and not known)

    return value


CAUSES = {
    "forces": "the drift is caused by the forces",
    "integrator": "the drift is caused by the integrator",
    "both": "the drift is caused by the forces and by the integrator",
    "none": "no drift beyond its error",
}


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """The cause of the drift where several time steps were run, starts that are out of equilibrium, and runs that are too short."""
    lines = []
    for row in side("timesteps") if len({row["job"] for row in rows}) < len(rows) else ():
        limit = with_error(row["limit_meV_per_atom_per_ps"], row["limit_meV_per_atom_per_ps_se"])
        exponent = with_error(row["ratio_order"], row["ratio_order_se"])
        order = "" if exponent == ABSENT else f", |drift| ∝ Δt^{exponent}"
        lines.append(
            f"{label_of(row)}, {row['structure']}: {CAUSES[row['verdict']]} (limit Δt → 0: {limit} meV/atom/ps{order})"
        )
    lines += equilibrating(rows) + settling(rows, side("series"))
    short = [row for row in rows if row["status"] == "ok" and row.get("plateau") is False]
    if short:
        names = ", ".join(f"{label_of(row)} {row['structure']} {row['timestep_fs']:g} fs" for row in short)
        lines.append(f"Too short to tell the energy's noise from a random walk (errors are lower bounds): {names}")
    return lines + protocol_rows.remarks(side("protocol"))


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    for one, other in (("steps", "duration_fs"), ("timesteps", "timestep_fs")):
        if one in options and other in options:
            flag = other.removesuffix("_fs")
            raise UsageError(f"--{one} and --{flag} were both given.", hint="Leave one out.")
    return options


DIAGNOSTIC = Diagnostic(
    name="nve-drift",
    rank=30,
    version=5,
    summary="Drift of constant-energy dynamics: slope of the total energy and of the temperature, with errors.",
    help="Velocity Verlet from an equilibrated start. Units: meV/atom/ps, K/ps. After an interruption, the same command continues "
    "from its checkpoint with the same results.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative",
        "-m sevennet-0 --timestep 0.5 --duration 2000",
        "-m pet-m:direct --timesteps 0.25,0.5,1",
        "-m pet-m --mts 8",
        "-m pet-m --protocol lambench-nve --steps 1000",
    ),
    settings=NveDriftSettings,
    presets={
        Budget.SMOKE: NveDriftSettings(duration_fs=100.0, sample_every=1),
        Budget.LAPTOP: NveDriftSettings(duration_fs=500.0, sample_every=2),
        Budget.PAPER: NveDriftSettings(duration_fs=50_000.0, sample_every=10),
    },
    run=run,
    schema=NVE_DRIFT,
    side_schemas={
        "species": NVE_SPECIES,
        "series": NVE_SERIES,
        "species_series": NVE_SPECIES_SERIES,
        "timesteps": TIMESTEPS,
        "protocol": protocol_rows.NVE_PROTOCOL,
        "protocol_series": protocol_rows.NVE_PROTOCOL_SERIES,
    },
    cost=cost,
    show=(
        Shown("Δt fs", "timestep_fs"),
        Shown("steps", "steps"),
        Shown.measured("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", known="plateau"),
        Shown.measured("drift K/ps", "drift_from_energy_K_per_ps", known="plateau", instead="drift_K_per_ps"),
        Shown("⟨T⟩ K", "temperature_mean_K"),
    ),
    quantities=quantities,
    ranks={"integrator": INTEGRATORS, "masses_u": REAL_MASSES},
    remarks=remarks,
    conditions=("timestep_fs", "steps"),
    resolve=_resolve,
    takes_reference=True,
)
