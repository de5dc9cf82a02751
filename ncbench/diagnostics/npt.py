"""Constant pressure: does a direct stress hold the cell? (Bigi, Langer & Ceriotti 2025, Figure 10 and App. G.3)

With i-PI's isotropic barostat (Bussi, Zykova-Timan & Parrinello, J. Chem. Phys. 130, 074101, 2009). A direct stress is not the strain derivative of the
energy; the enthalpy then drifts at constant enthalpy (NPH).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ncbench.diagnostics.base import REAL_MASSES, Context, Diagnostic, Shown
from ncbench.diagnostics.costs import calls_per_step
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError
from ncbench.md.limits import require_time_constant
from ncbench.md.schemas import MASSES
from ncbench.md.settings import MdSettings, parse_thermostat, require_non_negative, require_thermostat_of_engine
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.types import NOT_FINITE_AT_START, Budget, Case, Interrupted, Outcome, Status, replicated
from ncbench.units import KB, MEV

if TYPE_CHECKING:
    from ase import Atoms

    from ncbench.md.ipi_box import BoxRun
    from ncbench.models.interface import ForceField
    from ncbench.statistics.series import FloatArray

_U_PER_A3 = 1.66053906660
"""u/Å³ in g/cm³."""
_LEAST_SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class NptSettings(MdSettings):
    """Ensemble, length, and source of the stress."""

    ensemble: Annotated[
        Literal["npt", "nph"], Option("nph has neither thermostat nor a bath on the barostat.", metavar="npt|nph")
    ] = "npt"
    conservative_forces: Annotated[
        bool,
        Option(
            "Conservative forces with the direct stress, which isolates the effect of the stress (the paper's Figure 10)."
        ),
    ] = False
    mts: Annotated[
        int | None,
        Option("Multiple time stepping: conservative forces and stress every M-th step.", metavar="M", minimum=1),
    ] = None
    thermostat: Annotated[str, Option("Thermostat.", metavar="langevin:TAU|svr:TAU|gle[:FILE]")] = "svr:10"
    pressure_GPa: Annotated[float, Option("Pressure, GPa.", flag="--pressure", metavar="GPa")] = 0.0
    barostat_tau_fs: Annotated[
        float, Option("Time constant of the barostat, fs.", flag="--barostat-tau", metavar="FS")
    ] = 200.0
    equilibration_fs: Annotated[float, Option("Time before averaging, fs.", flag="--equilibration", metavar="FS")] = (
        500.0
    )
    duration_fs: Annotated[float, Option("Length of the run, fs.", flag="--duration", metavar="FS")] = 2000.0
    replicas: Annotated[int, Option("Runs per structure, each with its own momenta.", metavar="R")] = 1
    max_stretch: float = 1.5
    """Factor of growth or shrinkage of the cell length above which a run counts as exploded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_non_negative("equilibration_fs", self.equilibration_fs)
        require_thermostat_of_engine(parse_thermostat(self.thermostat)[0], "i-pi")
        for name in ("mts", "replicas"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1.")
        require_time_constant("barostat_tau_fs", self.barostat_tau_fs)
        if not self.max_stretch > 1:
            raise UsageError(f"max_stretch is {self.max_stretch}; it must be above 1.")
        if not math.isfinite(self.pressure_GPa):
            raise UsageError(f"pressure_GPa is {self.pressure_GPa}; it must be finite.")
        if self.mts is not None and self.conservative_forces:
            raise UsageError("mts and conservative_forces were both requested.", hint="Leave one out.")


SCHEMA = TableSchema(
    "npt",
    4,
    (
        Column("ensemble", "str", "", "npt or nph, by i-PI's isotropic barostat"),
        Column("stress_from", "str", "", "source of the stress: direct, conservative, or mts"),
        Column("forces_from", "str", "", "source of the forces: direct, conservative, or mts"),
        Column("stride", "int", "", "M: fast-force steps per slow-force evaluation; 1 without mts"),
        Column("pressure_GPa", "float", "GPa", "pressure of the barostat"),
        Column("target_K", "float", "K", "temperature of thermostat and barostat; in nph of the initial momenta"),
        Column("cell_length_A", "float", "Å", "mean cube root of the volume"),
        Column("cell_length_A_se", "float", "Å", "its standard error by blocking"),
        Column("cell_length_A_dof", "float", "", "degrees of freedom of that error"),
        Column(
            "plateau",
            "bool",
            "",
            "that error stopped growing with the block length; if false, the error is a lower bound",
        ),
        Column("cell_length_start_A", "float", "Å", "initial cell length"),
        Column("cell_drift_A_per_ps", "float", "Å/ps", "slope of the cell length"),
        Column("cell_drift_A_per_ps_se", "float", "Å/ps", "its standard error"),
        Column("density_g_per_cm3", "float", "g/cm³", "mass over mean volume"),
        Column("temperature_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_K_se", "float", "K", "standard error by blocking, with the thermostat's fluctuations"),
        Column("temperature_K_dof", "float", "", "degrees of freedom of that error; absent if infinite"),
        Column(
            "enthalpy_drift_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of i-PI's conserved quantity: enthalpy minus the energy added by the baths",
        ),
        Column("enthalpy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("enthalpy_error_known", "bool", "", "if false, that error is a lower bound"),
        Column("timestep_fs", "float", "fs", "time step; of the fast forces with mts"),
        MASSES,
        Column("steps", "int", "steps", "(fast) steps averaged over"),
        Column("momenta", "str", "", "structure: read from the structure; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "time of the explosion"),
    ),
)
SERIES = TableSchema(
    "npt-series",
    1,
    (
        *SCHEMA.columns[:4],
        Column("time_fs", "float", "fs", "from the start of the run"),
        Column("cell_length_A", "float", "Å", "cube root of the volume"),
        Column("temperature_K", "float", "K", "kinetic temperature"),
        Column("energy_eV", "float", "eV", "potential energy"),
        Column("conserved_eV", "float", "eV", "i-PI's conserved quantity"),
    ),
)
_LONGEST = 4000


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: NptSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure and replica, run consecutively.

    Raises:
        UnsupportedError: i-PI is not installed; a structure without a cell; a model without a stress, or without a second kind of
            forces if one is requested.
    """
    from ncbench.md.checkpoint import StagedCheckpoint
    from ncbench.md.constant_pressure import drivers, simulation_input
    from ncbench.md.hydrogen_mass import repartitioned_cases
    from ncbench.md.ipi_box import BoxInterrupted, run_box
    from ncbench.md.run import steps_of

    cases = replicated(repartitioned_cases(cases, settings.hmr), settings.replicas)
    drive, stress_from, forces_from = drivers(
        forcefield, context.reference, mts=settings.mts is not None, conservative_forces=settings.conservative_forces
    )
    stride = settings.mts or 1
    outer_fs = settings.timestep_fs * stride
    n_steps = steps_of(settings.equilibration_fs + settings.duration_fs, outer_fs)
    context.progress.start(n_steps * len(cases), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"series": []})
    told_of = {"ensemble": settings.ensemble, "stress_from": stress_from, "forces_from": forces_from, "stride": stride}
    refusals = Refusals(SCHEMA, len(cases))
    for index, case in enumerate(cases):

        def report(step: int, note: str, before: int = index * n_steps) -> None:
            context.progress.update(before + step, note)

        try:
            if not case.atoms.pbc.all():
                raise UnsupportedError(
                    f"{case.name} is not periodic in three directions.", hint="Choose another --system."
                )
            ipi_input, momenta = simulation_input(case.atoms, settings, seed, index)
            box_run = run_box(
                ipi_input,
                drive(case.atoms),
                n_steps=n_steps,
                sample_every=max(1, settings.sample_every // stride),
                max_temperature_K=settings.max_temperature_K,
                max_stretch=settings.max_stretch,
                checkpoint=stages.stage(f"replica{index}"),
                report=report,
            )
        except BoxInterrupted as stop:
            _add(outcome, case, stop.result, settings, {**told_of, "momenta": momenta}, whole=False)
            raise Interrupted(outcome) from None
        except REFUSED as error:
            outcome.rows.append(refusals.row(case, error))
            continue
        _add(outcome, case, box_run, settings, {**told_of, "momenta": momenta}, whole=True)
    return outcome


def _add(
    outcome: Outcome, case: Case, box_run: BoxRun, settings: NptSettings, told_of: dict[str, Any], *, whole: bool
) -> None:
    import numpy as np

    from ncbench.md.hydrogen_mass import masses_by_element
    from ncbench.md.tables import number

    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    series, stride = box_run.series, int(told_of["stride"])
    outer_fs = settings.timestep_fs * stride
    row: dict[str, Any] = {
        **where,
        **told_of,
        "pressure_GPa": settings.pressure_GPa,
        "target_K": settings.temperature_K,
        "timestep_fs": settings.timestep_fs,
        "masses_u": masses_by_element(case.atoms, settings.hmr),
        "steps": max(0, box_run.steps - round(settings.equilibration_fs / outer_fs)) * stride,
        "cell_length_start_A": float(np.cbrt(case.atoms.get_volume())),
    }
    if box_run.unusable:
        row |= {"status": Status.FAILED, "reason": NOT_FINITE_AT_START}
    elif box_run.exploded_step is not None:
        at = box_run.exploded_step * outer_fs
        reason = f"not finite, above {settings.max_temperature_K:g} K, or {settings.max_stretch:g} times as long after {at:g} fs"
        row |= {"exploded_at_fs": at, "status": Status.EXPLODED, "reason": reason}
    else:
        row |= {"status": Status.OK, "reason": ""}
        if not whole:
            reason = f"interrupted after {box_run.steps * outer_fs:g} fs; the results, if any, are from this time"
            row |= {"status": Status.INCOMPLETE, "reason": reason}
        row |= _numbers(case.atoms, box_run, settings)
    outcome.rows.append(SCHEMA.row(**row))
    temperatures = _temperatures(case.atoms, box_run, settings)
    tags = {key: told_of[key] for key in ("ensemble", "stress_from", "forces_from", "stride")}
    every = max(1, -(-len(temperatures) // _LONGEST))
    outcome.side["series"] += [
        SERIES.row(
            **where,
            **tags,
            time_fs=float(series.times_fs[k]),
            cell_length_A=number(series.length_A[k]),
            temperature_K=number(temperatures[k]),
            energy_eV=number(series.energy_eV[k]),
            conserved_eV=number(series.conserved_eV[k]),
        )
        for k in range(0, len(temperatures), every)
    ]


def _temperatures(atoms: Atoms, box_run: BoxRun, settings: NptSettings) -> FloatArray:
    import numpy as np

    degrees = 3 * len(atoms) - (3 if settings.fix_com else 0)
    return 2.0 * np.array(box_run.series.kinetic_eV) / (degrees * KB)


def _numbers(atoms: Atoms, box_run: BoxRun, settings: NptSettings) -> dict[str, Any]:
    import numpy as np

    from ncbench.md.tables import number
    from ncbench.statistics.floors import SPECIES_EXCHANGE_FS, relaxation, temperature_error
    from ncbench.statistics.heating import Bath, drawn_power, heating_slope
    from ncbench.statistics.series import blocking_mean, slope

    series = box_run.series
    used = series.times_fs >= settings.equilibration_fs
    if int(used.sum()) < _LEAST_SAMPLES:
        return {}
    times = series.times_fs[used] / 1000.0
    length = series.length_A[used]
    thermostat, tau_fs = parse_thermostat(settings.thermostat)
    times_of = relaxation(None if settings.ensemble == "nph" else thermostat, tau_fs)
    interval_fs = float(series.times_fs[1] - series.times_fs[0])
    n_dof = 3.0 * len(atoms) - 3.0
    slowest_fs = max(settings.barostat_tau_fs, SPECIES_EXCHANGE_FS)
    mean_length = blocking_mean(length, relaxation=slowest_fs / interval_fs)
    temperature = blocking_mean(
        _temperatures(atoms, box_run, settings)[used],
        relaxation=slowest_fs / interval_fs,
        floor=temperature_error(settings.temperature_K, len(length) * interval_fs, times_of, n_dof=n_dof),
    )
    drift = slope(times, length)
    conserved = np.array(series.conserved_eV)[used] / (len(atoms) * MEV)
    kelvin, n_atoms = settings.temperature_K, len(atoms)
    if settings.ensemble == "nph":
        enthalpy = heating_slope(times, conserved, temperature_K=kelvin, n_atoms=n_atoms)
    else:
        bath = Bath(thermostat, tau_fs, n_dof)
        enthalpy = drawn_power(times, conserved, temperature_K=kelvin, n_atoms=n_atoms, bath=bath)
    return {
        "cell_length_A": number(mean_length.value),
        "cell_length_A_se": number(mean_length.error),
        "cell_length_A_dof": number(mean_length.dof),
        "plateau": mean_length.plateau,
        "cell_drift_A_per_ps": number(drift.value),
        "cell_drift_A_per_ps_se": number(drift.error),
        "density_g_per_cm3": _U_PER_A3
        * float(atoms.get_masses().sum())
        / float(np.mean(np.array(series.volume_A3)[used])),
        "temperature_K": number(temperature.value),
        "temperature_K_se": number(temperature.error),
        "temperature_K_dof": number(temperature.dof),
        "enthalpy_drift_meV_per_atom_per_ps": number(enthalpy.value),
        "enthalpy_drift_meV_per_atom_per_ps_se": number(enthalpy.error),
        "enthalpy_error_known": enthalpy.known,
    }


def cost(settings: NptSettings, n_atoms: int) -> float:
    """Number of steps, including equilibration."""
    steps = (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs
    return steps * settings.replicas * calls_per_step(settings.mts)


DIAGNOSTIC = Diagnostic(
    name="npt",
    rank=50,
    version=4,
    summary="Constant pressure: cell length and drift of the enthalpy, with conservative or direct stresses (i-PI's isotropic barostat).",
    help="Needs ncbench[i-pi], and a model with a stress. A direct stress is not a derivative of the energy, so that the enthalpy drifts in nph.",
    examples=(
        "--model pet-m:conservative --duration 1000",
        "--model pet-m:conservative --ensemble nph",
        "--model ./model.pt:direct --ensemble nph --conservative-forces",
    ),
    settings=NptSettings,
    presets={
        Budget.SMOKE: NptSettings(equilibration_fs=0.0, duration_fs=20.0, sample_every=1),
        Budget.LAPTOP: NptSettings(equilibration_fs=100.0, duration_fs=400.0),
        Budget.PAPER: NptSettings(equilibration_fs=20_000.0, duration_fs=200_000.0, sample_every=20),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("ensemble", "ensemble"),
        Shown("stress", "stress_from"),
        Shown("forces", "forces_from"),
        Shown("M", "stride"),
        Shown.measured("cell Å", "cell_length_A", known="plateau"),
        Shown.measured("cell drift Å/ps", "cell_drift_A_per_ps"),
        Shown.measured(
            "enthalpy drift meV/atom/ps", "enthalpy_drift_meV_per_atom_per_ps", known="enthalpy_error_known"
        ),
        Shown.measured("⟨T⟩ K", "temperature_K"),
        Shown("g/cm³", "density_g_per_cm3"),
    ),
    ranks={"masses_u": REAL_MASSES},
    conditions=("ensemble", "timestep_fs", "steps"),
    takes_reference=True,
    side_schemas={"series": SERIES},
)
