"""The dynamical matrix and the antisymmetric coupling of a large structure as sparse operators.

As :mod:`ncbench.prediction.harmonic`, without its modes: D = −M^(−½) (J + Jᵀ)/2 M^(−½) and a = M^(−½) (J − Jᵀ)/2 M^(−½) act on vectors, with the free
translations of the centre of mass projected out. A force field whose mean force is removed adds a matrix of rank three, which is applied as such.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import bsr_array, csr_array

from ncbench.errors import UnsupportedError
from ncbench.jacobian.block_jacobian import BlockJacobian
from ncbench.prediction.harmonic import FloatArray, held_directions

LANCZOS_STEPS = 200
"""Steps of the Lanczos iteration for the ends of the spectrum, which k steps resolve to about 1/k² of its width."""
MARGIN = 4.0
"""Times the width over k² by which the spectrum is taken to be wider at both ends: Chebyshev polynomials grow exponentially outside. At the lower end a wide margin would
cost resolution where the soft modes are."""


@dataclass(frozen=True)
class SparseModes:
    """D and a as operators on vectors [3N] or [3N, b], internal unit of 1/time²."""

    stiffness: csr_array
    """[3N, 3N]: D without the part of rank three."""
    antisymmetric: csr_array
    """[3N, 3N]: a without the part of rank three."""
    left: FloatArray
    """[3N, r], r = 0 or 3: U of the weighted Jacobian J − U Cᵀ, whose mean force is removed."""
    right: FloatArray
    """[3N, r]: C."""
    translations: FloatArray
    """[3N, f]: orthonormal free translations, which are projected out."""
    masses: FloatArray
    """[N], u."""
    n_held: int
    """Translations that something outside of the structure holds: vibrations here."""

    @classmethod
    def from_blocks(cls, jacobian: BlockJacobian, masses: FloatArray) -> SparseModes:
        """From the blocks of J and the masses [N], u.

        Raises:
            UnsupportedError: a Jacobian that is not finite, or a single atom.
        """
        n = jacobian.n_atoms
        if not np.isfinite(jacobian.blocks).all():
            raise UnsupportedError("The force Jacobian has entries that are not finite numbers.")
        if n < 2:
            raise UnsupportedError("A single atom with its centre of mass at rest has no vibrations.")
        roots = np.sqrt(masses)
        scale = 1.0 / (roots[jacobian.first] * roots[jacobian.second])
        weighted = jacobian.blocks * scale[:, None, None]
        mirrored = weighted[jacobian.transposed].transpose(0, 2, 1)
        left: FloatArray = np.zeros((3 * n, 0))
        right: FloatArray = np.zeros((3 * n, 0))
        if jacobian.mean_removed:
            left = np.kron((1.0 / (n * roots))[:, None], np.eye(3)).astype(np.float64)
            columns = np.zeros((n, 3, 3))
            np.add.at(columns, jacobian.second, jacobian.blocks)
            # J'_ij = J_ij − C_j/N; row k of the block C_j is ∂(Σ_i f_ik)/∂r_j.
            right = (columns / roots[:, None, None]).transpose(0, 2, 1).reshape(3 * n, 3)
        whole = cls(
            stiffness=_sparse(jacobian, -(weighted + mirrored) / 2),
            antisymmetric=_sparse(jacobian, (weighted - mirrored) / 2),
            left=left,
            right=right,
            translations=np.zeros((3 * n, 0)),
            masses=np.asarray(masses, dtype=np.float64),
            n_held=0,
        )
        rigid: FloatArray = np.kron((roots / math.sqrt(masses.sum()))[:, None], np.eye(3)).astype(np.float64)
        held = held_directions(rigid.T @ whole.apply_stiffness(rigid))
        free: FloatArray = np.linalg.qr(np.hstack([held, np.eye(3)]))[0][:, held.shape[1] : 3]
        return cls(whole.stiffness, whole.antisymmetric, left, right, rigid @ free, whole.masses, n_held=held.shape[1])

    @property
    def size(self) -> int:
        """3N."""
        return 3 * len(self.masses)

    @property
    def n_modes(self) -> int:
        """Vibrations: 3N less the free translations."""
        return self.size - int(self.translations.shape[1])

    def project(self, vectors: FloatArray) -> FloatArray:
        """Without the free translations."""
        return vectors - self.translations @ (self.translations.T @ vectors)

    def apply_stiffness(self, vectors: FloatArray) -> FloatArray:
        """D v for v without free translations."""
        out = self.stiffness @ vectors
        if self.left.shape[1]:
            out = out + (self.left @ (self.right.T @ vectors) + self.right @ (self.left.T @ vectors)) / 2
        return self.project(out)

    def apply_coupling(self, vectors: FloatArray) -> FloatArray:
        """a v for v without free translations."""
        out = self.antisymmetric @ vectors
        if self.left.shape[1]:
            out = out - (self.left @ (self.right.T @ vectors) - self.right @ (self.left.T @ vectors)) / 2
        return self.project(out)

    def noise(self, antisymmetric_norm: float, rng: np.random.Generator) -> SparseModes:
        """The same modes with a coupling of numerical error alone: random entries at the places of a.

        Args:
            antisymmetric_norm: ‖δA‖, the norm of the antisymmetric part of the error of J, eV/Å².
            rng: draws it.
        """
        drawn = self.antisymmetric.copy()
        roots = np.repeat(np.sqrt(self.masses), 3)
        rows = np.repeat(np.arange(self.size), np.diff(drawn.indptr))
        drawn.data = rng.normal(size=len(drawn.data))
        drawn = csr_array((drawn - drawn.T) / 2)
        drawn.data *= antisymmetric_norm / max(float(np.linalg.norm(drawn.data)), np.finfo(np.float64).tiny)
        rows = np.repeat(np.arange(self.size), np.diff(drawn.indptr))
        drawn.data /= roots[rows] * roots[drawn.indices]
        none = np.zeros((self.size, 0))
        return SparseModes(self.stiffness, drawn, none, none, self.translations, self.masses, self.n_held)

    def spectrum(self, rng: np.random.Generator) -> tuple[float, float]:
        """Bounds of the eigenvalues of D, internal unit of 1/time²: outermost Ritz values of a Lanczos iteration, widened by :data:`MARGIN`.

        Kuczyński & Woźniakowski (SIAM J. Matrix Anal. Appl. 13, 1094, 1992): from a random start the error of k steps is of the order (ln n/k)² of the width in the worst
        case, a spectrum without gaps.
        """
        steps = min(LANCZOS_STEPS, self.n_modes)
        basis = np.empty((steps, self.size))
        vector = self.project(rng.normal(size=self.size))
        basis[0] = vector / np.linalg.norm(vector)
        diagonal, beside = np.empty(steps), np.zeros(steps)
        for k in range(steps):
            vector = self.apply_stiffness(basis[k])
            diagonal[k] = basis[k] @ vector
            # Twice: once loses orthogonality to rounding.
            for _ in range(2):
                vector = vector - basis[: k + 1].T @ (basis[: k + 1] @ vector)
            beside[k] = np.linalg.norm(vector)
            if k + 1 == steps or beside[k] <= 1e-12 * max(1.0, np.abs(diagonal[: k + 1]).max()):
                steps = k + 1
                break
            basis[k + 1] = vector / beside[k]
        values = np.linalg.eigvalsh(
            np.diag(diagonal[:steps]) + np.diag(beside[: steps - 1], 1) + np.diag(beside[: steps - 1], -1)
        )
        low, high = values[0], values[-1]
        # An iteration that ended early has found an invariant subspace.
        margin = max(MARGIN * (high - low) / LANCZOS_STEPS**2, 1e-9 * max(abs(low), abs(high)))
        return float(low - margin), float(high + margin)


def _sparse(jacobian: BlockJacobian, blocks: NDArray[np.float64]) -> csr_array:
    """[3N, 3N] of 3×3 blocks in the order of the pairs."""
    n = jacobian.n_atoms
    starts = np.searchsorted(jacobian.first, np.arange(n + 1))
    return csr_array(bsr_array((blocks, jacobian.second, starts), shape=(3 * n, 3 * n)))
