"""consistency: do forces, energies, stresses and symmetries of a model agree with each other?

What a gradient of an invariant energy must satisfy, each as a number with a floor: no net force and torque, f = −∂V/∂r,
f(Rr) = R f(r), no jumps of V along a path, σ = (1/V) ∂E/∂ε; and what must change no force: a translation, periodic images, a
supercell, an atom out of reach, another order, another evaluation, other structures in the batch. Everything goes through energies and forces alone, so that any
model can be asked; the numbers tell an accelerated kernel or a rounded one from its reference where energies agree.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.errors import UsageError
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.types import Budget, Case, Outcome, Status
from ncbench.units import GPA, MEV

if TYPE_CHECKING:
    import numpy as np

    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class ConsistencySettings:
    """How many random directions, rotations and points."""

    directions: Annotated[
        int,
        Option(
            "Random directions in which energies are differentiated, and strains where there is a stress.", metavar="N"
        ),
    ] = 8
    rotations: Annotated[int, Option("Random rotations.", metavar="N")] = 4
    points: Annotated[int, Option("Points on the straight path searched for jumps of the energy.", metavar="N")] = 48
    path_A: float = 0.05
    """Length of that path, as the root-mean-square displacement of a coordinate, Å."""

    def __post_init__(self) -> None:
        for name, least in (("directions", 2), ("rotations", 1), ("points", 12)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)} is too few.", hint=f"The least is {least}.")
        if not 0 < self.path_A < 10:
            raise UsageError(f"path_A = {self.path_A} is not a length below 10 Å.")


SCHEMA = TableSchema(
    "consistency",
    2,
    (
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square of a force component"),
        Column("net_force_meV_per_A", "float", "meV/Å", "norm of the sum of forces, an atom"),
        Column(
            "net_torque_meV", "float", "meV", "norm of the sum of torques about the centroid, an atom; isolated only"
        ),
        Column("energy_force_gap_meV_per_A", "float", "meV/Å", "rms component of ∂V/∂r + f"),
        Column("energy_force_gap_meV_per_A_se", "float", "meV/Å", "its standard error over directions"),
        Column(
            "energy_force_gap_floor_meV_per_A", "float", "meV/Å", "value that rounding and truncation alone would give"
        ),
        Column("ratio_energy_force_gap", "float", "", "the gap over force_rms"),
        Column("rotation_error_meV_per_A", "float", "meV/Å", "rms component of Rᵀf(Rr) − f(r)"),
        Column(
            "rotation_error_floor_meV_per_A", "float", "meV/Å", "the same for turns by some 1e-5, which is rounding"
        ),
        Column("ratio_rotation_error", "float", "", "the rotation error over force_rms"),
        Column("rotation_energy_meV_per_atom", "float", "meV/atom", "rms change of the energy under rotation"),
        Column(
            "energy_jump_meV", "float", "meV", "largest step of the energy that the work along a path does not explain"
        ),
        Column("energy_jump_floor_meV", "float", "meV", "value that rounding and quadrature alone would give"),
        Column("stress_gap_MPa", "float", "MPa", "rms difference of stress and (1/V) ∂E/∂ε"),
        Column("stress_gap_floor_MPa", "float", "MPa", "value that rounding and truncation alone would give"),
        Column("ratio_stress_gap", "float", "", "the gap over the rms of the energy's own stress; 2 for a wrong sign"),
        Column(
            "translation_error_meV_per_A",
            "float",
            "meV/Å",
            "rms change of a force component, all atoms moved by up to 1000 Å",
        ),
        Column(
            "images_error_meV_per_A", "float", "meV/Å", "the same with atoms replaced by periodic images; periodic only"
        ),
        Column("supercell_error_meV_per_A", "float", "meV/Å", "the same in two cells side by side; periodic only"),
        Column("ghost_error_meV_per_A", "float", "meV/Å", "the same with one more atom out of reach; not for crystals"),
        Column("permutation_error_meV_per_A", "float", "meV/Å", "the same with the atoms in another order"),
        Column("repetition_error_meV_per_A", "float", "meV/Å", "the same when evaluated again after another structure"),
        Column("company_error_meV_per_A", "float", "meV/Å", "the same among other structures in one batch"),
        Column("invariance_error_meV_per_A", "float", "meV/Å", "largest of these seven"),
        Column("invariance_worst", "str", "", "name of the largest"),
        Column("invariance_floor_meV_per_A", "float", "meV/Å", "value that rounding alone would give"),
        Column("force_calls", "int", "", "evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: ConsistencySettings, *, seed: int, context: Context
) -> Outcome:
    """One row a structure. Finished structures are not repeated after a kill."""
    import numpy as np

    kept = context.checkpoint.load() or {"rows": []}
    outcome = Outcome(rows=list(kept["rows"]))
    context.progress.start(len(cases), "structures")
    for index, case in enumerate(cases[len(outcome.rows) :], len(outcome.rows)):
        outcome.rows.append(_row(forcefield, case, settings, np.random.default_rng([seed, index])))
        context.progress.update(index + 1)
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows})
    return outcome


def _row(forcefield: ForceField, case: Case, settings: ConsistencySettings, rng: np.random.Generator) -> dict[str, Any]:
    import numpy as np

    from ncbench.consistency.invariances import FLOOR_CALLS, PROBES, probe, rounding_floor
    from ncbench.consistency.probes import (
        energy_force_gap,
        energy_jump,
        net_force_and_torque,
        rotation_error,
        stress_gap,
    )
    from ncbench.models.checks import has_volume

    began = time.perf_counter()
    atoms, card = case.atoms, forcefield.card
    stressed = card.has_energy and card.has_stress and has_volume(atoms)
    here = forcefield.evaluate([atoms], stress=stressed)[0]
    where = {"structure": case.name, "n_atoms": len(atoms)}
    if lost := here.not_finite(has_energy=card.has_energy):
        reason = f"the model's {lost} {'are' if lost == 'forces' else 'is'} not finite"
        return SCHEMA.row(**where, status=Status.FAILED, reason=reason)
    rms = float(np.sqrt(np.mean(here.forces**2)))
    force, torque = net_force_and_torque(atoms, here.forces)
    turned = rotation_error(forcefield, atoms, here, rotations=settings.rotations, rng=rng)
    values: dict[str, Any] = {
        "force_rms_eV_per_A": rms,
        "net_force_meV_per_A": force / MEV,
        "net_torque_meV": None if torque is None else torque / MEV,
        "rotation_error_meV_per_A": turned.force / MEV,
        "rotation_error_floor_meV_per_A": turned.floor / MEV,
        "ratio_rotation_error": _ratio(turned.force, rms),
    }
    calls = 1 + turned.force_calls
    if card.has_energy:
        gap = energy_force_gap(forcefield, atoms, here, directions=settings.directions, rng=rng)
        jump = energy_jump(forcefield, atoms, points=settings.points, path_A=settings.path_A, rng=rng)
        values |= {
            "rotation_energy_meV_per_atom": turned.energy_per_atom / MEV,
            "energy_force_gap_meV_per_A": gap.rms / MEV,
            "energy_force_gap_meV_per_A_se": gap.standard_error / MEV,
            "energy_force_gap_floor_meV_per_A": gap.floor / MEV,
            "ratio_energy_force_gap": _ratio(gap.rms, rms),
            "energy_jump_meV": jump.largest / MEV,
            "energy_jump_floor_meV": jump.floor / MEV,
        }
        calls += gap.force_calls + jump.force_calls
        if stressed:
            strained = stress_gap(forcefield, atoms, directions=settings.directions, rng=rng)
            values |= {
                "stress_gap_MPa": 1e3 * strained.rms / GPA,
                "stress_gap_floor_MPa": 1e3 * strained.floor / GPA,
                "ratio_stress_gap": _ratio(strained.rms, strained.scale),
            }
            calls += strained.force_calls
    invariant = {name: found for name in PROBES if (found := probe(name, forcefield, atoms, here, rng)) is not None}
    worst = max(invariant, key=lambda name: invariant[name].force)  # repetition always applies
    floor = rounding_floor(forcefield, atoms, here, rng=rng)
    calls += FLOOR_CALLS + sum(PROBES[name] for name in invariant)
    values |= {f"{name}_error_meV_per_A": found.force / MEV for name, found in invariant.items()}
    values |= {
        "invariance_error_meV_per_A": invariant[worst].force / MEV,
        "invariance_floor_meV_per_A": floor / MEV,
    }
    unknown = [name for name, value in values.items() if value is not None and not np.isfinite(value)]
    if unknown:
        reason = f"the model's energies or forces near the structure are not finite ({unknown[0]})"
        return SCHEMA.row(**where, status=Status.FAILED, reason=reason)
    values["invariance_worst"] = worst
    seconds = time.perf_counter() - began
    return SCHEMA.row(**where, **values, status=Status.OK, reason="", force_calls=calls, seconds=seconds)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def cost(settings: ConsistencySettings, n_atoms: int) -> float:
    """Energies along directions and the path, forces of rotated structures, and of those that should have the same forces."""
    return 4.0 * settings.directions + 2.0 * settings.rotations + 2.0 * settings.points + 18.0


DIAGNOSTIC = Diagnostic(
    name="consistency",
    rank=70,
    version=2,
    summary="Net force and torque, forces against energies, rotations, jumps of the energy, stress, invariances: each with its floor.",
    help="What the gradient of an invariant energy must satisfy, from energies and forces alone. A kernel or a precision that spoils "
    "forces while energies agree shows here.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative",
        "-m sevennet-0 --structure my.xyz --directions 32",
    ),
    settings=ConsistencySettings,
    presets={
        Budget.SMOKE: ConsistencySettings(directions=4, rotations=2, points=24),
        Budget.LAPTOP: ConsistencySettings(),
        Budget.PAPER: ConsistencySettings(directions=32, rotations=16, points=256),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown(
            "∂V/∂r + f meV/Å",
            "energy_force_gap_meV_per_A",
            "energy_force_gap_meV_per_A_se",
            "energy_force_gap_floor_meV_per_A",
        ),
        Shown("rotation meV/Å", "rotation_error_meV_per_A", "", "rotation_error_floor_meV_per_A"),
        Shown("net force meV/Å", "net_force_meV_per_A"),
        Shown("jump meV", "energy_jump_meV", "", "energy_jump_floor_meV"),
        Shown("stress gap MPa", "stress_gap_MPa", "", "stress_gap_floor_MPa"),
        Shown("invariance meV/Å", "invariance_error_meV_per_A", "", "invariance_floor_meV_per_A"),
        Shown("s", "seconds"),
    ),
    conditions=("force_calls",),
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 2, Budget.PAPER: 8},
)
