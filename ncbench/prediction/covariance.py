"""Covariances of harmonic modes under a thermostat and at constant energy, exact in the coupling a.

Thermostat. A linear Langevin equation of (x, y, s), with auxiliary momenta s for a generalised Langevin equation (Ceriotti, Bussi & Parrinello,
J. Chem. Theory Comput. 6, 1170, 2010),

    ẋ = y,    ẏ = −B x − A_pp y − A_ps s + noise,    ṡ = −A_sp y − A_ss s + noise,

whose noise has the covariance k_B T (A + Aᵀ), is an Ornstein–Uhlenbeck process z: ż = M z + noise. Its stationary covariance C = ⟨z zᵀ⟩ solves the
Lyapunov equation (Gardiner, *Stochastic Methods*, 4th ed., Sec. 4.5.6; Risken, *The Fokker–Planck Equation*, Sec. 6.5)

    M C + C Mᵀ + N = 0,    N = k_B T (A + Aᵀ) on the momenta.

White noise is A = (γ), γ = 1/τ. The thermostat acts on every mode equally, so that the eigenvectors of B alone, B = W diag(λ) W⁻¹, split M into blocks
M_i of 2 + n_s rows, one an eigenvalue λ_i: one eigen-decomposition of n rows serves every thermostat. With the blocks diagonal too,
M_i = U_i diag(ν_i) U_i⁻¹, C is an elementwise division, C̃_IJ = −Ñ_IJ/(ν_I + ν_J*). Where eigenvectors are too nearly parallel for that (the residual
of the equation is tested), SciPy's Schur method solves the whole.

Stability. Eigenvalues of M with white noise obey ν² + γν + λ = 0. At the margin ν = −iw: w² = Re λ and γw = Im λ up to sign, so motion is bounded if
γ > γ_c = max_i |Im λ_i| / √(Re λ_i). Re λ_i > 0 always, since the symmetric part of B is diag(ω²).

Constant energy. z(t) = exp(M t) z(0) from the canonical distribution of the symmetric part, ⟨x xᵀ⟩ = k_B T diag(ω⁻²), ⟨y yᵀ⟩ = k_B T:
with c_i = cos(√λ_i t) and s_i = sin(√λ_i t)/√λ_i, x(t) = F_c x(0) + F_s y(0) and y(t) = −B F_s x(0) + F_c y(0), F = W diag(·) W⁻¹.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eig, solve_continuous_lyapunov

from ncbench.prediction.harmonic import FloatArray, HarmonicModel

ComplexArray = NDArray[np.complex128]
RESIDUAL = 1e-7
"""Largest relative residual of the Lyapunov equation that the eigenvectors may leave."""


@dataclass(frozen=True)
class Stationary:
    """The stationary state under a thermostat."""

    momenta: FloatArray | None
    """[n, n]: ⟨y yᵀ⟩ in the modes, eV; ``None`` where there is no stationary state."""
    power: float | None
    """Work of the non-conservative forces, P = ⟨y·a x⟩ = Σ_ij a_ij ⟨y_i x_j⟩, eV in the internal unit of time: the heat that the
    thermostat removes."""
    growth_rate: float
    """Largest real part of an eigenvalue of M, internal unit of 1/time: positive for a runaway."""
    residual: float
    """Relative residual of the Lyapunov equation, by a random vector."""

    @property
    def stable(self) -> bool:
        """There is a stationary state."""
        return self.momenta is not None


class HarmonicDynamics:
    """Covariances of one :class:`HarmonicModel` under any thermostat, from one eigen-decomposition.

    Args:
        model: modes and coupling.
    """

    def __init__(self, model: HarmonicModel) -> None:
        self.model = model
        self.drift = model.drift
        values, vectors = eig(self.drift)[:2]
        self.values: ComplexArray = np.array(values, dtype=np.complex128)
        """[n]: λ_i, internal unit of 1/time²."""
        self.vectors: ComplexArray = np.array(vectors, dtype=np.complex128)
        """[n, n]: W, one eigenvector a column."""

    @cached_property
    def inverse(self) -> ComplexArray:
        """[n, n]: W⁻¹."""
        return np.asarray(np.linalg.inv(self.vectors), dtype=np.complex128)

    @cached_property
    def metric(self) -> ComplexArray:
        """[n, n]: W⁻¹ W⁻ᴴ, the covariance of uncorrelated unit noise in the eigenvectors of B."""
        return self.inverse @ self.inverse.conj().T

    @property
    def critical_friction(self) -> float:
        """γ_c, internal unit of 1/time: white-noise friction below which the motion runs away; 0 where none does."""
        return float(np.max(np.abs(self.values.imag) / np.sqrt(self.values.real)))

    def stationary(self, friction: FloatArray, thermal_energy: float) -> Stationary:
        """The stationary state under the thermostat with drift matrix A.

        Args:
            friction: A [1 + n_s, 1 + n_s], internal unit of 1/time, the momentum's row and column first; [[γ]] for white noise.
            thermal_energy: k_B T, eV.
        """
        blocks = self._blocks(friction)
        rates, block_vectors = np.linalg.eig(blocks)
        growth = float(rates.real.max())
        if not growth < 0.0:
            return Stationary(None, None, growth, 0.0)
        noise = np.zeros(blocks.shape[1:])
        noise[1:, 1:] = thermal_energy * (friction + friction.T)
        covariance = self._elementwise(rates, block_vectors, noise)
        if covariance is not None:
            residual = self._residual(covariance, friction, noise)
            if residual < RESIDUAL:
                momenta = self._in_modes(covariance[:, 1, :, 1])
                crossed = self._in_modes(covariance[:, 1, :, 0])
                return Stationary((momenta + momenta.T) / 2, self._work(crossed), growth, residual)
        return self._by_schur(friction, noise, growth)

    def energy(self, time: float, thermal_energy: float) -> float:
        """⟨E⟩ a time after a canonical start at constant energy, eV; n k_B T at the start.

        Args:
            time: internal unit.
            thermal_energy: k_B T of the start, eV.
        """
        roots = np.sqrt(self.values)
        # √λ ≠ 0, since Re λ ≥ min ω² > 0.
        cosine = ((self.vectors * np.cos(roots * time)) @ self.inverse).real
        sine = ((self.vectors * (np.sin(roots * time) / roots)) @ self.inverse).real
        omega = self.model.omega
        kinetic = np.sum(((self.drift @ sine) / omega) ** 2) + np.sum(cosine**2)
        potential = np.sum((omega[:, None] * cosine / omega) ** 2) + np.sum((omega[:, None] * sine) ** 2)
        return float(0.5 * thermal_energy * (kinetic + potential))

    @property
    def growth_rate(self) -> float:
        """Fastest exponential growth of an amplitude at constant energy, max |Im √λ_i|, internal unit of 1/time."""
        return float(np.abs(np.sqrt(self.values).imag).max())

    def _blocks(self, friction: FloatArray) -> ComplexArray:
        """[n, m, m]: M_i in (x, y, s), m = 2 + n_s."""
        blocks = np.zeros((len(self.values), len(friction) + 1, len(friction) + 1), dtype=np.complex128)
        blocks[:, 0, 1] = 1.0
        blocks[:, 1, 0] = -self.values
        blocks[:, 1:, 1:] -= friction
        return blocks

    def _elementwise(self, rates: ComplexArray, vectors: ComplexArray, noise: FloatArray) -> ComplexArray | None:
        """[n, m, n, m]: ⟨z_i z_jᴴ⟩ in the eigenvectors of B; ``None`` where a block has no basis of eigenvectors."""
        n, m = rates.shape
        try:
            inverses = np.linalg.inv(vectors)
        except np.linalg.LinAlgError:
            return None
        flat = inverses.reshape(n * m, m)
        driven = (flat @ noise @ flat.conj().T).reshape(n, m, n, m) * self.metric[:, None, :, None]
        solved = -driven / (rates[:, :, None, None] + rates.conj()[None, None])
        left = np.einsum("iap,ipjq->iajq", vectors, solved, optimize=True)
        covariance: ComplexArray = np.einsum("iajq,jbq->iajb", left, vectors.conj(), optimize=True)
        return covariance

    def _in_modes(self, block: ComplexArray) -> FloatArray:
        real: FloatArray = (self.vectors @ block @ self.vectors.conj().T).real
        return real

    def _work(self, crossed: FloatArray) -> float:
        return float(np.sum(self.model.coupling * crossed))

    def _residual(self, covariance: ComplexArray, friction: FloatArray, noise: FloatArray) -> float:
        """‖(M C + C Mᵀ + N) v‖/‖N v‖ for a random v: some n² m² operations in place of the n³ of the whole."""
        n, m = covariance.shape[:2]
        probe = np.random.default_rng(0).normal(size=(m, n))

        def apply_covariance(z: FloatArray) -> FloatArray:
            inner = np.einsum("iajb,bj->ai", covariance, z @ self.vectors.conj(), optimize=True)
            return np.asarray((inner @ self.vectors.T).real)

        def apply_drift(z: FloatArray, *, transposed: bool = False) -> FloatArray:
            out = np.empty_like(z)
            if transposed:
                out[0] = -self.drift.T @ z[1]
                out[1:] = -friction.T @ z[1:]
                out[1] += z[0]
            else:
                out[0] = z[1]
                out[1:] = -friction @ z[1:]
                out[1] -= self.drift @ z[0]
            return out

        forced = noise @ probe
        whole = apply_drift(apply_covariance(probe)) + apply_covariance(apply_drift(probe, transposed=True)) + forced
        return float(np.linalg.norm(whole) / np.linalg.norm(forced))

    def _by_schur(self, friction: FloatArray, noise: FloatArray, growth: float) -> Stationary:
        n, m = len(self.drift), len(noise)
        matrix = np.kron(np.zeros((m, m)), np.eye(n))
        matrix[:n, n : 2 * n] = np.eye(n)
        matrix[n : 2 * n, :n] = -self.drift
        matrix[n:, n:] = -np.kron(friction, np.eye(n))
        forced = np.kron(noise, np.eye(n))
        covariance: FloatArray = solve_continuous_lyapunov(matrix, -forced).astype(np.float64)
        residual = np.linalg.norm(matrix @ covariance + covariance @ matrix.T + forced) / np.linalg.norm(forced)
        return Stationary(
            covariance[n : 2 * n, n : 2 * n], self._work(covariance[n : 2 * n, :n]), growth, float(residual)
        )
