"""Vibrational frequencies against the displacement that they are computed with: a test of the smoothness of the forces.

Phonon programs displace atoms by 0.01 to 0.03 Å; models with rough forces need 0.1 Å and more (Fu et al., ICML 2025, arXiv:2502.12147).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Divisible, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import rows_at_once
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.statistics.format import number
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from ncbench.models.interface import ForceField
    from ncbench.prediction.phonons import Displacements

CHECK_CALLS = 10
"""Force calls of each length for the rounding, and of finding a structure with another rounding."""
LEAST_RATIO = 1.5
"""Of two neighbouring displacements. For a smooth energy Φ(h) − Φ(0) is then at most 0.8 of the change from h to the next; with nearly equal
lengths that change is nearly zero whatever the forces are."""


@dataclass(frozen=True, kw_only=True)
class PhononSmoothnessSettings:
    """The displacements."""

    displacements_A: Annotated[
        tuple[float, ...],
        Option(
            "Displacements of an atom, Å, by factors of 1.5 or more; at least two, and three for the verdict 'rough'.",
            flag="--displacements",
            metavar="Å,Å,…",
            comma=True,
        ),
    ] = (0.003, 0.01, 0.03, 0.1)
    batch: Annotated[
        int | None,
        Option(
            "Pairs of displaced structures in one model call; by default 1 on a CPU, 16 on a GPU.",
            metavar="R",
            minimum=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        lengths = self.displacements_A
        if len(lengths) < 2 or len(set(lengths)) != len(lengths):
            raise UsageError(f"displacements {lengths} must be at least two different lengths.")
        if not all(math.isfinite(one) and 0 < one <= 1 for one in lengths):
            raise UsageError(f"displacements {lengths} must be above 0 and at most 1 Å.")
        ordered = sorted(lengths)
        if any(longer < LEAST_RATIO * (1 - 1e-9) * one for one, longer in itertools.pairwise(ordered)):
            raise UsageError(f"displacements {lengths} must differ by factors of {LEAST_RATIO} or more to be compared.")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"batch is {self.batch}; it must be at least 1.")


SCHEMA = TableSchema(
    "phonon-smoothness",
    1,
    (
        Column(
            "verdict",
            "str",
            "",
            "converges: the force constants become independent of the displacement; rough: they change by more than 1 % at the shortest "
            "displacements that rounding allows, and no less than at longer ones; unresolved: neither is shown",
        ),
        Column("displacement_A", "float", "Å", "the displacement h with the smallest change to the next longer one"),
        Column(
            "ratio_change", "float", "", "‖Φ(h) − Φ(h')‖/‖Φ(h')‖ there, Φ the force constants, h' the next longer one"
        ),
        Column("ratio_change_floor", "float", "", "change expected from the rounding of the forces alone"),
        Column("ratio_change_shortest", "float", "", "the same between the two shortest displacements"),
        Column("ratio_change_shortest_floor", "float", "", "its floor"),
        Column(
            "frequency_lowest_per_cm", "float", "1/cm", "lowest frequency at this displacement; negative if imaginary"
        ),
        Column("frequency_highest_per_cm", "float", "1/cm", "highest frequency there"),
        Column(
            "frequency_highest_shift_per_cm",
            "float",
            "1/cm",
            "largest less smallest of the highest frequencies over all displacements",
        ),
        Column("n_imaginary", "int", "", "imaginary frequencies there, of 3N − 3 (with held translations more)"),
        Column("n_imaginary_shortest", "int", "", "imaginary frequencies at the shortest displacement"),
        Column("force_rms_eV_per_A", "float", "eV/Å", "root mean square of a force component: 0 at a minimum"),
        Column("n_lengths", "int", "", "displacements"),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("seconds", "float", "s", "wall time"),
    ),
)
LENGTHS = TableSchema(
    "phonon-smoothness-lengths",
    1,
    (
        Column("displacement_A", "float", "Å", "displacement h of an atom"),
        Column("ratio_change", "float", "", "‖Φ(h) − Φ(h')‖/‖Φ(h')‖ to the next longer h'; absent at the longest"),
        Column("ratio_change_floor", "float", "", "change expected from the rounding of the forces alone"),
        Column("frequency_lowest_per_cm", "float", "1/cm", "lowest frequency; negative if imaginary"),
        Column("frequency_highest_per_cm", "float", "1/cm", "highest frequency"),
        Column("n_imaginary", "int", "", "imaginary frequencies"),
    ),
)
MODES = TableSchema(
    "phonon-smoothness-modes",
    1,
    (
        Column("displacement_A", "float", "Å", "displacement h of an atom"),
        Column("mode", "int", "", "number of the mode in the order of its frequency, from 0"),
        Column("frequency_per_cm", "float", "1/cm", "frequency; −√|ω²| if imaginary"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: PhononSmoothnessSettings, *, seed: int, context: Context
) -> Outcome:
    """One row per structure. A resumed run does not repeat finished structures."""
    import numpy as np

    kept = context.checkpoint.load() or {"rows": [], "side": {"lengths": [], "modes": []}}
    outcome = Outcome(rows=list(kept["rows"]), side={name: list(rows) for name, rows in kept["side"].items()})
    refusals = Refusals(SCHEMA, len(cases))
    for index, case in enumerate(cases[len(outcome.rows) :], len(outcome.rows)):
        rng = np.random.default_rng([seed, index])
        try:
            row, side = _measure(forcefield, case, settings, rng, context, f"{index + 1}/{len(cases)}")
        except REFUSED as error:
            row, side = refusals.row(case, error), {}
        outcome.rows.append(row)
        for name, rows in side.items():
            outcome.side[name] += rows
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "side": outcome.side})
    return outcome


def _measure(
    forcefield: ForceField,
    case: Case,
    settings: PhononSmoothnessSettings,
    rng: np.random.Generator,
    context: Context,
    note: str,
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    import numpy as np

    from ncbench.prediction.phonons import displace
    from ncbench.structures.content import name_unused_constraints

    began = time.perf_counter()
    atoms = _at_sites(case.atoms)
    where = {"structure": case.name, "n_atoms": len(atoms)}
    if len(atoms) < 2:
        raise UnsupportedError("A single atom has no vibrations.")
    name_unused_constraints(case.name, atoms)
    forces = forcefield.evaluate([atoms])[0].forces
    done, total = 0, 3 * len(atoms) * len(settings.displacements_A)
    context.progress.start(total, "displacements")

    def tick(count: int) -> None:
        nonlocal done
        done += count
        context.progress.update(done, note)

    batch = settings.batch or (16 if forcefield.card.device.startswith("cuda") else 1)
    measured = displace(forcefield, atoms, settings.displacements_A, batch=batch, rng=rng, tick=tick)
    if not np.isfinite(measured.frequencies_per_cm).all():
        reason = "the model's forces at a displaced structure are not finite"
        return SCHEMA.row(**where, status=Status.FAILED, reason=reason), {}
    seconds = time.perf_counter() - began
    row = SCHEMA.row(
        **where,
        **_columns(measured),
        force_rms_eV_per_A=float(np.sqrt(np.mean(np.square(forces)))),
        force_calls=measured.force_calls + 1,
        seconds=seconds,
        status=Status.OK,
        reason="",
    )
    return row, {"lengths": _length_rows(measured, where), "modes": _mode_rows(measured, where)}


def _at_sites(atoms: Atoms) -> Atoms:
    """The structure at its reference positions, if it has them: a crystal without its thermal displacements."""
    placed: Atoms = atoms.copy()
    if "sites" in placed.arrays:
        placed.positions = placed.arrays["sites"]
    return placed


def _columns(measured: Displacements) -> dict[str, Any]:
    import numpy as np

    best = int(np.argmin(measured.change + 3.0 * measured.floor))
    highest = measured.frequencies_per_cm[:, -1]
    return {
        "verdict": str(measured.verdict),
        "displacement_A": float(measured.lengths_A[best]),
        "ratio_change": float(measured.change[best]),
        "ratio_change_floor": float(measured.floor[best]),
        "ratio_change_shortest": float(measured.change[0]),
        "ratio_change_shortest_floor": float(measured.floor[0]),
        "frequency_lowest_per_cm": float(measured.frequencies_per_cm[best, 0]),
        "frequency_highest_per_cm": float(highest[best]),
        "frequency_highest_shift_per_cm": float(np.ptp(highest)),
        "n_imaginary": int((measured.frequencies_per_cm[best] < 0).sum()),
        "n_imaginary_shortest": int((measured.frequencies_per_cm[0] < 0).sum()),
        "n_lengths": len(measured.lengths_A),
    }


def _length_rows(measured: Displacements, where: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for index, frequencies in enumerate(measured.frequencies_per_cm):
        last = index == len(measured.lengths_A) - 1
        rows.append(
            LENGTHS.row(
                **where,
                displacement_A=float(measured.lengths_A[index]),
                ratio_change=None if last else float(measured.change[index]),
                ratio_change_floor=None if last else float(measured.floor[index]),
                frequency_lowest_per_cm=float(frequencies[0]),
                frequency_highest_per_cm=float(frequencies[-1]),
                n_imaginary=int((frequencies < 0).sum()),
            )
        )
    return rows


def _mode_rows(measured: Displacements, where: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        MODES.row(**where, displacement_A=float(length), mode=mode, frequency_per_cm=float(frequency))
        for length, frequencies in zip(measured.lengths_A, measured.frequencies_per_cm, strict=True)
        for mode, frequency in enumerate(frequencies)
    ]


def cost(settings: PhononSmoothnessSettings, n_atoms: int) -> float:
    """Two force calls for each coordinate and displacement, and some for the rounding."""
    return len(settings.displacements_A) * (6.0 * n_atoms + CHECK_CALLS)


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """The consequence of rough forces."""
    return [
        f"{label_of(row)}, {row['structure']}: the force constants change by {100 * row['ratio_change_shortest']:.2g} % at the shortest displacement; "
        f"phonons of this model depend on the displacement (by up to {number(row['frequency_highest_shift_per_cm'], 2)} cm⁻¹ at the highest frequency)."
        for row in rows
        if row["status"] == Status.OK and row["verdict"] == "rough"
    ]


DIAGNOSTIC = Diagnostic(
    name="phonon-smoothness",
    rank=75,
    version=1,
    summary="Vibrational frequencies against the displacement of the atoms: the same at every short one if the forces are smooth.",
    help="Force constants by central differences over several displacements, at the reference sites of a crystal, or else at the structure as it is "
    "(away from a minimum frequencies may be imaginary). For smooth forces the change from one displacement to the next falls with its square; for rough ones it "
    "does not. Changes are given with the floor that rounding of the forces sets.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative",
        "-m sevennet-0 --system diamond --displacements 0.01,0.03,0.1",
    ),
    settings=PhononSmoothnessSettings,
    presets={
        Budget.SMOKE: PhononSmoothnessSettings(displacements_A=(0.01, 0.03, 0.1)),
        Budget.LAPTOP: PhononSmoothnessSettings(),
        Budget.PAPER: PhononSmoothnessSettings(displacements_A=(0.001, 0.003, 0.01, 0.03, 0.1, 0.2)),
    },
    run=run,
    schema=SCHEMA,
    side_schemas={"lengths": LENGTHS, "modes": MODES},
    cost=cost,
    divisible=Divisible("forces", rows_at_once),
    remarks=remarks,
    show=(
        Shown("verdict", "verdict"),
        Shown("h Å", "displacement_A"),
        Shown("change", "ratio_change", at_most="ratio_change_floor"),
        Shown("at the shortest h", "ratio_change_shortest", at_most="ratio_change_shortest_floor"),
        Shown("lowest cm⁻¹", "frequency_lowest_per_cm"),
        Shown("highest cm⁻¹", "frequency_highest_per_cm"),
        Shown("imaginary", "n_imaginary"),
        Shown("force eV/Å", "force_rms_eV_per_A"),
        Shown("s", "seconds"),
    ),
    conditions=("n_lengths",),
    default_system="water8",
)
