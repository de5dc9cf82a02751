"""consistency: do forces, energies, stresses and symmetries of a model agree with each other?

What a gradient of an invariant energy must satisfy, each as a number with a floor: no net force and torque, f = −∂V/∂r,
f(Rr) = R f(r), no jumps of V along a path, σ = (1/V) ∂E/∂ε. Everything goes through energies and forces alone, so that any
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
        for name, least in (("directions", 2), ("rotations", 1), ("points", 8)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)} is too few.", hint=f"The least is {least}.")
        if not 0 < self.path_A < 10:
            raise UsageError(f"path_A = {self.path_A} is not a length below 10 Å.")


SCHEMA = TableSchema(
    "consistency",
    1,
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

    from ncbench.consistency.probes import (
        energy_force_gap,
        energy_jump,
        net_force_and_torque,
        rotation_error,
        stress_gap,
    )

    began = time.perf_counter()
    atoms, card = case.atoms, forcefield.card
    here = forcefield.evaluate([atoms])[0]
    where = {"structure": case.name, "n_atoms": len(atoms)}
    lost = SCHEMA.row(**where, status=Status.FAILED, reason="the model's energies or forces are not finite")
    if not np.isfinite(here.forces).all() or (card.has_energy and not np.isfinite(here.energy)):
        return lost
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
        if card.has_stress and atoms.cell.rank == 3:
            found = stress_gap(forcefield, atoms, directions=settings.directions, rng=rng)
            values |= {
                "stress_gap_MPa": 1e3 * found.rms / GPA,
                "stress_gap_floor_MPa": 1e3 * found.floor / GPA,
                "ratio_stress_gap": _ratio(found.rms, found.scale),
            }
            calls += found.force_calls
    if not all(value is None or np.isfinite(value) for value in values.values()):
        return lost
    seconds = time.perf_counter() - began
    return SCHEMA.row(**where, **values, status=Status.OK, reason="", force_calls=calls, seconds=seconds)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def cost(settings: ConsistencySettings, n_atoms: int) -> float:
    """Energies along directions and the path, forces of rotated structures."""
    return 4.0 * settings.directions + 2.0 * settings.rotations + 2.0 * settings.points


DIAGNOSTIC = Diagnostic(
    name="consistency",
    rank=70,
    version=1,
    summary="Net force and torque, forces against energies, rotations, jumps of the energy, stress: each with its floor.",
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
        Shown("s", "seconds"),
    ),
    conditions=("force_calls",),
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 2, Budget.PAPER: 8},
)
