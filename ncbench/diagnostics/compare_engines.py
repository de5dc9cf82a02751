"""The same model and the same start in several programs: does a drift come from the model or from the program that integrates?

Velocity Verlet at constant energy in ncbench's own engine, in ASE, in LAMMPS, in i-PI and in torch-sim. Each reports its energies and forces before the first
step; their differences show a fault in units, neighbour lists or masses. The drifts are compared afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

from ncbench.diagnostics.base import Context, Diagnostic, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError, did_you_mean
from ncbench.md.schemas import ENGINE_COLUMN, MASSES
from ncbench.md.settings import DISTRIBUTIONS, NAMES_OF_ENGINES, Engine, MdSettings
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.statistics.format import ABSENT
from ncbench.statistics.format import number as plain
from ncbench.statistics.intervals import SIGMAS
from ncbench.types import Budget, Case, Interrupted, Outcome, Status
from ncbench.units import MEV

if TYPE_CHECKING:
    from ncbench.md.checkpoint import StagedCheckpoint
    from ncbench.md.ensemble import EnsembleRun
    from ncbench.models.interface import ForceField

OWN: Engine = "own"

ENERGY_TOLERANCE, KINETIC_TOLERANCE, FORCE_TOLERANCE = 0.1, 1e-5, 1e-3
"""Above rounding in float32 (forces some 1e-5) and the engines' different constants (1e-7), below any fault in units, masses or neighbour lists."""
LEAST_FORCE_TOLERANCE = 0.1
"""meV/Å: at a minimum the rms of the forces is no scale."""
ONE_PATH_A = 1e-3
"""Distance at the end below which two runs followed one trajectory: a hundredth of a vibration's amplitude."""


@dataclass(frozen=True, kw_only=True)
class CompareEnginesSettings(MdSettings):
    """Engines, length, time step and initial conditions."""

    engines: Annotated[
        tuple[str, ...],
        Option(
            "Programs that integrate. own (ncbench itself) always runs, and the others are compared with it. lammps needs ncbench[lammps], i-pi ncbench[i-pi], "
            "torch-sim ncbench[torch-sim] and Python 3.12.",
            flag="--engine",
            metavar=",".join(NAMES_OF_ENGINES),
            comma=True,
        ),
    ] = ("own", "ase")

    def __post_init__(self) -> None:
        super().__post_init__()
        for engine in self.engines:
            if engine not in NAMES_OF_ENGINES:
                raise UsageError(
                    f"There is no engine {engine!r}; choose from {', '.join(NAMES_OF_ENGINES)}.",
                    hint=did_you_mean(engine, NAMES_OF_ENGINES),
                )
        if not self.duration_fs > 0.0:
            raise UsageError(f"duration_fs is {self.duration_fs:g}; a drift needs a run.")
        if not self.others:
            raise UsageError("No engine was given besides own.", hint="Write for example --engine ase,lammps.")

    @property
    def others(self) -> tuple[Engine, ...]:
        """The engines besides our own, each once."""
        return tuple(cast("Engine", engine) for engine in dict.fromkeys(self.engines) if engine != OWN)


SCHEMA = TableSchema(
    "compare-engines",
    2,
    (
        ENGINE_COLUMN,
        Column("engine_version", "str", "", "version of its Python package"),
        Column("timestep_fs", "float", "fs", "time step of velocity Verlet"),
        MASSES,
        Column("steps", "int", "", "steps"),
        Column("duration_fs", "float", "fs", "length of the run"),
        Column(
            "start_energy_difference_meV_per_atom",
            "float",
            "meV/atom",
            "potential energy that the engine reports before the first step, minus that of own",
        ),
        Column(
            "start_kinetic_difference_meV_per_atom", "float", "meV/atom", "the same of the engine's own kinetic energy"
        ),
        Column(
            "start_force_difference_meV_per_A",
            "float",
            "meV/Å",
            "largest component of the difference of forces before the first step",
        ),
        Column("start_force_rms_meV_per_A", "float", "meV/Å", "rms of the components of own's forces"),
        Column(
            "start_agrees",
            "bool",
            "",
            f"before the first step: potential energies within {ENERGY_TOLERANCE:g} meV/atom, kinetic ones within {KINETIC_TOLERANCE:g} of their value, "
            f"forces within {FORCE_TOLERANCE:g} of their rms or {LEAST_FORCE_TOLERANCE:g} meV/Å",
        ),
        Column("energy_drift_meV_per_atom_per_ps", "float", "meV/atom/ps", "slope of potential + kinetic energy"),
        Column("energy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("energy_drift_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column("plateau", "bool", "", "the error is known; if false, it is a lower bound"),
        Column("drift_difference_meV_per_atom_per_ps", "float", "meV/atom/ps", "drift minus that of own"),
        Column(
            "drift_difference_meV_per_atom_per_ps_se",
            "float",
            "meV/atom/ps",
            "combined standard error of the two drifts, as of independent runs",
        ),
        Column(
            "drift_difference_known", "bool", "", "both errors are known; if false, the combined one is a lower bound"
        ),
        Column("ratio_drift_difference", "float", "", "the difference over its combined error"),
        Column(
            "agrees",
            "bool",
            "",
            f"the drifts differ by at most {SIGMAS:g} combined errors; absent where an error is a lower bound, unless the positions at the end "
            f"are the same within {ONE_PATH_A:g} Å",
        ),
        Column("end_position_difference_A", "float", "Å", "rms difference from own's positions after the last step"),
        Column("temperature_mean_K", "float", "K", "mean kinetic temperature"),
        Column("momenta", "str", "", "structure: read from the structure; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
        Column("force_calls", "int", "", "force evaluations of the run"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: CompareEnginesSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure and engine, own first; an engine that is not installed is a row that says what to install.

    Raises:
        UnsupportedError: every structure has constraints.
    """
    from ncbench.md.checkpoint import StagedCheckpoint
    from ncbench.md.ensemble import EnsembleInterrupted
    from ncbench.md.hydrogen_mass import masses_by_element, repartitioned_cases
    from ncbench.md.run import steps_of

    outcome = Outcome()
    n_steps = steps_of(settings.duration_fs, settings.timestep_fs)
    engines: tuple[Engine, ...] = (OWN, *settings.others)
    context.progress.start(n_steps * len(engines) * len(cases), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    refusals = Refusals(SCHEMA, len(cases))
    for number, case in enumerate(repartitioned_cases(cases, settings.hmr)):
        own: tuple[dict[str, Any], EnsembleRun] | None = None
        for engine in engines:
            row: dict[str, Any] = {
                "structure": case.name,
                "n_atoms": len(case.atoms),
                "engine": engine,
                "engine_version": _version(engine),
                "timestep_fs": settings.timestep_fs,
                "masses_u": masses_by_element(case.atoms, settings.hmr),
                "steps": n_steps,
                "duration_fs": n_steps * settings.timestep_fs,
            }
            before = n_steps * (number * len(engines) + engines.index(engine))
            try:
                row |= _start(forcefield, case, engine, settings, seed=seed, number=number)
                ensemble = _run(forcefield, case, engine, settings, n_steps, seed, number, stages, context, before)
            except REFUSED as error:
                if engine == OWN or not isinstance(error, UnsupportedError):
                    outcome.rows.append(refusals.row(case, error))
                    break
                outcome.rows.append(SCHEMA.row(**row, status=Status.UNSUPPORTED, reason=str(error)))
                continue
            except EnsembleInterrupted:
                raise Interrupted(outcome) from None
            row |= _measured(ensemble, settings)
            if own is None:
                own = row, ensemble
            else:
                row |= _compared(row, ensemble, *own)
            outcome.rows.append(SCHEMA.row(**row))
    return outcome


def _version(engine: Engine) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTIONS[engine])
    except PackageNotFoundError:
        return ""


def _run(
    forcefield: ForceField,
    case: Case,
    engine: Engine,
    settings: CompareEnginesSettings,
    n_steps: int,
    seed: int,
    number: int,
    stages: StagedCheckpoint,
    context: Context,
    steps_before: int,
) -> EnsembleRun:
    from ncbench.md.ensemble import run_ensemble
    from ncbench.md.integrators import Dynamics

    return run_ensemble(
        forcefield,
        [case.atoms],
        [number],
        Dynamics(settings.timestep_fs),
        settings,
        n_steps=n_steps,
        seed=seed,
        label="nve",
        checkpoint=stages.stage(f"{engine}.{number}"),
        report=lambda step, note: context.progress.update(steps_before + step, f"{engine} {note}".strip()),
        engine=engine,
    )


def _start(
    forcefield: ForceField, case: Case, engine: Engine, settings: CompareEnginesSettings, *, seed: int, number: int
) -> dict[str, Any]:
    """Columns of what the engine reports before the first step, against the bound field's energy and forces."""
    import numpy as np

    from ncbench.md.engines import external_engine
    from ncbench.md.ensemble import VERLET, Start
    from ncbench.md.integrators import Dynamics
    from ncbench.md.run import warm_up
    from ncbench.md.state import kinetic_energy
    from ncbench.md.tables import number as finite

    if engine == OWN:
        return {}
    start = Start.of(forcefield, [case.atoms], [number], settings, seed=seed, label="nve")
    stepper = external_engine(
        engine,
        Dynamics(settings.timestep_fs),
        VERLET,
        forcefield,
        [case.atoms],
        seed=seed,
        replicas=[number],
        label="nve",
        temperature_K=settings.temperature_K,
    )
    # A model optimised after its first calls would differ from itself by rounding.
    warm_up(start.field)
    state = stepper.initialise(start.state(), start.particles, start.noise)
    reported = stepper.reported(state, start.field, start.particles)
    per_atom = 1.0 / (len(case.atoms) * MEV)
    forces = state.forces[0].cpu().numpy()
    kinetic = float(kinetic_energy(state.momenta, start.particles)[0])
    energy_difference = (reported.potential_eV - float(state.energy[0])) * per_atom
    kinetic_difference = (reported.kinetic_eV - kinetic) * per_atom
    force_difference = float(np.abs(reported.forces - forces).max()) / MEV
    force_rms = float(np.sqrt((forces**2).mean())) / MEV
    # A model without an energy has NaN in all engines.
    energies_agree = not abs(energy_difference) > ENERGY_TOLERANCE
    return {
        "start_energy_difference_meV_per_atom": finite(energy_difference),
        "start_kinetic_difference_meV_per_atom": finite(kinetic_difference),
        "start_force_difference_meV_per_A": finite(force_difference),
        "start_force_rms_meV_per_A": finite(force_rms),
        # Of forces that are not finite nothing agrees or differs.
        "start_agrees": None
        if not math.isfinite(force_difference)
        else energies_agree
        and abs(kinetic_difference) <= KINETIC_TOLERANCE * kinetic * per_atom
        and force_difference <= max(FORCE_TOLERANCE * force_rms, LEAST_FORCE_TOLERANCE),
    }


def _measured(ensemble: EnsembleRun, settings: CompareEnginesSettings) -> dict[str, Any]:
    import numpy as np

    from ncbench.md.ensemble import early_end
    from ncbench.md.measured import heating
    from ncbench.md.tables import number

    common = {"momenta": ensemble.momenta, "force_calls": ensemble.result.force_calls}
    ended = early_end(ensemble, 0, step_fs=settings.timestep_fs, max_temperature_K=settings.max_temperature_K)
    if ended:
        return common | ended
    series = ensemble.series
    drift, _rate = heating(series, 0, np.ones(len(series.times_fs), dtype=bool), series.total)
    return common | {
        "status": Status.OK,
        "reason": "",
        "energy_drift_meV_per_atom_per_ps": number(drift.value),
        "energy_drift_meV_per_atom_per_ps_se": number(drift.error),
        "energy_drift_dof": number(drift.dof),
        "plateau": drift.known,
        "temperature_mean_K": number(float(series.temperature[:, 0].mean())),
    }


def _compared(row: dict[str, Any], ensemble: EnsembleRun, own_row: dict[str, Any], own: EnsembleRun) -> dict[str, Any]:
    """Columns of the difference from our own engine; empty where one of the two has no drift."""
    drift, error = "energy_drift_meV_per_atom_per_ps", "energy_drift_meV_per_atom_per_ps_se"
    if any(each.get(column) is None for each in (row, own_row) for column in (drift, error)):
        return {}
    difference = row[drift] - own_row[drift]
    combined = math.hypot(row[error], own_row[error])
    known = bool(row["plateau"] and own_row["plateau"])
    within = abs(difference) <= SIGMAS * combined
    apart = ensemble.result.state.positions - own.result.state.positions
    distance_A = float((apart**2).sum(dim=2).mean().sqrt())
    # Runs that follow one path have one drift, whatever its error.
    decided = known or (within and distance_A < ONE_PATH_A)
    return {
        "drift_difference_meV_per_atom_per_ps": difference,
        "drift_difference_meV_per_atom_per_ps_se": combined,
        "drift_difference_known": known,
        "ratio_drift_difference": abs(difference) / combined if combined > 0.0 else None,
        "agrees": within if decided else None,
        "end_position_difference_A": distance_A,
    }


def cost(settings: CompareEnginesSettings, n_atoms: int) -> float:
    """Steps of all engines, each with some calls for the forces at the start."""
    return (settings.duration_fs / settings.timestep_fs + 8.0) * (1 + len(settings.others))


def _text(value: float | None) -> str:
    return ABSENT if value is None else plain(value)


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """Which engines agree with ncbench's own, and which are not installed. Rows of refused structures name no engine."""
    lines = []
    for row in (one for one in rows if one["engine"] is not None):
        if row["status"] == Status.UNSUPPORTED:
            lines.append(f"{NAMES_OF_ENGINES[row['engine']]} was not run: {row['reason']}")
        if row["start_agrees"] is False:
            lines.append(
                f"{label_of(row)}, {row['structure']}: before the first step {NAMES_OF_ENGINES[row['engine']]} differs from ncbench by "
                f"{_text(row['start_energy_difference_meV_per_atom'])} meV/atom of potential and {_text(row['start_kinetic_difference_meV_per_atom'])} of "
                f"kinetic energy and {_text(row['start_force_difference_meV_per_A'])} meV/Å of force: the drifts are of different forces or masses."
            )
        if row["agrees"] is False:
            lines.append(
                f"{label_of(row)}, {row['structure']}: the drift in {NAMES_OF_ENGINES[row['engine']]} differs from ncbench's by "
                f"{row['ratio_drift_difference']:.1f} combined errors: the engine, not the model, makes the difference."
            )
    compared = [row for row in rows if row["agrees"] is not None]
    if compared and all(row["agrees"] and row["start_agrees"] for row in compared):
        names = ", ".join(NAMES_OF_ENGINES[name] for name in dict.fromkeys(row["engine"] for row in compared))
        lines.append(f"Within errors the drift is the same as ncbench's in: {names}.")
    return list(dict.fromkeys(lines))


DIAGNOSTIC = Diagnostic(
    name="compare-engines",
    rank=35,
    version=3,
    summary="The same weights and start in ncbench, ASE, LAMMPS, i-PI and torch-sim: differences before the first step, and drifts side by side.",
    help="A drift that all engines share comes from the model or the time step (nve-drift --timesteps tells which); one of a single engine comes from that engine. ASE gets its forces "
    "through an ASE calculator, LAMMPS through `fix external`, i-PI through its driver interface, torch-sim through its model interface.",
    examples=(
        "--model pet-m:conservative",
        "-m sevennet-0 --engine ase,lammps,i-pi --duration 2000",
        "-m ./my_model.py:factory --structure start.xyz --engine lammps",
    ),
    settings=CompareEnginesSettings,
    presets={
        Budget.SMOKE: CompareEnginesSettings(duration_fs=50.0, sample_every=1),
        Budget.LAPTOP: CompareEnginesSettings(duration_fs=500.0),
        Budget.PAPER: CompareEnginesSettings(duration_fs=10_000.0, sample_every=4),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("engine", "engine"),
        Shown("ΔE₀ meV/atom", "start_energy_difference_meV_per_atom"),
        Shown("ΔF₀ meV/Å", "start_force_difference_meV_per_A"),
        Shown.measured("drift meV/atom/ps", "energy_drift_meV_per_atom_per_ps", known="plateau"),
        Shown.measured("− own", "drift_difference_meV_per_atom_per_ps", known="drift_difference_known"),
        Shown("apart Å", "end_position_difference_A"),
        Shown("agrees", "agrees"),
    ),
    remarks=remarks,
    conditions=("engine", "timestep_fs", "steps"),
)
