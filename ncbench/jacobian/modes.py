"""How non-conservative forces are along the softest and the stiffest modes of a structure.

The modes are the eigenvectors u of −S, S = (J + Jᵀ)/2, with eigenvalue k: the stiffness that a conservative model of the same symmetric part
would have. The antisymmetric share of a mode is ‖A u‖/‖J u‖, with A = (J − Jᵀ)/2: 0 where the mode is a conservative spring; if k is
small, a small A dominates. The three rigid translations are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import bsr_array
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ncbench.errors import UnsupportedError
from ncbench.jacobian.block_jacobian import BlockJacobian

FloatArray = NDArray[np.float64]
DENSE_ATOMS = 1000
"""Up to this size all modes are computed: 3000 × 3000, about 10 s on one core; above it, a few by Lanczos iteration."""
TOLERANCE = 1e-4
"""Tolerance of the Lanczos iteration, relative to the eigenvalue; higher precision is not needed for the table."""
BASIS, ITERATIONS = 80, 100
"""Number of Lanczos vectors and of restarts."""


@dataclass(frozen=True)
class Mode:
    """One eigenvector of −S."""

    end: str
    """``softest`` or ``stiffest``."""
    rank: int
    """1 for the softest or the stiffest."""
    stiffness: float
    """k, eV/Å²; negative for a direction in which the structure is unstable."""
    jacobian: float
    """‖J u‖, eV/Å², u of unit length."""
    antisymmetric: float
    """‖A u‖, eV/Å²."""


def mode_rows(jacobian: FloatArray | BlockJacobian, count: int = 5) -> list[dict[str, Any]]:
    """Columns of the table ``lambda-modes`` from J [3N, 3N], or from its blocks.

    Raises:
        UnsupportedError: the iteration for a large structure did not converge.
    """
    if isinstance(jacobian, BlockJacobian):
        modes, whole = sparse_modes(jacobian, count), jacobian.squares[1]
    else:
        modes, whole = dense_modes(jacobian, count), float(np.sum(((jacobian - jacobian.T) / 2) ** 2))
    return [
        {
            "kind": mode.end,
            "rank": mode.rank,
            "stiffness_eV_per_A2": mode.stiffness,
            "lambda_mode": mode.antisymmetric / mode.jacobian if mode.jacobian > 0 else None,
            "fraction_of_antisymmetry": mode.antisymmetric**2 / whole if whole > 0 else None,
        }
        for mode in modes
    ]


def dense_modes(matrix: FloatArray, count: int) -> list[Mode]:
    """The ``count`` softest and stiffest modes of J [3N, 3N]; fewer if there are not enough."""
    values, vectors = eigh(-(matrix + matrix.T) / 2)
    return _ends(values, vectors, count, lambda u: matrix @ u, lambda u: matrix.T @ u)


def sparse_modes(jacobian: BlockJacobian, count: int) -> list[Mode]:
    """The same from the blocks of a coloured Jacobian.

    Raises:
        UnsupportedError: the Lanczos iteration did not converge.
    """
    size = 3 * jacobian.n_atoms
    starts = np.searchsorted(jacobian.first, np.arange(jacobian.n_atoms + 1))
    matrix = bsr_array((jacobian.blocks, jacobian.second, starts), shape=(size, size)).tocsr()
    transposed = matrix.T.tocsr()

    def centred(vector: FloatArray) -> FloatArray:
        flat = np.asarray(vector, dtype=np.float64).reshape(-1)
        if not jacobian.mean_removed:
            return flat
        moved: FloatArray = flat.reshape(-1, 3) - flat.reshape(-1, 3).mean(axis=0)
        return moved.reshape(-1)

    def forward(u: FloatArray) -> FloatArray:
        return centred(matrix @ u)

    def backward(u: FloatArray) -> FloatArray:
        product: FloatArray = transposed @ centred(u)
        return product

    def stiffness(u: FloatArray) -> FloatArray:
        flat = np.asarray(u, dtype=np.float64).reshape(-1)
        return -(forward(flat) + backward(flat)) / 2

    operator = LinearOperator((size, size), matvec=stiffness, dtype=np.float64)
    # Three more at the soft end: translations have zero stiffness.
    wanted = min(count + 3, size - 2)
    start = np.random.default_rng(0).normal(size=size)
    try:
        parts = [
            eigsh(operator, wanted, which=end, tol=TOLERANCE, maxiter=ITERATIONS, ncv=min(size - 1, BASIS), v0=start)
            for end in ("SA", "LA")
        ]
    except ArpackError as error:
        raise UnsupportedError(
            f"The modes of {jacobian.n_atoms} atoms did not converge in {ITERATIONS} restarts."
        ) from error
    values = np.concatenate([part[0] for part in parts])
    vectors = np.concatenate([part[1] for part in parts], axis=1)
    order = np.argsort(values, kind="stable")
    return _ends(values[order], vectors[:, order], count, forward, backward)


def _ends(
    values: FloatArray,
    vectors: FloatArray,
    count: int,
    forward: Callable[[FloatArray], FloatArray],
    backward: Callable[[FloatArray], FloatArray],
) -> list[Mode]:
    """Eigenvalues in ascending order with their vectors as columns → the modes at both ends."""
    n_atoms = len(vectors) // 3
    rigid = np.square(vectors.reshape(n_atoms, 3, -1).sum(axis=0)).sum(axis=0) / n_atoms
    inner = np.flatnonzero(rigid <= 0.5)
    # If there are few modes, none is listed at both ends.
    soft = inner[: min(count, (len(inner) + 1) // 2)]
    stiff = inner[::-1][: min(count, len(inner) // 2)]
    modes = []
    for end, chosen in (("softest", soft), ("stiffest", stiff)):
        for rank, index in enumerate(chosen, 1):
            u = vectors[:, index]
            along, back = forward(u), backward(u)
            modes.append(
                Mode(
                    end,
                    rank,
                    float(values[index]),
                    float(np.linalg.norm(along)),
                    float(np.linalg.norm((along - back) / 2)),
                )
            )
    return modes
