"""The generalised Langevin equation: friction with memory, as a white-noise equation with auxiliary momenta.

d(p, s) = (f, 0) dt − A (p, s) dt + B dW with auxiliary momenta s has, once s is integrated out, the friction kernel

    K(t) = 2 a_pp δ(t) − a_ps exp(−a_ss |t|) a_sp

(Ceriotti, Bussi & Parrinello, J. Chem. Theory Comput. 6, 1170, 2010, eqs. 4 to 8). With BBᵀ = k_B T (A + Aᵀ) the momenta have the canonical
distribution and s a copy of it (C = k_B T 1 in mass-scaled momenta).

The high-pass of Morrone, Markland, Ceriotti & Berne, J. Chem. Phys. 134, 014103 (2011) has the friction γ∞ for fast motion and γ0 for slow motion:

    K(t) = 2 γ∞ δ(t) − (γ∞ − γ0) ω_F exp(−ω_F |t|)

whose spectrum ½∫K e^(iωt) dt = γ∞ − (γ∞ − γ0) ω_F²/(ω² + ω_F²) goes from γ0 at ω ≪ ω_F to γ∞ above. Comparing the two: one auxiliary momentum with
a_pp = γ∞, a_ss = ω_F and a_ps a_sp = (γ∞ − γ0) ω_F; the symmetric choice a_ps = a_sp makes A + Aᵀ positive, since
det A = γ0 ω_F > 0, so that noise B exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import expm

from ncbench.errors import UsageError
from ncbench.md.random import NoiseSource
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.units import FS, KB

FloatArray = NDArray[np.float64]
AUXILIARY = "gle"
"""Name of the auxiliary momenta in ``MDState.extra``."""


def high_pass(gamma_0_per_ps: float, gamma_inf_per_ps: float, omega_F_per_ps: float) -> FloatArray:
    """Drift matrix of the high-pass filter above, 1/ps."""
    coupling = math.sqrt((gamma_inf_per_ps - gamma_0_per_ps) * omega_F_per_ps)
    return np.array([[gamma_inf_per_ps, coupling], [coupling, omega_F_per_ps]])


PAPER = high_pass(1.0 / 83.33, 1.0 / 0.010, 300.0)
"""Bigi, Langer & Ceriotti 2025, App. G.6: 1/γ0 = 83.33 ps, 1/γ∞ = 10 fs, ω_F = 300/ps."""


def friction_spectrum(drift_per_ps: FloatArray, omega_per_ps: FloatArray) -> FloatArray:
    """½∫K(t) e^(iωt) dt = a_pp − Re a_ps (a_ss + iω)⁻¹ a_sp for each ω, 1/ps."""
    a_pp, a_ps, a_sp, a_ss = drift_per_ps[0, 0], drift_per_ps[0, 1:], drift_per_ps[1:, 0], drift_per_ps[1:, 1:]
    unit = np.eye(len(a_ss))
    memory = [(a_ps @ np.linalg.solve(a_ss + 1j * w * unit, a_sp)).real for w in np.atleast_1d(omega_per_ps)]
    return np.asarray(a_pp - np.array(memory))


def read_drift(path: Path) -> FloatArray:
    """A drift matrix from a text file: square, 1/ps, lines starting with # are ignored.

    Raises:
        UsageError: no such file, not a square matrix of numbers, or one that :func:`check_drift` refuses.
    """
    try:
        matrix = np.loadtxt(path, ndmin=2)
    except OSError as error:
        why = error.strerror or "the file does not exist"
        raise UsageError(f"The GLE matrix '{path}' cannot be read: {why}.") from error
    except ValueError as error:
        raise UsageError(f"'{path}' is not a matrix of numbers: {error}.") from error
    check_drift(matrix, str(path))
    return matrix


def check_drift(matrix: FloatArray, what: str) -> None:
    """Refuse a matrix without a stationary canonical distribution.

    Raises:
        UsageError: not square or not finite; a growing mode; or A + Aᵀ with a negative eigenvalue, for which no B exists.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise UsageError(f"{what} is not a square matrix of finite numbers, but {matrix.shape}.")
    if np.linalg.eigvals(matrix).real.min() <= 0.0:
        raise UsageError(f"{what} has an eigenvalue without positive real part: its momenta would grow.")
    least = float(np.linalg.eigvalsh(matrix + matrix.T).min())
    if least < -1e-9 * float(np.abs(matrix).max()):
        raise UsageError(
            f"{what} has A + Aᵀ with the eigenvalue {least:.3g}: no noise keeps it at k_B T.",
            hint="Matrices for quantum thermostats, with another C, are not supported here.",
        )


@dataclass(frozen=True)
class GLE:
    """Generalised Langevin dynamics of all momenta: (p, s) ← T (p, s) + S ξ in each half step, mass-scaled.

    T = exp(−AΔt/2) and SSᵀ = k_B T (1 − TTᵀ) propagate the free equation exactly. With a fixed centre of mass the noise is projected.
    """

    temperature_K: float
    drift_per_ps: tuple[tuple[float, ...], ...]
    """A, 1/ps; the first row and column are the momentum's."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """Auxiliary momenta from their equilibrium distribution, [R, n, N, 3]."""
        count = len(self.drift_per_ps) - 1
        normals = noise.initial_normals((count + 1, particles.n_atoms, 3))[:, 1:]
        width = math.sqrt(KB * self.temperature_K)
        return replace(state, extra={**state.extra, AUXILIARY: width * normals * particles.sqrt_masses[:, None]})

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """See :class:`ncbench.md.integrators.Thermostat`."""
        mix, spread = _coefficients(self.drift_per_ps, 0.5 * timestep / FS / 1000.0, self.temperature_K)
        size = len(mix)
        normals = noise.normals(state.step, (size, particles.n_atoms, 3))[half]
        before = torch.cat([state.momenta[:, None], state.extra[AUXILIARY]], dim=1)
        # Summed term by term: the order of additions in a matrix product may depend on the batch.
        after = torch.stack(
            [
                sum(mix[i][j] * before[:, j] for j in range(size))
                + particles.sqrt_masses * sum(spread[i][j] * normals[:, j] for j in range(size))
                for i in range(size)
            ],
            dim=1,
        )
        momenta = particles.at_rest(after[:, 0])
        heat = state.heat + (kinetic_energy(momenta, particles) - kinetic_energy(state.momenta, particles))
        return replace(state, momenta=momenta, heat=heat, extra={**state.extra, AUXILIARY: after[:, 1:]})


@lru_cache(maxsize=16)
def _coefficients(
    drift_per_ps: tuple[tuple[float, ...], ...], time_ps: float, temperature_K: float
) -> tuple[list[list[float]], list[list[float]]]:
    """T and S of :func:`propagator`, S in √eV, as numbers, which no device has to receive: the same at every step of a run."""
    decay, width = propagator(np.array(drift_per_ps), time_ps)
    return decay.tolist(), (width * math.sqrt(KB * temperature_K)).tolist()


def propagator(drift_per_ps: FloatArray, time_ps: float) -> tuple[FloatArray, FloatArray]:
    """(T, S) of the free equation over ``time_ps`` for k_B T = 1: T = exp(−At), SSᵀ = 1 − TTᵀ."""
    decay = expm(-drift_per_ps * time_ps)
    values, vectors = np.linalg.eigh(np.eye(len(decay)) - decay @ decay.T)
    # The symmetric root: no pivoting, and eigenvalues that rounding made negative become zero.
    return decay, (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
