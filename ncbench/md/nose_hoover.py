"""Nosé–Hoover chains (NHC): a deterministic global thermostat.

Martyna, Klein & Tuckerman, J. Chem. Phys. 97, 2635 (1992). A chain of M variables ξ_j with velocities v_j and masses Q_1 = n_dof k_B T τ²,
Q_j = k_B T τ² for j > 1 obeys

    dp/dt = f − v_1 p,   dξ_j/dt = v_j,   dv_j/dt = G_j/Q_j − v_{j+1} v_j,   G_1 = 2K − n_dof k_B T,   G_j = Q_{j−1} v_{j−1}² − k_B T

and conserves the extended energy U + K + Σ Q_j v_j²/2 + n_dof k_B T ξ_1 + k_B T Σ_{j>1} ξ_j, in a conservative field. With n_dof k_B T τ² as first mass, τ is
that of LAMMPS (``Tdamp``) and of ASE (``tdamp``): an exchange of energy with vibrations, which share it between K and U, oscillates with the period 2πτ.

Against a steady power P = 2Kγ of non-conservative forces v_1 must be γ on average. Where Q_1 γ² = n_dof k_B T (γτ)² is well above k_B T, the chain saturates: the
last of three variables holds Q_2 v_2² at k_B T, v_2 = 1/τ, and 2K − n_dof k_B T = v_2 Q_1 v_1 leaves the temperature T (1 + γτ). A single variable would hold T exactly.

All momenta are scaled equally. Modes that exchange no energy with each other, as in a harmonic crystal, do not reach equal temperatures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ncbench.md.random import NoiseSource
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.units import FS, KB

POSITIONS = "nhc.positions"
"""ξ in ``MDState.extra``, [R, M], without unit."""
VELOCITIES = "nhc.velocities"
"""v in ``MDState.extra``, [R, M], 1/time in internal units."""

CHAIN_LENGTH = 3
_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
SUZUKI_YOSHIDA = (_OUTER, 1.0 - 2.0 * _OUTER, _OUTER)
"""Weights that make a symmetric step of second order one of fourth order (Yoshida, Phys. Lett. A 150, 262, 1990)."""


@dataclass(frozen=True)
class NoseHooverChain:
    """A Nosé–Hoover chain on all momenta, propagated as in Martyna, Tuckerman, Tobias & Klein, Mol. Phys. 87, 1117 (1996)."""

    temperature_K: float
    tau_fs: float
    length: int = CHAIN_LENGTH
    """M."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """ξ = 0, and v from its canonical distribution ⟨Q v²⟩ = k_B T, so that replicas differ in it."""
        masses = self._masses(particles)
        drawn = 3 * particles.n_atoms
        # The first numbers of this stream are those of the particles' momenta.
        normals = noise.initial_normals((drawn + self.length,))[:, drawn:]
        widths = torch.as_tensor(np.sqrt(KB * self.temperature_K / np.array(masses)), device=normals.device)
        velocities = normals * widths
        return replace(state, extra={**state.extra, POSITIONS: torch.zeros_like(velocities), VELOCITIES: velocities})

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """See :class:`ncbench.md.integrators.Thermostat`. The heat is minus the change of the chain's energy."""
        masses = self._masses(particles)
        positions = list(state.extra[POSITIONS].unbind(dim=1))
        velocities = list(state.extra[VELOCITIES].unbind(dim=1))
        before = self._energy(positions, velocities, particles)
        kinetic = kinetic_energy(state.momenta, particles)
        scale = torch.ones_like(kinetic)
        for weight in SUZUKI_YOSHIDA:
            duration = 0.5 * weight * timestep
            self._accelerate(velocities, scale**2 * kinetic, masses, particles, duration, inwards=True)
            scale = scale * torch.exp(-duration * velocities[0])
            positions = [x + duration * v for x, v in zip(positions, velocities, strict=True)]
            self._accelerate(velocities, scale**2 * kinetic, masses, particles, duration, inwards=False)
        heat = state.heat - (self._energy(positions, velocities, particles) - before)
        chain = {POSITIONS: torch.stack(positions, dim=1), VELOCITIES: torch.stack(velocities, dim=1)}
        # Scaling up also amplifies the rounding error in the centre of mass, which is removed.
        momenta = particles.at_rest(state.momenta * scale[:, None, None])
        return replace(state, momenta=momenta, heat=heat, extra={**state.extra, **chain})

    def _accelerate(
        self,
        velocities: list[torch.Tensor],
        kinetic: torch.Tensor,
        masses: list[float],
        particles: Particles,
        duration: float,
        *,
        inwards: bool,
    ) -> None:
        """Half of a step of ``duration`` of the chain's velocities, from its end to the particles (``inwards``) or back."""
        kT = KB * self.temperature_K
        order = range(self.length - 1, -1, -1) if inwards else range(self.length)
        for j in order:
            if j == 0:
                force = 2.0 * kinetic - particles.degrees_of_freedom * kT
            else:
                force = masses[j - 1] * velocities[j - 1] ** 2 - kT
            damping = torch.exp(-0.25 * duration * velocities[j + 1]) if j + 1 < self.length else 1.0
            velocities[j] = (velocities[j] * damping + (0.5 * duration / masses[j]) * force) * damping

    def _masses(self, particles: Particles) -> list[float]:
        mass = KB * self.temperature_K * (self.tau_fs * FS) ** 2
        return [particles.degrees_of_freedom * mass] + [mass] * (self.length - 1)

    def _energy(
        self, positions: list[torch.Tensor], velocities: list[torch.Tensor], particles: Particles
    ) -> torch.Tensor:
        """[R], eV: kinetic and potential energy of the chain."""
        kT = KB * self.temperature_K
        masses = self._masses(particles)
        energy = particles.degrees_of_freedom * kT * positions[0]
        for j in range(self.length):
            energy = energy + 0.5 * masses[j] * velocities[j] ** 2
            if j > 0:
                energy = energy + kT * positions[j]
        return energy
