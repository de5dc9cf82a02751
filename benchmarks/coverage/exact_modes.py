"""Water-like modes with exact answers: harmonic oscillators in pairs, with a curl, under a Langevin thermostat or none.

A pair of modes of frequencies ω₁ and ω₂ obeys ẍ = −ω²x + a R x − γ ẋ + √(2γ k_B T) ξ, R = [[0, 1], [−1, 0]], masses 1. The propagator over a step and the covariance of
its noise are exact (Van Loan, IEEE Trans. Autom. Control 23, 395, 1978), and so are the stationary covariance (Lyapunov equation), the mean
temperature and the heating power. Units: fs, k_B T = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm, solve_continuous_lyapunov

FloatArray = NDArray[np.float64]
PER_CM = 2.0 * np.pi * 2.99792458e-5
"""Angular frequency, 1/fs, of 1/cm."""
_CURL = np.array([[0.0, 1.0], [-1.0, 0.0]])


@dataclass(frozen=True)
class Run:
    """Series of R runs, [R, S]; energies in k_B T."""

    times_fs: FloatArray
    kinetic: FloatArray
    """Of all modes."""
    fast_kinetic: FloatArray
    """Of the upper half of the modes by frequency, the hydrogens of water."""
    potential: FloatArray
    work: FloatArray
    """Work of the curl since the start: the conserved quantity minus a constant."""


@dataclass(frozen=True)
class Modes:
    """B pairs of modes."""

    frequencies_per_cm: FloatArray
    """[B, 2]"""
    curl: FloatArray
    """[B], a, 1/fs²."""
    tau_fs: float
    """1/γ; infinite for constant energy."""

    @classmethod
    def water(cls, n_pairs: int, *, curl_per_cm: float = 0.0, tau_fs: float = np.inf) -> Modes:
        """Frequencies of translations, librations, bends and stretches of liquid water in their numbers (3 : 3 : 1 : 2), nearly resonant pairs.

        ``curl_per_cm``: √a, 1/cm.
        """
        bands = ((40.0, 350.0, 3), (400.0, 900.0, 3), (1600.0, 1700.0, 1), (3300.0, 3700.0, 2))
        parts = sum(share for _, _, share in bands)
        counts = [max(1, round(n_pairs * share / parts)) for _, _, share in bands]
        counts[0] += n_pairs - sum(counts)
        centre = np.concatenate([np.linspace(low, high, n) for (low, high, _), n in zip(bands, counts, strict=True)])
        pairs = np.stack([centre - 4.0, centre + 4.0], axis=1)
        return cls(pairs, np.full(n_pairs, (curl_per_cm * PER_CM) ** 2), tau_fs)

    @property
    def n_dof(self) -> int:
        """Number of modes, two per pair."""
        return 2 * len(self.curl)

    def _drift(self, pair: int) -> FloatArray:
        squared = np.diag((self.frequencies_per_cm[pair] * PER_CM) ** 2)
        stiffness = -squared + self.curl[pair] * _CURL
        friction = -np.eye(2) / self.tau_fs
        return np.block([[np.zeros((2, 2)), np.eye(2)], [stiffness, friction]])

    def stationary(self) -> FloatArray:
        """[B, 4, 4] covariance of (x, v); needs a thermostat.

        Raises:
            ValueError: there is no stationary state, since the curl drives a pair more than the friction dissipates.
        """
        covariances = []
        for pair in range(len(self.curl)):
            drift = self._drift(pair)
            if np.linalg.eigvals(drift).real.max() >= 0.0:
                raise ValueError(f"Pair {pair} has no stationary state.")
            covariances.append(solve_continuous_lyapunov(drift, -np.diag([0.0, 0.0, 2.0, 2.0]) / self.tau_fs))
        return np.array(covariances)

    def canonical(self) -> FloatArray:
        """[B, 4, 4] covariance at k_B T = 1 without the curl."""
        squared = (self.frequencies_per_cm * PER_CM) ** 2
        return np.array([np.diag([1.0 / a, 1.0 / b, 1.0, 1.0]) for a, b in squared])

    def excess(self) -> float:
        """Mean kinetic temperature over the thermostat's, minus one: exact."""
        covariance = self.stationary()
        return float((covariance[:, 2, 2] + covariance[:, 3, 3]).sum()) / self.n_dof - 1.0

    def fast_excess(self) -> float:
        """The same of the upper half of the modes."""
        covariance = self.stationary()[len(self.curl) // 2 :]
        return float((covariance[:, 2, 2] + covariance[:, 3, 3]).mean()) / 2.0 - 1.0

    def power(self) -> float:
        """Mean heating power in the stationary state, k_B T/fs: ⟨v·f_nc⟩ = Σ a ⟨v₁x₂ − v₂x₁⟩, exact."""
        covariance = self.stationary()
        return float((self.curl * (covariance[:, 2, 1] - covariance[:, 3, 0])).sum())

    def drawn_within_memory(self) -> float:
        """Largest energy, k_B T, that a pair draws within the memory of its power, P_pair/(2λ) with λ the slowest rate at which its amplitude decays.

        The power of a pair fluctuates as its squared amplitude does, with the variance P_pair² and this memory, besides the 2 k_B T P_pair per time of
        the second order (:mod:`ncbench.statistics.floors`): the ratio of both is this energy over k_B T.
        """
        covariance = self.stationary()
        power = self.curl * (covariance[:, 2, 1] - covariance[:, 3, 0])
        slowest = [-np.linalg.eigvals(self._drift(pair)).real.max() for pair in range(len(self.curl))]
        return float((power / (2.0 * np.array(slowest))).max())

    def energy_after(self, times_fs: FloatArray) -> FloatArray:
        """[S] mean total energy at constant energy dynamics from the canonical ensemble: the covariance propagated exactly."""
        start = self.canonical()
        energy = np.zeros(len(times_fs))
        for pair in range(len(self.curl)):
            drift = self._drift(pair)
            squared = (self.frequencies_per_cm[pair] * PER_CM) ** 2
            weight = np.diag([*squared, 1.0, 1.0])
            for k, time in enumerate(times_fs):
                flow = expm(drift * time)
                energy[k] += 0.5 * float(np.trace(weight @ flow @ start[pair] @ flow.T))
        return energy

    def run(
        self,
        n_runs: int,
        length_fs: float,
        rng: np.random.Generator,
        *,
        step_fs: float = 1.0,
        canonical: bool = False,
        reverse: bool = False,
    ) -> Run:
        """Independent runs from the stationary state, or from the canonical ensemble (``canonical``, always at constant energy).

        ``reverse``: with the momenta of the start reversed, all else and the noise the same.
        """
        steps = round(length_fs / step_fs)
        held = np.isfinite(self.tau_fs)
        start = self.canonical() if canonical or not held else self.stationary()
        flows, widths = zip(*(self._propagator(pair, step_fs) for pair in range(len(self.curl))), strict=True)
        flow, width = np.array(flows), np.array(widths)
        state = np.einsum("bij,rbj->rbi", np.linalg.cholesky(start), rng.normal(size=(n_runs, len(self.curl), 4)))
        if reverse:
            state[:, :, 2:] *= -1.0
        squared = (self.frequencies_per_cm * PER_CM) ** 2
        kinetic, fast, potential = (np.empty((steps + 1, n_runs)) for _ in range(3))
        power = np.empty((steps + 1, n_runs))
        half = len(self.curl) // 2
        for step in range(steps + 1):
            x, v = state[:, :, :2], state[:, :, 2:]
            each = 0.5 * (v * v).sum(axis=2)
            kinetic[step], fast[step] = each.sum(axis=1), each[:, half:].sum(axis=1)
            potential[step] = 0.5 * (squared * x * x).sum(axis=(1, 2))
            power[step] = (v[:, :, 0] * x[:, :, 1] - v[:, :, 1] * x[:, :, 0]) @ self.curl
            state = np.einsum("bij,rbj->rbi", flow, state)
            if held:
                state = state + np.einsum("bij,rbj->rbi", width, rng.normal(size=state.shape))
        if held:
            steps_of_work = 0.5 * step_fs * (power[1:] + power[:-1])
            work = np.concatenate([np.zeros((1, n_runs)), np.cumsum(steps_of_work, axis=0)])
        else:
            # Without a thermostat the change of the energy is the work, without a quadrature.
            work = kinetic + potential - (kinetic + potential)[0]
        times = step_fs * np.arange(steps + 1)
        return Run(times, kinetic.T, fast.T, potential.T, work.T)

    def _propagator(self, pair: int, step_fs: float) -> tuple[FloatArray, FloatArray]:
        drift = self._drift(pair)
        noise = np.diag([0.0, 0.0, 2.0, 2.0]) / self.tau_fs
        block = expm(np.block([[-drift, noise], [np.zeros((4, 4)), drift.T]]) * step_fs)
        flow = block[4:, 4:].T
        covariance = flow @ block[:4, 4:]
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        return flow, vectors * np.sqrt(np.maximum(values, 0.0))
