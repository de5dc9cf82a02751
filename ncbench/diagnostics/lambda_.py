"""λ: the antisymmetric share of the force Jacobian, the point-wise measure of non-conservative behaviour.

λ = ‖A‖_F / ‖J‖_F with J = ∂f/∂r and A = (J − Jᵀ)/2 (Bigi, Langer & Ceriotti 2025, Eq. 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ncbench.diagnostics import protocol_rows
from ncbench.diagnostics.base import Context, Diagnostic, Divisible, Quantity, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import rows_at_once
from ncbench.diagnostics.refusals import Refusals
from ncbench.errors import REFUSED, UsageError
from ncbench.jacobian.schemas import SCHEMA, SIDE, SUMMARY
from ncbench.jacobian.settings import AUTOGRAD_TOLERANCE, LARGEST_GRADIENT, PRODUCT_COST, ROW_COST, LambdaSettings
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.format import at_most, number, with_error
from ncbench.types import Budget, Case, Outcome, Status

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ncbench.models.interface import ForceField


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: LambdaSettings, *, seed: int, context: Context
) -> Outcome:
    """λ of each structure, and their mean. Finished structures are not repeated after a kill.

    A structure that the model does not support is a row with a reason; the others are measured.

    Raises:
        NotDifferentiableError: the exact or the coloured method was requested for a model whose products cannot be used.
        UsageError: blocks were requested from the stochastic method.
    """
    import numpy as np

    from ncbench.jacobian.one_structure import measure_case

    kept = context.checkpoint.load() or {"rows": [], "side": {}}
    outcome = Outcome(rows=list(kept["rows"]), side={name: list(kept["side"].get(name, [])) for name in SIDE})
    refusals = Refusals(SCHEMA, len(cases))
    for index, case in enumerate(cases[len(outcome.rows) :], len(outcome.rows)):
        rng = np.random.default_rng([seed, index])
        note = f"{index + 1}/{len(cases)}"
        try:
            row, side = measure_case(forcefield, case, settings, rng, context.progress, note=note)
        except REFUSED as error:
            row, side = refusals.row(case, error), {}
        outcome.rows.append(row)
        for name, rows in side.items():
            outcome.side[name] += rows
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "side": outcome.side})
    outcome.side["summary"] = _summary(outcome.rows, np.random.default_rng([seed, len(cases)]))
    outcome.side["protocol"] = []
    if settings.protocol is not None:
        outcome.side["protocol"].append(protocol_rows.lambda_row(outcome.rows, cases, asdict(settings)))
    return outcome


def _summary(rows: Sequence[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    from ncbench.jacobian.clusters import summarise

    good = [row for row in rows if row["lambda"] is not None]
    if len(good) < 2:
        return []
    sizes = {row["n_atoms"] for row in good}
    common = {
        "structure": "all",
        "n_atoms": sizes.pop() if len(sizes) == 1 else None,
        "status": Status.OK,
        "reason": "",
    }
    values = summarise([row["lambda"] for row in good], [row["lambda_se"] for row in good], rng)
    counts = {
        "n_above_floor": sum(row["resolved"] == "nonzero" for row in good),
        "n_gradient": sum(row["resolved"] == "gradient" for row in good),
    }
    return [SUMMARY.row(**common, **values, **counts)]


def cost(settings: LambdaSettings, n_atoms: int) -> float:
    """Products with the Jacobian, or force calls of its central differences."""
    whole = settings.method in ("exact", "coloured", "finite-difference") or settings.resolve != "none"
    whole = whole or (settings.method == "auto" and n_atoms <= settings.exact_max_atoms)
    if settings.method == "finite-difference":
        return 6.0 * n_atoms
    return ROW_COST * 3.0 * n_atoms if whole else PRODUCT_COST * 2.0 * settings.probes


METHODS = ("exact", "coloured", "finite-difference", "stochastic")
"""Methods from the most to the least exact: of several used for one model, the first is shown in summaries."""


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """λ by the most exact method available."""
    return (Quantity("lambda", "λ", "", _mean_lambda),)


def _mean_lambda(rows: pd.DataFrame) -> Cell:
    """Mean over structures; an upper bound, at least the numerical floor, if no structure is resolved as nonzero."""
    best = rows[rows["method"] == min(rows["method"], key=METHODS.index)]
    mean = mean_cell(best, "lambda")
    if mean.value is None:
        return mean
    nonzero = best["above_floor"].fillna(False).astype(bool)
    if bool(nonzero.any()):
        return replace(mean, significant=True)
    ends = best["lambda_high"].fillna(best["lambda"])
    # Tables from before version 3 have no verdict: the same rule is applied to them here.
    gradient = (
        best["resolved"].fillna("") == "gradient"
        if "resolved" in best
        else ((ends < 3.0 * best["lambda_floor"]) & (ends < LARGEST_GRADIENT))
    )
    most = max(float(ends.max()), float(best["lambda_floor"].fillna(0.0).max()))
    return replace(mean, significant=False if bool(gradient.all()) else None, text=at_most(most))


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """Mean λ of each job with several structures, and what the check of autograd leaves open."""
    return [*_means(rows, side), *_open_to_autograd(rows), *protocol_rows.remarks(side("protocol"))]


def _open_to_autograd(rows: Rows) -> list[str]:
    """Where differences in the model's precision cannot exclude that autograd misses as much as a gradient may have."""
    lines: dict[str, None] = {}
    for row in rows:
        by_products = row["resolved"] == "gradient" and row["step_A"] is None
        unseen = max(AUTOGRAD_TOLERANCE.get(row["dtype"], 0.0), row["autograd_deviation"] or 0.0)
        if by_products and unseen > LARGEST_GRADIENT:
            lines[
                f"{label_of(row)}: autograd finds a gradient; differences of {row['dtype']} forces confirm it to {100 * unseen:.1g} %, and a smaller part that autograd "
                "misses is not excluded. --dtype float64 or --method finite-difference tests further."
            ] = None
    return list(lines)


def _means(rows: Rows, side: SideRows) -> list[str]:
    if len({row["job"] for row in rows}) == len(rows):
        return []
    lines = []
    for row in side("summary"):
        if row["n_above_floor"] == 0:
            of_job = [one for one in rows if one["job"] == row["job"]]
            ends = [one[name] for one in of_job for name in ("lambda_high", "lambda_floor") if one[name] is not None]
            verdict = "zero to numerical accuracy" if row["n_gradient"] == row["n_structures"] else "not resolved"
            value = f"λ {at_most(max([row['lambda_most'], *ends]))}, {verdict}"
        else:
            ends_of_mean = f"{number(row['lambda_low'])} to {number(row['lambda_high'])}"
            value = (
                f"λ = {with_error(row['lambda'], row['lambda_se'])}, 95 % interval {ends_of_mean}, "
                f"spread {number(row['lambda_sd'], 2)}"
            )
        lines.append(f"{label_of(row)}, {row['system']}, {row['n_structures']} structures: {value}")
    return lines


SHOW = (
    Shown("method", "method"),
    Shown("λ", "lambda", "lambda_se", "lambda_high", floor="lambda_floor", above="above_floor"),
    Shown("verdict", "resolved"),
    Shown("λ on site", "lambda_on_site"),
    Shown("floor", "lambda_floor"),
    Shown("floor from", "floor_from", optional=True),
    Shown("λ stress", "lambda_stress", "lambda_stress_se", "lambda_stress_floor", optional=True),
    Shown("λ(h)", "scan_verdict", optional=True),
    Shown("‖J‖ eV/Å²", "jacobian_norm_eV_per_A2"),
    Shown("s", "seconds"),
)


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    if options.get("method") == "exact" and options.get("probes") is not None:
        raise UsageError(
            "--probes was given, and --method exact takes no probes.", hint="Leave one out, or use --method stochastic."
        )
    return options


DIAGNOSTIC = Diagnostic(
    name="lambda",
    rank=10,
    version=5,
    summary="Antisymmetric share of the force Jacobian, λ = ‖(J − Jᵀ)/2‖ / ‖J‖: 0 for conservative forces.",
    help="J = ∂f/∂r; 1 for forces without any conservative part. The verdict is nonzero (above the floor by three standard errors), "
    f"gradient (the upper end of the interval is below three floors and {LARGEST_GRADIENT:g}) or unresolved; λ is printed as ≤ its upper end unless nonzero. "
    "Autograd is checked against differences of the forces.",
    examples=(
        "--model pet-m:direct --model pet-m:conservative",
        "-m pet-m:direct --system water64 --resolve pairs",
        "-m sevennet-0 --system small-ten --scan-step",
        "-m sevennet-0 --protocol ml-peg-lambda",
    ),
    settings=LambdaSettings,
    resolve=_resolve,
    presets={
        Budget.SMOKE: LambdaSettings(probes=8, exact_max_atoms=24),
        Budget.LAPTOP: LambdaSettings(probes=16),
        Budget.PAPER: LambdaSettings(probes=64, exact_max_atoms=256, resolve="pairs"),
    },
    run=run,
    schema=SCHEMA,
    side_schemas={**SIDE, "protocol": protocol_rows.LAMBDA_PROTOCOL},
    cost=cost,
    divisible=Divisible("products", rows_at_once),
    quantities=quantities,
    remarks=remarks,
    ranks={"method": METHODS},
    conditions=("method", "probes"),
    show=SHOW,
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 2, Budget.PAPER: 8},
)
