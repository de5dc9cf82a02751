"""Comparison of Jacobian products with finite differences of the forces.

A detached part, a custom kernel with a wrong backward pass or a neighbour selection without gradient gives products without
a part of J and without an error; if that part contains the curl, autograd gives λ = 0. So Jv by autograd is compared with
d = (f(r + hv) − f(r − hv))/2h along random v: the deviation ‖Jv − d‖/‖d‖ against the error of d itself, taken from two steps. One step is not sufficient:
in float32 a step of 0.005 Å may cross a kink of the forces (a neighbour that comes or goes), so that a correct product seems wrong. Several steps are
therefore tried until one agrees, and products are called wrong only if none does although two steps agree with each other, at these positions and at positions displaced at
random (a kink may be nearer than the shortest step; a wrong product is wrong everywhere).

If only Jᵀu is available, (Jᵀu)·v − u·d over many independent u has the mean square ‖Jv − d‖².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import NotDifferentiableError
from ncbench.jacobian.probes import along
from ncbench.jacobian.settings import AUTOGRAD_TOLERANCE
from ncbench.models.interface import ForceField

FloatArray = NDArray[np.float64]
STEPS_A = {
    "float32": (5.0e-3, 2.0e-3, 1.0e-3, 5.0e-4, 2.0e-4, 1.0e-2, 2.0e-2),
    "float64": (1.0e-3, 3.0e-4, 1.0e-4, 3.0e-5, 1.0e-5, 3.0e-3),
}
"""Steps by dtype in the order in which they are tried, Å; two are used if they agree."""
ERRORS = 3.0
"""Multiples of the differences' own error that a deviation must exceed."""
DECIDABLE = 0.05
"""If differences of the forces at no two steps agree better than this, the check is inconclusive."""
SHARE = 0.1
"""Share of the cost of the products that is spent on checking them, but at least one vector and one step."""
MOST_VECTORS = 4
DISPLACEMENT_A = 0.02
"""Displacement at which a deviation is confirmed, Å: beyond a kink, but close to the same structure."""
CONFIRMING = 8
"""Number of vector-Jacobian products used for confirmation."""


@dataclass(frozen=True)
class KnownProducts:
    """Products computed by a method, to be compared."""

    vectors: FloatArray
    """[n, 3N]: v, or u where ``transposed``."""
    products: FloatArray
    """[n, 3N]: Jv, or Jᵀu, eV/Å²."""
    transposed: bool = False
    error: float = 0.0
    """Norm of the part of J that the method truncates, relative to ‖J‖."""


@dataclass(frozen=True)
class AutogradCheck:
    """Result of the comparison."""

    deviation: float | None
    """‖Jv − d‖/‖d‖ at the step where it is smallest; ``None`` where the forces do not change or are not finite."""
    error: float | None
    """Relative change of d between the two steps that agree best; ``None`` where one step was enough."""
    step_A: float
    """The step of ``deviation``."""
    allowed: float
    """Largest deviation that the differences' error explains."""
    force_calls: int

    @property
    def wrong(self) -> bool:
        """The products disagree with the forces."""
        return self._deviates and self.error is not None and self.error <= DECIDABLE

    @property
    def undecided(self) -> str:
        """Why the products could be neither confirmed nor refuted; empty if they could be, or if the forces do not change at all."""
        if not self._deviates or self.wrong:
            return ""
        return (
            f"autograd could not be checked: differences of the forces at no two steps agree better than {_percent(self.error)} "
            "(the forces are noisy or jump)"
        )

    @property
    def _deviates(self) -> bool:
        return self.deviation is not None and self.deviation > self.allowed

    @property
    def reason(self) -> str:
        """Reason why products are not used."""
        return (
            f"autograd misses part of how the forces depend on the positions: its Jacobian products differ by "
            f"{_percent(self.deviation)} from differences of the forces, whose own error is {_percent(self.error)}"
        )


def vectors_for(cost: float) -> int:
    """Number of vectors to compare, for products that cost ``cost`` force calls: each takes two steps of two calls."""
    return max(1, min(MOST_VECTORS, int(SHARE * cost / 4.0)))


def steps_for(cost: float) -> int:
    """Least number of steps for products that cost ``cost`` force calls: a second one, which gives the differences' own error, where it is affordable.

    Products that agree with the differences at one step are confirmed by it.
    """
    return 2 if SHARE * cost >= 4.0 else 1


def check_products(
    forcefield: ForceField,
    atoms: Atoms,
    known: KnownProducts,
    *,
    count: int,
    rng: np.random.Generator,
    least_steps: int = 2,
) -> AutogradCheck:
    """Compare along ``count`` vectors.

    Args:
        forcefield: the model that computed the products.
        atoms: its structure, N atoms.
        known: products at this structure.
        count: vectors v; of products Jv at most as many as are known.
        rng: generates v if only Jᵀu is available.
        least_steps: steps to take even if the first one confirms the products.
    """
    dtype = forcefield.card.dtype
    vectors = rng.normal(size=(count, 3 * len(atoms))) if known.transposed else known.vectors[:count]
    field = forcefield.bind([atoms] * 2)
    start = field.initial_positions()
    differences: list[FloatArray] = []
    deviations: list[float] = []
    agreement = [np.inf]
    calls = 0
    for step in STEPS_A[dtype]:
        rows = [along(field, start, torch.as_tensor(v.reshape(1, -1, 3), device=field.device), step) for v in vectors]
        calls += 2 * len(rows)
        d = np.stack([row.reshape(-1).cpu().numpy() for row in rows])
        size = float(np.linalg.norm(d))
        if not np.isfinite(size) or size == 0.0:
            continue
        deviations.append(_deviation(known, vectors, d) / size)
        if differences:
            agreement.append(float(np.linalg.norm(d - differences[-1])) / size)
        differences.append(d)
        if len(agreement) >= least_steps and min(deviations) <= max(AUTOGRAD_TOLERANCE[dtype], known.error):
            break
    if not deviations:
        return AutogradCheck(None, None, STEPS_A[dtype][0], np.inf, calls)
    best = int(np.argmin(deviations))
    error = min(agreement)
    # Inconclusive, but a deviation of this size is reported.
    allowed = max(AUTOGRAD_TOLERANCE[dtype], ERRORS * known.error, ERRORS * min(error, DECIDABLE))
    return AutogradCheck(deviations[best], error if np.isfinite(error) else None, STEPS_A[dtype][best], allowed, calls)


def confirmed(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator) -> AutogradCheck:
    """The same at positions displaced at random by :data:`DISPLACEMENT_A`, with products computed there."""
    moved = atoms.copy()
    moved.positions += rng.normal(scale=DISPLACEMENT_A, size=moved.positions.shape)
    return _with_own_products(forcefield, moved, rng)


def autograd_defect(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator) -> str:
    """Why Jacobian products cannot be used for this model, tested in advance; empty if they agree with the forces.

    Costs :data:`CONFIRMING` products and four force calls, and three times that where products seem wrong.
    """
    try:
        check = _with_own_products(forcefield, atoms, rng)
        return check.reason if check.wrong and confirmed(forcefield, atoms, rng).wrong else ""
    except NotDifferentiableError as error:
        return error.message


def _with_own_products(forcefield: ForceField, atoms: Atoms, rng: np.random.Generator) -> AutogradCheck:
    field = forcefield.bind([atoms])
    linearization = field.linearize(field.initial_positions())
    cotangents = rng.normal(size=(CONFIRMING, 3 * len(atoms)))
    products = [
        linearization.vjp(torch.as_tensor(u.reshape(1, -1, 3), device=field.device)).reshape(-1).cpu().numpy()
        for u in cotangents
    ]
    known = KnownProducts(cotangents, np.stack(products), transposed=True)
    return check_products(forcefield, atoms, known, count=1, rng=rng)


def _deviation(known: KnownProducts, vectors: FloatArray, differences: FloatArray) -> float:
    """‖Jv − d‖ over all v."""
    if not known.transposed:
        return float(np.linalg.norm(known.products[: len(differences)] - differences))
    missing = known.products @ vectors.T - known.vectors @ differences.T
    return float(np.sqrt(np.square(missing).sum() / len(known.vectors)))


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100.0 * share:.2g} %"
