"""λ: the antisymmetric share of the force Jacobian, the point-wise measure of non-conservative behaviour.

λ = ‖A‖_F / ‖J‖_F with J = ∂f/∂r and A = (J − Jᵀ)/2 (Bigi, Langer & Ceriotti 2025, Eq. 7).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ncbench.diagnostics.base import Context, Diagnostic, Quantity, Rows, Shown, SideRows, label_of
from ncbench.diagnostics.costs import PRODUCT_COST
from ncbench.diagnostics.lambda_tables import ATOMS, MODES, PAIRS, SCHEMA, SIDE, SPECIES, STEP_SCAN, SUMMARY
from ncbench.errors import UnsupportedError
from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.clusters import summarise
from ncbench.jacobian.methods import Measured, measure, with_sibling_floor
from ncbench.jacobian.modes import mode_rows
from ncbench.jacobian.settings import LambdaSettings, choose_method
from ncbench.jacobian.step_scan import STEPS_A, Verdict, scan
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.models.interface import ForceField
from ncbench.statistics.cells import Cell, mean_cell
from ncbench.statistics.format import number, with_error
from ncbench.types import Budget, Case, Outcome, Status, Tick

if TYPE_CHECKING:
    import pandas as pd

_SideTables = dict[str, list[dict[str, Any]]]


def run(
    forcefield: ForceField, cases: Sequence[Case], settings: LambdaSettings, *, seed: int, context: Context
) -> Outcome:
    """λ of each structure, and their mean. Finished structures are not repeated after a kill.

    A structure that the model cannot take is a row of its own; the others go on.

    Raises:
        NotDifferentiableError: the exact or the coloured method was demanded of a model that has no products.
        UsageError: blocks were asked of the stochastic method.
    """
    kept = context.checkpoint.load() or {"rows": [], "side": {}}
    outcome = Outcome(rows=list(kept["rows"]), side={name: list(kept["side"].get(name, [])) for name in SIDE})
    for index, case in enumerate(cases[len(outcome.rows) :], len(outcome.rows)):
        rng = np.random.default_rng([seed, index])
        row, side = measure_case(forcefield, case, settings, rng, context, note=f"{index + 1}/{len(cases)}")
        outcome.rows.append(row)
        for name, rows in side.items():
            outcome.side[name] += rows
        if len(cases) > 1:
            context.checkpoint.save({"rows": outcome.rows, "side": outcome.side})
    outcome.side["summary"] = _summary(outcome.rows, np.random.default_rng([seed, len(cases)]))
    return outcome


def measure_case(
    forcefield: ForceField,
    case: Case,
    settings: LambdaSettings,
    rng: np.random.Generator,
    context: Context,
    *,
    note: str = "",
) -> tuple[dict[str, Any], _SideTables]:
    """λ of one structure: the row of the main table, and rows of the side tables by name.

    Raises:
        NotDifferentiableError, UsageError: as :func:`run`.
    """
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    try:
        return _Case(forcefield, case, settings, rng, context, note).measured()
    except UnsupportedError as error:
        return SCHEMA.row(**where, status=Status.UNSUPPORTED, reason=str(error)), {}


def _summary(rows: Sequence[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
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
    return [SUMMARY.row(**common, **values, n_above_floor=sum(row["above_floor"] for row in good))]


class _Case:
    """One structure being measured."""

    def __init__(
        self,
        forcefield: ForceField,
        case: Case,
        settings: LambdaSettings,
        rng: np.random.Generator,
        context: Context,
        note: str,
    ) -> None:
        self.forcefield, self.atoms, self.settings, self.rng = forcefield, case.atoms, settings, rng
        self.progress, self.remark = context.progress, note
        self.where = {"structure": case.name, "n_atoms": len(case.atoms)}
        self.ok = self.where | {"status": Status.OK, "reason": ""}
        self.notes: list[str] = []
        """Sentences for the column ``note``."""

    def measured(self) -> tuple[dict[str, Any], _SideTables]:
        began = time.perf_counter()
        self.forcefield.check([self.atoms])
        black_box = self._black_box()
        method = choose_method(self.forcefield.card, len(self.atoms), self.settings, black_box=black_box)
        if black_box:
            self.notes.append(f"{black_box.rstrip('.')}: measured by differences of forces")
            self._without_products()
        side: _SideTables = {}
        values: dict[str, Any] = {}
        if self.settings.scan_step:
            side["step-scan"], values = self._scan()
        found = measure(
            method, self.forcefield, self.atoms, self.settings, self.rng, self._ticker(*self._amount(method))
        )
        values |= {"method": method, "net_force_removed": self.forcefield.card.net_force_removed} | found.values
        problem = self._problem(found)
        if not problem:
            values["floor_from"] = "rounding"
            if self.settings.sibling_floor:
                values = with_sibling_floor(self.forcefield, self.atoms, values, self.rng)
            side |= self._resolved(found)
        if self.settings.stress:
            values |= self._stress(values)
        values |= {"note": "; ".join(self.notes), "seconds": time.perf_counter() - began}
        return SCHEMA.row(**self.where, **_judged(values, problem)), side

    def _black_box(self) -> str:
        """Why a model that says it is differentiable is not to be trusted with it; empty where it is, or says nothing."""
        if not self.forcefield.card.differentiable or self.settings.method == "finite-difference":
            return ""
        return jacobian.autograd_reaches(self.forcefield, self.atoms, self.rng)

    def _without_products(self) -> None:
        """From here on the model is what its products showed it to be, whatever its card says."""
        self.forcefield = copy.copy(self.forcefield)
        self.forcefield.card = replace(self.forcefield.card, differentiable=False)

    def _problem(self, found: Measured) -> str:
        """Why there is no λ, or an empty string."""
        if not math.isfinite(found.values["jacobian_norm_eV_per_A2"]):
            return "the model gives forces that are not finite numbers, so that λ is not defined"
        if not found.is_zero(self.forcefield.card.dtype):
            return ""
        alone = "a single atom that nothing holds in place: " if len(self.atoms) == 1 else ""
        return f"{alone}the Jacobian is zero to within rounding, so that λ is not defined"

    def _amount(self, method: str) -> tuple[float, str]:
        size = 3.0 * len(self.atoms)
        return {
            "stochastic": (float(self.settings.probes), "probes"),
            "exact": (size, "rows of J"),
            "coloured": (size, "products at most"),
            "finite-difference": (size, "columns of J"),
        }[method]

    def _ticker(self, total: float, unit: str) -> Tick:
        self.progress.start(total, unit)
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            self.progress.update(done, self.remark)

        return tick

    def _resolved(self, found: Measured) -> _SideTables:
        if self.settings.resolve == "none" or found.pairs is None:
            return {}
        side = {
            "atoms": [ATOMS.row(**self.ok, **row) for row in found.pairs.atom_rows(self.atoms)],
            "species": [SPECIES.row(**self.ok, **row) for row in found.pairs.species_rows(self.atoms)],
        }
        if found.matrix is not None:
            try:
                side["modes"] = [MODES.row(**self.ok, **row) for row in mode_rows(found.matrix)]
            except UnsupportedError as error:
                self.notes.append(error.message.rstrip("."))
        if self.settings.resolve == "pairs":
            side["pairs"] = [PAIRS.row(**self.ok, **row) for row in found.pairs.pair_rows(self.atoms, self.rng)]
        return side

    def _scan(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """λ(h); its best step becomes that of the differences, where none was asked for."""
        tick = self._ticker(len(STEPS_A[self.forcefield.card.dtype]), "steps")
        found = scan(self.forcefield, self.atoms, batch=self.settings.batch or 1, rng=self.rng, tick=tick)
        if self.settings.step_A is None and found.verdict is Verdict.PLATEAU:
            self.settings = replace(self.settings, step_A=found.best_step_A)
        change = [100.0 * value for value in found.change] + [math.nan]
        rows = []
        for h, lam, noise, changed in zip(found.steps_A.tolist(), found.lam, found.noise, change, strict=True):
            numbers = {"lambda": _known(lam), "lambda_noise": _known(noise), "change_percent": _known(changed)}
            rows.append(STEP_SCAN.row(**self.ok, step_A=h, **numbers, verdict=found.verdict.value))
        return rows, {"scan_verdict": found.verdict.value}

    def _stress(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            found = stress_asymmetry(
                self.forcefield,
                self.atoms,
                rng=self.rng,
                probes=max(8, self.settings.probes),
                exact_max_atoms=self.settings.exact_max_atoms,
                tick=self._ticker(24.0, "strains and stresses"),
            )
        except UnsupportedError as error:
            self.notes.append(error.message.rstrip("."))
            return {}
        if found.note:
            self.notes.append(f"{found.note.rstrip('.')}: measured by differences of stresses")
        return {
            "lambda_stress": _known(found.value),
            "lambda_stress_se": _known(found.standard_error),
            "lambda_stress_floor": _known(found.floor),
            "force_calls": values["force_calls"] + found.calls,
            "products": values["products"] + found.products,
        }


def _judged(values: dict[str, Any], problem: str) -> dict[str, Any]:
    if problem:
        empty = dict.fromkeys(("lambda", "lambda_se", "lambda_low", "lambda_high", "lambda_floor", "lambda_on_site"))
        return values | empty | {"status": Status.FAILED, "reason": problem}
    lam, floor, error = (_known(values[name]) or 0.0 for name in ("lambda", "lambda_floor", "lambda_se"))
    return values | {"above_floor": bool(lam > 3 * max(floor, error)), "status": Status.OK, "reason": ""}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def remarks(rows: Rows, side: SideRows) -> list[str]:
    """Mean λ of each job with several structures."""
    if len({row["job"] for row in rows}) == len(rows):
        return []
    lines = []
    for row in side("summary"):
        if row["n_above_floor"] == 0:
            floors = [main["lambda_floor"] for main in rows if main["job"] == row["job"] and main["lambda_floor"]]
            value = f"λ ≤ {number(max([row['lambda_most'], *floors]), 1)}, at the floor"
        else:
            ends = f"{number(row['lambda_low'])} to {number(row['lambda_high'])}"
            value = f"λ = {with_error(row['lambda'], row['lambda_se'])}, 95 % interval {ends}, spread {number(row['lambda_sd'], 2)}"
        lines.append(f"{label_of(row)}, {row['system']}, {row['n_structures']} structures: {value}")
    return lines


def cost(settings: LambdaSettings, n_atoms: int) -> float:
    """Products with the Jacobian, or force calls of its central differences."""
    whole = settings.method in ("exact", "coloured", "finite-difference") or settings.resolve != "none"
    whole = whole or (settings.method == "auto" and n_atoms <= settings.exact_max_atoms)
    if settings.method == "finite-difference":
        return 6.0 * n_atoms
    return PRODUCT_COST * (3.0 * n_atoms if whole else 2.0 * settings.probes)


SHOW = (
    Shown("method", "method"),
    Shown("λ", "lambda", "lambda_se", "lambda_floor", above="above_floor"),
    Shown("λ on site", "lambda_on_site"),
    Shown("floor", "lambda_floor"),
    Shown("floor from", "floor_from", optional=True),
    Shown("λ stress", "lambda_stress", "lambda_stress_se", "lambda_stress_floor", optional=True),
    Shown("λ(h)", "scan_verdict", optional=True),
    Shown("‖J‖ eV/Å²", "jacobian_norm_eV_per_A2"),
    Shown("s", "seconds"),
)

METHODS = ("exact", "coloured", "finite-difference", "stochastic")
"""From the most to the least exact: of several that measured one model, the first is shown in summaries."""

GRADIENT_FLOORS = 3.0
"""Forces count as a gradient where the upper end of λ's interval lies below this many floors."""


def quantities(rows: pd.DataFrame | None) -> tuple[Quantity, ...]:
    """λ by the most exact method there is."""
    return (Quantity("lambda", "λ", "", _mean_lambda),)


def _mean_lambda(rows: pd.DataFrame) -> Cell:
    """Mean over structures; an upper bound where no structure has a λ above the floor."""
    best = rows[rows["method"] == min(rows["method"], key=METHODS.index)]
    mean = mean_cell(best, "lambda")
    if mean.value is None:
        return mean
    if bool(best["above_floor"].fillna(False).astype(bool).any()):
        return replace(mean, significant=True)
    upper = best["lambda_high"].fillna(best["lambda"])
    gradient = bool((upper < GRADIENT_FLOORS * best["lambda_floor"]).all())
    return replace(mean, significant=False if gradient else None, text=f"≤ {number(float(upper.max()), 1)}")


DIAGNOSTIC = Diagnostic(
    name="lambda",
    rank=10,
    version=2,
    summary="Antisymmetric share of the force Jacobian, λ = ‖(J − Jᵀ)/2‖ / ‖J‖: 0 for conservative forces.",
    settings=LambdaSettings,
    presets={
        Budget.SMOKE: LambdaSettings(probes=4),
        Budget.LAPTOP: LambdaSettings(probes=16),
        Budget.PAPER: LambdaSettings(probes=64, exact_max_atoms=256, resolve="pairs"),
    },
    run=run,
    schema=SCHEMA,
    cost=cost,
    remarks=remarks,
    show=SHOW,
    quantities=quantities,
    ranks={"method": METHODS},
    conditions=("method", "probes"),
    side_schemas=SIDE,
    default_structures={Budget.SMOKE: 1, Budget.LAPTOP: 2, Budget.PAPER: 8},
)
