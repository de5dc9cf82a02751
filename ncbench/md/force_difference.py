"""Spectra of the difference of slow and fast forces along a run, and of the velocities, from which multiple time stepping is designed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ncbench.md.series import require_memory_of_samples
from ncbench.md.state import MDState, Particles
from ncbench.models.interface import Field

FloatArray = NDArray[np.float64]

LEAST_SHARE = 1e-3
"""Least share of the velocity spectrum that counts as a vibration: the side lobes of the Hann window are below."""
HARDENING = 1.2
"""Most by which a vibration of a run is faster than the largest curvature at its start."""
WINDOW_BINS = 1.5
"""Equivalent noise width of the Hann window in frequency steps (Harris, Proc. IEEE 66, 51, 1978)."""


class ForceDifference:
    """Observer of one structure: velocities and f_slow − f_fast, both mass-weighted, at every sample of a run with the slow forces."""

    def __init__(self, fast: Field, particles: Particles, *, n_steps: int, stride: int) -> None:
        """``fast``: the fast field, bound to the same structure; ``n_steps``, ``stride``: those of the run.

        Raises:
            UsageError: the samples would not fit in memory.
        """
        require_memory_of_samples(n_steps, stride, 2 * particles.n_atoms * 3 * 8)
        self.fast, self.particles, self.stride = fast, particles, stride
        self.velocities: list[FloatArray] = []
        self.differences: list[FloatArray] = []

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None:
        """Record ``state``; calls the fast field once."""
        if not alive[0]:
            return
        fast = self.particles.at_rest(self.fast(state.positions).forces)
        root = self.particles.sqrt_masses
        self.velocities.append((state.momenta / root)[0].reshape(-1).cpu().numpy())
        self.differences.append(((state.forces - fast) / root)[0].reshape(-1).cpu().numpy())

    def saved(self, step: int) -> dict[str, Any]:
        """The samples up to ``step``."""
        length = step // self.stride + 1
        return {"velocities": np.array(self.velocities[:length]), "differences": np.array(self.differences[:length])}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue from :meth:`saved`."""
        self.velocities, self.differences = list(saved["velocities"]), list(saved["differences"])


@dataclass(frozen=True)
class Spectrum:
    """Spectra over F frequencies, averaged over degrees of freedom. Internal units."""

    omega: FloatArray
    """[F], angular frequency, without zero."""
    velocity: FloatArray
    """[F], share of the kinetic energy per frequency step; its sum is about 1."""
    difference: FloatArray
    """[F], power of the mass-weighted force difference per frequency step, eV/Å²/u."""
    coherent: FloatArray
    """[F], κ: part of ω² due to the slow force if it acts on the mode itself, Δf/√m = −κ q; sign included."""
    size: FloatArray
    """[F], root mean square of κ: ω √(S_Δf/S_v), which includes couplings between modes and is at least |κ|."""
    n_dof: int
    stiffest: float = 0.0
    """Angular frequency of the stiffest vibration, by :mod:`ncbench.md.stiffest`, which a run may not excite."""
    bound: float = np.inf
    """Angular frequency above which there is no vibration, only the side lobes of many vibrations on one line: :data:`HARDENING` times the largest curvature's."""

    @property
    def step(self) -> float:
        """Frequency step."""
        return float(self.omega[1] - self.omega[0])

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """[F]: the frequencies of vibrations: half the share of one of the degrees of freedom within the width of the window."""
        return np.asarray((self.velocity * WINDOW_BINS >= self._least) & (self.omega <= self.highest + self.step))

    @property
    def highest(self) -> float:
        """The highest frequency of a vibration: above it there is less than half the share of one degree of freedom, nor is there a stiffer mode.

        The energy of a single mode in a run is far from its mean: in two of five runs it is below half of it.
        """
        above = np.cumsum(self.velocity[::-1])[::-1]
        seen = float(self.omega[np.flatnonzero(above >= self._least)[-1]])
        return max(seen if seen <= self.bound else 0.0, self.stiffest)

    @property
    def _least(self) -> float:
        return max(LEAST_SHARE, 0.5 / self.n_dof)


def spectrum(
    velocities: FloatArray,
    differences: FloatArray,
    interval: float,
    n_dof: int,
    stiffest: float = 0.0,
    curvature: float = 0.0,
) -> Spectrum:
    """Spectra by Welch's method: three half-overlapping Hann windows of half the length (IEEE Trans. Audio Electroacoust. 15, 70, 1967).

    With v̂ = iω q̂ and Δf̂/√m = −κ q̂, ⟨v̂* Δf̂⟩ = i (κ/ω) ⟨|v̂|²⟩, hence κ = ω Im⟨v̂* Δf̂⟩/⟨|v̂|²⟩.

    Args:
        velocities: [S, 3N], √m v.
        differences: [S, 3N], (f_slow − f_fast)/√m.
        interval: time between samples, internal unit.
        n_dof: degrees of freedom.
        stiffest: angular frequency of the stiffest vibration, internal unit, if it is known.
        curvature: angular frequency of the largest curvature at the start, internal unit, if it is known.
    """
    options: dict[str, Any] = {"fs": 1.0 / interval, "nperseg": max(8, len(velocities) // 2), "axis": 0}
    frequencies, v_power = signal.welch(velocities, **options)
    _, f_power = signal.welch(differences, **options)
    _, cross = signal.csd(velocities, differences, **options)
    # The lowest bin holds the mean, which is removed.
    omega = 2.0 * np.pi * frequencies[1:]
    v_sum, f_sum, cross_sum = v_power.sum(1)[1:], f_power.sum(1)[1:], cross.sum(1)[1:]
    safe = np.where(v_sum > 0.0, v_sum, np.inf)
    bin_width = frequencies[1]
    return Spectrum(
        omega=omega,
        velocity=v_sum / v_sum.sum(),
        difference=f_sum * bin_width,
        coherent=omega * cross_sum.imag / safe,
        size=omega * np.sqrt(f_sum / safe),
        n_dof=n_dof,
        stiffest=stiffest,
        bound=HARDENING * curvature if curvature > 0.0 else np.inf,
    )
