"""λ: the antisymmetric share of the force Jacobian, the point-wise measure of non-conservative behaviour.

λ = ‖A‖_F / ‖J‖_F with J = ∂f/∂r and A = (J − Jᵀ)/2 (Bigi, Langer & Ceriotti 2025, Eq. 7).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ncbench.diagnostics import jacobian
from ncbench.diagnostics.asymmetry import asymmetry, noise_floor, pair_rows
from ncbench.diagnostics.base import Budget, Case, Context, Diagnostic, Outcome, Tick
from ncbench.diagnostics.probes import Estimate, pair_probes, product_probes
from ncbench.errors import NotDifferentiableError
from ncbench.forcefields.base import ForceField
from ncbench.results.schema import Column, Status, TableSchema

Method = Literal["auto", "exact", "stochastic", "finite-difference"]
Resolve = Literal["none", "pairs"]


@dataclass(frozen=True, kw_only=True)
class LambdaSettings:
    """How λ is measured."""

    method: Method = "auto"
    """``auto``: the whole Jacobian up to ``exact_max_atoms`` (or where pairs are asked for), by products or, where autograd
    does not reach the positions, by differences; random probes above."""
    resolve: Resolve = "none"
    """``pairs`` writes the table of 3×3 block norms against pair distance; it needs the whole Jacobian."""
    exact_max_atoms: int = 64
    step_A: float | None = None
    """Central-difference step, Å; ``None`` takes the one that suits the model's dtype."""
    probes: int = 16
    target_error: float | None = None
    """Relative standard error at which the stochastic method stops."""
    batch: int | None = None
    """Copies of the structure in one model call; ``None``: 1 on a CPU, 32 on a GPU."""


SCHEMA = TableSchema(
    "lambda",
    1,
    (
        Column("method", "str", "", "exact, stochastic or finite-difference"),
        Column("lambda", "float", "", "‖A‖/‖J‖; 0 conservative, 1 without conservative part"),
        Column("lambda_se", "float", "", "standard error: over probes (stochastic), numerical otherwise"),
        Column("lambda_floor", "float", "", "λ that rounding and truncation alone would give; a smaller λ is zero"),
        Column("above_floor", "bool", "", "λ exceeds both three floors and three standard errors"),
        Column("lambda_on_site", "float", "", "λ over the blocks of an atom with itself"),
        Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "‖J‖_F"),
        Column("step_A", "float", "Å", "finite-difference step"),
        Column("probes", "int", "", "random probes drawn"),
        Column("force_calls", "int", "", "force evaluations of single structures"),
        Column("products", "int", "", "Jacobian products of single structures"),
        Column("net_force_removed", "bool", "", "mean force subtracted before differentiating"),
        Column("seconds", "float", "s", "wall time of the case"),
    ),
)

PAIRS = TableSchema(
    "lambda-pairs",
    1,
    (
        Column("atom_i", "int", "", "first atom; i = j is the on-site block"),
        Column("atom_j", "int", "", "second atom, j ≥ i"),
        Column("species_i", "str", "", "element of atom i"),
        Column("species_j", "str", "", "element of atom j"),
        Column("distance_A", "float", "Å", "minimum-image distance"),
        Column("jacobian_norm_eV_per_A2", "float", "eV/Å²", "((‖J_ij‖² + ‖J_ji‖²)/2)^½"),
        Column("antisymmetric_norm_eV_per_A2", "float", "eV/Å²", "‖(J_ij − J_jiᵀ)/2‖"),
        Column("lambda_ij", "float", "", "their ratio"),
    ),
)


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: LambdaSettings, *, seed: int, context: Context
) -> Outcome:
    """λ of each structure. Finished structures are not repeated after a kill.

    Raises:
        NotDifferentiableError: the exact method was demanded of a model that has no products.
    """
    kept = context.checkpoint.load() or {"rows": [], "pairs": []}
    outcome = Outcome(rows=list(kept["rows"]), side={"pairs": list(kept["pairs"])})
    for index, case in enumerate(cases):
        if index < len(outcome.rows):
            continue
        rng = np.random.default_rng([seed, index])
        row, pairs = _case(forcefield, case, settings, rng, context, f"{index + 1}/{len(cases)}")
        outcome.rows.append(row)
        outcome.side["pairs"] += pairs
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "pairs": outcome.side["pairs"]})
    return outcome


def choose_method(forcefield: ForceField, n_atoms: int, settings: LambdaSettings) -> str:
    """The method that ``auto`` stands for here.

    Raises:
        NotDifferentiableError: the exact method, and a model without Jacobian products.
    """
    differentiable = forcefield.card.differentiable
    if settings.method == "exact" and not differentiable:
        raise NotDifferentiableError(
            f"--method exact needs Jacobian products, and autograd does not reach the positions in {forcefield.card.label}.",
            hint="Use --method finite-difference.",
        )
    if settings.method != "auto":
        return settings.method
    if settings.resolve == "pairs" or n_atoms <= settings.exact_max_atoms:
        return "exact" if differentiable else "finite-difference"
    return "stochastic"


def _case(
    forcefield: ForceField,
    case: Case,
    settings: LambdaSettings,
    rng: np.random.Generator,
    context: Context,
    note: str,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    atoms = case.atoms
    method = choose_method(forcefield, len(atoms), settings)
    batch = settings.batch or (32 if forcefield.card.device.startswith("cuda") else 1)
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        context.progress.update(done, note)

    began = time.perf_counter()
    common = {
        "structure": case.name,
        "n_atoms": len(atoms),
        "method": method,
        "net_force_removed": forcefield.card.net_force_removed,
    }
    if method == "stochastic":
        context.progress.start(settings.probes, "probes")
        values = _stochastic_values(forcefield, case, settings, batch, rng, tick)
        pairs: list[dict[str, Any]] = []
    else:
        context.progress.start(3 * len(atoms), "rows of J" if method == "exact" else "columns of J")
        values, pairs = _dense_values(forcefield, case, settings, method, batch, rng, tick)
    seconds = time.perf_counter() - began
    return SCHEMA.row(**_judge(common | values | {"seconds": seconds})), pairs


def _dense_values(
    forcefield: ForceField,
    case: Case,
    settings: LambdaSettings,
    method: str,
    batch: int,
    rng: np.random.Generator,
    tick: Tick,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if method == "exact":
        found = jacobian.exact(forcefield, case.atoms, batch=batch, rng=rng, tick=tick)
    else:
        found = jacobian.finite_difference(
            forcefield, case.atoms, batch=batch, rng=rng, step_A=settings.step_A, tick=tick
        )
    parts = asymmetry(found.matrix)
    floor = noise_floor(found.matrix, found.noise)
    values = {
        "lambda": parts.whole,
        "lambda_se": floor,
        "lambda_floor": floor,
        "lambda_on_site": parts.on_site,
        "jacobian_norm_eV_per_A2": float(np.linalg.norm(found.matrix)),
        "step_A": found.step_A,
        "force_calls": found.force_calls,
        "products": found.products,
    }
    if settings.resolve == "none":
        return values, []
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    return values, [PAIRS.row(**row, **where) for row in pair_rows(case.atoms, parts)]


def _stochastic_values(
    forcefield: ForceField,
    case: Case,
    settings: LambdaSettings,
    batch: int,
    rng: np.random.Generator,
    tick: Tick,
) -> dict[str, Any]:
    dtype = forcefield.card.dtype
    step: float | None = None
    found: Estimate
    if forcefield.card.differentiable:
        found = product_probes(
            forcefield,
            case.atoms,
            probes=settings.probes,
            target_error=settings.target_error,
            batch=batch,
            rng=rng,
            tick=tick,
        )
    else:
        step = settings.step_A or jacobian.STEP_A[dtype]
        found = pair_probes(
            forcefield,
            case.atoms,
            probes=settings.probes,
            target_error=settings.target_error,
            batch=batch,
            step_A=step,
            rng=rng,
            tick=tick,
        )
    return {
        "lambda": found.lam,
        "lambda_se": found.standard_error,
        "lambda_floor": found.noise / found.jacobian_norm + float(np.finfo(dtype).eps) if found.jacobian_norm else None,
        "jacobian_norm_eV_per_A2": found.jacobian_norm,
        "step_A": step,
        "probes": found.n_probes,
        "force_calls": 2 * batch if step is None else 2 * found.n_probes + 4 * batch,
        "products": 2 * found.n_probes + 4 * batch if step is None else 0,
    }


def _judge(values: dict[str, Any]) -> dict[str, Any]:
    lam, floor, error = values["lambda"], values["lambda_floor"], values["lambda_se"]
    if np.isnan(lam):
        reason = "the Jacobian is zero or not finite, so that λ is not defined"
        return values | {"lambda": None, "lambda_se": None, "status": Status.FAILED, "reason": reason}
    error = 0.0 if np.isnan(error) else error
    return values | {"above_floor": bool(lam > 3 * max(floor, error)), "status": Status.OK, "reason": ""}


DIAGNOSTIC = Diagnostic(
    name="lambda",
    version=1,
    summary="Antisymmetric share of the force Jacobian, λ = ‖(J − Jᵀ)/2‖ / ‖J‖: 0 for conservative forces.",
    settings=LambdaSettings,
    presets={
        Budget.SMOKE: LambdaSettings(probes=4),
        Budget.LAPTOP: LambdaSettings(probes=16),
        Budget.PAPER: LambdaSettings(probes=64, exact_max_atoms=256, resolve="pairs"),
    },
    run=run,
    schema=SCHEMA,
    side_schemas={"pairs": PAIRS},
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 2, Budget.PAPER: 8},
)
