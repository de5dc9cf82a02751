"""Work round a closed path: W = ∮ f·dr, zero for conservative forces (Bigi, Langer & Ceriotti 2025, Eq. 5, Figure 6)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Shown
from ncbench.errors import UnsupportedError
from ncbench.jacobian.shift import shifted
from ncbench.models.interface import ForceField
from ncbench.schema import Column, TableSchema
from ncbench.statistics.cells import Cell
from ncbench.structures.closed_paths import ClosedPath, molecule_loop, planar_loop
from ncbench.types import Budget, Case, Outcome, Status, Tick, silent
from ncbench.units import MEV

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WorkloopSettings:
    """Which paths, how fine."""

    path: Literal["all", "molecule", "planar"] = "all"
    loops: int = 4
    """Random planar loops."""
    radius_A: float = 0.5
    """Radius of a planar loop in the 3N-dimensional space, Å."""
    strain: float = 0.05
    """Amplitude of the molecule's periodic strain."""
    points: int = 64
    """Points on the molecule's path at first; planar loops, far smoother, start with a quarter."""
    max_points: int = 512
    tolerance_meV: float = 0.1
    """Points are doubled until halving them changes W by less than this, or by less than a hundredth of W."""
    batch: int | None = None
    """Points in one model call; ``None``: 1 on a CPU, 32 on a GPU."""


SCHEMA = TableSchema(
    "workloop",
    1,
    (
        Column("path", "str", "", "molecule, or planar-k for the k-th random planar loop"),
        Column("work_meV", "float", "meV", "∮ f·dr once round"),
        Column("quadrature_error_meV", "float", "meV", "change of W when the points are halved"),
        Column("rounding_error_meV", "float", "meV", "standard error of W from the model's arithmetic, measured"),
        Column("work_error_meV", "float", "meV", "both together"),
        Column("nonzero", "bool", "", "|W| exceeds three times its error"),
        Column("curl_meV_per_A2", "float", "meV/Å²", "W/πa² of a planar loop: twice vᵀAu in the loop's plane"),
        Column("gross_work_meV", "float", "meV", "∮ |f·dr|: what W would be made of"),
        Column("energy_mismatch_meV", "float", "meV", "largest |V(s) − V(0) + W(s)| along the path"),
        Column("points", "int", "", "quadrature points"),
        Column("converged", "bool", "", "the tolerance was met within max_points"),
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


@dataclass(frozen=True)
class Quadrature:
    """The integral and what is known of its error, in eV."""

    work: float
    halving_error: float
    rounding_error: float
    gross: float
    s: FloatArray
    cumulative: FloatArray
    energy: FloatArray
    converged: bool
    force_calls: int


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: WorkloopSettings, *, seed: int, context: Context
) -> Outcome:
    """Work round every path of every structure. Finished paths are not repeated after a kill.

    Raises:
        UnsupportedError: the molecule's path was demanded of a structure without molecules.
    """
    kept = context.checkpoint.load() or {"rows": [], "curve": []}
    outcome = Outcome(rows=list(kept["rows"]), side={"curve": list(kept["curve"])})
    jobs = [(case, path) for index, case in enumerate(cases) for path in _paths(case, settings, seed, index)]
    context.progress.start(len(jobs), "paths")
    for done, (case, path) in enumerate(jobs):
        if done >= len(outcome.rows):
            row, curve = _measure(forcefield, case, path, settings, seed, done, context)
            outcome.rows.append(row)
            outcome.side["curve"] += curve
            context.checkpoint.save({"rows": outcome.rows, "curve": outcome.side["curve"]})
        context.progress.update(done + 1, path.name)
    return outcome


def _paths(case: Case, settings: WorkloopSettings, seed: int, index: int) -> list[ClosedPath]:
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
    began = time.perf_counter()
    found = integrate(
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
    if not np.isfinite(found.work):
        reason = "a force along the path is not finite"
        return SCHEMA.row(**where, points=len(found.s), status=Status.FAILED, reason=reason), []
    error = float(np.hypot(found.halving_error, found.rounding_error))
    row = SCHEMA.row(
        **where,
        work_meV=found.work / MEV,
        quadrature_error_meV=found.halving_error / MEV,
        rounding_error_meV=found.rounding_error / MEV,
        work_error_meV=error / MEV,
        nonzero=bool(abs(found.work) > 3 * error),
        curl_meV_per_A2=found.work / MEV / path.area_A2 if path.area_A2 else None,
        gross_work_meV=found.gross / MEV,
        energy_mismatch_meV=_mismatch(found),
        points=len(found.s) - 1,
        converged=found.converged,
        force_calls=found.force_calls,
        seconds=time.perf_counter() - began,
        status=Status.OK,
        reason="",
    )
    return row, _curve_rows(found, where)


def integrate(
    forcefield: ForceField,
    atoms: Atoms,
    path: ClosedPath,
    *,
    points: int,
    max_points: int,
    tolerance: float,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> Quadrature:
    """∮ f·(dr/ds) ds by the trapezoid rule, the points doubled (old ones kept) until W stands still. Energies in eV.

    The rounding error is measured: some points are evaluated again after a rigid shift of the whole structure, and the
    scatter of f·dr/ds is carried through the sum.
    """
    sampler = _Sampler(forcefield, atoms, path, batch)
    s: FloatArray = np.arange(points, dtype=np.float64) * (2 * np.pi / points)
    power, energy = sampler(s)
    tick(len(s))
    while True:
        n = len(s)
        work = float(power.mean() * 2 * np.pi)
        halving = abs(work - float(power[::2].mean() * 2 * np.pi))
        converged = halving <= max(tolerance, 0.01 * abs(work))
        if converged or 2 * n > max_points or not np.isfinite(work):
            break
        between = (s + np.pi / n).astype(np.float64)
        new_power, new_energy = sampler(between)
        s = np.stack([s, between], axis=1).ravel()
        power = np.stack([power, new_power], axis=1).ravel()
        energy = np.stack([energy, new_energy], axis=1).ravel()
        tick(len(s))
    rounding = _rounding(forcefield, atoms, path, batch, s, power, rng) if np.isfinite(work) else np.nan
    closed = np.append(power, power[0])
    step = 2 * np.pi / len(s)
    cumulative = np.concatenate([[0.0], np.cumsum((closed[1:] + closed[:-1]) / 2 * step)])
    return Quadrature(
        work=work,
        halving_error=halving,
        rounding_error=rounding,
        gross=float(np.abs(power).mean() * 2 * np.pi),
        s=np.append(s, 2 * np.pi),
        cumulative=cumulative,
        energy=np.append(energy, energy[0]) - energy[0],
        converged=bool(converged),
        force_calls=sampler.force_calls + min(8, len(s)),
    )


class _Sampler:
    """f·dr/ds (eV) and V (eV) at points of a path, ``batch`` of them a model call."""

    def __init__(self, forcefield: ForceField, atoms: Atoms, path: ClosedPath, batch: int) -> None:
        self.field = forcefield.bind([atoms] * batch)
        self.path = path
        self.batch = batch
        self.force_calls = 0

    def __call__(self, s: FloatArray, move: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        power, energy = np.empty(len(s)), np.empty(len(s))
        for start in range(0, len(s), self.batch):
            chunk = s[start : start + self.batch]
            pairs = [self.path.at(float(x)) for x in chunk]
            # An incomplete last batch is filled up with its last point.
            pairs += [pairs[-1]] * (self.batch - len(chunk))
            positions = np.stack([r for r, _ in pairs]) + (0.0 if move is None else move)
            tangents = np.stack([t for _, t in pairs])
            out = self.field(torch.as_tensor(positions, device=self.field.device))
            done = (out.forces.cpu().numpy() * tangents).sum(axis=(1, 2))
            power[start : start + len(chunk)] = done[: len(chunk)]
            energy[start : start + len(chunk)] = out.energy.cpu().numpy()[: len(chunk)]
            self.force_calls += len(chunk)
        return power, energy


def _rounding(
    forcefield: ForceField,
    atoms: Atoms,
    path: ClosedPath,
    batch: int,
    s: FloatArray,
    power: FloatArray,
    rng: np.random.Generator,
) -> float:
    moved = shifted(atoms, rng)
    check = rng.choice(len(s), size=min(8, len(s)), replace=False)
    again, _ = _Sampler(forcefield, moved, path, batch)(s[check], move=moved.positions[0] - atoms.positions[0])
    # Two draws differ by √2 σ; n independent errors σ in the mean of n points times 2π.
    sigma = np.sqrt(np.mean((again - power[check]) ** 2) / 2)
    least = np.finfo(forcefield.card.dtype).eps * np.sqrt(np.mean(power**2))
    return float(2 * np.pi * np.hypot(sigma, least) / np.sqrt(len(s)))


def _mismatch(found: Quadrature) -> float | None:
    """Largest |ΔV + W|. The running trapezoid sum is only second order between the ends, so this bounds from above."""
    worst = float(np.max(np.abs(found.energy + found.cumulative)))
    return worst / MEV if np.isfinite(worst) else None


def _curve_rows(found: Quadrature, where: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        CURVE.row(
            **where, s=float(s), work_meV=float(w) / MEV, energy_change_meV=float(e) / MEV if np.isfinite(e) else None
        )
        for s, w, e in zip(found.s, found.cumulative, found.energy, strict=True)
    ]


def cost(settings: WorkloopSettings, n_atoms: int) -> float:
    """Quadrature points; the molecule's path ends somewhere between ``points`` and ``max_points``."""
    molecule = math.sqrt(settings.points * settings.max_points)
    planar = settings.loops * settings.points / 2.0
    return {"molecule": molecule, "planar": planar}.get(settings.path, molecule + planar)


SHOW = (
    Shown("path", "path"),
    Shown("W meV", "work_meV", "work_error_meV"),
    Shown("quadrature ± meV", "quadrature_error_meV"),
    Shown("gross meV", "gross_work_meV"),
    Shown("curl meV/Å²", "curl_meV_per_A2"),
    Shown("points", "points"),
)


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """Work round the molecule's loop."""
    return (Quantity("work", "loop work", "meV", _largest_work),)


def _largest_work(rows: pd.DataFrame) -> Cell:
    """The molecule's loop where there is one; of several, the largest work."""
    rows = rows[rows["work_meV"].notna()]
    if not len(rows):
        return Cell(missing="no value of work_meV")
    molecule = rows[~rows["path"].astype(str).str.startswith("planar")]
    rows = molecule if len(molecule) else rows
    row = rows.iloc[int(rows["work_meV"].abs().to_numpy().argmax())]
    value, error = float(row["work_meV"]), float(row["work_error_meV"])
    return Cell(value, error, significant=bool(abs(value) > 3.0 * error) if np.isfinite(error) else None)


DIAGNOSTIC = Diagnostic(
    name="workloop",
    rank=20,
    version=1,
    summary="Work of the forces round closed paths, ∮ f·dr: zero for conservative forces.",
    settings=WorkloopSettings,
    presets={
        Budget.SMOKE: WorkloopSettings(loops=2, max_points=128),
        Budget.LAPTOP: WorkloopSettings(loops=4, max_points=256),
        Budget.PAPER: WorkloopSettings(loops=32, points=128, max_points=2048, tolerance_meV=0.01),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    show=SHOW,
    quantities=quantities,
    conditions=("path", "points"),
    side_schemas={"curve": CURVE},
)
