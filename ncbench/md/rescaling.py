"""Constant energy by rescaling: momenta rescaled after every step so that the total energy is what it was at the start.

What people do to keep direct forces from heating a liquid (Bigi, Langer & Ceriotti 2025, App. G.4 and Figure 11). What the scaling adds is
counted as heat, so that the conserved quantity still tells the power of the non-conservative part.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ncbench.md.integrators import Propagator, velocity_verlet
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.models.interface import Field

TARGET = "target_energy"
"""Name of the total energy to keep, [R], eV, in the state's further variables."""


def rescaled(propagate: Propagator = velocity_verlet) -> Propagator:
    """``propagate`` followed by p ← p √((E − V)/K); a replica whose potential energy exceeds E has no such momenta, and ends."""

    def step(state: MDState, field: Field, particles: Particles, timestep: float) -> MDState:
        target = state.extra.get(TARGET)
        if target is None:
            target = state.energy + kinetic_energy(state.momenta, particles)
        state = propagate(state, field, particles, timestep)
        kinetic = kinetic_energy(state.momenta, particles)
        moving = kinetic > 0.0
        # The root of a negative number is NaN, which the run recognises as the end of a replica.
        scale = torch.where(moving, torch.sqrt((target - state.energy) / torch.where(moving, kinetic, 1.0)), 1.0)
        return replace(
            state,
            momenta=state.momenta * scale[:, None, None],
            heat=state.heat + kinetic * (scale**2 - 1.0),
            extra={**state.extra, TARGET: target},
        )

    return step
