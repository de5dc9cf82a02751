"""λ of a Jacobian, in total and by pair of atoms.

A = (J − Jᵀ)/2 and λ = ‖A‖_F / ‖J‖_F (Bigi, Langer & Ceriotti 2025, Eq. 7): 0 for conservative forces, 1 for forces with
no conservative component. The 3×3 block of atoms i, j of A is (J_ij − J_jiᵀ)/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Asymmetry:
    """Norms of J and of its antisymmetric part, per 3×3 block."""

    jacobian: FloatArray
    """[N, N]: symmetrised ‖J_ij‖_F, ((‖J_ij‖² + ‖J_ji‖²)/2)^½, eV/Å²."""
    antisymmetric: FloatArray
    """[N, N]: ‖A_ij‖_F, eV/Å²."""

    @property
    def whole(self) -> float:
        """λ of the structure; NaN where J is zero."""
        return _ratio(np.linalg.norm(self.antisymmetric), np.linalg.norm(self.jacobian))

    @property
    def by_pair(self) -> FloatArray:
        """[N, N]: λ_ij; NaN where the block is zero."""
        out: FloatArray = np.full_like(self.jacobian, np.nan)
        np.divide(self.antisymmetric, self.jacobian, out=out, where=self.jacobian > 0)
        return out


def asymmetry(matrix: FloatArray) -> Asymmetry:
    """Block norms of J [3N, 3N] and of A."""
    n = len(matrix) // 3
    norms = _block_squares(matrix, n)
    antisymmetric = _block_squares((matrix - matrix.T) / 2, n)
    return Asymmetry(np.sqrt((norms + norms.T) / 2), np.sqrt(antisymmetric))


def noise_floor(matrix: FloatArray, noise: float) -> float:
    """The value of λ for a symmetric J if every entry of J had an independent error of ``noise`` (eV/Å²).

    Off the diagonal an entry of A is half the difference of two entries of J, so its error is noise/√2; the 3N diagonal
    entries of A are zero identically.
    """
    size = len(matrix)
    return _ratio(noise * np.sqrt(size * (size - 1) / 2), np.linalg.norm(matrix))


def _block_squares(matrix: FloatArray, n: int) -> FloatArray:
    squares: FloatArray = np.square(matrix).reshape(n, 3, n, 3).sum(axis=(1, 3))
    return squares


def _ratio(part: float | np.floating, whole: float | np.floating) -> float:
    return float(part / whole) if whole > 0 else float("nan")
