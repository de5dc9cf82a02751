"""Constant energy by rescaling: momenta are rescaled after every step to restore the initial total energy.

A method used to keep direct forces from heating a liquid (Bigi, Langer & Ceriotti 2025, App. G.4 and Figure 11). The energy that the scaling adds is
counted as heat, so that the conserved quantity still gives the power of the non-conservative part.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ncbench.md.integrators import Propagator, velocity_verlet
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.models.interface import Field

TARGET = "target_energy"
"""Name of the total energy to restore, [R], eV, in ``MDState.extra``."""


def rescaled(propagate: Propagator = velocity_verlet) -> Propagator:
    """``propagate`` followed by p ← p √((E − V)/K); a replica whose potential energy exceeds E cannot be rescaled, and ends."""

    def step(state: MDState, field: Field, particles: Particles, timestep: float) -> MDState:
        target = state.extra.get(TARGET)
        if target is None:
            target = state.energy + kinetic_energy(state.momenta, particles)
        state = propagate(state, field, particles, timestep)
        kinetic = kinetic_energy(state.momenta, particles)
        moving = kinetic > 0.0
        # The root of a negative number is NaN, which ends the replica.
        scale = torch.where(moving, torch.sqrt((target - state.energy) / torch.where(moving, kinetic, 1.0)), 1.0)
        return replace(
            state,
            momenta=state.momenta * scale[:, None, None],
            heat=state.heat + kinetic * (scale**2 - 1.0),
            extra={**state.extra, TARGET: target},
        )

    return step
