"""λ of one structure: the method chosen, its products checked against the forces, and the row with its verdict."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ncbench.errors import NotDifferentiableError, UnsupportedError
from ncbench.jacobian.autograd_check import check_products, confirmed, steps_for, vectors_for
from ncbench.jacobian.methods import Measured, measure, measure_gradient, resolved, with_sibling_floor
from ncbench.jacobian.modes import mode_rows
from ncbench.jacobian.probe_estimates import MIN_PAIR_PROBES, MIN_PROBES
from ncbench.jacobian.probes import normal, signs
from ncbench.jacobian.product_cost import FirstProducts, first_products, largest_cost
from ncbench.jacobian.schemas import ATOMS, MODES, PAIRS, SCHEMA, SPECIES, STEP_SCAN
from ncbench.jacobian.settings import PRODUCT_COST, LambdaSettings, choose_method, fitting_batch
from ncbench.jacobian.step_scan import STEPS_A, Verdict, scan
from ncbench.jacobian.stress_asymmetry import stress_asymmetry
from ncbench.models.interface import ForceField
from ncbench.types import Case, ForceMode, Progress, Status, Tick

SideTables = dict[str, list[dict[str, Any]]]


def measure_case(
    forcefield: ForceField,
    case: Case,
    settings: LambdaSettings,
    rng: np.random.Generator,
    progress: Progress,
    *,
    note: str = "",
) -> tuple[dict[str, Any], SideTables]:
    """λ of one structure: the row of the main table, and rows of the side tables by name.

    Args:
        forcefield: any model.
        case: the structure and its name.
        settings: how to measure.
        rng: for all random choices.
        progress: receives the number of computed rows, columns or probes.
        note: text shown with the progress.

    Raises:
        NotDifferentiableError: the exact or the coloured method was requested for a model whose products cannot be used.
        UsageError: blocks were requested from the stochastic method.
    """
    where = {"structure": case.name, "n_atoms": len(case.atoms)}
    try:
        return _Case(forcefield, case, settings, rng, progress, note).measured()
    except UnsupportedError as error:
        return SCHEMA.row(**where, status=Status.UNSUPPORTED, reason=str(error)), {}


class _Case:
    """Measurement of one structure."""

    def __init__(
        self,
        forcefield: ForceField,
        case: Case,
        settings: LambdaSettings,
        rng: np.random.Generator,
        progress: Progress,
        note: str,
    ) -> None:
        self.forcefield, self.atoms, self.settings, self.rng = forcefield, case.atoms, settings, rng
        self.progress, self.remark = progress, note
        self.where = {"structure": case.name, "n_atoms": len(case.atoms)}
        self.ok = self.where | {"status": Status.OK, "reason": ""}
        self.notes: list[str] = []
        """Sentences for the column ``note``."""
        self.values: dict[str, Any] = {}
        """Further columns besides those of the method."""
        self.side: SideTables = {}

    def measured(self) -> tuple[dict[str, Any], SideTables]:
        began = time.perf_counter()
        self.forcefield.check([self.atoms])
        method = choose_method(self.forcefield.card, len(self.atoms), self.settings)
        if self.settings.scan_step:
            self._scan()
        method, result = self._checked(method)
        # A check may have used further calls and products.
        spent = {name: result.values[name] + self.values.get(name, 0) for name in ("force_calls", "products")}
        values = result.values | self.values | spent
        values |= {"method": method, "net_force_removed": self.forcefield.card.net_force_removed}
        problem = self._problem(result)
        if not problem:
            values["floor_from"] = "rounding"
            if self.settings.sibling_floor:
                values = with_sibling_floor(self.forcefield, self.atoms, values, self.rng)
            self._resolve_blocks(result)
        if self.settings.stress:
            values |= self._stress(values)
        values |= {"note": "; ".join(self.notes), "seconds": time.perf_counter() - began}
        return SCHEMA.row(**self.where, **_judged(values, result, problem)), self.side

    def _checked(self, method: str) -> tuple[str, Measured]:
        """The result by this method, or by differences if its products disagree with the forces or, for ``auto``, cost much more.

        Raises:
            NotDifferentiableError: another method than differences was requested.
        """
        first = None
        try:
            if self.settings.method == "auto" and self.forcefield.card.differentiable and method != "coloured":
                first = self._first_products(method)
                if first is not None and self._too_expensive(first, method):
                    return self._by_differences(f"a Jacobian product takes {first.cost:.1f} force calls", first)
            method, result = self._by_products(method, first)
            reason = "" if result.known is None else self._defect(result)
        except NotDifferentiableError as error:
            reason = error.message
        return self._by_differences(reason) if reason else (method, result)

    def _by_differences(self, reason: str, first: FirstProducts | None = None) -> tuple[str, Measured]:
        self.notes.append(f"{reason.rstrip('.')}: measured by differences of forces")
        method = choose_method(self.forcefield.card, len(self.atoms), self.settings, black_box=reason)
        # From here on the model counts as not differentiable, whatever its card declares.
        self.forcefield = copy.copy(self.forcefield)
        self.forcefield.card = replace(self.forcefield.card, differentiable=False)
        return method, self._measure(method, first)

    def _by_products(self, method: str, first: FirstProducts | None) -> tuple[str, Measured]:
        """Forces declared conservative that a few products show to be a gradient need no whole Jacobian."""
        if not self._expected_gradient(method):
            return method, self._measure(method, first)
        tick = self._ticker(float(MIN_PROBES), "probes")
        few, is_gradient = measure_gradient(self.forcefield, self.atoms, self.settings, self.rng, tick, first)
        if is_gradient:
            return "stochastic", few
        method_result = self._measure(method)
        for name in ("force_calls", "products"):
            method_result.values[name] += few.values[name]
        return method, method_result

    def _expected_gradient(self, method: str) -> bool:
        """Whether a few products may replace the dense Jacobian, if that has more than twice as many rows; random probes begin with them anyway."""
        conservative = self.forcefield.card.force_mode is ForceMode.CONSERVATIVE
        automatic = self.settings.method == "auto" and self.settings.resolve == "none"
        return conservative and automatic and method == "exact" and 3 * len(self.atoms) > 2 * MIN_PROBES

    def _first_products(self, method: str) -> FirstProducts | None:
        conservative = self.forcefield.card.force_mode is ForceMode.CONSERVATIVE
        batch = fitting_batch(self.forcefield.card, len(self.atoms), self.settings, products=True)
        try:
            return first_products(
                self.forcefield,
                self.atoms,
                batch=min(batch, MIN_PROBES, self.settings.probes),
                rng=self.rng,
                draw=normal if conservative else signs,
                suspicious=self._largest_cost(method),
            )
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None

    def _largest_cost(self, method: str) -> float:
        """Cost of a product in force calls above which differences are taken."""
        size, probes = 3 * len(self.atoms), self.settings.probes
        conservative = self.forcefield.card.force_mode is ForceMode.CONSERVATIVE
        if self._expected_gradient(method) or (conservative and method == "stochastic"):
            products = MIN_PROBES
        else:
            products = size if method == "exact" else 2 * max(MIN_PROBES, probes)
        return largest_cost(products, size if method == "exact" else max(MIN_PAIR_PROBES, probes))

    def _too_expensive(self, first: FirstProducts, method: str) -> bool:
        """Whether differences are cheaper by a wide margin. The cost, which no two runs measure alike, is recorded only where it decides."""
        if first.cost is None or first.cost < self._largest_cost(method):
            return False
        self.values["product_cost"] = first.cost
        return True

    def _measure(self, method: str, first: FirstProducts | None = None) -> Measured:
        tick = self._ticker(*self._amount(method))
        return measure(method, self.forcefield, self.atoms, self.settings, self.rng, tick, first)

    def _defect(self, result: Measured) -> str:
        """Why the computed products cannot be trusted; empty if they can."""
        assert result.known is not None
        cost = result.values["force_calls"] + PRODUCT_COST * result.values["products"]
        check = check_products(
            self.forcefield,
            self.atoms,
            result.known,
            count=vectors_for(cost),
            rng=self.rng,
            least_steps=steps_for(cost),
        )
        calls = check.force_calls
        self.values |= {"autograd_deviation": check.deviation, "autograd_deviation_se": check.error}
        wrong = check.wrong
        if wrong:
            again = confirmed(self.forcefield, self.atoms, self.rng)
            calls, wrong = calls + again.force_calls, again.wrong
        self.values["force_calls"] = calls
        if check.undecided:
            self.notes.append(check.undecided)
        if not wrong:
            return ""
        # The row includes the cost of the rejected products.
        self.values["force_calls"] += result.values["force_calls"]
        self.values["products"] = result.values["products"]
        return check.reason

    def _problem(self, result: Measured) -> str:
        """Why λ is not defined, or an empty string."""
        if not math.isfinite(result.values["jacobian_norm_eV_per_A2"]):
            return "the model gives forces that are not finite numbers, so that λ is not defined"
        undefined = result.undefined(self.forcefield.card.dtype)
        alone = "a single free atom: " if undefined and len(self.atoms) == 1 else ""
        return alone + undefined

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

    def _resolve_blocks(self, result: Measured) -> None:
        if self.settings.resolve == "none" or result.pairs is None:
            return
        self.side["atoms"] = [ATOMS.row(**self.ok, **row) for row in result.pairs.atom_rows(self.atoms)]
        self.side["species"] = [SPECIES.row(**self.ok, **row) for row in result.pairs.species_rows(self.atoms)]
        if result.matrix is not None:
            try:
                self.side["modes"] = [MODES.row(**self.ok, **row) for row in mode_rows(result.matrix)]
            except UnsupportedError as error:
                self.notes.append(error.message.rstrip("."))
        if self.settings.resolve == "pairs":
            rows = result.pairs.pair_rows(self.atoms, self.rng)
            self.side["pairs"] = [PAIRS.row(**self.ok, **row) for row in rows]

    def _scan(self) -> None:
        """λ(h); its best step is used for the differences unless one was requested."""
        tick = self._ticker(len(STEPS_A[self.forcefield.card.dtype]), "steps")
        result = scan(self.forcefield, self.atoms, batch=self.settings.batch or 1, rng=self.rng, tick=tick)
        if self.settings.step_A is None and result.verdict is Verdict.PLATEAU:
            self.settings = replace(self.settings, step_A=result.best_step_A)
        change = [100.0 * value for value in result.change] + [math.nan]
        rows = []
        for h, lam, noise, changed in zip(result.steps_A.tolist(), result.lam, result.noise, change, strict=True):
            numbers = {"lambda": _finite(lam), "lambda_noise": _finite(noise), "change_percent": _finite(changed)}
            rows.append(STEP_SCAN.row(**self.ok, step_A=h, **numbers, verdict=result.verdict.value))
        self.side["step-scan"] = rows
        self.values["scan_verdict"] = result.verdict.value

    def _stress(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            result = stress_asymmetry(
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
        if result.note:
            self.notes.append(f"{result.note.rstrip('.')}: measured by differences of stresses")
        return {
            "lambda_stress": _finite(result.value),
            "lambda_stress_se": _finite(result.standard_error),
            "lambda_stress_floor": _finite(result.floor),
            "force_calls": values["force_calls"] + result.calls,
            "products": values["products"] + result.products,
        }


def _judged(values: dict[str, Any], result: Measured, problem: str) -> dict[str, Any]:
    if problem:
        empty = dict.fromkeys(("lambda", "lambda_se", "lambda_low", "lambda_high", "lambda_floor", "lambda_on_site"))
        return values | empty | {"status": Status.FAILED, "reason": problem}
    verdict = resolved(values, result.three_sigma_low)
    return values | {"resolved": verdict, "above_floor": verdict == "nonzero", "status": Status.OK, "reason": ""}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
