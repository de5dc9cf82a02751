"""Thermostats. τ is for Langevin that of the momenta, for velocity rescaling that of the kinetic energy (as in i-PI), for Andersen that of collisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ncbench.errors import UsageError
from ncbench.md.gle import GLE, PAPER, FloatArray, read_drift
from ncbench.md.integrators import Thermostat
from ncbench.md.nose_hoover import NoseHooverChain
from ncbench.md.random import NoiseSource
from ncbench.md.settings import parse_thermostat
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.units import FS, KB


@dataclass(frozen=True)
class Langevin:
    """White-noise Langevin (WN): p ← c p + √((1 − c²) m k_B T) ξ with c = exp(−Δt/2τ) in each half step.

    Bussi & Parrinello, Phys. Rev. E 75, 056707 (2007). With a fixed centre of mass the noise is projected, which is i-PI's removal
    of the centre-of-mass momentum after each half step.
    """

    temperature_K: float
    tau_fs: float

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """No variables to add."""
        return state

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """See :class:`ncbench.md.integrators.Thermostat`."""
        damping = math.exp(-0.5 * timestep / (self.tau_fs * FS))
        width = math.sqrt((1.0 - damping**2) * KB * self.temperature_K)
        normals = noise.normals(state.step, (particles.n_atoms, 3))[half]
        momenta = torch.addcmul(state.momenta * damping, particles.sqrt_masses, normals, value=width)
        momenta = particles.at_rest(momenta)
        heat = state.heat + (kinetic_energy(momenta, particles) - kinetic_energy(state.momenta, particles))
        return replace(state, momenta=momenta, heat=heat)


@dataclass(frozen=True)
class VelocityRescaling:
    """Stochastic velocity rescaling (SVR): all momenta times α, the kinetic energy's exact propagation over Δt/2.

    Bussi, Donadio & Parrinello, J. Chem. Phys. 126, 014101 (2007), eq. A7; the sign of α as in Bussi & Parrinello, Comput. Phys.
    Commun. 179, 26 (2008), eq. 8: α² = c + (1 − c) q (r² + χ²) + 2r √(c (1 − c) q), c = exp(−Δt/2τ), q = k_B T/2K,
    r a normal, χ² of n_dof − 1 degrees.
    """

    temperature_K: float
    tau_fs: float

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """No variables to add."""
        return state

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """See :class:`ncbench.md.integrators.Thermostat`."""
        decay = math.exp(-0.5 * timestep / (self.tau_fs * FS))
        kinetic = kinetic_energy(state.momenta, particles)
        normal = noise.normals(state.step, ())[half]
        others = 2.0 * noise.gammas(state.step, 0.5 * (particles.degrees_of_freedom - 1))[half]
        moving = kinetic > 0.0
        ratio = 0.5 * KB * self.temperature_K / torch.where(moving, kinetic, 1.0)
        squared = (
            decay
            + (1.0 - decay) * ratio * (normal**2 + others)
            + 2.0 * normal * torch.sqrt(decay * (1.0 - decay) * ratio)
        )
        # decay + (1 − decay) q r² + 2r√(…) is a square: the sum can be negative only by rounding.
        squared = squared.clamp(min=0.0)
        flips = normal + torch.sqrt(decay / ((1.0 - decay) * ratio)) < 0.0
        scale = torch.where(flips, -1.0, 1.0) * torch.sqrt(squared)
        scale = torch.where(moving, scale, 1.0)
        heat = state.heat + torch.where(moving, kinetic * (squared - 1.0), 0.0)
        # Scaling up a replica almost at rest also amplifies the rounding error in its centre of mass: it is removed.
        return replace(state, momenta=particles.at_rest(state.momenta * scale[:, None, None]), heat=heat)


@dataclass(frozen=True)
class Andersen:
    """Stochastic collisions: in each half step an atom's momentum is redrawn with the probability 1 − exp(−Δt/2τ).

    Andersen, J. Chem. Phys. 72, 2384 (1980); τ is the mean time between collisions of an atom. On average dK/dt = −(K − K̄)/τ, with a fixed centre of mass
    faster by a relative O(1/N). A fixed centre of mass gets a momentum of its canonical distribution before the collisions, and is brought to rest after
    them; without that momentum, the projection after each collision would make the temperature too low by a relative O(1/N).
    """

    temperature_K: float
    tau_fs: float

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """No variables to add."""
        return state

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """See :class:`ncbench.md.integrators.Thermostat`."""
        probability = -math.expm1(-0.5 * timestep / (self.tau_fs * FS))
        width = math.sqrt(KB * self.temperature_K)
        collided = noise.uniforms(state.step, (particles.n_atoms, 1))[half] < probability
        normals = noise.normals(state.step, (particles.n_atoms + 1, 3))[half]
        moving = state.momenta
        if particles.fix_com:
            total = particles.masses.sum(dim=1, keepdim=True).sqrt() * width * normals[:, -1:]
            moving = moving + particles.mass_shares * total
        momenta = torch.where(collided, width * particles.sqrt_masses * normals[:, :-1], moving)
        # Without a collision the momenta stay the same to the last bit.
        momenta = torch.where(collided.any(dim=1, keepdim=True), particles.at_rest(momenta), state.momenta)
        heat = state.heat + (kinetic_energy(momenta, particles) - kinetic_energy(state.momenta, particles))
        return replace(state, momenta=momenta, heat=heat)


def _drift_of(file: str) -> FloatArray:
    return read_drift(Path(file)) if file else PAPER


def make_thermostat(text: str, temperature_K: float) -> Thermostat:
    """The thermostat specified as ``NAME:TAU``, ``gle`` (the paper's high-pass) or ``gle:FILE`` (a drift matrix in 1/ps).

    Raises as :func:`parse_thermostat`, for a temperature below zero, and for a Nosé–Hoover chain at zero, where its masses vanish.
    """
    name, tau_fs = parse_thermostat(text)
    if not (math.isfinite(temperature_K) and temperature_K >= 0.0):
        raise UsageError(f"A temperature of {temperature_K} K must be ≥ 0 and finite.")
    if name == "gle":
        drift = _drift_of(text.partition(":")[2])
        return GLE(temperature_K=temperature_K, drift_per_ps=tuple(tuple(row) for row in drift.tolist()))
    assert tau_fs is not None
    if name == "nhc" and temperature_K == 0.0:
        raise UsageError("A Nosé–Hoover chain needs a temperature above 0 K.", hint=f"Write langevin:{tau_fs:g}.")
    return _OF_TAU[name](temperature_K=temperature_K, tau_fs=tau_fs)


_OF_TAU: dict[str, Callable[..., Thermostat]] = {
    "langevin": Langevin,
    "svr": VelocityRescaling,
    "nhc": NoseHooverChain,
    "andersen": Andersen,
}
