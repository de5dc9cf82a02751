"""Multiple time stepping (r-RESPA): fast forces every step, the slow (reference) ones every M-th.

The reversible reference-system propagator (Tuckerman, Berne & Martyna, J. Chem. Phys. 97, 1990, 1992; Bigi, Langer & Ceriotti 2025, App. I): the
difference slow − fast acts on the momenta for half of MΔt before and after M velocity Verlet steps with the fast force. If one call of
the model gives both forces, an outer step costs M − 1 fast calls and one slow one, 1 + (F − 1)/M of fast dynamics
with F the cost of a slow call over a fast one; otherwise M fast ones and one slow one, 1 + F/M.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ncbench.errors import UsageError
from ncbench.md.state import MDState, Particles
from ncbench.models.interface import Field

FAST = "fast_forces"
"""Name of the fast forces in ``MDState.extra``."""


class MultipleTimeStep:
    """A propagator over one outer step of M inner ones. Its field argument is the slow one, which also gives the state's energy."""

    def __init__(self, fast: Field, stride: int) -> None:
        """``fast``: the fast field, bound to the same structures; ``stride``: M.

        Raises:
            UsageError: M is not a positive integer.
        """
        if stride < 1:
            raise UsageError(f"Multiple time stepping with M = {stride} is not possible.", hint="M must be at least 1.")
        self.fast, self.stride = fast, stride

    def with_fast_forces(self, state: MDState, particles: Particles) -> MDState:
        """The initial state with its fast forces, which the first step would compute otherwise."""
        return replace(state, extra={**state.extra, FAST: particles.at_rest(self.fast(state.positions).forces)})

    def __call__(self, state: MDState, field: Field, particles: Particles, timestep: float) -> MDState:
        """``timestep`` is the outer one, MΔt."""
        inner = timestep / self.stride
        if FAST not in state.extra:
            state = self.with_fast_forces(state, particles)
        fast = state.extra[FAST]
        positions = state.positions
        momenta = torch.add(state.momenta, state.forces - fast, alpha=0.5 * timestep)
        moving = particles.inverse_masses > 0.0
        for step in range(self.stride):
            momenta = torch.add(momenta, fast, alpha=0.5 * inner)
            # A replica that has ended may have non-finite forces, and NaN times a zero inverse mass is NaN.
            momenta = torch.where(moving, momenta, 0.0)
            positions = torch.addcmul(positions, momenta, particles.inverse_masses, value=inner)
            both = field.with_direct_forces(positions) if step == self.stride - 1 else None
            if both is None:
                fast = particles.at_rest(self.fast(positions).forces)
            else:
                output, direct = both
                fast = particles.at_rest(direct)
            momenta = torch.add(momenta, fast, alpha=0.5 * inner)
        if both is None:
            output = field(positions)
        forces = particles.at_rest(output.forces)
        return replace(
            state,
            positions=positions,
            momenta=torch.add(momenta, forces - fast, alpha=0.5 * timestep),
            forces=forces,
            energy=output.energy,
            extra={**state.extra, FAST: fast},
        )
