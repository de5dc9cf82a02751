"""λ from random probes: unbiased for ‖A‖² and ‖J‖² at a cost that does not grow with the number of atoms.

For a vector v of independent ±1 (Rademacher), E‖Mv‖² = ‖M‖_F² for any matrix M (Hutchinson 1989).

With autograd, one Jacobian-vector and one vector-Jacobian product give Jv and Jᵀv, hence Av = (Jv − Jᵀv)/2; ‖Jv‖² and
‖Jᵀv‖² have the same expectation and their mean the smaller variance.

Without, Jv is a central difference of forces along v, and Jᵀ is out of reach. But for two independent probes
E(uᵀAv)² = ‖A‖_F², and uᵀAv = (uᵀJv − vᵀJu)/2 needs J alone: n probes give n(n − 1)/2 such pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import t

from ncbench.jacobian.shift import shifted
from ncbench.models.interface import Field, ForceField
from ncbench.types import Tick, silent

FloatArray = NDArray[np.float64]
MIN_PROBES = 4
"""Below this a standard error says nothing."""


class Estimate(Protocol):
    """What probes add up to."""

    @property
    def n_probes(self) -> int:
        """Probes drawn."""

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²."""

    @property
    def noise(self) -> float:
        """What ‖A‖_F would read from numerical error alone, eV/Å²."""

    @property
    def lam(self) -> float:
        """λ; NaN where J is zero."""

    @property
    def standard_error(self) -> float:
        """Jackknife standard error of λ over probes."""


def is_zero(found: Estimate) -> bool:
    """λ is within three times what rounding alone would give."""
    return found.lam * found.jacobian_norm <= 3.0 * found.noise


def interval95(found: Estimate) -> tuple[float, float]:
    """The 95 % interval of λ: Student's t of as many degrees of freedom as probes can vary, cut at 0 and 1."""
    if found.n_probes < 2:
        return float("nan"), float("nan")
    half = float(t.ppf(0.975, found.n_probes - 1)) * found.standard_error
    return max(0.0, found.lam - half), min(1.0, found.lam + half)


@dataclass(frozen=True)
class ProductProbes:
    """Per-probe squared norms from Jacobian products in both directions."""

    antisymmetric: FloatArray
    """[n]: ‖Av‖², (eV/Å²)²."""
    jacobian: FloatArray
    """[n]: (‖Jv‖² + ‖Jᵀv‖²)/2, (eV/Å²)²."""
    noise: float
    """‖Av‖ that rounding alone would give, eV/Å²."""

    @property
    def n_probes(self) -> int:
        """Probes drawn."""
        return len(self.jacobian)

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²."""
        return float(np.sqrt(self.jacobian.mean()))

    @property
    def lam(self) -> float:
        """The root of the ratio of means."""
        return _root_ratio(self.antisymmetric.mean(), self.jacobian.mean())

    @property
    def standard_error(self) -> float:
        """Over probes left out one by one; keeps the correlation of the two norms."""
        leave_out = self.antisymmetric.sum() - self.antisymmetric
        whole = self.jacobian.sum() - self.jacobian
        return _jackknife(np.array([_root_ratio(a, j) for a, j in zip(leave_out, whole, strict=True)]))


@dataclass(frozen=True)
class PairProbes:
    """Cross products of probes with J times probes."""

    cross: FloatArray
    """[n, n]: v_kᵀ J v_l, eV/Å²."""
    jacobian: FloatArray
    """[n]: ‖Jv‖², (eV/Å²)²."""
    noise: float
    """|uᵀAv| that rounding and truncation alone would give, eV/Å²."""

    @property
    def n_probes(self) -> int:
        """Probes drawn."""
        return len(self.jacobian)

    @property
    def jacobian_norm(self) -> float:
        """‖J‖_F, eV/Å²."""
        return float(np.sqrt(self.jacobian.mean()))

    @property
    def lam(self) -> float:
        """Mean of (v_kᵀ A v_l)² over pairs k < l, against the mean of ‖Jv‖²."""
        n = self.n_probes
        return _root_ratio(self._pair_squares().sum() / (n * (n - 1)), self.jacobian.mean())

    @property
    def standard_error(self) -> float:
        """Of a U-statistic of pairs (Hoeffding, Ann. Math. Stat. 19, 293, 1948), linearised about λ.

        With g_kl = (v_kᵀ A v_l)² − λ²(‖Jv_k‖² + ‖Jv_l‖²)/2, of mean zero, Var ḡ = (4(n − 2) ζ₁ + 2 ζ₂)/(n(n − 1)): ζ₂ is the variance of g_kl and
        ζ₁ the covariance of two that share a probe, which is small here. Leaving out probes one by one would count ζ₂ twice.
        """
        n, squares = self.n_probes, self._pair_squares()
        whole = float(self.jacobian.mean())
        if n < 4 or not whole > 0 or not self.lam > 0:
            return float("nan") if n < 4 else 0.0
        g = squares - self.lam**2 * (self.jacobian[:, None] + self.jacobian[None, :]) / 2
        apart = ~np.eye(n, dtype=bool)
        pairs = float(np.mean(g[apart] ** 2))
        rows = np.where(apart, g, 0.0).sum(axis=1) / (n - 1)
        shared = max(0.0, ((n - 1) * float(np.sum(rows**2)) / (n - 1) - pairs) / (n - 2))
        variance = (4 * (n - 2) * shared + 2 * pairs) / (n * (n - 1))
        return float(np.sqrt(variance) / (2 * self.lam * whole))

    def _pair_squares(self) -> FloatArray:
        squares: FloatArray = np.square((self.cross - self.cross.T) / 2)
        return squares


def product_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> ProductProbes:
    """Draw ``probes`` probes, or, with ``target_error``, as many as bring the relative standard error of λ below it.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    shift = _Shift(forcefield, atoms, batch, rng)
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    found = ProductProbes(np.empty(0), np.empty(0), 0.0)
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(found):
        signs = _rademacher(field, rng) if found.n_probes else shift.signs
        forward, backward = linearization.jvp(signs), linearization.vjp(signs)
        # Both products round alike, and half the difference of two errors of σ is one of σ/√2.
        noise = found.noise if found.n_probes else shift.noise(backward) / np.sqrt(2.0)
        antisymmetric = _squares((forward - backward) / 2)[:take]
        jacobian = (_squares(forward) + _squares(backward))[:take] / 2
        found = ProductProbes(np.append(found.antisymmetric, antisymmetric), np.append(found.jacobian, jacobian), noise)
        tick(take)
    return found


def transposed_probes(
    forcefield: ForceField,
    atoms: Atoms,
    *,
    probes: int,
    target_error: float | None,
    batch: int,
    rng: np.random.Generator,
    tick: Tick = silent,
) -> PairProbes:
    """λ from pairs of probes with vector-Jacobian products alone: (Jᵀu)·v − (Jᵀv)·u over two is uᵀAv.

    Costs more probes for the same error than :func:`product_probes`, and less than half of its memory: products in the other
    direction keep the graph of a backward pass.

    Raises:
        NotDifferentiableError: autograd does not reach the positions.
    """
    shift = _Shift(forcefield, atoms, batch, rng)
    field = forcefield.bind([atoms] * batch)
    linearization = field.linearize(field.initial_positions())
    size = 3 * field.n_atoms
    vectors, products = np.empty((0, size)), np.empty((0, size))
    found = PairProbes(np.empty((0, 0)), np.empty(0), 0.0)
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(found):
        signs = _rademacher(field, rng) if found.n_probes else shift.signs
        product = linearization.vjp(signs)
        noise = found.noise if found.n_probes else shift.noise(product) / np.sqrt(2.0)
        vectors = np.concatenate([vectors, signs.reshape(batch, -1).cpu().numpy()[:take]])
        products = np.concatenate([products, product.reshape(batch, -1).cpu().numpy()[:take]])
        found = PairProbes(products @ vectors.T, np.square(products).sum(axis=1), noise)
        tick(take)
    return found


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
    """The same without autograd: Jv = (f(r + hv) − f(r − hv))/2h, two force calls a probe.

    ``step_A`` is the displacement of each coordinate: a probe has entries ±1.
    """
    field = forcefield.bind([atoms] * (2 * batch))
    start = field.initial_positions()
    vectors, products = np.empty((0, start[0].numel())), np.empty((0, start[0].numel()))
    found = PairProbes(np.empty((0, 0)), np.empty(0), _pair_noise(field, start, step_A, rng))
    stop = _Stop(probes, target_error, batch)
    while take := stop.next_round(found):
        signs = _rademacher(field, rng)[:batch]
        product = _along(field, start, signs, step_A)
        vectors = np.concatenate([vectors, signs.reshape(batch, -1).cpu().numpy()[:take]])
        products = np.concatenate([products, product.reshape(batch, -1).cpu().numpy()[:take]])
        found = PairProbes(vectors @ products.T, np.square(products).sum(axis=1), found.noise)
        tick(take)
    return found


def _along(field: Field, start: torch.Tensor, signs: torch.Tensor, step: float) -> torch.Tensor:
    """(f(r + hv) − f(r − hv))/2h for each v of ``signs``, [R/2, N, 3]."""
    half = len(signs)
    forces = field(start + torch.cat([signs, -signs]) * step).forces
    return (forces[:half] - forces[half:]) / (2 * step)


def _pair_noise(field: Field, start: torch.Tensor, step: float, rng: np.random.Generator) -> float:
    """The change δ of Jv with a doubled step holds three times its truncation and all of its rounding error.

    u does not know of δ, so uᵀδ is of size ‖δ‖, and half the difference of two such of size ‖δ‖/√2.
    """
    signs = _rademacher(field, rng)[: field.n_replicas // 2]
    change = _along(field, start, signs, 2 * step) - _along(field, start, signs, step)
    return float(np.sqrt(_squares(change).mean() / 2))


class _Shift:
    """Products of a first round of probes at the structure moved rigidly, which physics does not notice: what changes is rounding.

    Its graph is dropped before the structure's own is made, so that there are never two.
    """

    def __init__(self, forcefield: ForceField, atoms: Atoms, batch: int, rng: np.random.Generator) -> None:
        moved = forcefield.bind([shifted(atoms, rng)] * batch)
        self.signs = _rademacher(moved, rng)
        self._epsilon = float(np.finfo(forcefield.card.dtype).eps)
        self._products = moved.linearize(moved.initial_positions()).vjp(self.signs)

    def noise(self, products: torch.Tensor) -> float:
        """‖δ‖ of the rounding error δ of Jᵀv, eV/Å², from the same products in place; two draws differ by √2 δ.

        At least ε‖Jᵀv‖: a model that starts from differences of positions does not notice the shift at all.
        """
        drawn = np.sqrt(_squares(products - self._products).mean() / 2)
        return float(np.hypot(drawn, self._epsilon * np.sqrt(_squares(products).mean())))


class _Stop:
    """When there are enough probes.

    Stopping when an error estimate falls below a threshold biases that error low; requiring it of two rounds in a row and
    of at least twice :data:`MIN_PROBES` probes keeps the bias small. The count then is at most 16 × ``probes``.
    """

    def __init__(self, probes: int, target_error: float | None, batch: int) -> None:
        # Two are the least that have a spread.
        self.limit = max(probes, 2) * (16 if target_error is not None else 1)
        self.target_error = target_error
        self.batch = batch
        self.passed = 0

    def next_round(self, found: Estimate) -> int:
        """Probes to draw next; 0 for no more.

        A λ that is not told from rounding by four probes is zero for all purposes, and more of them would not make it less so.
        """
        if found.n_probes >= MIN_PROBES and is_zero(found):
            return 0
        if self.target_error is not None and found.n_probes >= 2 * MIN_PROBES:
            good = found.standard_error <= self.target_error * found.lam
            self.passed = self.passed + 1 if good else 0
        return 0 if self.passed >= 2 else min(self.batch, self.limit - found.n_probes)


def _rademacher(field: Field, rng: np.random.Generator) -> torch.Tensor:
    signs = rng.integers(0, 2, size=(field.n_replicas, field.n_atoms, 3)) * 2.0 - 1.0
    return torch.as_tensor(signs, dtype=torch.float64, device=field.device)


def _squares(vectors: torch.Tensor) -> FloatArray:
    squares: FloatArray = vectors.square().sum(dim=(1, 2)).cpu().numpy()
    return squares


def _root_ratio(part: float, whole: float) -> float:
    return float(np.sqrt(part / whole)) if whole > 0 else float("nan")


def _jackknife(left_out: FloatArray) -> float:
    n = len(left_out)
    return float(np.sqrt((n - 1) / n * np.sum(np.square(left_out - left_out.mean())))) if n > 1 else float("nan")
