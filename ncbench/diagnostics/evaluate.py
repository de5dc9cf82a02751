"""Energies, forces and stresses of structures as tables, one row per structure and one per atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED
from ncbench.schema import Column, TableSchema
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    from ncbench.models.interface import ForceField


@dataclass(frozen=True)
class EvaluateSettings:
    """This diagnostic has no settings."""


_STRESS = tuple(f"stress_{name}_eV_per_A3" for name in ("xx", "yy", "zz", "yz", "xz", "xy"))

SCHEMA = TableSchema(
    "evaluate",
    1,
    (
        Column("energy_eV", "float", "eV", "potential energy; absent for a model without one"),
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square of a force component"),
        Column("force_max_eV_per_A", "float", "eV/Å", "largest norm of the force on an atom"),
        *(
            Column(
                name,
                "float",
                "eV/Å³",
                "component of the stress; absent for a model without stresses and for a cell that is not three-dimensional",
            )
            for name in _STRESS
        ),
    ),
)

FORCES = TableSchema(
    "evaluate-forces",
    1,
    (
        Column("atom_i", "int", "", "index of the atom, from 0"),
        Column("species_i", "str", "", "element of the atom"),
        Column("force_x_eV_per_A", "float", "eV/Å", "x component of the force on the atom"),
        Column("force_y_eV_per_A", "float", "eV/Å", "y component of the force on the atom"),
        Column("force_z_eV_per_A", "float", "eV/Å", "z component of the force on the atom"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: EvaluateSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure; the forces on its atoms are in the side table ``forces``."""
    import numpy as np

    from ncbench.models.checks import has_volume

    del settings, seed  # no settings, and nothing is random
    outcome = Outcome(side={"forces": []})
    refusals = Refusals(SCHEMA, len(cases))
    context.progress.start(len(cases), "structures")
    for number, case in enumerate(cases, 1):
        atoms = case.atoms
        stressed = forcefield.card.has_stress and has_volume(atoms)
        where = {"structure": case.name, "n_atoms": len(atoms)}
        try:
            (result,) = forcefield.evaluate([atoms], stress=stressed)
        except REFUSED as error:
            outcome.rows.append(refusals.row(case, error))
            continue
        if quantity := result.not_finite(has_energy=forcefield.card.has_energy):
            reason = f"the model's {quantity} {'are' if quantity == 'forces' else 'is'} not finite"
            outcome.rows.append(SCHEMA.row(**where, status=Status.FAILED, reason=reason))
            continue
        stress = None if result.stress is None else result.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        scale = float(np.abs(result.forces).max()) or 1.0
        outcome.rows.append(
            SCHEMA.row(
                **where,
                status=Status.OK,
                reason="",
                energy_eV=float(result.labelled_energy) if np.isfinite(result.labelled_energy) else None,
                # In units of the largest component, whose square can be larger than the largest number.
                force_rms_eV_per_A=scale * float(np.sqrt(np.mean((result.forces / scale) ** 2))),
                force_max_eV_per_A=scale * float(np.linalg.norm(result.forces / scale, axis=1).max()),
                **({} if stress is None else dict(zip(_STRESS, stress.tolist(), strict=True))),
            )
        )
        outcome.side["forces"] += [
            FORCES.row(
                structure=case.name,
                n_atoms=len(atoms),
                status=Status.OK,
                reason="",
                atom_i=index,
                species_i=symbol,
                force_x_eV_per_A=force[0],
                force_y_eV_per_A=force[1],
                force_z_eV_per_A=force[2],
            )
            for index, (symbol, force) in enumerate(
                zip(atoms.get_chemical_symbols(), result.forces.tolist(), strict=True)
            )
        ]
        context.progress.update(number)
    return outcome


def cost(settings: EvaluateSettings, n_atoms: int) -> float:
    """One call per structure."""
    return 1.0


DIAGNOSTIC = Diagnostic(
    name="evaluate",
    rank=110,
    version=1,
    summary="Energies, forces and stresses of structures as tables: evaluate.csv, and evaluate-forces.csv with one row per atom.",
    help="No simulation is run: the tables hold what the model returns. Stresses are written for models that have them and for "
    "structures with a three-dimensional cell.",
    examples=("--model pet-m:direct --model pet-m:conservative --system water64 --structures 1",),
    settings=EvaluateSettings,
    presets=dict.fromkeys(Budget, EvaluateSettings()),
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("V eV", "energy_eV"),
        Shown("rms f eV/Å", "force_rms_eV_per_A"),
        Shown("max |f| eV/Å", "force_max_eV_per_A"),
    ),
    side_schemas={"forces": FORCES},
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 4, Budget.PAPER: 100},
)
