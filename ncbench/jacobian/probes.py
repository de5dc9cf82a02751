"""Random probes of the force Jacobian, at a cost that does not grow with the number of atoms; :mod:`.probe_estimates` computes λ from them.

With autograd, one Jacobian-vector and one vector-Jacobian product give Jv and Jᵀv. Without, Jv is a central difference of forces along v, and
products with Jᵀ are not available: see :class:`~ncbench.jacobian.probe_estimates.PairProbes`.
"""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.jacobian.probe_estimates import (
    MIN_PROBES,
    Estimate,
    PairProbes,
    ProductProbes,
    is_zero,
    standard_error,
)
from ncbench.jacobian.product_cost import FirstProducts, first_products
from ncbench.models.interface import Field, ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]


def product_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    rng: np.random.Generator,
    first: FirstProducts | None = None,
    tick: Tick = silent,
) -> ProductProbes:
    """Draw ``probes`` probes, or, with ``target_error``, as many as the relative standard error of λ needs to fall below it.

    ``first``: products with :func:`signs` that were computed to measure their cost; others are computed anew.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    if first is None or first.draw is not signs:
        first = first_products(forcefield, atoms, batch=batch, rng=rng, draw=signs)
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    empty = np.empty((0, 3 * field.n_atoms))
    drawn = ProductProbes(empty, empty, empty, 0.0)
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(drawn):
        vectors = signs(field, rng)
        if not drawn.n_probes:
            vectors[: len(first.vectors)] = first.vectors
        forward, backward = linearization.jvp(vectors), linearization.vjp(vectors)
        # Both products have the same rounding error σ, and half the difference of two is σ/√2.
        noise = drawn.noise if drawn.n_probes else _rounding(first, backward, forcefield.card.dtype) / np.sqrt(2.0)
        drawn = ProductProbes(
            _appended(drawn.vectors, vectors, take),
            _appended(drawn.forward, forward, take),
            _appended(drawn.backward, backward, take),
            noise,
        )
        tick(take)
    return drawn if target_error is None else drawn.chosen()


def transposed_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    rng: np.random.Generator,
    first: FirstProducts | None = None,
    tick: Tick = silent,
) -> PairProbes:
    """λ from pairs of probes with vector-Jacobian products alone: (Jᵀu)·v − (Jᵀv)·u over two is uᵀAv.

    Costs more probes for the same error than :func:`product_probes`, and less than half of its memory: products in the other
    direction keep the graph of a backward pass. ``first``: products with :func:`normal` that were computed to measure their cost.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    if first is None or first.draw is not normal:
        first = first_products(forcefield, atoms, batch=batch, rng=rng, draw=normal)
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    empty = np.empty((0, 3 * field.n_atoms))
    drawn = PairProbes(empty, empty, 0.0)
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(drawn):
        vectors = normal(field, rng)
        if not drawn.n_probes:
            vectors[: len(first.vectors)] = first.vectors
        product = linearization.vjp(vectors)
        noise = drawn.noise if drawn.n_probes else _rounding(first, product, forcefield.card.dtype) / np.sqrt(2.0)
        drawn = PairProbes(_appended(drawn.vectors, vectors, take), _appended(drawn.products, product, take), noise)
        tick(take)
    return drawn


def pair_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    step_A: float,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> PairProbes:
    """The same without autograd: Jv = (f(r + hv) − f(r − hv))/2h, two force calls per probe.

    ``step_A`` is the root-mean-square displacement of a coordinate.
    """
    field = forcefield.bind([atoms] * (2 * batch))
    start = field.initial_positions()
    empty = np.empty((0, 3 * field.n_atoms))
    drawn = PairProbes(empty, empty, _pair_noise(field, start, step_A, rng))
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(drawn):
        vectors = normal(field, rng)[:batch]
        product = along(field, start, vectors, step_A)
        drawn = PairProbes(
            _appended(drawn.vectors, vectors, take), _appended(drawn.products, product, take), drawn.noise
        )
        tick(take)
    return drawn


def along(field: Field, start: torch.Tensor, vectors: torch.Tensor, step: float) -> torch.Tensor:
    """(f(r + hv) − f(r − hv))/2h for each v of ``vectors`` [R/2, N, 3], by one call of a field of R replicas; eV/Å²."""
    half = len(vectors)
    forces = field(start + torch.cat([vectors, -vectors]) * step).forces
    return (forces[:half] - forces[half:]) / (2 * step)


def _pair_noise(field: Field, start: torch.Tensor, step: float, rng: np.random.Generator) -> float:
    """The change δ of Jv with a doubled step contains three times its truncation and all of its rounding error.

    u is independent of δ, so uᵀδ is of size ‖δ‖, and half the difference of two such of size ‖δ‖/√2.
    """
    vectors = normal(field, rng)[: field.n_replicas // 2]
    change = along(field, start, vectors, 2 * step) - along(field, start, vectors, step)
    return float(np.sqrt(_squares(change).mean() / 2))


def _rounding(first: FirstProducts, products: torch.Tensor, dtype: str) -> float:
    """‖δ‖ of the rounding error δ of Jᵀv, eV/Å², from products with the same vectors at two positions with independent errors; two draws differ by √2 δ.

    At least ε‖Jᵀv‖: a model that uses differences of positions is not affected by a shift.
    """
    same = products[: len(first.products)]
    drawn = np.sqrt(_squares(same - first.products).mean() / 2)
    return float(np.hypot(drawn, float(np.finfo(dtype).eps) * np.sqrt(_squares(same).mean())))


class _Stop:
    """Stopping rule for the number of probes.

    Stopping when an error estimate falls below a threshold biases that error low. Probes in both directions allow for it by a wider error
    (:meth:`ProductProbes.chosen`), probes in one direction by requiring it of two rounds in a row and of at least twice :data:`MIN_PROBES` probes.
    The count then is at most 16 × ``probes``.
    """

    def __init__(self, probes: int, target_error: float | None, batch: int) -> None:
        # A spread needs at least two.
        self.limit = max(probes, 2) * (16 if target_error is not None else 1)
        self.target_error = target_error
        self.batch = batch
        self.passed = 0
        self._next = MIN_PROBES
        """Number of probes at which they are judged next."""

    def next_round(self, drawn: Estimate) -> int:
        """Number of probes to draw next; 0 to stop.

        If the upper end of λ is at rounding level, more probes would not change the result.
        """
        left = min(self.batch, self.limit - drawn.n_probes)
        # Only every few probes: an interval needs the products of all of them with each other.
        if left == 0 or drawn.n_probes < self._next:
            return left
        in_both = isinstance(drawn, ProductProbes)
        few = in_both and drawn.n_probes < 2 * MIN_PROBES
        self._next = drawn.n_probes + 2 if few else MIN_PROBES * (drawn.n_probes // MIN_PROBES + 1)
        if is_zero(drawn):
            return 0
        if self.target_error is None:
            return left
        judged: Estimate = drawn.chosen() if isinstance(drawn, ProductProbes) else drawn
        small = standard_error(judged) <= self.target_error * judged.lam
        if in_both:
            return 0 if small else left
        if drawn.n_probes >= 2 * MIN_PROBES:
            self.passed = self.passed + 1 if small else 0
        return 0 if self.passed >= 2 else left


def signs(field: Field, rng: np.random.Generator) -> torch.Tensor:
    """Entries ±1, [R, N, 3]."""
    drawn = rng.integers(0, 2, size=(field.n_replicas, field.n_atoms, 3)) * 2.0 - 1.0
    return torch.as_tensor(drawn, dtype=torch.float64, device=field.device)


def normal(field: Field, rng: np.random.Generator) -> torch.Tensor:
    """Standard normal entries, [R, N, 3]."""
    vectors = rng.normal(size=(field.n_replicas, field.n_atoms, 3))
    return torch.as_tensor(vectors, dtype=torch.float64, device=field.device)


def _appended(rows: FloatArray, more: torch.Tensor, take: int) -> FloatArray:
    return np.concatenate([rows, more.reshape(len(more), -1).cpu().numpy()[:take]])


def _squares(vectors: torch.Tensor) -> FloatArray:
    squares: FloatArray = vectors.square().sum(dim=(1, 2)).cpu().numpy()
    return squares
