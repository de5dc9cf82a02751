"""Kinetic temperatures under a thermostat: how much heating remains, and in which elements.

Langevin (WN), stochastic velocity rescaling (SVR) and GLE thermostats: Tables 2, 8 and 9 of Bigi, Langer & Ceriotti 2025; also Nosé–Hoover chains and Andersen. A
thermostat that controls the mean temperature can leave the elements at different ones; the conserved quantity gives the heat it removes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import (
    INTEGRATORS,
    REAL_MASSES,
    Context,
    Diagnostic,
    Divisible,
    ExtraOption,
    Quantity,
    Shown,
)
from ncbench.diagnostics.costs import calls_per_step, replicas_at_once
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import UsageError
from ncbench.md.schemas import NVT, NVT_SERIES, NVT_SPECIES_SERIES
from ncbench.md.settings import ReplicaSettings, parse_thermostat, require_non_negative, require_thermostat
from ncbench.options import Option
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.floors import power_error, relaxation
from ncbench.statistics.older_rows import (
    RAISED_ERRORS,
    errors_raised,
    with_power_bounds,
    with_temperature_floors,
)
from ncbench.types import Budget, Case, Interrupted, Outcome, Status, replicated

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.md.ensemble import Scheme
    from ncbench.md.replicas import PlannedRun, Replica
    from ncbench.models.interface import ForceField

RELAXATIONS = 20.0
"""Number of relaxation times from which a mean temperature has a known error."""

LANGEVIN_TAU_FS = 100.0
"""Of several Langevin couplings, the one closest to this is shown in summaries."""


@dataclass(frozen=True, kw_only=True)
class NvtSettings(ReplicaSettings):
    """Thermostats, lengths and time step."""

    thermostats: Annotated[
        tuple[str, ...],
        Option(
            "Thermostat; repeat it for several runs from the same start.",
            flag="--thermostat",
            metavar="langevin|svr|nhc|andersen[:TAU]|gle[:FILE]",
        ),
    ] = ("langevin:10", "langevin:100", "langevin:1000", "svr:10")
    """``NAME:TAU``, τ in fs, ``gle`` (the paper's high-pass) or ``gle:FILE``."""
    equilibration_fs: Annotated[
        float, Option("Time under the thermostat before averaging, fs.", flag="--equilibration", metavar="FS")
    ] = 200.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_non_negative("equilibration_fs", self.equilibration_fs)
        if not self.thermostats:
            raise UsageError("No thermostat was given.", hint="Write for example langevin:100.")
        for text in self.thermostats:
            require_thermostat(text, self.engine, self.outer_fs)

    @property
    def equilibration_steps(self) -> int:
        """Outer steps before averaging."""
        return round(self.equilibration_fs / self.outer_fs)

    @property
    def averaging_from_fs(self) -> float:
        """Half a step before the end of the equilibration: the sample on that boundary is included whatever the rounding of its time."""
        return (self.equilibration_steps - 0.5) * self.outer_fs


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: NvtSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per thermostat, structure and species; structures of equal size run as one batch.

    Raises:
        UnsupportedError: multiple time stepping of a model without a second kind of forces; or the model supports no structure.
    """
    from ncbench.md.ensemble import EnsembleInterrupted
    from ncbench.md.hydrogen_mass import repartitioned_cases
    from ncbench.md.integrators import Dynamics
    from ncbench.md.replicas import PlannedRun, run_replicas
    from ncbench.md.run import steps_of
    from ncbench.md.thermostats import make_thermostat

    outcome = Outcome(side={"series": [], "species_series": []})
    runs = [
        PlannedRun(
            name=text,
            stream=text,
            settings=settings,
            dynamics=Dynamics(settings.outer_fs, make_thermostat(text, settings.temperature_K)),
            n_steps=settings.equilibration_steps + steps_of(settings.duration_fs, settings.outer_fs),
            note=text,
        )
        for text in settings.thermostats
    ]
    cases = replicated(repartitioned_cases(cases, settings.hmr), settings.replicas)
    refusals = Refusals(NVT, len(cases) * len(runs))

    def refuse(planned: PlannedRun, case: Case, error: BaseException) -> None:
        name, tau_fs = parse_thermostat(planned.name)
        where = {"thermostat": name, "tau_fs": tau_fs, "engine": settings.engine}
        outcome.rows.append(refusals.row(case, error, **where, timestep_fs=settings.timestep_fs, species="all"))

    try:
        run_replicas(
            forcefield,
            context.reference,
            cases,
            runs,
            settings,
            seed=seed,
            progress=context.progress,
            checkpoint=context.checkpoint,
            files=context.files,
            report=lambda planned, replica, scheme: _add_rows(outcome, planned, replica, scheme, settings),
            refuse=refuse,
        )
    except EnsembleInterrupted:
        raise Interrupted(outcome) from None
    return outcome


def _add_rows(outcome: Outcome, planned: PlannedRun, replica: Replica, scheme: Scheme, settings: NvtSettings) -> None:
    from ncbench.md.ensemble import early_end, enough_samples, interrupted_at
    from ncbench.md.hydrogen_mass import masses_by_element
    from ncbench.md.tables import series_rows, species_rows

    ensemble = replica.ensemble
    name, tau_fs = parse_thermostat(planned.name)
    where = {
        "structure": replica.case.name,
        "n_atoms": len(replica.case.atoms),
        "thermostat": name,
        "tau_fs": tau_fs,
    }
    ended = early_end(ensemble, replica.index, step_fs=settings.outer_fs, max_temperature_K=settings.max_temperature_K)
    common: dict[str, Any] = {
        **where,
        "target_K": settings.temperature_K,
        "engine": settings.engine,
        "integrator": scheme.name,
        "stride": scheme.stride,
        "timestep_fs": settings.timestep_fs,
        "masses_u": masses_by_element(replica.case.atoms, settings.hmr),
        "steps": (planned.n_steps - settings.equilibration_steps) * scheme.stride,
        "equilibration_fs": settings.equilibration_fs,
        "momenta": ensemble.momenta,
        "trajectory": replica.trajectory or None,
        "force_calls": ensemble.result.force_calls,
    }
    averaged = not ended and enough_samples(ensemble, settings.averaging_from_fs)
    if not ended:
        common |= {"status": Status.OK, "reason": "", **(_power(replica, settings, name, tau_fs) if averaged else {})}
        if ensemble.stopped_fs is not None:
            steps = max(0, ensemble.result.state.step - settings.equilibration_steps) * scheme.stride
            common |= {"steps": steps, "status": Status.INCOMPLETE, "reason": interrupted_at(ensemble)}
    else:
        common |= {**ended, "force_calls": int(ensemble.result.exploded_step[replica.index]) + 1}
    temperatures = _temperatures(replica, settings, name, tau_fs, averaged=averaged)
    outcome.rows += [NVT.row(**common, **values) for values in temperatures]
    outcome.side["series"] += series_rows(ensemble.series, replica.index, NVT_SERIES, where)
    outcome.side["species_series"] += species_rows(ensemble.series, replica.index, NVT_SPECIES_SERIES, where)


def _power(replica: Replica, settings: NvtSettings, thermostat: str, tau_fs: float | None) -> dict[str, Any]:
    from ncbench.md.measured import power_of_thermostat

    series = replica.ensemble.series
    used = series.times_fs >= settings.averaging_from_fs
    return power_of_thermostat(series, replica.index, used, thermostat=thermostat, tau_fs=tau_fs)


def _temperatures(
    replica: Replica, settings: NvtSettings, thermostat: str, tau_fs: float | None, *, averaged: bool
) -> list[dict[str, Any]]:
    from ncbench.md.measured import mean_temperature

    series, place = replica.ensemble.series, replica.index
    particles = series.particles
    used = series.times_fs >= settings.averaging_from_fs
    degrees = particles.species_degrees_of_freedom()[place].tolist()
    groups = [("all", float(particles.degrees_of_freedom), series.temperature[used, place])]
    groups += [
        (name, degrees[g], series.species_temperature[used, place, g])
        for g, name in enumerate(particles.species)
        if bool(particles.membership[place, g].any())
    ]
    rows = []
    for name, n_dof, temperature in groups:
        row: dict[str, Any] = {"species": name, "degrees_of_freedom": n_dof}
        if averaged:
            row |= mean_temperature(
                temperature,
                interval_fs=series.stride * series.timestep_fs,
                target_K=settings.temperature_K,
                thermostat=thermostat,
                tau_fs=tau_fs,
                n_dof=n_dof,
                n_dof_total=float(particles.degrees_of_freedom),
                whole=name == "all",
            )
        rows.append(row)
    return rows


def cost(settings: NvtSettings, n_atoms: int) -> float:
    """Total number of steps under all thermostats, including equilibration."""
    steps = (settings.equilibration_fs + settings.duration_fs) / settings.timestep_fs
    return steps * len(settings.thermostats) * settings.replicas * calls_per_step(settings.mts)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Temperature excess of each element under the global thermostat, and the power under the local one."""
    elements = [] if rows is None else sorted({str(name) for name in rows["species"].dropna()} - {"all"})
    note = "" if rows is None or not errors_raised(rows).any() else f"SVR ΔT: {RAISED_ERRORS}."
    return (
        *(Quantity(f"excess_{name}", f"SVR ΔT of {name}", "K", _excess(name), note=note) for name in elements),
        Quantity("power", "Langevin power", "meV/atom/ps", _langevin_power),
    )


def _excess(element: str) -> Callable[[pd.DataFrame], Cell]:
    def value(rows: pd.DataFrame) -> Cell:
        totals = rows[rows["species"] == "all"].groupby("structure")["degrees_of_freedom"].max()
        rows = rows[(rows["thermostat"] == "svr") & (rows["species"] == element)]
        if not len(rows):
            return Cell(missing="nvt was not run with svr")
        rows = _longest(rows[rows["tau_fs"] == rows["tau_fs"].min()])
        cell = mean_cell(with_temperature_floors(rows, totals), "temperature_excess_K", "temperature_K_se")
        return replace(cell, loose=cell.loose or (cell.value is not None and too_short(rows)))

    return value


def _longest(rows: pd.DataFrame) -> pd.DataFrame:
    """The longest runs, if the table contains their length."""
    if not {"steps", "timestep_fs"} <= set(rows) or rows["steps"].isna().all():
        return rows
    length = rows["steps"] * rows["timestep_fs"]
    longest: pd.DataFrame = rows[length == length.max()]
    return longest


def too_short(rows: pd.DataFrame) -> bool:
    """Whether a run has too few relaxation times for a known error of its mean temperature, independent of its series."""
    if not {"steps", "timestep_fs", "thermostat", "tau_fs", "species"} <= set(rows) or rows["steps"].isna().any():
        return False
    for run in rows.to_dict("records"):
        tau_fs = float(run["tau_fs"]) if run["tau_fs"] == run["tau_fs"] and run["tau_fs"] is not None else None
        slowest_fs = relaxation(run["thermostat"], tau_fs).slowest_fs(whole=run["species"] == "all")
        if run["steps"] * run["timestep_fs"] < RELAXATIONS * slowest_fs:
            return True
    return False


def langevin_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of all atoms under white noise, of the τ that is nearest to :data:`LANGEVIN_TAU_FS`."""
    rows = rows[(rows["thermostat"] == "langevin") & (rows["species"] == "all")]
    distance = (rows["tau_fs"] / LANGEVIN_TAU_FS).map(lambda ratio: abs(math.log(ratio)))
    nearest: pd.DataFrame = rows[distance == distance.min()]
    return nearest


def _langevin_power(rows: pd.DataFrame) -> Cell:
    rows = langevin_rows(rows)
    if not len(rows):
        return Cell(missing="nvt was not run with langevin")
    rows = _longest(rows)
    # Rows of versions 1 and 2 do not include the floor of a power.
    old = "power_error_known" not in rows
    rows = with_power_bounds(rows)
    cell = mean_cell(rows, "power_meV_per_atom_per_ps")
    # The column "plateau" is about the temperature.
    known = bool(rows["power_error_known"].fillna(False).astype(bool).all()) if "power_error_known" in rows else False
    floor = _least_error(cell, rows) if old else 0.0
    return replace(cell, loose=not known, error=None if cell.error is None else max(cell.error, floor))


def _least_error(power: Cell, rows: pd.DataFrame) -> float:
    """√(2 k_B T P/(N t)) of all runs together, meV/atom/ps; 0 if the table does not contain their length."""
    if "steps" not in rows or rows["steps"].isna().any() or power.value is None:
        return 0.0
    length_ps = float((rows["steps"] * rows["timestep_fs"]).sum()) / 1000.0
    temperature_K = float(rows["target_K"].mean()) if "target_K" in rows else 300.0
    return power_error(power.value, temperature_K, length_ps, int(rows["n_atoms"].mean()))


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    """``--thermostat NAME --tau FS`` as ``NAME:FS``, for every given τ."""
    options = dict(options)
    taus = options.pop("tau", ())
    names = options.get("thermostats", ())
    if not names:
        if taus:
            raise UsageError("--tau needs --thermostat.", hint="Write --thermostat langevin --tau 10.")
        return options
    plain = [name for name in names if ":" not in name and name != "gle"]
    if taus and not plain:
        raise UsageError(
            "--tau was given, but every thermostat already has its τ or takes none.", hint="Leave --tau out."
        )
    # Order of runs: those with their own τ, the GLE (a matrix instead of a τ), then each name with each τ.
    chosen = [name for name in names if ":" in name] + [name for name in names if name == "gle"]
    chosen += [f"{name}:{tau:g}" for name in plain for tau in taus or (LANGEVIN_TAU_FS,)]
    return {**options, "thermostats": tuple(chosen)}


DIAGNOSTIC = Diagnostic(
    name="nvt",
    rank=40,
    version=5,
    summary="Thermostatted dynamics: ⟨T⟩ of all atoms and of each element, and the power that the thermostat removes.",
    help="Non-conservative forces heat some degrees of freedom and cool others: a global thermostat (svr, nhc) then holds the mean while "
    "the elements drift apart, and a local one (langevin, andersen) suppresses this but disturbs the dynamics.",
    examples=(
        "--model pet-m:direct --thermostat svr --tau 10",
        "-m sevennet-0 --thermostat langevin --tau 10 --tau 100 --tau 1000",
        "-m pet-m --thermostat svr:10 --thermostat gle --mts 8",
    ),
    settings=NvtSettings,
    presets={
        Budget.SMOKE: NvtSettings(
            thermostats=("langevin:100", "svr:10"), equilibration_fs=10.0, duration_fs=50.0, sample_every=1
        ),
        Budget.LAPTOP: NvtSettings(thermostats=("langevin:100", "svr:10"), equilibration_fs=100.0, duration_fs=400.0),
        Budget.PAPER: NvtSettings(equilibration_fs=50_000.0, duration_fs=1_000_000.0, sample_every=20),
    },
    run=run,
    schema=NVT,
    side_schemas={"series": NVT_SERIES, "species_series": NVT_SPECIES_SERIES},
    cost=cost,
    divisible=Divisible("forces", replicas_at_once),
    show=(
        Shown("thermostat", "thermostat"),
        Shown("τ fs", "tau_fs"),
        Shown("atoms", "species"),
        Shown.measured("⟨T⟩ K", "temperature_K", known="plateau"),
        Shown.measured("P meV/atom/ps", "power_meV_per_atom_per_ps", known="power_error_known"),
    ),
    quantities=quantities,
    ranks={"integrator": INTEGRATORS, "masses_u": REAL_MASSES},
    conditions=("thermostat", "tau_fs", "timestep_fs", "steps"),
    extra_options=(
        ExtraOption("tau", tuple[float, ...], Option("Time constant, fs; repeat it for several.", metavar="FS")),
    ),
    resolve=_resolve,
    takes_reference=True,
)
