"""Integrators: compute the next state from a state and a field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from ncbench.md.limits import require_timestep
from ncbench.md.random import NoiseSource
from ncbench.md.state import MDState, Particles
from ncbench.models.interface import Field
from ncbench.units import FS

Propagator = Callable[[MDState, Field, Particles, float], MDState]
"""(state, field, particles, Δt in internal units) → the state after one step, with unchanged step count and heat."""


class Thermostat(Protocol):
    """A thermostat that acts on the momenta in half steps."""

    @property
    def temperature_K(self) -> float: ...

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """Add the thermostat's own variables, if any, to ``state.extra``."""
        ...

    def half_step(
        self, state: MDState, particles: Particles, noise: NoiseSource, half: int, timestep: float
    ) -> MDState:
        """Half step ``half`` (0 before, 1 after the move) of ``state.step``; ``timestep`` is the whole Δt, internal units.

        The change of kinetic energy is added to ``heat``.
        """
        ...


def velocity_verlet(state: MDState, field: Field, particles: Particles, timestep: float) -> MDState:
    """p += f Δt/2; r += p Δt/m; p += f Δt/2 (Swope, Andersen, Berens & Wilson, J. Chem. Phys. 76, 637, 1982)."""
    momenta = torch.add(state.momenta, state.forces, alpha=0.5 * timestep)
    positions = torch.addcmul(state.positions, momenta, particles.inverse_masses, value=timestep)
    output = field(positions)
    forces = particles.at_rest(output.forces)
    return replace(
        state,
        positions=positions,
        momenta=torch.add(momenta, forces, alpha=0.5 * timestep),
        forces=forces,
        energy=output.energy,
    )


@dataclass(frozen=True)
class Dynamics:
    """A step: thermostat half step, move, thermostat half step (OBABO around velocity Verlet, as i-PI).

    With the thermostat outside, the momenta at whole steps have the bath's temperature exactly on a harmonic potential; BAOAB
    is low by a relative (ωΔt)²/4 there.
    """

    timestep_fs: float
    thermostat: Thermostat | None = None
    propagate: Propagator = velocity_verlet

    def __post_init__(self) -> None:
        require_timestep("The time step", self.timestep_fs)

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state with the thermostat's variables."""
        return state if self.thermostat is None else self.thermostat.initialise(state, particles, noise)

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState:
        """One time step."""
        timestep = self.timestep_fs * FS
        if self.thermostat is None:
            return replace(self.propagate(state, field, particles, timestep), step=state.step + 1)
        state = self.thermostat.half_step(state, particles, noise, 0, timestep)
        state = self.propagate(state, field, particles, timestep)
        state = self.thermostat.half_step(state, particles, noise, 1, timestep)
        return replace(state, step=state.step + 1)
