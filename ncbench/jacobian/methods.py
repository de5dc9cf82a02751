"""The methods for λ, with results of one type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.asymmetry import asymmetry, noise_floor
from ncbench.jacobian.autograd_check import KnownProducts
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.jacobian.coloured import coloured
from ncbench.jacobian.pair_norms import PairNorms
from ncbench.jacobian.probe_estimates import (
    MIN_PAIR_PROBES,
    MIN_PROBES,
    Estimate,
    PairProbes,
    ProductProbes,
    interval95,
    is_zero,
    standard_error,
    three_sigma_low,
)
from ncbench.jacobian.probes import pair_probes, product_probes
from ncbench.jacobian.product_cost import FirstProducts, rounding_copies
from ncbench.jacobian.settings import LARGEST_GRADIENT, LambdaSettings, fitting_batch
from ncbench.jacobian.step_scan import StepChoice, choose_step
from ncbench.jacobian.stochastic import LARGE, gradient_probes, products
from ncbench.models.interface import ForceField
from ncbench.types import ForceMode, Tick

FloatArray = NDArray[np.float64]
FLOOR_PROBES = 2
"""Probes of the conservative mode, for the value of λ of a gradient. The floor is an order of magnitude only."""
SPRING = 1.0
"""eV/Å²: stiffness of an ordinary bond. A Jacobian below its rounding error counts as zero."""
NEGLIGIBLE = 1.0e-9
"""A λ that is classified as nonzero must exceed this as well: float64 rounding through cancellations reaches 1e-12 (PET, eight water molecules), and
λ² of 1e-18 gives no measurable heating."""
CHECKED_VECTORS = 4
"""Vectors along which a dense Jacobian can be compared with differences."""


@dataclass
class Measured:
    """Result of a method."""

    values: dict[str, Any]
    """Columns of the main table."""
    noise: float
    """‖J‖ expected from numerical error alone, eV/Å²."""
    three_sigma_low: float
    """Lower end of λ's interval of three standard errors."""
    known: KnownProducts | None = field(default=None, repr=False)
    """Products by autograd, if any were used."""
    pairs: PairNorms | None = None
    """The 3×3 blocks, if they were computed."""
    matrix: FloatArray | BlockJacobian | None = field(default=None, repr=False)
    """J itself, if it was computed."""

    def undefined(self, dtype: str) -> str:
        """Why λ is not defined although all forces are finite; empty if it is."""
        norm, step = self.values["jacobian_norm_eV_per_A2"], self.values.get("step_A")
        rounding = 100.0 * float(np.finfo(dtype).eps) * SPRING
        if norm > max(10.0 * self.noise, rounding):
            return ""
        if norm <= rounding or step is None:
            return "the Jacobian is zero to within rounding, so that λ is not defined"
        # Of differences: forces of 1 eV/Å round by ε, the Jacobian's norm by 3N times its entries' error ε/h.
        if self.noise <= 10.0 * rounding / step:
            return (
                f"the Jacobian ({norm:.1g} eV/Å²) is zero to within the rounding of the forces over the step of {step:.1g} Å, "
                "so that λ is not defined"
            )
        return (
            f"the Jacobian ({norm:.2g} eV/Å²) is not resolved: another step than {step:.2g} Å changes it by {self.noise:.2g} eV/Å². "
            "The forces are noisy or jump, or this step does not suit them (--step, --scan-step)"
        )


def resolved(values: dict[str, Any], low: float) -> str:
    """``nonzero``, ``gradient`` or ``unresolved``.

    Nonzero: the lower end ``low`` of three standard errors is above the floor, and λ above three floors, which are known to an order of magnitude.
    Gradient: the upper end of the 95 % interval is below three floors, and below :data:`~ncbench.jacobian.settings.LARGEST_GRADIENT`. A value that is not shown to be nonzero is unresolved, not zero. A floor
    below :data:`NEGLIGIBLE` is replaced by it.
    """
    floor = max(values["lambda_floor"], NEGLIGIBLE)
    if low > floor and values["lambda"] > 3.0 * floor:
        return "nonzero"
    return "gradient" if values["lambda_high"] < min(3.0 * floor, LARGEST_GRADIENT) else "unresolved"


def measure(
    method: str,
    forcefield: ForceField,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    tick: Tick,
    first: FirstProducts | None = None,
) -> Measured:
    """λ of one structure by ``exact``, ``coloured``, ``finite-difference`` or ``stochastic``.

    ``first``: products that were computed to measure their cost.

    Products are used if the card declares them; :func:`ncbench.jacobian.autograd_check.check_products` compares them with the forces.

    Raises:
        UnsupportedError: a coloured Jacobian of a model that does not say how far its forces reach.
        NotDifferentiableError: autograd does not reach the positions.
    """
    if method == "stochastic":
        return _stochastic(forcefield, atoms, settings, rng, tick, first)
    if method == "coloured":
        return _coloured(forcefield, atoms, settings, rng, tick)
    return _dense(method, forcefield, atoms, settings, rng, tick, first)


def measure_gradient(
    forcefield: ForceField,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    tick: Tick,
    first: FirstProducts | None,
) -> tuple[Measured, bool]:
    """λ by a few random products in one direction, and whether it is zero to rounding, so that no other method is needed.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    batch = _product_batch(forcefield, atoms, settings)
    estimate = gradient_probes(forcefield, atoms, batch=batch, rng=rng, first=first, tick=tick)
    values = _spent(estimate, len(atoms), batch, first)
    known = KnownProducts(estimate.vectors, estimate.products, transposed=True)
    return _from_probes(forcefield, estimate, values, known), is_zero(estimate)


def _product_batch(forcefield: ForceField, atoms: Atoms, settings: LambdaSettings) -> int:
    return min(fitting_batch(forcefield.card, len(atoms), settings, products=True), settings.probes)


def _dense(
    method: str,
    forcefield: ForceField,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    tick: Tick,
    first: FirstProducts | None,
) -> Measured:
    batch = fitting_batch(forcefield.card, len(atoms), settings, products=method == "exact")
    calls, made = (first.force_calls + 2, len(first.vectors)) if first is not None else (0, 0)
    known = None
    if method == "exact":
        dense = jacobian.exact(forcefield, atoms, batch=batch, rng=rng, first=first, tick=tick)
        vectors = rng.normal(size=(CHECKED_VECTORS, len(dense.matrix)))
        known = KnownProducts(vectors, vectors @ dense.matrix.T)
    else:
        step = _step(forcefield, atoms, settings, rng)
        calls += step.force_calls
        dense = jacobian.finite_difference(
            forcefield, atoms, batch=batch, rng=rng, step_A=step.step_A, along=step.along, tick=tick
        )
    parts = asymmetry(dense.matrix)
    floor = noise_floor(dense.matrix, dense.noise)
    pairs = PairNorms.of_dense(parts)
    bounds, low = bounded(parts.whole, floor)
    values = bounds | {
        "lambda_floor": floor,
        "lambda_on_site": pairs.on_site,
        "jacobian_norm_eV_per_A2": float(np.linalg.norm(dense.matrix)),
        "step_A": dense.step_A,
        "force_calls": dense.force_calls + calls,
        "products": dense.products + made,
    }
    noise = dense.noise if dense.noise_estimate is None else dense.noise_estimate
    return Measured(values, noise * len(dense.matrix), low, known, pairs, dense.matrix)


def _coloured(
    forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator, tick: Tick
) -> Measured:
    batch = fitting_batch(forcefield.card, len(atoms), settings, products=True)
    result = coloured(forcefield, atoms, batch=batch, rng=rng, tick=tick, reach_A=settings.reach_A)
    block, pairs = result.jacobian, PairNorms.of_blocks(result.jacobian)
    norm, noise = float(np.sqrt(block.squares[0])), result.noise * 3 * len(atoms)
    bounds, low = bounded(block.lam, result.standard_error)
    values = bounds | {
        # The rounding of an entry of A is that of two entries of J over 2; truncation beyond the reach is an error, not a floor.
        "lambda_floor": noise / np.sqrt(2) / norm if norm > 0 else float("nan"),
        "lambda_on_site": pairs.on_site,
        "jacobian_norm_eV_per_A2": norm,
        "reach_A": result.reach_A,
        "colours": result.n_colours,
        "force_calls": result.force_calls,
        "products": result.products,
    }
    vectors = rng.normal(size=(CHECKED_VECTORS, 3 * len(atoms)))
    applied = np.stack([block.apply(v.reshape(-1, 3)).reshape(-1) for v in vectors])
    known = KnownProducts(vectors, applied, error=result.leak / norm if norm > 0 else 0.0)
    return Measured(values, noise, low, known, pairs, block)


def bounded(lam: float, error: float) -> tuple[dict[str, Any], float]:
    """λ with a numerical instead of a statistical error, and its lower end at three such errors.

    The error is the norm of the error matrix, ‖δA‖/‖J‖, and |‖A + δA‖ − ‖A‖| ≤ ‖δA‖: an interval of one error holds.
    """
    low, high = max(0.0, lam - error), min(1.0, lam + error)
    bounds = {"lambda": lam, "lambda_se": error, "lambda_low": low, "lambda_high": high}
    return bounds, lam - 3.0 * error


def _stochastic(
    forcefield: ForceField,
    atoms: Atoms,
    settings: LambdaSettings,
    rng: np.random.Generator,
    tick: Tick,
    first: FirstProducts | None,
) -> Measured:
    values: dict[str, Any]
    estimate: ProductProbes | PairProbes
    known = None
    if forcefield.card.differentiable:
        batch = _product_batch(forcefield, atoms, settings)
        estimate = products(
            forcefield,
            atoms,
            probes=settings.probes,
            target_error=settings.target_error,
            batch=batch,
            rng=rng,
            memory_GiB=settings.memory_GiB,
            first=first,
            tick=tick,
        )
        values = _spent(estimate, len(atoms), batch, first)
        if isinstance(estimate, ProductProbes) and forcefield.card.force_mode is ForceMode.CONSERVATIVE:
            values = _and_before(values, len(atoms), batch)
        if isinstance(estimate, ProductProbes):
            known = KnownProducts(estimate.vectors, estimate.forward)
        else:
            known = KnownProducts(estimate.vectors, estimate.products, transposed=True)
    else:
        batch = min(fitting_batch(forcefield.card, len(atoms), settings), settings.probes)
        step = _step(forcefield, atoms, settings, rng)
        estimate = pair_probes(
            forcefield,
            atoms,
            probes=max(MIN_PAIR_PROBES, settings.probes),
            target_error=settings.target_error,
            batch=batch,
            step_A=step.step_A,
            rng=rng,
            tick=tick,
        )
        calls = 2 * estimate.n_probes + 4 * batch + step.force_calls
        values = {"step_A": step.step_A, "force_calls": calls, "products": 0}
        if first is not None:
            values["force_calls"] += first.force_calls + 2
            values["products"] = len(first.vectors)
    return _from_probes(forcefield, estimate, values, known)


def _from_probes(
    forcefield: ForceField, estimate: Estimate, values: dict[str, Any], known: KnownProducts | None
) -> Measured:
    low, high = interval95(estimate)
    norm = estimate.jacobian_norm
    floor = float(estimate.noise / norm + np.finfo(forcefield.card.dtype).eps) if norm else float("nan")
    values |= {
        "lambda": estimate.lam,
        "lambda_se": standard_error(estimate),
        "lambda_low": low,
        "lambda_high": high,
        "lambda_floor": floor,
        "jacobian_norm_eV_per_A2": norm,
        "probes": estimate.n_probes,
    }
    return Measured(values, estimate.noise, three_sigma_low(estimate), known)


def _spent(
    estimate: ProductProbes | PairProbes, n_atoms: int, batch: int, first: FirstProducts | None
) -> dict[str, Any]:
    """Force calls and products of probes: two calls that test the shift of the structure, the products with new rounding, then the probes."""
    copies = rounding_copies(n_atoms, batch)
    calls = copies if first is None else first.force_calls
    each = 2 if isinstance(estimate, ProductProbes) else 1
    return {"force_calls": 2 + calls + batch, "products": copies + each * estimate.n_probes}


def _and_before(values: dict[str, Any], n_atoms: int, batch: int) -> dict[str, Any]:
    """The same after :func:`~ncbench.jacobian.stochastic.gradient_probes`, which did not suffice."""
    few = min(batch, MIN_PROBES)
    copies = rounding_copies(n_atoms, few)
    return values | {
        "force_calls": values["force_calls"] + 2 + copies + few,
        "products": values["products"] + copies + MIN_PROBES,
    }


def _step(forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator) -> StepChoice:
    if settings.step_A is not None:
        return StepChoice(settings.step_A, None, 0)
    return choose_step(forcefield, atoms, rng=rng, default_A=jacobian.STEP_A[forcefield.card.dtype])


def with_sibling_floor(
    forcefield: ForceField, atoms: Atoms, values: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """The floor, raised to the λ of the model's own conservative mode at the same precision and the same difference step.

    λ of the conservative mode is zero except for rounding, so that its value is the rounding level of this arithmetic. Large cells
    are skipped: the Jacobian of a gradient may take more memory than the measurement itself.
    """
    card = forcefield.card
    own = values | {"floor_from": "rounding" if values.get("step_A") is None else "rounding and truncation"}
    offered = card.force_mode is ForceMode.DIRECT and ForceMode.CONSERVATIVE in card.force_modes
    if not offered or len(atoms) >= LARGE:
        return own
    try:
        sibling = forcefield.sibling(ForceMode.CONSERVATIVE)
    except UnsupportedError:
        return own
    estimate: Estimate
    if values.get("step_A") is not None:
        estimate = pair_probes(
            sibling, atoms, probes=2 * FLOOR_PROBES, target_error=None, batch=1, step_A=values["step_A"], rng=rng
        )
    else:
        batch = min(FLOOR_PROBES, fitting_batch(sibling.card, len(atoms), LambdaSettings(), products=True))
        estimate = product_probes(sibling, atoms, probes=FLOOR_PROBES, target_error=None, batch=batch, rng=rng)
    if not estimate.lam > values["lambda_floor"]:
        return own
    return values | {"lambda_floor": estimate.lam, "floor_from": sibling.card.label}
