"""Work of the forces around a closed path: W = ∮ f·dr, zero for conservative forces (Bigi, Langer & Ceriotti 2025, Eq. 5, Figure 6)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UnsupportedError, UsageError
from ncbench.options import Option
from ncbench.schema import Column, TableSchema
from ncbench.statistics.cells import Cell
from ncbench.types import Budget, Case, Outcome, Status
from ncbench.units import MEV

if TYPE_CHECKING:
    import pandas as pd

    from ncbench.jacobian.closed_paths import ClosedPath
    from ncbench.jacobian.work import Quadrature
    from ncbench.models.interface import ForceField


@dataclass(frozen=True, kw_only=True)
class WorkloopSettings:
    """Which closed paths, and the accuracy of the quadrature."""

    path: Annotated[
        Literal["all", "molecule", "planar"],
        Option(
            "Closed paths: a molecule's rotation, random planar circles, or all of them.", metavar="all|molecule|planar"
        ),
    ] = "all"
    loops: Annotated[int, Option("Number of random planar loops per structure.", metavar="N", minimum=1)] = 4
    radius_A: Annotated[
        float, Option("Radius of a planar loop in the 3N-dimensional space, Å.", flag="--radius", metavar="Å")
    ] = 0.5
    strain: float = 0.05
    """Amplitude of the molecule's periodic strain."""
    points: Annotated[
        int,
        Option(
            "Initial number of quadrature points of the molecule's path; planar loops start with a quarter.",
            metavar="N",
            minimum=8,
        ),
    ] = 64
    max_points: Annotated[int, Option("Largest number of quadrature points.", metavar="N", minimum=8)] = 512
    tolerance_meV: Annotated[
        float,
        Option(
            "The number of points is doubled until W changes by less than this, meV, or by less than 1 %.",
            flag="--tolerance",
            metavar="meV",
        ),
    ] = 0.1
    batch: Annotated[
        int | None, Option("Points in one model call; by default 1 on a CPU, 32 on a GPU.", metavar="R", minimum=1)
    ] = None

    def __post_init__(self) -> None:
        for name in ("radius_A", "strain", "tolerance_meV"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}; it must be positive and finite.")
        for name, least in (("loops", 1), ("points", 8), ("max_points", 8)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least {least}.")


SCHEMA = TableSchema(
    "workloop",
    1,
    (
        Column("path", "str", "", "molecule, or planar-k for the k-th random planar loop"),
        Column("work_meV", "float", "meV", "W = ∮ f·dr over the closed path"),
        Column("quadrature_error_meV", "float", "meV", "change of W when only every second point is used"),
        Column(
            "rounding_error_meV",
            "float",
            "meV",
            "standard error of W from rounding, measured; Student's t for its eight checks is in it",
        ),
        Column("work_error_meV", "float", "meV", "the larger of the quadrature and rounding errors"),
        Column(
            "nonzero",
            "bool",
            "",
            "|W| exceeds three standard errors, which Student's t widens for the eight checks of the rounding",
        ),
        Column(
            "curl_meV_per_A2",
            "float",
            "meV/Å²",
            "W/πa² of a planar loop of radius a in the plane of u and v: 2 vᵀAu for small a",
        ),
        Column(
            "gross_work_meV", "float", "meV", "∮ |f·dr|, the integral of the absolute value, of the interpolated power"
        ),
        Column("energy_mismatch_meV", "float", "meV", "largest |V(s) − V(0) + W(s)| along the path"),
        Column("points", "int", "", "quadrature points"),
        Column("converged", "bool", "", "the tolerance was reached with at most max_points points"),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("seconds", "float", "s", "wall time of the path"),
    ),
)

CURVE = TableSchema(
    "workloop-curve",
    1,
    (
        Column("path", "str", "", "as in the main table"),
        Column("s", "float", "rad", "position along the path, 0 to 2π"),
        Column("work_meV", "float", "meV", "work done by the forces from 0 to s"),
        Column("energy_change_meV", "float", "meV", "V(s) − V(0)"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: WorkloopSettings, *, seed: int, context: Context
) -> Outcome:
    """Integrate the work over every path of every structure. A resumed run does not repeat finished paths.

    Raises:
        UnsupportedError: the molecule's path was requested for a structure without molecules.
    """
    kept = context.checkpoint.load() or {"rows": [], "curve": []}
    outcome = Outcome(rows=list(kept["rows"]), side={"curve": list(kept["curve"])})
    jobs = [(case, path) for index, case in enumerate(cases) for path in _paths(case, settings, seed, index)]
    refusals = Refusals(SCHEMA, len(jobs))
    context.progress.start(len(jobs), "paths")
    for done, (case, path) in enumerate(jobs):
        if done >= len(outcome.rows):
            try:
                row, curve = _measure(forcefield, case, path, settings, seed, done, context)
            except REFUSED as error:
                row, curve = refusals.row(case, error), []
            outcome.rows.append(row)
            outcome.side["curve"] += curve
            context.checkpoint.save({"rows": outcome.rows, "curve": outcome.side["curve"]})
        context.progress.update(done + 1, path.name)
    return outcome


def _paths(case: Case, settings: WorkloopSettings, seed: int, index: int) -> list[ClosedPath]:
    import numpy as np

    from ncbench.jacobian.closed_paths import molecule_loop, planar_loop

    paths: list[ClosedPath] = []
    if settings.path in ("all", "molecule"):
        try:
            paths.append(molecule_loop(case.atoms, settings.strain, np.random.default_rng([seed, index, 0])))
        except UnsupportedError:
            if settings.path == "molecule":
                raise
    if settings.path in ("all", "planar"):
        for k in range(settings.loops):
            rng = np.random.default_rng([seed, index, k + 1])
            paths.append(planar_loop(case.atoms, settings.radius_A, rng, f"planar-{k + 1}"))
    return paths


def _measure(
    forcefield: ForceField,
    case: Case,
    path: ClosedPath,
    settings: WorkloopSettings,
    seed: int,
    number: int,
    context: Context,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    import numpy as np

    from ncbench.jacobian.work import integrate

    began = time.perf_counter()
    integral = integrate(
        forcefield,
        case.atoms,
        path,
        points=max(8, settings.points // (4 if path.area_A2 else 1)),
        max_points=settings.max_points,
        tolerance=settings.tolerance_meV * MEV,
        batch=settings.batch or (32 if forcefield.card.device.startswith("cuda") else 1),
        rng=np.random.default_rng([seed, number, 1 << 20]),
        tick=lambda points: context.progress.update(number, f"{path.name}: {points} points"),
    )
    where = {"structure": case.name, "n_atoms": len(case.atoms), "path": path.name}
    if not np.isfinite([integral.work, integral.error]).all():
        reason = "a force along the path is not finite, or its square is not"
        return SCHEMA.row(**where, points=len(integral.s), status=Status.FAILED, reason=reason), []
    row = SCHEMA.row(
        **where,
        work_meV=integral.work / MEV,
        quadrature_error_meV=integral.halving_error / MEV,
        rounding_error_meV=integral.rounding_error / MEV,
        work_error_meV=integral.error / MEV,
        nonzero=integral.nonzero,
        curl_meV_per_A2=integral.work / MEV / path.area_A2 if path.area_A2 else None,
        gross_work_meV=integral.gross / MEV,
        energy_mismatch_meV=_mismatch(integral),
        points=len(integral.s) - 1,
        converged=integral.converged,
        force_calls=integral.force_calls,
        seconds=time.perf_counter() - began,
        status=Status.OK,
        reason="",
    )
    return row, _curve_rows(integral, where)


def _mismatch(integral: Quadrature) -> float | None:
    """Largest |ΔV + W|. The running trapezoid sum is only second order between the ends, so this is an upper bound."""
    import numpy as np

    worst = float(np.max(np.abs(integral.energy + integral.cumulative)))
    return worst / MEV if np.isfinite(worst) else None


def _curve_rows(integral: Quadrature, where: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        CURVE.row(
            **where, s=float(s), work_meV=float(w) / MEV, energy_change_meV=float(e) / MEV if math.isfinite(e) else None
        )
        for s, w, e in zip(integral.s, integral.cumulative, integral.energy, strict=True)
    ]


def cost(settings: WorkloopSettings, n_atoms: int) -> float:
    """Quadrature points; for the molecule's path the geometric mean of ``points`` and ``max_points``, for a plane half to twice ``points``."""
    molecule = math.sqrt(settings.points * settings.max_points)
    planar = float(settings.loops * settings.points)
    return {"molecule": molecule, "planar": planar}.get(settings.path, molecule + planar)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Work over the molecule's path."""
    return (Quantity("work", "loop work", "meV", _largest_work),)


def _largest_work(rows: pd.DataFrame) -> Cell:
    """The largest work over a molecule's path; over a planar loop where no molecule's path was measured."""
    rows = rows[rows["work_meV"].notna()]
    if not len(rows):
        return Cell(missing="no value of work_meV")
    molecule = rows[~rows["path"].astype(str).str.startswith("planar")]
    rows = molecule if len(molecule) else rows
    row = rows.iloc[int(rows["work_meV"].abs().to_numpy().argmax())]
    value, error = float(row["work_meV"]), float(row["work_error_meV"])
    return Cell(value, error, significant=bool(row["nonzero"]) if math.isfinite(error) else None)


DIAGNOSTIC = Diagnostic(
    name="workloop",
    rank=20,
    version=4,
    summary="Work of the forces around closed paths, W = ∮ f·dr in meV: zero for conservative forces.",
    help="Two kinds of path are used: one molecule makes a full rotation while it is strained periodically and all other atoms are "
    "fixed; and circles in random planes of the space of all 3N coordinates. W is given with the error of the quadrature and with the "
    "rounding error of the model's forces.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative",
        "-m sevennet-0 --structure my.xyz --path planar --loops 8",
    ),
    settings=WorkloopSettings,
    presets={
        Budget.SMOKE: WorkloopSettings(loops=2, max_points=128),
        Budget.LAPTOP: WorkloopSettings(loops=4, max_points=256),
        Budget.PAPER: WorkloopSettings(loops=32, points=128, max_points=2048, tolerance_meV=0.01),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=(
        Shown("path", "path"),
        Shown("W meV", "work_meV", "work_error_meV"),
        Shown("quadrature ± meV", "quadrature_error_meV"),
        Shown("gross meV", "gross_work_meV"),
        Shown("curl meV/Å²", "curl_meV_per_A2"),
        Shown("points", "points"),
    ),
    quantities=quantities,
    conditions=("path", "points"),
    side_schemas={"curve": CURVE},
)
