"""A force Jacobian stored as 3×3 blocks of the atom pairs within a distance, and its λ.

With the mean force removed, f' = P f with P = 1 − 11ᵀ/N for each component, the Jacobian J' = P J is dense, but differs from the
sparse J only by the column sums C_j = Σ_i J_ij: J'_ij = J_ij − C_j/N. Its norms follow without forming it:

    ‖J'‖² = ‖J‖² − Σ_j ‖C_j‖²/N,    ‖A'‖² = ‖A‖² − (2/N) Σ_ij A_ij : C_j + (Σ_j ‖C_j‖²/N − tr SS/N²)/2,    S = Σ_j C_j

without cancellation of large terms, since the C_j of forces that nearly sum to zero are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class BlockJacobian:
    """Blocks J_ij = ∂f_i/∂r_j of the pairs (i, j) = (first, second), in the order of (i, j); (j, i) and (i, i) are always included."""

    n_atoms: int
    first: IntArray
    """[P]"""
    second: IntArray
    """[P]"""
    blocks: FloatArray
    """[P, 3, 3], eV/Å², row = force component; of the forces before any mean is removed."""
    mean_removed: bool
    """Whether the mean force is removed; the properties below then include the removal."""

    @cached_property
    def transposed(self) -> IntArray:
        """[P]: index of the pair (j, i) for each pair (i, j)."""
        keys = self.first * self.n_atoms + self.second
        return np.searchsorted(keys, self.second * self.n_atoms + self.first)

    @cached_property
    def projected(self) -> FloatArray:
        """[P, 3, 3]: the blocks of the model's forces, with the mean removed if the model removes it."""
        if not self.mean_removed:
            return self.blocks
        return self.blocks - self._column_sums[self.second] / self.n_atoms

    @cached_property
    def antisymmetric(self) -> FloatArray:
        """[P, 3, 3]: A_ij = (J_ij − J_jiᵀ)/2."""
        return (self.projected - self.projected[self.transposed].transpose(0, 2, 1)) / 2

    @cached_property
    def squares(self) -> tuple[float, float]:
        """(‖J‖², ‖A‖²) of the whole matrix, (eV/Å²)²."""
        odd = (self.blocks - self.blocks[self.transposed].transpose(0, 2, 1)) / 2
        whole, part = float(np.sum(self.blocks**2)), float(np.sum(odd**2))
        if self.mean_removed:
            n, columns = self.n_atoms, self._column_sums
            removed = float(np.sum(columns**2)) / n
            total = columns.sum(axis=0)
            crossed = float(np.einsum("ab,ba->", total, total)) / n**2
            odd_columns = np.zeros((n, 3, 3))
            np.add.at(odd_columns, self.second, odd)
            whole -= removed
            part += (removed - crossed) / 2 - 2.0 * float(np.sum(odd_columns * columns)) / n
        return whole, max(0.0, part)

    @property
    def lam(self) -> float:
        """λ; NaN where J is zero."""
        whole, part = self.squares
        return float(np.sqrt(part / whole)) if whole > 0 else float("nan")

    def apply(self, vectors: FloatArray) -> FloatArray:
        """J v for v [N, 3]."""
        out = np.zeros((self.n_atoms, 3))
        np.add.at(out, self.first, np.einsum("pab,pb->pa", self.blocks, vectors[self.second]))
        return out - out.mean(axis=0) if self.mean_removed else out

    def apply_transposed(self, vectors: FloatArray) -> FloatArray:
        """Jᵀ v for v [N, 3]."""
        centred = vectors - vectors.mean(axis=0) if self.mean_removed else vectors
        out = np.zeros((self.n_atoms, 3))
        np.add.at(out, self.second, np.einsum("pab,pa->pb", self.blocks, centred[self.first]))
        return out

    @cached_property
    def _column_sums(self) -> FloatArray:
        out = np.zeros((self.n_atoms, 3, 3))
        np.add.at(out, self.second, self.blocks)
        return out
