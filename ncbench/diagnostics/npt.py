"""Constant pressure: does a direct stress hold the cell? (Figure 10 and appendix G.3 of the paper)

NPT, and NPH, in which nothing takes up what a stress that is no strain derivative of the energy feeds in: enthalpy and cell then drift.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.costs import calls_per_step
from ncbench.errors import StructureError, UnsupportedError, UsageError
from ncbench.md.checkpoint import StagedCheckpoint
from ncbench.md.ensemble import check_settings, fast_and_right
from ncbench.md.ipi_box import BoxInterrupted, BoxRun, run_box
from ncbench.md.ipi_engine import ipi_thermostat
from ncbench.md.ipi_simulation import Driver, Input
from ncbench.md.random import NoiseSource
from ncbench.md.run import steps_of
from ncbench.md.state import Particles, draw_momenta, momenta_of
from ncbench.md.tables import number
from ncbench.md.thermostats import make_thermostat, parse_thermostat
from ncbench.models.interface import ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.series import blocking_mean, slope
from ncbench.types import Budget, Case, ForceMode, Interrupted, Outcome, Status, replicated
from ncbench.units import GPA, KB, MEV

FloatArray = NDArray[np.float64]
_U_PER_A3 = 1.66053906660
"""u/Å³ in g/cm³."""
_LEAST_SAMPLES = 8


@dataclass(frozen=True)
class NptSettings:
    """Which ensemble, how long, and whose stress."""

    ensemble: Literal["npt", "nph"] = "npt"
    """``nph`` has neither thermostat nor a bath on the barostat."""
    conservative_forces: bool = False
    """Conservative forces beside a direct stress, which singles out what the stress does (the paper's Figure 10)."""
    mts: int | None = None
    """Multiple time stepping: conservative forces and stress every so many steps of direct ones."""
    thermostat: str = "svr:10"
    temperature_K: float = 300.0
    pressure_GPa: float = 0.0
    barostat_tau_fs: float = 200.0
    timestep_fs: float = 0.5
    equilibration_fs: float = 500.0
    duration_fs: float = 2000.0
    replicas: int = 1
    sample_every: int = 2
    max_temperature_K: float = 1.0e4
    max_stretch: float = 1.5
    """A cell so many times as long as at the start, or as short, has exploded."""
    fix_com: bool = True
    redraw_momenta: bool = False

    def __post_init__(self) -> None:
        check_settings(self, duration_fs=self.duration_fs, equilibration_fs=self.equilibration_fs)
        parse_thermostat(self.thermostat)
        for name in ("mts", "replicas"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, and 1 is the least.")
        if not (math.isfinite(self.barostat_tau_fs) and self.barostat_tau_fs > 0 and self.max_stretch > 1):
            raise UsageError("The barostat's time constant must be positive, and max_stretch above 1.")
        if not math.isfinite(self.pressure_GPa):
            raise UsageError(f"pressure_GPa is {self.pressure_GPa}.")
        if self.mts is not None and self.conservative_forces:
            raise UsageError("mts and conservative_forces were both asked for.", hint="Leave one out.")


SCHEMA = TableSchema(
    "npt",
    1,
    (
        Column("ensemble", "str", "", "npt or nph, by i-PI's isotropic barostat"),
        Column("stress_from", "str", "", "direct, conservative, or mts"),
        Column("forces_from", "str", "", "the same of the forces"),
        Column("stride", "int", "", "M: inner steps to one conservative evaluation; 1 without mts"),
        Column("pressure_GPa", "float", "GPa", "of the barostat"),
        Column("target_K", "float", "K", "of thermostat and barostat; of the start in nph"),
        Column("cell_length_A", "float", "Å", "mean cube root of the volume"),
        Column("cell_length_A_se", "float", "Å", "its standard error by blocking"),
        Column("plateau", "bool", "", "that error stopped growing with the block length; a lower bound where not"),
        Column("cell_length_start_A", "float", "Å", "at the start"),
        Column("cell_drift_A_per_ps", "float", "Å/ps", "slope of the cell length"),
        Column("cell_drift_A_per_ps_se", "float", "Å/ps", "its standard error"),
        Column("density_g_per_cm3", "float", "g/cm³", "mass over mean volume"),
        Column("temperature_K", "float", "K", "mean kinetic temperature"),
        Column("temperature_K_se", "float", "K", "its standard error by blocking"),
        Column(
            "enthalpy_drift_meV_per_atom_per_ps",
            "float",
            "meV/atom/ps",
            "slope of i-PI's conserved quantity: enthalpy, less what baths put in",
        ),
        Column("enthalpy_drift_meV_per_atom_per_ps_se", "float", "meV/atom/ps", "its standard error"),
        Column("timestep_fs", "float", "fs", "inner time step"),
        Column("steps", "int", "steps", "inner steps averaged over"),
        Column("momenta", "str", "", "structure: the structures brought them; drawn: Maxwell-Boltzmann"),
        Column("exploded_at_fs", "float", "fs", "when it was found exploded"),
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
    """One row a structure and replica, one after the other.

    Raises:
        UnsupportedError: i-PI is not installed; a structure without a cell; a model without a stress, or without a second kind of
            forces where one is asked for.
    """
    cases = replicated(cases, settings.replicas)
    for case in cases:
        if not case.atoms.pbc.all():
            raise UnsupportedError(f"{case.name} is not periodic in three directions.", hint="Choose another --system.")
    drive, stress_from, forces_from = _drivers(forcefield, settings, context.reference)
    stride = settings.mts or 1
    outer_fs = settings.timestep_fs * stride
    n_steps = steps_of(settings.equilibration_fs + settings.duration_fs, outer_fs)
    context.progress.start(n_steps * len(cases), "steps")
    stages = StagedCheckpoint(context.checkpoint)
    outcome = Outcome(side={"series": []})
    told_of = {"ensemble": settings.ensemble, "stress_from": stress_from, "forces_from": forces_from, "stride": stride}
    for index, case in enumerate(cases):
        told, momenta = _input(case.atoms, settings, seed, index)

        def report(step: int, note: str, before: int = index * n_steps) -> None:
            context.progress.update(before + step, note)

        try:
            found = run_box(
                told,
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
        _add(outcome, case, found, settings, {**told_of, "momenta": momenta}, whole=True)
    return outcome


def _input(atoms: Atoms, settings: NptSettings, seed: int, index: int) -> tuple[Input, str]:
    particles = Particles.from_structures([atoms], fix_com=settings.fix_com)
    drawn = settings.redraw_momenta or settings.replicas > 1
    momenta = None if drawn else momenta_of([atoms], particles)
    kind = "drawn" if momenta is None else "structure"
    if momenta is None:
        noise = NoiseSource(seed, [index], label="npt")
        momenta = draw_momenta(particles, noise.initial_normals((len(atoms), 3)), settings.temperature_K)
    thermostat = make_thermostat(settings.thermostat, settings.temperature_K) if settings.ensemble == "npt" else None
    stride = settings.mts or 1
    return Input(
        atoms=atoms,
        momenta=momenta[0].numpy(),
        # Without a thermostat and a bath on its piston, i-PI's npt is nph.
        mode="npt",
        temperature_K=settings.temperature_K,
        timestep_fs=settings.timestep_fs * stride,
        seed=zlib.crc32(f"{seed} {index} npt".encode()) >> 1,
        thermostat=ipi_thermostat(thermostat),
        fix_com=settings.fix_com,
        stride=stride,
        pressure_eV_per_A3=settings.pressure_GPa * GPA,
        barostat_tau_fs=settings.barostat_tau_fs,
        piston_bath=settings.ensemble == "npt",
        names=("field",) if settings.mts is None else ("slow", "fast"),
    ), kind


def _drivers(forcefield: ForceField, settings: NptSettings, reference: ForceField | None) -> tuple[Any, str, str]:
    """(structure → drivers by name, whose stress, whose forces)."""
    if settings.mts is not None:
        fast, right = fast_and_right(forcefield, reference)
        _with_stress(fast)
        _with_stress(right)
        return lambda atoms: _split(atoms, fast, right), "mts", "mts"
    _with_stress(forcefield)
    mode = str(forcefield.card.force_mode)
    if not settings.conservative_forces:
        return lambda atoms: {"field": _driver(atoms, forcefield, forcefield)}, mode, mode
    if forcefield.card.force_mode is not ForceMode.DIRECT:
        raise UnsupportedError(
            "Conservative forces beside a direct stress need the model's direct mode.", hint="Add ':direct'."
        )
    right = forcefield.sibling(ForceMode.CONSERVATIVE)
    return lambda atoms: {"field": _driver(atoms, right, forcefield)}, mode, "conservative"


def _with_stress(forcefield: ForceField) -> None:
    if not forcefield.card.has_stress:
        raise UnsupportedError(
            f"{forcefield.card.label} has no stress, and a barostat needs one.",
            hint="Take a mode or model that has one.",
        )


def _driver(atoms: Atoms, forces: ForceField, stress: ForceField) -> Driver:
    """Energy and forces of one model, the stress of the other."""
    moved = atoms.copy()

    def call(cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        moved.set_cell(cell)
        moved.set_positions(positions)
        try:
            (found,) = forces.evaluate([moved], stress=stress is forces)
        except StructureError:
            # Atoms that met, or a cell that is none any more: the run has exploded, and its driver will see it.
            return math.nan, np.full_like(positions, math.nan), np.full((3, 3), math.nan)
        tensor = found.stress if stress is forces else stress.evaluate([moved], stress=True)[0].stress
        assert tensor is not None
        # i-PI's virial is −dE/dε: positive where the structure pushes outwards.
        return float(found.energy), found.forces, -tensor * abs(float(np.linalg.det(cell)))

    return call


def _split(atoms: Atoms, fast: ForceField, right: ForceField) -> dict[str, Driver]:
    cheap, whole = _driver(atoms, fast, fast), _driver(atoms, right, right)

    def slow(cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        all_of_it, already = whole(cell, positions), cheap(cell, positions)
        return all_of_it[0] - already[0], all_of_it[1] - already[1], all_of_it[2] - already[2]

    return {"slow": slow, "fast": cheap}


def _add(
    outcome: Outcome, case: Case, found: BoxRun, settings: NptSettings, told_of: dict[str, Any], *, whole: bool
) -> None:
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    series, stride = found.series, int(told_of["stride"])
    outer_fs = settings.timestep_fs * stride
    row: dict[str, Any] = {
        **where,
        **told_of,
        "pressure_GPa": settings.pressure_GPa,
        "target_K": settings.temperature_K,
        "timestep_fs": settings.timestep_fs,
        "steps": max(0, found.steps - round(settings.equilibration_fs / outer_fs)) * stride,
        "cell_length_start_A": float(np.cbrt(case.atoms.get_volume())),
    }
    if found.exploded_step is not None:
        at = found.exploded_step * outer_fs
        reason = f"not finite, above {settings.max_temperature_K:g} K, or {settings.max_stretch:g} times as long after {at:g} fs"
        row |= {"exploded_at_fs": at, "status": Status.EXPLODED, "reason": reason}
    else:
        row |= {"status": Status.OK, "reason": ""}
        if not whole:
            reason = f"interrupted after {found.steps * outer_fs:g} fs; numbers, where there are any, are of these"
            row |= {"status": Status.INCOMPLETE, "reason": reason}
        row |= _numbers(case.atoms, found, settings)
    outcome.rows.append(SCHEMA.row(**row))
    temperatures = _temperatures(case.atoms, found, settings)
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


def _temperatures(atoms: Atoms, found: BoxRun, settings: NptSettings) -> FloatArray:
    degrees = 3 * len(atoms) - (3 if settings.fix_com else 0)
    return 2.0 * np.array(found.series.kinetic_eV) / (degrees * KB)


def _numbers(atoms: Atoms, found: BoxRun, settings: NptSettings) -> dict[str, Any]:
    series = found.series
    used = series.times_fs >= settings.equilibration_fs
    if int(used.sum()) < _LEAST_SAMPLES:
        return {}
    times = series.times_fs[used] / 1000.0
    length = series.length_A[used]
    mean_length, temperature = blocking_mean(length), blocking_mean(_temperatures(atoms, found, settings)[used])
    drift = slope(times, length)
    enthalpy = slope(times, np.array(series.conserved_eV)[used] / (len(atoms) * MEV))
    return {
        "cell_length_A": number(mean_length.value),
        "cell_length_A_se": number(mean_length.error),
        "plateau": mean_length.plateau,
        "cell_drift_A_per_ps": number(drift.value),
        "cell_drift_A_per_ps_se": number(drift.error),
        "density_g_per_cm3": _U_PER_A3
        * float(atoms.get_masses().sum())
        / float(np.mean(np.array(series.volume_A3)[used])),
        "temperature_K": number(temperature.value),
        "temperature_K_se": number(temperature.error),
        "enthalpy_drift_meV_per_atom_per_ps": number(enthalpy.value),
        "enthalpy_drift_meV_per_atom_per_ps_se": number(enthalpy.error),
    }


def cost(settings: NptSettings, n_atoms: int) -> float:
    """Steps, equilibration included."""
    steps = (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs
    return steps * settings.replicas * calls_per_step(settings.mts)


SHOW = (
    Shown("ensemble", "ensemble"),
    Shown("stress", "stress_from"),
    Shown("forces", "forces_from"),
    Shown("M", "stride"),
    Shown("cell Å", "cell_length_A", "cell_length_A_se"),
    Shown("cell drift Å/ps", "cell_drift_A_per_ps", "cell_drift_A_per_ps_se"),
    Shown("enthalpy drift meV/atom/ps", "enthalpy_drift_meV_per_atom_per_ps", "enthalpy_drift_meV_per_atom_per_ps_se"),
    Shown("⟨T⟩ K", "temperature_K", "temperature_K_se"),
    Shown("g/cm³", "density_g_per_cm3"),
)

DIAGNOSTIC = Diagnostic(
    name="npt",
    rank=50,
    version=1,
    summary="Constant pressure: cell length and enthalpy under conservative and direct stresses.",
    settings=NptSettings,
    presets={
        Budget.SMOKE: NptSettings(equilibration_fs=0.0, duration_fs=20.0, sample_every=1),
        Budget.LAPTOP: NptSettings(equilibration_fs=100.0, duration_fs=400.0),
        Budget.PAPER: NptSettings(equilibration_fs=20_000.0, duration_fs=200_000.0, sample_every=20),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    side_schemas={"series": SERIES},
)
