"""Heating predicted from the force Jacobian: temperatures, powers and limits of stability without running the hot dynamics.

The structure is quenched, and the antisymmetric part of the force Jacobian there drives its vibrations: see :mod:`ncbench.prediction`. Optionally the
power also comes from the work along a conservative trajectory (Green–Kubo).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import PRODUCT_COST
from ncbench.diagnostics.predict_tables import GREEN_KUBO, MAP, SCHEMA, SENSITIVITY, SUMMARY
from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.settings import parse_thermostat, require_non_negative
from ncbench.options import Option
from ncbench.statistics.cells import Cell, mean, mean_cell
from ncbench.statistics.format import number, with_error
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.models.interface import ForceField
    from ncbench.prediction.heating import HeatingPrediction, Sensitivity, Thermostat
    from ncbench.prediction.quench import Quench

NVE_FS = (160.0, 1000.0)
"""Times over which the growth of the energy is averaged, fs."""
SUMMARY_TAU_FS = 100.0
"""The coupling that stands in summaries and that sets the width of the heating map."""


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Under which thermostats, and from what minimum."""

    thermostats: Annotated[
        tuple[str, ...],
        Option("Thermostat; repeat it for several.", flag="--thermostat", metavar="langevin:TAU|gle[:FILE]"),
    ] = ("langevin:10", "langevin:100", "langevin:1000", "gle")
    """SVR is not among them: its friction depends on the total kinetic energy, so that the equations are not linear."""
    temperature_K: Annotated[
        float, Option("Temperature of thermostats and starts, K.", flag="--temperature", metavar="K")
    ] = 300.0
    floor_per_cm: Annotated[
        float, Option("Least frequency of a vibration, cm⁻¹.", flag="--frequency-floor", metavar="CM-1")
    ] = 50.0
    quench_steps: Annotated[
        int, Option("Most steps of the quench; 0 takes the structure as it is.", metavar="N", minimum=0)
    ] = 200
    quench_fmax: Annotated[float, Option("Largest force at which the quench ends, eV/Å.", metavar="EV/A")] = 0.02
    green_kubo_fs: Annotated[
        float,
        Option(
            "Also the power from the work along a conservative run of this length, fs; 0: none.",
            flag="--green-kubo",
            metavar="FS",
        ),
    ] = 0.0
    timestep_fs: Annotated[float, Option("Time step of that run, fs.", flag="--timestep", metavar="FS")] = 0.5
    batch: Annotated[int | None, Option("Copies of the structure in one model call.", metavar="R", minimum=1)] = None

    def __post_init__(self) -> None:
        for name in ("temperature_K", "floor_per_cm", "quench_fmax", "timestep_fs"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}; it must be positive and finite.")
        require_non_negative("green_kubo_fs", self.green_kubo_fs)
        if not self.thermostats:
            raise UsageError("No thermostat is asked for.", hint="Write langevin:100, say.")
        for text in self.thermostats:
            if parse_thermostat(text)[0] == "svr":
                raise UsageError(
                    "Velocity rescaling (svr) is not linear in the velocities, so that there is no harmonic prediction.",
                    hint="Use ncbench nvt --thermostat svr:10.",
                )


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: PredictSettings, *, seed: int, context: Context
) -> Outcome:
    """Rows for each structure, thermostat and element. Finished structures are not repeated after a kill."""
    import numpy as np

    kept = context.checkpoint.load() or {"rows": [], "side": {}, "cases": 0}
    outcome = Outcome(
        rows=list(kept["rows"]),
        side={name: list(kept["side"].get(name, [])) for name in ("sensitivity", "map", "green-kubo")},
    )
    for index, case in enumerate(cases[kept["cases"] :], kept["cases"]):
        rng = np.random.default_rng([seed, index])
        try:
            rows, side = _predicted(forcefield, case, settings, rng, context, seed, note=f"{index + 1}/{len(cases)}")
        except UnsupportedError as error:
            where = {"structure": case.name, "n_atoms": len(case.atoms)}
            rows, side = [SCHEMA.row(**where, status=Status.UNSUPPORTED, reason=str(error))], {}
        outcome.rows += rows
        for name, more in side.items():
            outcome.side[name] += more
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "side": outcome.side, "cases": index + 1})
    outcome.side["summary"] = _summary(outcome.rows)
    return outcome


def _predicted(
    forcefield: ForceField,
    case: Case,
    settings: PredictSettings,
    rng: Any,
    context: Context,
    seed: int,
    *,
    note: str,
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    from ncbench.prediction.heating import predict_with_sensitivity
    from ncbench.prediction.quench import force_jacobian, quench

    forcefield.check([case.atoms])
    began = time.perf_counter()
    rested = quench(forcefield, context.reference, case.atoms, fmax=settings.quench_fmax, steps=settings.quench_steps)
    size, done = 3 * len(case.atoms), 0
    context.progress.start(float(size), "rows of J")

    def tick(count: int) -> None:
        nonlocal done
        done = min(size, done + count)
        context.progress.update(done, note)

    jacobian = force_jacobian(forcefield, rested.atoms, batch=settings.batch, rng=rng, tick=tick)
    measured = time.perf_counter()
    found = predict_with_sensitivity(
        jacobian.matrix,
        jacobian.noise,
        rested.atoms.get_masses(),
        rested.atoms.get_chemical_symbols(),
        temperature_K=settings.temperature_K,
        thermostats=[_thermostat(text) for text in settings.thermostats],
        nve_fs=NVE_FS,
        floor_per_cm=settings.floor_per_cm,
        map_tau_fs=SUMMARY_TAU_FS,
    )
    ok = {"structure": case.name, "n_atoms": len(case.atoms), "status": Status.OK, "reason": ""}
    common = ok | {
        "method": jacobian.method,
        "jacobian_seconds": measured - began,
        "seconds": time.perf_counter() - measured,
    }
    rows = [SCHEMA.row(**common, **_of_quench(rested), **values) for values in _rows(found)]
    side = {
        "sensitivity": [SENSITIVITY.row(**ok, **values) for one in found.predictions for values in _sensitivity(one)],
        "map": [MAP.row(**ok, **values) for values in _map(found, len(case.atoms))],
    }
    if settings.green_kubo_fs > 0:
        side["green-kubo"] = [GREEN_KUBO.row(**ok, **_green_kubo(forcefield, case, settings, context, seed))]
    return rows, side


def _thermostat(text: str) -> Thermostat:
    from pathlib import Path

    from ncbench.md.gle import PAPER, read_drift
    from ncbench.prediction.heating import Thermostat

    name, tau_fs = parse_thermostat(text)
    if tau_fs is not None:
        return Thermostat.langevin(tau_fs)
    file = text.partition(":")[2]
    return Thermostat(name, None, (read_drift(Path(file)) if file else PAPER) / 1000.0)


def _of_quench(rested: Quench) -> dict[str, Any]:
    return {
        "quenched_by": rested.label,
        "quench_steps": rested.steps,
        "quench_fmax_eV_per_A": rested.fmax,
        "note": rested.note,
    }


def _rows(found: Sensitivity) -> list[dict[str, Any]]:
    from ncbench.prediction.heating import critical_tau_fs

    default = found.default
    floor = found.floor_power
    n_atoms = found.n_atoms
    common: dict[str, Any] = {
        "target_K": default.target_K,
        "frequency_floor_per_cm": default.floor_per_cm,
        "imaginary_modes": default.n_imaginary,
        "floored_modes": default.n_floored,
        "power_floor_meV_per_atom_per_ps": floor,
    }
    heats = default.nve_power[NVE_FS[0]] > 3 * floor
    # A limit that rounding alone sets is none.
    common["harmonic_limit_fs"] = default.longest_stable_tau_fs if heats else None
    rows = []
    for one in default.thermostats:
        label, name, tau_fs = one.thermostat.label, one.thermostat.name, one.thermostat.tau_fs
        low, high = _spread([other.under(label).power for other in found.predictions])
        thermostat = common | {
            "thermostat": name,
            "tau_fs": tau_fs,
            "stable": one.stable,
            "growth_per_ps": one.growth_per_ps,
            "power_meV_per_atom_per_ps": one.power,
            "power_low_meV_per_atom_per_ps": low,
            "power_high_meV_per_atom_per_ps": high,
            "golden_rule_meV_per_atom_per_ps": one.golden_rule_power,
            "above_floor": not one.stable or (one.power is not None and one.power > 3 * floor),
        }
        if tau_fs is not None and one.power is not None and one.temperature_K is not None and one.power > 3 * floor:
            hot = one.temperature_K["all"]
            thermostat["critical_tau_fs"] = critical_tau_fs(one.power, hot, default.n_modes, n_atoms)
        for species in found.species:
            temperatures = [_temperature(other, label, species) for other in found.predictions]
            least, most = _spread(temperatures)
            own = _temperature(default, label, species)
            rows.append(
                thermostat
                | {
                    "species": species,
                    "temperature_K": own,
                    "temperature_excess_K": None if own is None else own - default.target_K,
                    "excess_low_K": None if least is None else least - default.target_K,
                    "excess_high_K": None if most is None else most - default.target_K,
                }
            )
    for time_fs, power in default.nve_power.items():
        low, high = _spread([other.nve_power[time_fs] for other in found.predictions])
        rows.append(
            common
            | {
                "thermostat": "none",
                "duration_fs": time_fs,
                "species": "all",
                "growth_per_ps": default.nve_growth_per_ps,
                "power_meV_per_atom_per_ps": power,
                "power_low_meV_per_atom_per_ps": low,
                "power_high_meV_per_atom_per_ps": high,
                "above_floor": power > 3 * floor,
            }
        )
    return rows


def _temperature(prediction: HeatingPrediction, label: str, species: str) -> float | None:
    temperatures = prediction.under(label).temperature_K
    return None if temperatures is None else temperatures[species]


def _spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Least and largest; no largest where one of them is a runaway."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return min(known), max(known) if len(known) == len(values) else None


def _sensitivity(prediction: HeatingPrediction) -> list[dict[str, Any]]:
    common = {
        "frequency_floor_per_cm": prediction.floor_per_cm,
        "imaginary": prediction.imaginary,
        "harmonic_limit_fs": prediction.longest_stable_tau_fs,
    }
    rows = []
    for one in prediction.thermostats:
        hot = _temperature(prediction, one.thermostat.label, "all")
        rows.append(
            common
            | {
                "thermostat": one.thermostat.name,
                "tau_fs": one.thermostat.tau_fs,
                "stable": one.stable,
                "temperature_excess_K": None if hot is None else hot - prediction.target_K,
                "power_meV_per_atom_per_ps": one.power,
            }
        )
    return rows + [
        common | {"thermostat": "none", "duration_fs": time_fs, "power_meV_per_atom_per_ps": power}
        for time_fs, power in prediction.nve_power.items()
    ]


LEAST_SHARE = 1e-3
"""Bins of the map with less of the power and less of ‖a‖² are left out."""


def _map(found: Sensitivity, n_atoms: int) -> list[dict[str, Any]]:
    edges, rows = found.map.edges_per_cm.tolist(), []
    for i in range(len(edges) - 1):
        for j in range(i + 1):
            pairs = 1.0 if i == j else 2.0
            share, norm = pairs * float(found.map.share[i, j]), pairs * float(found.map.norm_share[i, j])
            if max(share, norm) < LEAST_SHARE:
                continue
            rows.append(
                {
                    "omega_from_per_cm": edges[i],
                    "omega_to_per_cm": edges[i + 1],
                    "omega2_from_per_cm": edges[j],
                    "omega2_to_per_cm": edges[j + 1],
                    "tau_fs": found.map_tau_fs,
                    "fraction_of_power": share,
                    "power_meV_per_atom_per_ps": share * found.map_power,
                    "fraction_of_antisymmetry": norm,
                }
            )
    return rows


def _green_kubo(
    forcefield: ForceField, case: Case, settings: PredictSettings, context: Context, seed: int
) -> dict[str, Any]:
    from ncbench.prediction.green_kubo import run_conservative, work_growth
    from ncbench.prediction.quench import quench_model
    from ncbench.types import ForceMode

    conservative = quench_model(forcefield, context.reference)
    if conservative.card.force_mode is not ForceMode.CONSERVATIVE:
        raise UnsupportedError(
            f"{forcefield.card.label} has no conservative forces to move the atoms with.",
            hint="Name a conservative model with --reference, or leave --green-kubo out.",
        )
    context.progress.start(settings.green_kubo_fs / settings.timestep_fs, "steps")
    rates, spacing_fs = run_conservative(
        conservative,
        forcefield,
        case.atoms,
        duration_fs=settings.green_kubo_fs,
        timestep_fs=settings.timestep_fs,
        temperature_K=settings.temperature_K,
        seed=seed,
        report=lambda step, note: context.progress.update(step, note),
    )
    found = work_growth(rates, spacing_fs, n_atoms=len(case.atoms), temperature_K=settings.temperature_K)
    return {
        "moved_by": conservative.card.label,
        "duration_fs": settings.green_kubo_fs,
        "power_meV_per_atom_per_ps": found.power,
        "power_meV_per_atom_per_ps_se": found.standard_error,
        "fit_from_fs": found.fit_from_fs,
        "fit_to_fs": float(found.lags_fs[-1]),
        "transient_meV": found.transient_meV,
    }


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over structures, each a quench of its own."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["status"] == Status.OK:
            groups[row["thermostat"], row["tau_fs"], row["duration_fs"], row["species"]].append(row)
    out = []
    for (thermostat, tau_fs, duration_fs, species), members in groups.items():
        if len(members) < 2:
            continue
        sizes = {row["n_atoms"] for row in members}
        values: dict[str, Any] = {"n_runaway": sum(row["stable"] is False for row in members)}
        values["n_structures"] = len(members) - values["n_runaway"]
        for column in ("temperature_excess_K", "power_meV_per_atom_per_ps"):
            known = [row[column] for row in members if row[column] is not None]
            if len(known) > 1:
                values[column], values[f"{column}_se"] = mean(known, [None] * len(known))
        where = {
            "structure": "all",
            "n_atoms": sizes.pop() if len(sizes) == 1 else None,
            "thermostat": thermostat,
            "tau_fs": tau_fs,
            "duration_fs": duration_fs,
            "species": species,
        }
        out.append(SUMMARY.row(**where, **values, status=Status.OK, reason=""))
    return out


def cost(settings: PredictSettings, n_atoms: int) -> float:
    """The quench, one product a row of J, and the conservative run."""
    return settings.quench_steps + PRODUCT_COST * 3.0 * n_atoms + settings.green_kubo_fs / settings.timestep_fs


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Power under white noise of τ = 100 fs, and the critical time constant."""
    return (
        Quantity(
            "predicted_power",
            "Predicted heating, Langevin 100 fs",
            "meV/atom/ps",
            _of_summary_tau("power_meV_per_atom_per_ps"),
        ),
        Quantity("critical_tau", "Predicted τ_c", "fs", _of_summary_tau("critical_tau_fs")),
    )


def _of_summary_tau(column: str) -> Any:
    def value(rows: pd.DataFrame) -> Cell:
        chosen = rows[
            (rows["thermostat"] == "langevin") & (rows["tau_fs"] == SUMMARY_TAU_FS) & (rows["species"] == "all")
        ]
        if not len(chosen):
            return Cell(missing=f"predict was not run with langevin:{SUMMARY_TAU_FS:g}")
        if not bool(chosen["stable"].fillna(True).astype(bool).all()):
            return Cell(missing="runaway: no stationary state")
        return mean_cell(chosen, column)

    return value


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """The verdict, which vibrations heat, and what to keep in mind."""
    lines = []
    for (_, structure), members in _by_structure(rows).items():
        first = members[0]
        where = f"{label_of(first)}, {structure}"
        nve = next((row for row in members if row["thermostat"] == "none"), None)
        if nve is None:
            continue
        if not nve["above_floor"]:
            lines.append(
                f"{where}: no heating above {number(3 * nve['power_floor_meV_per_atom_per_ps'], 1)} meV/atom/ps"
            )
            continue
        runaway = sorted({_name(row) for row in members if row["stable"] is False})
        limit = number(first["harmonic_limit_fs"])
        text = f"{where}: heats at {number(nve['power_meV_per_atom_per_ps'])} meV/atom/ps at constant energy"
        text += f"; harmonic motion is bounded by white noise of τ < {limit} fs"
        if runaway:
            text += f"; runaway under {', '.join(runaway)}"
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
        )
    lines += sorted({f"{label_of(row)}, {row['structure']}: {row['note']}" for row in rows if row["note"]})
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
    version=1,
    summary="Heating predicted from the force Jacobian: temperatures under thermostats, NVE drift, critical time constants.",
    help="The structure is quenched by the model's conservative forces, or by --reference; the antisymmetric part of the Jacobian there "
    "drives its vibrations. Exact for harmonic motion; anharmonic dephasing makes real runaways slower than predicted ones.",
    examples=(
        "--model pet-m:direct",
        "-m pet-m:direct --thermostat langevin:30 --thermostat gle",
        "-m pet-m:direct --green-kubo 1000",
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
        "summary": SUMMARY,
    },
    cost=cost,
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
        Shown("τ_c fs", "critical_tau_fs"),
    ),
    quantities=quantities,
    remarks=remarks,
    conditions=("frequency_floor_per_cm", "quenched_by"),
    takes_reference=True,
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 1, Budget.PAPER: 8},
)
