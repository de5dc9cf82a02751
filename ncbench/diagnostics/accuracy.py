"""Errors of energies and forces on structures with reference values.

MAE and RMSE over a labelled set: of the energy per atom over structures, of the forces over their components, for all atoms and
for each element. Energies are compared twice: unchanged, and with the mean difference of each composition subtracted, since the
zero of energy of a model may differ from that of the reference. Errors are standard errors over structures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ncbench.diagnostics.base import Context, Diagnostic, Shown
from ncbench.diagnostics.refusals import Refusals, evaluated
from ncbench.errors import UnsupportedError, UsageError
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.types import Budget, Case, Outcome, Status
from ncbench.units import MEV

if TYPE_CHECKING:
    from ase import Atoms

    from ncbench.models.interface import Evaluation, ForceField
    from ncbench.statistics.series import FloatArray


@dataclass(frozen=True, kw_only=True)
class AccuracySettings:
    """Names of the reference values, and the batch size."""

    energy_key: Annotated[str, Option("Name of the reference energy in the file, eV.", metavar="NAME")] = "energy_dft"
    """In ``Atoms.info``."""
    forces_key: Annotated[str, Option("Name of the reference forces in the file, eV/Å.", metavar="NAME")] = "forces_dft"
    """In ``Atoms.arrays``."""
    batch: Annotated[
        int | None, Option("Structures in one model call; by default 1 on a CPU, 16 on a GPU.", metavar="R", minimum=1)
    ] = None
    """With 1, ``ms_per_structure`` is the time of a single structure."""

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"batch = {self.batch} must be positive.")


SCHEMA = TableSchema(
    "accuracy",
    1,
    (
        Column("species", "str", "", "all, or the element whose atoms' forces are compared"),
        Column("n_structures", "int", "", "structures evaluated: those with a reference value"),
        Column("n_energies", "int", "", "number of reference energies"),
        Column("n_forces", "int", "", "atoms with reference forces"),
        Column(
            "n_unsupported", "int", "", "structures left out because the model does not support one of their elements"
        ),
        Column("energy_mae_meV_per_atom", "float", "meV/atom", "mean of |V − V_ref| per atom, energies as they are"),
        Column("energy_mae_meV_per_atom_se", "float", "meV/atom", "its standard error over structures"),
        Column("energy_rmse_meV_per_atom", "float", "meV/atom", "root mean square of the same difference"),
        Column("energy_rmse_meV_per_atom_se", "float", "meV/atom", "its standard error"),
        Column("energy_offset_meV_per_atom", "float", "meV/atom", "mean of V − V_ref per atom"),
        Column(
            "n_compositions",
            "int",
            "",
            "compositions with at least two energies: the shifted columns subtract their mean V − V_ref",
        ),
        Column("n_energies_shifted", "int", "", "energies of these compositions"),
        Column(
            "energy_mae_shifted_meV_per_atom",
            "float",
            "meV/atom",
            "MAE after subtracting the mean V − V_ref of each composition",
        ),
        Column("energy_mae_shifted_meV_per_atom_se", "float", "meV/atom", "its standard error"),
        Column("energy_rmse_shifted_meV_per_atom", "float", "meV/atom", "root mean square of the same difference"),
        Column("energy_rmse_shifted_meV_per_atom_se", "float", "meV/atom", "its standard error"),
        Column("force_mae_meV_per_A", "float", "meV/Å", "mean of |f − f_ref| over components"),
        Column("force_mae_meV_per_A_se", "float", "meV/Å", "its standard error over structures"),
        Column("force_rmse_meV_per_A", "float", "meV/Å", "root mean square of the same difference"),
        Column("force_rmse_meV_per_A_se", "float", "meV/Å", "its standard error"),
        Column("force_reference_rms_meV_per_A", "float", "meV/Å", "root mean square of the reference components"),
        Column(
            "time_ordered",
            "bool",
            "",
            "the structures are a time series, and standard errors are corrected for autocorrelation",
        ),
        Column(
            "error_known",
            "bool",
            "",
            "false for a time series too short to determine the correlation of its errors: standard errors are lower bounds",
        ),
        Column("batch", "int", "", "structures in one model call"),
        Column(
            "ms_per_structure", "float", "ms", "wall time of energy and forces, mean over all calls except the first"
        ),
        Column("ms_per_atom", "float", "ms", "wall time per atom"),
        Column("machine", "str", "", "name of the GPU, or of the CPU"),
    ),
)

FRAMES = TableSchema(
    "accuracy-structures",
    1,
    (
        Column("composition", "str", "", "chemical formula"),
        Column("energy_error_meV_per_atom", "float", "meV/atom", "V − V_ref per atom"),
        Column("force_mae_meV_per_A", "float", "meV/Å", "mean of |f − f_ref| over components"),
        Column("force_rmse_meV_per_A", "float", "meV/Å", "root mean square of the same difference"),
    ),
)

LEAST_SERIES = 400
"""Frames of a time series from which its errors count as known: with a correlation of 0.8 from frame to frame, plateaus of 40 frames cover 65 to 68 %
only and those of 400 cover 92 to 93 % (benchmarks/coverage)."""

_NOT_FINITE = "the model's energy or forces are not finite, or their squares are not"
Frame = dict[str, Any]
"""Errors of one structure as plain numbers, for the checkpoint. Sums are by element, in eV/Å and (eV/Å)²."""


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: AccuracySettings, *, seed: int, context: Context
) -> Outcome:
    """One row for all atoms and one per element; one side row per structure. A resumed run does not repeat finished structures.

    A structure for which the model raises an exception, or returns values that are not finite, is left out, and has a row of its own.

    Raises:
        UsageError: no structure has a reference value, or none has the given name.
        UnsupportedError: the model supports the elements of no structure.
    """
    import torch

    from ncbench.md.stopwatch import machine
    from ncbench.structures.reference import labelled

    batch = settings.batch or (1 if forcefield.card.device == "cpu" else 16)
    ordered = all("time_index" in case.atoms.info for case in cases)
    if ordered:
        cases = sorted(cases, key=lambda case: int(case.atoms.info["time_index"]))
    cases = labelled(cases, settings.energy_key, settings.forces_key)
    known = [case for case in cases if _knows(forcefield, case.atoms)]
    if not known:
        raise UnsupportedError(
            f"{forcefield.card.name} does not support all elements of any of the {len(cases)} structures."
        )
    kept = context.checkpoint.load() or {"frames": [], "seconds": []}
    frames: list[Frame] = list(kept["frames"])
    seconds: list[list[float]] = [list(entry) for entry in kept["seconds"]]
    refusals = Refusals(SCHEMA, len(known))
    refused: list[dict[str, Any]] = list(kept.get("refused", ()))
    context.progress.start(len(known), "structures")
    for start in range(len(frames) + len(refused), len(known), batch):
        for case, result in evaluated(forcefield, known[start : start + batch], seconds):
            if isinstance(result, BaseException):
                refused.append(refusals.row(case, result, species="all"))
                continue
            frame = _frame(case, result, settings, has_energy=forcefield.card.has_energy)
            if result.not_finite(has_energy=forcefield.card.has_energy) or not _has_finite_squares(frame):
                refused.append(_not_finite(case))
            else:
                frames.append(frame)
        context.progress.update(len(frames) + len(refused))
        context.checkpoint.save({"frames": frames, "refused": refused, "seconds": seconds})
    if not frames:
        return Outcome(rows=refused, side={"structures": []})
    shared = {
        "structure": f"{len(frames)} structures",
        "n_atoms": frames[0]["n_atoms"] if len({frame["n_atoms"] for frame in frames}) == 1 else None,
        "n_structures": len(frames),
        "n_unsupported": len(cases) - len(known),
        "time_ordered": ordered,
        "error_known": not ordered or _correlation_known(frames),
        "batch": batch,
        "machine": machine(torch.device(forcefield.card.device)),
        **_times(seconds),
    }
    species = sorted({name for frame in frames for name in frame["forces"]})
    rows = [SCHEMA.row(**shared, species="all", **_energies(frames), **_forces(frames, species))]
    if len(species) > 1:
        rows += [SCHEMA.row(**shared, species=name, **_forces(frames, [name])) for name in species]
    return Outcome(rows=rows + refused, side={"structures": [_side(frame) for frame in frames]})


def _has_finite_squares(frame: Frame) -> bool:
    squares = [
        (frame["energy_error"] or 0.0) * (frame["energy_error"] or 0.0),
        *(sums[1] for sums in frame["forces"].values()),
    ]
    return all(map(math.isfinite, squares))


def _not_finite(case: Case) -> dict[str, Any]:
    where = {"structure": case.name, "n_atoms": len(case.atoms), "species": "all"}
    return SCHEMA.row(**where, status=Status.FAILED, reason=_NOT_FINITE)


def _knows(forcefield: ForceField, atoms: Atoms) -> bool:
    elements = forcefield.card.elements
    return elements is None or set(atoms.numbers.tolist()) <= elements


def _frame(case: Case, result: Evaluation, settings: AccuracySettings, *, has_energy: bool) -> Frame:
    """Errors of one structure, as sums. Reference values that are not finite are ignored."""
    import numpy as np
    from ase.data import chemical_symbols

    from ncbench.structures.labels import reference_energy, reference_forces

    atoms = case.atoms
    frame: Frame = {
        "structure": case.name,
        "n_atoms": len(atoms),
        "composition": atoms.get_chemical_formula(),
        "energy_error": None,
        "forces": {},
    }
    reference = reference_energy(atoms, settings.energy_key)
    if reference is not None and has_energy:
        frame["energy_error"] = (result.labelled_energy - reference) / len(atoms)
    expected = reference_forces(atoms, settings.forces_key)
    if expected is None:
        return frame
    off = result.forces - expected
    labels = np.isfinite(expected).all(axis=1)
    for number in sorted(set(atoms.numbers.tolist())):
        chosen = (atoms.numbers == number) & labels
        if not chosen.any():
            continue
        frame["forces"][chemical_symbols[number]] = [
            float(np.abs(off[chosen]).sum()),
            float((off[chosen] ** 2).sum()),
            float((expected[chosen] ** 2).sum()),
            int(3 * chosen.sum()),
        ]
    return frame


def _energies(frames: Sequence[Frame]) -> dict[str, Any]:
    """Columns of the energies, as they are and with the mean of each composition subtracted; absent without energies."""
    import numpy as np

    known = [frame for frame in frames if frame["energy_error"] is not None]
    if not known:
        return {"n_energies": 0}
    off = np.array([frame["energy_error"] for frame in known]) / MEV
    values: dict[str, Any] = {"n_energies": len(known), "energy_offset_meV_per_atom": float(off.mean())}
    values |= _named("energy_{}_meV_per_atom", np.abs(off), off**2, np.ones(len(off)))
    formulas = [str(frame["composition"]) for frame in known]
    often = [formula for formula, count in Counter(formulas).items() if count > 1]
    values |= {"n_compositions": len(often)}
    if often:
        names = np.array(formulas)
        shifted = off.copy()
        for formula in often:
            shifted[names == formula] -= off[names == formula].mean()
        shifted = shifted[np.isin(names, often)]
        values |= {"n_energies_shifted": len(shifted)}
        values |= _named("energy_{}_shifted_meV_per_atom", np.abs(shifted), shifted**2, np.ones(len(shifted)))
    return values


def _forces(frames: Sequence[Frame], species: Sequence[str]) -> dict[str, Any]:
    """Columns of the forces on these elements; absent without reference forces."""
    import numpy as np

    sums = [
        np.sum([frame["forces"][name] for name in species if name in frame["forces"]], axis=0)
        for frame in frames
        if any(name in frame["forces"] for name in species)
    ]
    if not sums:
        return {"n_forces": 0}
    absolute, squared, reference, count = np.array(sums).T
    values = _named("force_{}_meV_per_A", absolute / MEV, squared / MEV**2, count)
    rms = math.sqrt(float(reference.sum() / count.sum())) / MEV
    return {"n_forces": int(count.sum()) // 3, "force_reference_rms_meV_per_A": rms, **values}


def _named(pattern: str, absolute: FloatArray, squared: FloatArray, count: FloatArray) -> dict[str, float]:
    """MAE and RMSE with their standard errors, from sums [F] of each structure and the number of values in each sum."""
    mae, mae_error = _ratio(absolute, count)
    mean_square, its_error = _ratio(squared, count)
    rmse = math.sqrt(mean_square)
    values = {"mae": mae, "rmse": rmse}
    errors = {"mae": mae_error, "rmse": its_error / (2 * rmse) if rmse > 0 else 0.0}
    return {pattern.format(name): value for name, value in values.items()} | {
        pattern.format(name) + "_se": error for name, error in errors.items()
    }


def _ratio(sums: FloatArray, counts: FloatArray) -> tuple[float, float]:
    """Σ sums/Σ counts and its standard error; NaN for one structure.

    The error is that of the mean of (s − R n)/⟨n⟩ (Cochran, Sampling Techniques, 1977, eq. 2.39), by blocking, since errors of
    successive structures of a trajectory are correlated.
    """
    from ncbench.statistics.series import blocking_mean

    value = float(sums.sum() / counts.sum())
    return value, blocking_mean((sums - value * counts) / counts.mean()).error


def _correlation_known(frames: Sequence[Frame]) -> bool:
    """Whether blocking reaches a plateau for the squared errors of energies and of forces, frame by frame."""
    import numpy as np

    energies = [frame["energy_error"] ** 2 for frame in frames if frame["energy_error"] is not None]
    forces = [np.sum(list(frame["forces"].values()), axis=0) for frame in frames if frame["forces"]]
    return all(_plateau(series) for series in (energies, [sums[1] / sums[3] for sums in forces]) if series)


def _plateau(series: Sequence[float]) -> bool:
    """The standard error of the mean of a correlated series is an estimate, not a lower bound."""
    import numpy as np

    from ncbench.statistics.series import blocking_mean

    return len(series) >= LEAST_SERIES and blocking_mean(np.array(series)).known


def _times(seconds: Sequence[Sequence[float]]) -> Mapping[str, float]:
    """Times without the first call, which includes compilation, where there are others."""
    import numpy as np

    spent, structures, atoms = np.array(seconds[1:] or seconds).sum(axis=0)
    return {"ms_per_structure": 1e3 * spent / structures, "ms_per_atom": 1e3 * spent / atoms}


def _side(frame: Frame) -> dict[str, Any]:
    values: dict[str, Any] = {name: frame[name] for name in ("structure", "n_atoms", "composition")}
    if frame["energy_error"] is not None:
        values["energy_error_meV_per_atom"] = frame["energy_error"] / MEV
    if frame["forces"]:
        absolute, squared, _, count = map(sum, zip(*frame["forces"].values(), strict=True))
        values["force_mae_meV_per_A"] = float(absolute / count) / MEV
        values["force_rmse_meV_per_A"] = math.sqrt(squared / count) / MEV
    return FRAMES.row(**values)


def cost(settings: AccuracySettings, n_atoms: int) -> float:
    """One call per structure."""
    return 1.0


DIAGNOSTIC = Diagnostic(
    name="accuracy",
    rank=100,
    version=1,
    summary="Errors on structures with reference values: MAE and RMSE of energies (meV/atom) and forces (meV/Å), by element.",
    help="Energies are compared as they are, and after subtracting the mean difference of each composition. By default the structures are "
    "the held-out block of the water data set; --structure takes any file with energies and forces.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative --system water-dft",
        "-m sevennet-0 --structure labelled.xyz --energy-key REF_energy --forces-key REF_forces",
    ),
    settings=AccuracySettings,
    presets={
        Budget.SMOKE: AccuracySettings(),
        Budget.LAPTOP: AccuracySettings(),
        Budget.PAPER: AccuracySettings(batch=1),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    reads_labels=True,
    conditions=("n_structures", "batch"),
    show=(
        Shown("atoms", "species"),
        Shown.measured("MAE(V) meV/atom", "energy_mae_meV_per_atom", known="error_known"),
        Shown.measured("offset removed", "energy_mae_shifted_meV_per_atom", known="error_known"),
        Shown.measured("MAE(f) meV/Å", "force_mae_meV_per_A", known="error_known"),
        Shown.measured("RMSE(f) meV/Å", "force_rmse_meV_per_A", known="error_known"),
        Shown("n", "n_structures"),
        Shown("ms/structure", "ms_per_structure"),
    ),
    side_schemas={"structures": FRAMES},
    default_system="water-dft",
    default_structures={Budget.SMOKE: 4, Budget.LAPTOP: 40, Budget.PAPER: 10_000},
)
