"""The methods behind λ, made to answer alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.jacobian import dense as jacobian
from ncbench.jacobian.asymmetry import asymmetry, noise_floor
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.jacobian.coloured import coloured
from ncbench.jacobian.pair_norms import PairNorms
from ncbench.jacobian.probes import (
    MIN_PROBES,
    Estimate,
    ProductProbes,
    interval95,
    pair_probes,
    product_probes,
)
from ncbench.jacobian.settings import LambdaSettings, fitting_batch
from ncbench.jacobian.step_scan import choose_step
from ncbench.jacobian.stochastic import LARGE, products
from ncbench.models.interface import ForceField
from ncbench.types import ForceMode, Tick

FloatArray = NDArray[np.float64]
FLOOR_PROBES = 2
"""Probes of the conservative mode that tell what a gradient reads. The floor is an order of magnitude, not a number to quote."""
SPRING = 1.0
"""eV/Å²: a spring of ordinary size. A Jacobian of its rounding alone is none."""


@dataclass
class Measured:
    """What a method found."""

    values: dict[str, Any]
    """Columns of the main table."""
    noise: float
    """What ‖J‖ would read from numerical error alone, eV/Å²."""
    pairs: PairNorms | None = None
    """Where blocks are known."""
    matrix: FloatArray | BlockJacobian | None = field(default=None, repr=False)
    """J itself, where it is known."""

    def is_zero(self, dtype: str) -> bool:
        """J is no more than numerical error."""
        rounding = 100.0 * float(np.finfo(dtype).eps) * SPRING
        return bool(self.values["jacobian_norm_eV_per_A2"] <= max(10.0 * self.noise, rounding))


def measure(
    method: str, forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator, tick: Tick
) -> Measured:
    """λ of one structure by ``exact``, ``coloured``, ``finite-difference`` or ``stochastic``.

    Whether products may be used is the card's word: see :func:`ncbench.jacobian.dense.autograd_reaches`.

    Raises:
        UnsupportedError: a coloured Jacobian of a model that does not say how far its forces reach.
    """
    if method == "stochastic":
        return _stochastic(forcefield, atoms, settings, rng, tick)
    if method == "coloured":
        return _coloured(forcefield, atoms, settings, rng, tick)
    return _dense(method, forcefield, atoms, settings, rng, tick)


def _dense(
    method: str, forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator, tick: Tick
) -> Measured:
    calls, batch = 0, fitting_batch(forcefield.card, len(atoms), settings)
    if method == "exact":
        found = jacobian.exact(forcefield, atoms, batch=batch, rng=rng, tick=tick)
    else:
        step, calls = _step(forcefield, atoms, settings, rng)
        found = jacobian.finite_difference(forcefield, atoms, batch=batch, rng=rng, step_A=step, tick=tick)
    parts = asymmetry(found.matrix)
    floor = noise_floor(found.matrix, found.noise)
    pairs = PairNorms.of_dense(parts)
    values = _bounded(parts.whole, floor) | {
        "lambda_floor": floor,
        "lambda_on_site": pairs.on_site,
        "jacobian_norm_eV_per_A2": float(np.linalg.norm(found.matrix)),
        "step_A": found.step_A,
        "force_calls": found.force_calls + calls,
        "products": found.products,
    }
    return Measured(values, found.noise * len(found.matrix), pairs, found.matrix)


def _coloured(
    forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator, tick: Tick
) -> Measured:
    batch = fitting_batch(forcefield.card, len(atoms), settings)
    found = coloured(forcefield, atoms, batch=batch, rng=rng, tick=tick, reach_A=settings.reach_A)
    block, pairs = found.jacobian, PairNorms.of_blocks(found.jacobian)
    norm, noise = float(np.sqrt(block.squares[0])), found.noise * 3 * len(atoms)
    values = _bounded(block.lam, found.standard_error) | {
        # An entry of A holds the rounding of two of J over 2; what lies beyond the reach is an error, not a floor.
        "lambda_floor": noise / np.sqrt(2) / norm if norm > 0 else float("nan"),
        "lambda_on_site": pairs.on_site,
        "jacobian_norm_eV_per_A2": norm,
        "reach_A": found.reach_A,
        "colours": found.n_colours,
        "force_calls": found.force_calls,
        "products": found.products,
    }
    return Measured(values, noise, pairs, block)


def _bounded(lam: float, error: float) -> dict[str, Any]:
    """λ with a numerical error in place of a statistical one."""
    low, high = max(0.0, lam - 2 * error), min(1.0, lam + 2 * error)
    return {"lambda": lam, "lambda_se": error, "lambda_low": low, "lambda_high": high}


def _stochastic(
    forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator, tick: Tick
) -> Measured:
    batch = min(fitting_batch(forcefield.card, len(atoms), settings), settings.probes)
    values: dict[str, Any]
    found: Estimate
    if forcefield.card.differentiable:
        found = products(
            forcefield,
            atoms,
            probes=settings.probes,
            target_error=settings.target_error,
            batch=batch,
            rng=rng,
            memory_GiB=settings.memory_GiB,
            tick=tick,
        )
        values = _products_made(forcefield, found, batch)
    else:
        step, calls = _step(forcefield, atoms, settings, rng)
        found = pair_probes(
            forcefield,
            atoms,
            probes=settings.probes,
            target_error=settings.target_error,
            batch=batch,
            step_A=step,
            rng=rng,
            tick=tick,
        )
        values = {"step_A": step, "force_calls": 2 * found.n_probes + 4 * batch + calls, "products": 0}
    low, high = interval95(found)
    norm = found.jacobian_norm
    floor = float(found.noise / norm + np.finfo(forcefield.card.dtype).eps) if norm else float("nan")
    values |= {
        "lambda": found.lam,
        "lambda_se": found.standard_error,
        "lambda_low": low,
        "lambda_high": high,
        "lambda_floor": floor,
        "jacobian_norm_eV_per_A2": norm,
        "probes": found.n_probes,
    }
    return Measured(values, found.noise)


def _products_made(forcefield: ForceField, found: Estimate, batch: int) -> dict[str, Any]:
    """What :func:`ncbench.jacobian.stochastic.products` cost: a round at the shifted structure, then the probes."""
    if isinstance(found, ProductProbes):
        first = min(batch, MIN_PROBES) + MIN_PROBES if forcefield.card.force_mode is ForceMode.CONSERVATIVE else 0
        return {"force_calls": 2 * batch, "products": 2 * found.n_probes + batch + first}
    return {"force_calls": 2 * batch, "products": found.n_probes + batch}


def _step(
    forcefield: ForceField, atoms: Atoms, settings: LambdaSettings, rng: np.random.Generator
) -> tuple[float, int]:
    if settings.step_A is not None:
        return settings.step_A, 0
    return choose_step(forcefield, atoms, rng=rng, default_A=jacobian.STEP_A[forcefield.card.dtype])


def with_sibling_floor(
    forcefield: ForceField, atoms: Atoms, values: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """The floor raised to what the model's own conservative mode reads at the same precision, and at the same step of differences.

    The conservative mode is exact zero but for its arithmetic, so that its λ is what this arithmetic reads for a gradient. Large cells
    are not asked: a gradient's Jacobian may take more memory than all that was measured.
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
    found: Estimate
    if values.get("step_A") is not None:
        found = pair_probes(
            sibling, atoms, probes=2 * FLOOR_PROBES, target_error=None, batch=1, step_A=values["step_A"], rng=rng
        )
    else:
        found = product_probes(sibling, atoms, probes=FLOOR_PROBES, target_error=None, batch=1, rng=rng)
    if not found.lam > values["lambda_floor"]:
        return own
    return values | {"lambda_floor": found.lam, "floor_from": sibling.card.label}
