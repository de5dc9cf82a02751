"""What an engine itself gives at one state, for a comparison before any step, and the heat that its thermostat exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ncbench.md.run import Stepper
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.models.interface import Field


@dataclass(frozen=True)
class Reported:
    """Energies and forces of one replica as an engine has them, in ncbench's units."""

    potential_eV: float
    kinetic_eV: float
    forces: NDArray[np.float64]
    """[N, 3], eV/Å, without the net force if the centre of mass is fixed."""


class ReportingStepper(Stepper, Protocol):
    """An engine that reports a state."""

    def reported(self, state: MDState, field: Field, particles: Particles) -> Reported:
        """Energies and forces at ``state``, which :meth:`initialise` returned."""
        ...


def heat_of_step(before: MDState, after: MDState, particles: Particles) -> torch.Tensor:
    """Heat since the start after a step of an engine that does not count it, [R], eV: that of ``before``, plus ΔK − ½ (F + F′)·Δr.

    The trapezoidal work of the forces is what conservative forces take from the potential energy, exactly so if they are linear; otherwise the
    error of a step, of third order in Δr, changes its sign with the direction of motion, and its mean vanishes in equilibrium. All else that changes the kinetic energy
    is the thermostat's. For velocity Verlet without a thermostat the sum stays below Δt² F²/8m.
    """
    work = 0.5 * ((before.forces + after.forces) * (after.positions - before.positions)).sum(dim=(1, 2))
    gained = kinetic_energy(after.momenta, particles) - kinetic_energy(before.momenta, particles)
    return before.heat + gained - work
