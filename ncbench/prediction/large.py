"""Prediction of a structure whose dense matrices would be too large: a sparse Jacobian by colours, and moments of the coupling of its modes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from ncbench.errors import UnsupportedError
from ncbench.jacobian.autograd_check import KnownProducts, check_products, confirmed
from ncbench.jacobian.coloured import Coloured, coloured, reach_of
from ncbench.memory import GIB, available
from ncbench.models.interface import ForceField
from ncbench.prediction.heating import Thermostat
from ncbench.prediction.moments import MOST_TERMS, STORED_GIB
from ncbench.prediction.quench import CHECKED_PRODUCTS
from ncbench.prediction.second_order import SecondOrder, second_order
from ncbench.prediction.settings import COLOURS, PredictSettings
from ncbench.prediction.sparse_modes import SparseModes
from ncbench.types import Tick, silent

BYTES_OF_BLOCK, BYTES_OF_CONFLICT = 700.0, 45.0
"""Peak memory a 3×3 block of the Jacobian, of which several copies exist at once, and a pair of atoms in the graph that is coloured, bytes."""


@dataclass(frozen=True)
class LargePrediction:
    """Powers, and how they were obtained."""

    powers: SecondOrder
    reach_A: float
    jacobian_seconds: float
    """Wall time of the Jacobian with its checks, s."""
    missing: float
    """‖J − J_R‖/‖J‖: share of the Jacobian beyond the reach, with rounding."""


def predict_by_moments(
    forcefield: ForceField,
    atoms: Atoms,
    settings: PredictSettings,
    thermostats: Sequence[Thermostat],
    nve_fs: Sequence[float],
    map_tau_fs: float,
    *,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> LargePrediction:
    """Powers to second order of a quenched structure.

    Args:
        forcefield: the model, with Jacobian products.
        atoms: N atoms, at rest.
        settings: temperature, frequency floor, reach.
        thermostats: the requested ones; only white noise has a power to second order.
        nve_fs: times at constant energy, fs.
        map_tau_fs: 1/Γ of the heating map, fs.
        rng: of all random choices.
        tick: called with the number of products after each pass.

    Raises:
        UnsupportedError: the model has no receptive field and none is requested, or its products disagree with its forces.
    """
    began = time.perf_counter()
    sparse = _jacobian(forcefield, atoms, settings, rng, tick)
    measured = time.perf_counter()
    size, norm = 3 * len(atoms), math.sqrt(sparse.jacobian.squares[0])
    modes = SparseModes.from_blocks(sparse.jacobian, atoms.get_masses())
    powers = second_order(
        modes,
        # Of independent errors of all entries, half of the square is antisymmetric.
        math.hypot(sparse.leak_antisymmetric, sparse.noise * size / math.sqrt(2.0)),
        temperature_K=settings.temperature_K,
        thermostats=thermostats,
        nve_fs=nve_fs,
        floor_per_cm=settings.floor_per_cm,
        map_tau_fs=map_tau_fs,
        rng=rng,
    )
    return LargePrediction(powers, sparse.reach_A, measured - began, sparse.leak / norm if norm > 0 else math.inf)


def _jacobian(
    forcefield: ForceField, atoms: Atoms, settings: PredictSettings, rng: np.random.Generator, tick: Tick
) -> Coloured:
    batch = settings.batch or max(1, min(32, 768 // len(atoms)))
    sparse = coloured(forcefield, atoms, batch=batch, rng=rng, tick=tick, reach_A=settings.reach_A)
    vectors = rng.normal(size=(CHECKED_PRODUCTS, 3 * len(atoms)))
    applied = [sparse.jacobian.apply_transposed(v.reshape(-1, 3)).reshape(-1) for v in vectors]
    norm = math.sqrt(sparse.jacobian.squares[0])
    error = sparse.leak / norm if norm > 0 else 0.0
    known = KnownProducts(vectors, np.stack(applied), transposed=True, error=error)
    check = check_products(forcefield, atoms, known, count=2, rng=rng)
    if check.wrong and confirmed(forcefield, atoms, rng).wrong:
        raise UnsupportedError(
            f"{forcefield.card.label}: {check.reason}, and moments need products.",
            hint="Use --modes all, with a smaller cell.",
        )
    return sparse


def require_memory_of_moments(forcefield: ForceField, atoms: Atoms, reach_A: float | None) -> None:
    """Refuse a structure whose sparse Jacobian and moments do not fit into the memory that is free; nothing is refused if the system does not report it.

    Raises:
        UnsupportedError: with the memory and the number of products; or as :func:`ncbench.jacobian.coloured.reach_of`.
    """
    reach, n = reach_of(forcefield, reach_A), len(atoms)
    needed, free = bytes_needed(atoms, reach), available(torch.device("cpu"))
    if free is None or needed <= free:
        return
    products = 3 * min(n, math.ceil(COLOURS * reach**3))
    raise UnsupportedError(
        f"The prediction of {n} atoms with a reach of {reach:g} Å takes some {needed / GIB:.1f} GiB and {products} products with the Jacobian, "
        f"each the time of two to three force calls; {free / GIB:.1f} GiB are free.",
        hint="Give a shorter --reach, whose error is measured, or use a smaller cell: the heating an atom hardly depends on it.",
    )


def bytes_needed(atoms: Atoms, reach_A: float) -> float:
    """Peak memory of the sparse Jacobian and the moments, bytes; without the model's own."""
    n = len(atoms)
    density = n / atoms.cell.volume if atoms.cell.rank == 3 else math.inf
    near = min(float(n), 4.0 / 3.0 * math.pi * reach_A**3 * density) if math.isfinite(density) else float(n)
    conflicts = min(float(n), 8.0 * near)
    stored = max(STORED_GIB * GIB, 8.0 * 3 * n * MOST_TERMS / 2)
    return n * (near * BYTES_OF_BLOCK + conflicts * BYTES_OF_CONFLICT) + stored
