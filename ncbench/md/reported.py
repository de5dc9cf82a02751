"""What an engine itself gives at one state, for a comparison before any step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ncbench.md.run import Stepper
from ncbench.md.state import MDState, Particles
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
