"""Heating predicted from the force Jacobian: temperatures, powers and limits of stability without running the hot dynamics.

The structure is quenched, and the antisymmetric part of the force Jacobian there drives its vibrations: see :mod:`ncbench.prediction`. Optionally the
power also comes from the work along a conservative trajectory (Green–Kubo).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncbench.diagnostics.base import Context, Diagnostic, Divisible, Quantity, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import rows_at_once
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError
from ncbench.prediction.moment_rows import moment_columns, moment_rows
from ncbench.prediction.rows import green_kubo_rows, main_rows, map_rows, quench_columns, sensitivity_rows, summary_rows
from ncbench.prediction.schemas import GREEN_KUBO, MAP, SCHEMA, SENSITIVITY, SUMMARY, WINDOWS
from ncbench.prediction.settings import PredictSettings, cost, uses_moments
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.format import number, with_error
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.models.interface import ForceField
    from ncbench.observables.trajectory import Motion
    from ncbench.prediction.work_rates import WorkSeries

NVE_FS = (160.0, 1000.0)
"""Times over which the growth of the energy is averaged, fs."""
SUMMARY_TAU_FS = 100.0
"""The coupling shown in summaries, which also sets the width of the heating map."""


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: PredictSettings, *, seed: int, context: Context
) -> Outcome:
    """Rows for each structure, thermostat and element. A resumed run does not repeat finished structures."""
    import numpy as np

    kept = context.checkpoint.load() or {"rows": [], "side": {}, "cases": 0}
    outcome = Outcome(
        rows=list(kept["rows"]),
        side={name: list(kept["side"].get(name, [])) for name in ("sensitivity", "map", "green-kubo", "windows")},
    )
    refusals = Refusals(SCHEMA, len(cases))
    for index, case in enumerate(cases[kept["cases"] :], kept["cases"]):
        rng = np.random.default_rng([seed, index])
        try:
            rows, side = _predicted(forcefield, case, settings, rng, context, seed, note=f"{index + 1}/{len(cases)}")
        except UnsupportedError as error:
            row = SCHEMA.row(structure=case.name, n_atoms=len(case.atoms), status=Status.UNSUPPORTED, reason=str(error))
            rows, side = [row], {}
        except REFUSED as error:
            rows, side = [refusals.row(case, error)], {}
        outcome.rows += rows
        for name, more in side.items():
            outcome.side[name] += more
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "side": outcome.side, "cases": index + 1})
    outcome.side["summary"] = summary_rows(outcome.rows)
    return outcome


def _predicted(
    forcefield: ForceField, case: Case, settings: PredictSettings, rng: Any, context: Context, seed: int, *, note: str
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    from ncbench.prediction.harmonic import harmonic_model
    from ncbench.prediction.heating import Thermostat, predict_with_sensitivity
    from ncbench.prediction.large import predict_by_moments, require_memory_of_moments
    from ncbench.prediction.memory import require_memory
    from ncbench.prediction.quench import force_jacobian, quench
    from ncbench.structures.content import name_unused_constraints

    forcefield.check([case.atoms])
    name_unused_constraints(case.name, case.atoms)
    thermostats = [Thermostat.parse(text) for text in settings.thermostats]
    few = uses_moments(forcefield.card, len(case.atoms), settings)
    if few:
        require_memory_of_moments(forcefield, case.atoms, settings.reach_A)
    else:
        require_memory(len(case.atoms), thermostats)
    began = time.perf_counter()
    rested = quench(forcefield, context.reference, case.atoms, fmax=settings.quench_fmax, steps=settings.quench_steps)
    size, done = 3 * len(case.atoms), 0
    context.progress.start(float(size), "products at most" if few else "rows of J")

    def tick(count: int) -> None:
        nonlocal done
        done = min(size, done + count)
        context.progress.update(done, note)

    ok = {"structure": case.name, "n_atoms": len(case.atoms), "status": Status.OK, "reason": ""}
    harmonic = None
    if few:
        found = predict_by_moments(
            forcefield, rested.atoms, settings, thermostats, NVE_FS, SUMMARY_TAU_FS, rng=rng, tick=tick
        )
        measured = began + found.jacobian_seconds
        method, about, values_of_rows = (
            "coloured",
            moment_columns(rested, found),
            moment_rows(found, settings),
        )
        side = {"sensitivity": [], "map": [MAP.row(**ok, **values) for values in map_rows(found.powers)]}
    else:
        jacobian = force_jacobian(forcefield, rested.atoms, batch=settings.batch, rng=rng, tick=tick)
        measured = time.perf_counter()
        sensitivity = predict_with_sensitivity(
            jacobian.matrix,
            jacobian.noise,
            rested.atoms.get_masses(),
            rested.atoms.get_chemical_symbols(),
            temperature_K=settings.temperature_K,
            thermostats=thermostats,
            nve_fs=NVE_FS,
            floor_per_cm=settings.floor_per_cm,
            map_tau_fs=SUMMARY_TAU_FS,
        )
        harmonic = harmonic_model(jacobian.matrix, rested.atoms.get_masses(), floor_per_cm=settings.floor_per_cm)
        method, about = jacobian.method, quench_columns(rested, sensitivity)
        values_of_rows = main_rows(sensitivity, NVE_FS[0])
        side = {
            "sensitivity": [
                SENSITIVITY.row(**ok, **values) for one in sensitivity.predictions for values in sensitivity_rows(one)
            ],
            "map": [MAP.row(**ok, **values) for values in map_rows(sensitivity)],
        }
    seconds = {"jacobian_seconds": measured - began, "seconds": time.perf_counter() - measured}
    rows = [SCHEMA.row(**ok, method=method, **seconds, **about, **values) for values in values_of_rows]
    if settings.green_kubo_fs > 0 or settings.trajectory:
        work_rows = [
            green_kubo_rows(series, harmonic, source=source, moved_by=moved_by)
            for source, series, moved_by in _work_series(forcefield, case, settings, context, seed)
        ]
        side["green-kubo"] = [GREEN_KUBO.row(**ok, **row) for row, _ in work_rows]
        side["windows"] = [WINDOWS.row(**ok, **window) for _, windows in work_rows for window in windows]
    return rows, side


def _work_series(
    forcefield: ForceField, case: Case, settings: PredictSettings, context: Context, seed: int
) -> Iterator[tuple[str, WorkSeries, str]]:
    """(source, work rates, model that moved the atoms) of the requested run and trajectory."""
    from ncbench.prediction.quench import quench_model
    from ncbench.prediction.work_rates import equilibrated_run, work_along_frames
    from ncbench.types import ForceMode

    conservative = quench_model(forcefield, context.reference)
    label = conservative.card.label
    if conservative.card.force_mode is not ForceMode.CONSERVATIVE:
        raise UnsupportedError(
            f"{forcefield.card.label} has no conservative forces to move the atoms with.",
            hint="Name a conservative model with --reference, or leave --green-kubo and --from-trajectory out.",
        )
    if settings.green_kubo_fs > 0:
        context.progress.start(settings.run_steps, "steps")
        run = equilibrated_run(
            conservative,
            forcefield,
            case.atoms,
            duration_fs=settings.green_kubo_fs,
            timestep_fs=settings.timestep_fs,
            temperature_K=settings.temperature_K,
            seed=seed,
            report=context.progress.update,
        )
        yield "run", run, label
    if settings.trajectory:
        motion = _trajectory_of(case, settings)
        context.progress.start(float(len(motion.velocities)), "frames")
        series = work_along_frames(
            conservative,
            forcefield,
            case.atoms,
            motion.positions,
            motion.velocities,
            motion.interval_fs,
            cell=motion.cell,
            masses=motion.masses,
            report=context.progress.update,
        )
        yield motion.name, series, label


def _trajectory_of(case: Case, settings: PredictSettings) -> Motion:
    """The requested trajectory. Raises UsageError if it has other atoms, or cannot be used."""
    from ncbench.observables.trajectory import motion_at_constant_volume, read_trajectory

    path = settings.trajectory
    trajectory = read_trajectory(Path(path), interval_fs=settings.trajectory_spacing_fs or None)
    if trajectory.symbols != tuple(case.atoms.get_chemical_symbols()):
        raise UsageError(
            f"'{path}' does not have the atoms of {case.name}, in its order.",
            hint=f"Predict for its first frame: --structure '{path}@0'.",
        )
    return motion_at_constant_volume(trajectory, spacing_option="--trajectory-spacing")


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Power to second order at constant energy, finite for runaways too, and the critical time constant under white noise of τ = 100 fs."""
    return (
        Quantity("predicted_power", "Predicted heating", "meV/atom/ps", _second_order_power),
        Quantity("critical_tau", "Predicted τ_c", "fs", _critical_tau, better="", note=LONGEST_TAU),
    )


SHORTER = "keep τ below the shorter of the two"
LONGEST_TAU = f"Predicted τ_c bounds the mean temperature, 1/γ_c (printed by predict) each vibration: {SHORTER}."


def _second_order_power(rows: pd.DataFrame) -> Cell:
    chosen = rows[(rows["thermostat"] == "none") & (rows["duration_fs"] == NVE_FS[0])]
    return mean_cell(chosen, "golden_rule_meV_per_atom_per_ps")


def _critical_tau(rows: pd.DataFrame) -> Cell:
    chosen = rows[(rows["thermostat"] == "langevin") & (rows["tau_fs"] == SUMMARY_TAU_FS) & (rows["species"] == "all")]
    if not len(chosen):
        return Cell(missing=f"predict was not run with langevin:{SUMMARY_TAU_FS:g}")
    if not bool(chosen["stable"].fillna(True).astype(bool).all()):
        return Cell(missing="harmonic runaway: no stationary state")
    return mean_cell(chosen, "critical_tau_fs")


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """The verdict, and the vibrations that heat."""
    lines = []
    for (_, structure), members in _by_structure(rows).items():
        first, where = members[0], f"{label_of(members[0])}, {structure}"
        nve = next((row for row in members if row["thermostat"] == "none"), None)
        if nve is None:
            continue
        if not nve["above_floor"]:
            lines.append(
                f"{where}: no heating above {number(3 * nve['power_floor_meV_per_atom_per_ps'], 1)} meV/atom/ps"
            )
            continue
        runaway = sorted({_name(row) for row in members if row["stable"] is False})
        if nve["power_meV_per_atom_per_ps"] is None:
            power = with_error(nve["golden_rule_meV_per_atom_per_ps"], nve["golden_rule_meV_per_atom_per_ps_se"])
            lines.append(f"{where}: heats at {power} meV/atom/ps at constant energy, to second order")
            continue
        limit = number(first["harmonic_limit_fs"])
        text = f"{where}: heats at {number(nve['power_meV_per_atom_per_ps'])} meV/atom/ps at constant energy"
        text += f" ({number(nve['golden_rule_meV_per_atom_per_ps'])} to second order); harmonic motion is bounded by white noise of τ < {limit} fs"
        white = [
            row["critical_tau_fs"] for row in members if row["tau_fs"] == SUMMARY_TAU_FS and row["critical_tau_fs"]
        ]
        text += f", the mean temperature by τ < τ_c = {number(white[0])} fs: {SHORTER}" if white else ""
        if runaway:
            text += f"; harmonic runaway under {', '.join(runaway)}"
        lines.append(text)
    shares: dict[tuple[str, Any], list[Any]] = defaultdict(list)
    for row in side("map"):
        shares[label_of(row), row["structure"]].append(row)
    for (label, structure), bins in shares.items():
        top = sorted(bins, key=lambda row: -row["fraction_of_power"])[:3]
        named = [
            f"{row['omega_from_per_cm']:g}–{row['omega_to_per_cm']:g} with {row['omega2_from_per_cm']:g}–"
            f"{row['omega2_to_per_cm']:g} cm⁻¹ {100 * row['fraction_of_power']:.0f} %"
            for row in top
        ]
        lines.append(f"{label}, {structure}: pairs of vibrations that heat most: {', '.join(named)}")
    for row in side("green-kubo"):
        power = with_error(row["power_meV_per_atom_per_ps"], row["power_meV_per_atom_per_ps_se"])
        lines.append(
            f"{label_of(row)}, {row['structure']}: Green–Kubo power {power} meV/atom/ps from {row['duration_fs']:g} fs of {row['moved_by']}"
            + (f" in {row['source']}" if row["source"] != "run" else "")
        )
    return lines


def _by_structure(rows: Rows) -> dict[tuple[str, Any], list[Any]]:
    groups: dict[tuple[str, Any], list[Any]] = defaultdict(list)
    for row in rows:
        if row["status"] == Status.OK:
            groups[label_of(row), row["structure"]].append(row)
    return groups


def _name(row: Any) -> str:
    return str(row["thermostat"]) if row["tau_fs"] is None else f"{row['thermostat']}:{row['tau_fs']:g}"


DIAGNOSTIC = Diagnostic(
    name="predict",
    rank=25,
    version=4,
    summary="Heating predicted from the force Jacobian: temperatures under thermostats, NVE drift, critical time constants.",
    help="The structure is quenched by the model's conservative forces, or by --reference; the antisymmetric part of the Jacobian there "
    "drives its vibrations. Exact for harmonic motion. Where that runs away, a liquid heats slower, since it spreads the heat over all vibrations: the columns "
    "spread_… and the power to second order assume this. Above 512 atoms only the power to second order is given, from a sparse Jacobian and random "
    "vectors, with its error; --modes all gives everything, with full matrices: some 1400 atoms in 16 GB.",
    examples=(
        "--model pet-m:direct",
        "-m pet-m:direct --thermostat langevin:30 --thermostat gle",
        "-m pet-m:direct --green-kubo 1000",
        "-m pet-m:direct --repeat 2,2,2 --reach 6",
    ),
    settings=PredictSettings,
    presets={
        Budget.SMOKE: PredictSettings(quench_steps=50),
        Budget.LAPTOP: PredictSettings(),
        Budget.PAPER: PredictSettings(quench_steps=500, quench_fmax=0.005, green_kubo_fs=10_000.0),
    },
    run=run,
    schema=SCHEMA,
    side_schemas={
        "sensitivity": SENSITIVITY,
        "map": MAP,
        "green-kubo": GREEN_KUBO,
        "windows": WINDOWS,
        "summary": SUMMARY,
    },
    cost=cost,
    divisible=Divisible("products", rows_at_once),
    show=(
        Shown("thermostat", "thermostat"),
        Shown("τ fs", "tau_fs"),
        Shown("time fs", "duration_fs"),
        Shown("species", "species"),
        Shown("stable", "stable"),
        Shown("ΔT K", "temperature_excess_K"),
        Shown("from", "excess_low_K"),
        Shown("to", "excess_high_K"),
        Shown(
            "power meV/atom/ps",
            "power_meV_per_atom_per_ps",
            at_most="power_floor_meV_per_atom_per_ps",
            above="above_floor",
        ),
        Shown("2nd order", "golden_rule_meV_per_atom_per_ps"),
        Shown("±", "golden_rule_meV_per_atom_per_ps_se"),
    ),
    quantities=quantities,
    remarks=remarks,
    conditions=("frequency_floor_per_cm", "quenched_by"),
    takes_reference=True,
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 1, Budget.PAPER: 8},
)
