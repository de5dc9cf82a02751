"""Consistency of a model's forces with its energies, its stresses and the symmetries of space.

Properties of the gradient of an invariant energy, each measured as a number with a numerical floor: no net force and torque,
f = −∂V/∂r, f(Rr) = R f(r), no jumps of V along a path, σ = (1/V) ∂E/∂ε; and operations that must not change the forces: a
translation, periodic images, a supercell, an atom outside the cutoff, another order of the atoms, a repeated evaluation, other
structures in the batch. Only energies and forces are used, so the tests apply to every model; they also show errors of an
accelerated kernel or of a reduced precision that energies do not show.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UsageError
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.types import Budget, Case, Outcome, Status
from ncbench.units import GPA, MEV

if TYPE_CHECKING:
    import numpy as np

    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class ConsistencySettings:
    """Numbers of random directions, rotations and points."""

    directions: Annotated[
        int,
        Option(
            "Number of random directions in which the energy is differentiated, and of random strains for the stress.",
            metavar="N",
        ),
    ] = 8
    rotations: Annotated[int, Option("Number of random rotations.", metavar="N")] = 4
    points: Annotated[
        int, Option("Number of points on the straight path that is searched for jumps of the energy.", metavar="N")
    ] = 48
    path_A: float = 0.05
    """Length of that path, as the root-mean-square displacement of a coordinate, Å."""

    def __post_init__(self) -> None:
        for name, least in (("directions", 2), ("rotations", 1), ("points", 12)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name} = {getattr(self, name)} is too small.", hint=f"The smallest value is {least}."
                )
        if not 0 < self.path_A < 10:
            raise UsageError(f"path_A = {self.path_A} must be above 0 and below 10 Å.")


SCHEMA = TableSchema(
    "consistency",
    2,
    (
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square of a force component"),
        Column(
            "net_force_meV_per_A", "float", "meV/Å", "norm of the sum of the forces, divided by the number of atoms"
        ),
        Column(
            "net_torque_meV",
            "float",
            "meV",
            "norm of the sum of the torques about the centroid, divided by the number of atoms; isolated structures only",
        ),
        Column("energy_force_gap_meV_per_A", "float", "meV/Å", "rms component of ∂V/∂r + f"),
        Column("energy_force_gap_meV_per_A_se", "float", "meV/Å", "standard error of it over directions"),
        Column(
            "energy_force_gap_floor_meV_per_A",
            "float",
            "meV/Å",
            "value expected from rounding and truncation alone; jumps of the energy between the displacements raise it as well, since they have no "
            "derivative, and are seen by energy_jump",
        ),
        Column("ratio_energy_force_gap", "float", "", "energy_force_gap divided by force_rms"),
        Column("rotation_error_meV_per_A", "float", "meV/Å", "rms component of Rᵀf(Rr) − f(r)"),
        Column(
            "rotation_error_floor_meV_per_A",
            "float",
            "meV/Å",
            "the same for rotations by about 1e-5 rad, which is almost only rounding",
        ),
        Column("ratio_rotation_error", "float", "", "rotation_error divided by force_rms"),
        Column("rotation_energy_meV_per_atom", "float", "meV/atom", "rms change of the energy under rotation"),
        Column(
            "energy_jump_meV", "float", "meV", "largest energy step along a path in excess of the work of the forces"
        ),
        Column("energy_jump_floor_meV", "float", "meV", "value expected from rounding and quadrature alone"),
        Column("stress_gap_MPa", "float", "MPa", "rms difference of stress and (1/V) ∂E/∂ε"),
        Column("stress_gap_floor_MPa", "float", "MPa", "value expected from rounding and truncation alone"),
        Column("ratio_stress_gap", "float", "", "stress_gap divided by the rms of (1/V) ∂E/∂ε; 2 for a wrong sign"),
        Column(
            "translation_error_meV_per_A",
            "float",
            "meV/Å",
            "rms change of a force component when all atoms are translated by up to 1000 Å",
        ),
        Column(
            "images_error_meV_per_A",
            "float",
            "meV/Å",
            "the same when atoms are replaced by periodic images; periodic structures only",
        ),
        Column(
            "supercell_error_meV_per_A",
            "float",
            "meV/Å",
            "the same in a supercell of two cells; periodic structures only",
        ),
        Column(
            "ghost_error_meV_per_A",
            "float",
            "meV/Å",
            "the same with one more atom outside the cutoff; not for structures periodic in three directions",
        ),
        Column("permutation_error_meV_per_A", "float", "meV/Å", "the same with the atoms in another order"),
        Column("repetition_error_meV_per_A", "float", "meV/Å", "the same when evaluated again after another structure"),
        Column("company_error_meV_per_A", "float", "meV/Å", "the same in one batch with other structures"),
        Column("invariance_error_meV_per_A", "float", "meV/Å", "largest of these seven"),
        Column("invariance_worst", "str", "", "name of the operation with the largest"),
        Column("invariance_floor_meV_per_A", "float", "meV/Å", "value expected from rounding alone"),
        Column("force_calls", "int", "", "evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: ConsistencySettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure. A resumed run does not repeat finished structures."""
    import numpy as np

    kept = context.checkpoint.load() or {"rows": []}
    outcome = Outcome(rows=list(kept["rows"]))
    refusals = Refusals(SCHEMA, len(cases))
    context.progress.start(len(cases), "structures")
    for index, case in enumerate(cases[len(outcome.rows) :], len(outcome.rows)):
        try:
            row = _row(forcefield, case, settings, np.random.default_rng([seed, index]))
        except REFUSED as error:
            row = refusals.row(case, error)
        outcome.rows.append(row)
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
    original = forcefield.evaluate([atoms], stress=stressed)[0]
    where = {"structure": case.name, "n_atoms": len(atoms)}
    if quantity := original.not_finite(has_energy=card.has_energy):
        reason = f"the model's {quantity} {'are' if quantity == 'forces' else 'is'} not finite"
        return SCHEMA.row(**where, status=Status.FAILED, reason=reason)
    rms = float(np.sqrt(np.mean(original.forces**2)))
    force, torque = net_force_and_torque(atoms, original.forces)
    turned = rotation_error(forcefield, atoms, original, rotations=settings.rotations, rng=rng)
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
        gap = energy_force_gap(forcefield, atoms, original, directions=settings.directions, rng=rng)
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
    invariant = {
        name: change for name in PROBES if (change := probe(name, forcefield, atoms, original, rng)) is not None
    }
    worst = max(invariant, key=lambda name: invariant[name].force)  # repetition always applies
    floor = rounding_floor(forcefield, atoms, original, rng=rng)
    calls += FLOOR_CALLS + sum(PROBES[name] for name in invariant)
    values |= {f"{name}_error_meV_per_A": change.force / MEV for name, change in invariant.items()}
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
    return 4.0 * settings.directions + 2.0 * settings.rotations + 2.5 * settings.points + 18.0


DIAGNOSTIC = Diagnostic(
    name="consistency",
    rank=70,
    version=3,
    summary="Net force and torque, forces against energies, rotations, energy jumps, stress, invariances: each with its numerical floor.",
    help="Tests of properties that the gradient of an invariant energy has, from energies and forces alone. They also detect a kernel or a "
    "precision that changes the forces while energies agree. An energy with jumps, such as that of a neighbour list with a limit, is the "
    "integral of its forces between the jumps: it shows in the energy jump, while the floor of ∂V/∂r + f grows.",
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
