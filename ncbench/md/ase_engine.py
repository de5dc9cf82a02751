"""ASE as engine of a run: its velocity Verlet computes the steps, all else is done by :mod:`ncbench.md.run`.

Forces come through an ASE calculator that evaluates every structure anew, with neighbour lists of its own: a different path into the model
than the bound field of the other engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase import units as ase_units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet

from ncbench.errors import StructureError
from ncbench.md.random import NoiseSource
from ncbench.md.reported import Reported
from ncbench.md.state import MDState, Particles
from ncbench.models.interface import Field, ForceField


class ForceFieldCalculator(Calculator):
    """Any model of ncbench as an ASE calculator; NaN where the model cannot evaluate the structure."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  # ASE's own spelling

    def __init__(self, forcefield: ForceField, particles: Particles) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._forcefield, self._particles = forcefield, particles

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Energy (eV) and forces (eV/Å), without the net force if the centre of mass is fixed."""
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        assert atoms is not None
        try:
            evaluation = self._forcefield.evaluate([atoms])[0]
            energy, forces = evaluation.energy, evaluation.forces
        except StructureError:
            # Atoms that coincide or are not finite: the run ends as an explosion.
            energy, forces = float("nan"), np.full((len(atoms), 3), np.nan)
        rest = self._particles.at_rest(torch.as_tensor(forces, device=self._particles.masses.device)[None])
        self.results = {"energy": energy, "free_energy": energy, "forces": rest[0].cpu().numpy()}


@dataclass
class AseDynamics:
    """A step computed by ASE, in place of :class:`ncbench.md.integrators.Dynamics`. One replica at constant energy."""

    timestep_fs: float
    structure: Atoms
    forcefield: ForceField
    _dynamics: Any = field(default=None, init=False)
    _atoms: Atoms = field(default_factory=Atoms, init=False)
    _held: MDState | None = field(default=None, init=False)
    """The state that ASE currently holds; any other state must be set first."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state itself: velocity Verlet has no further variables."""
        del particles, noise
        return state

    def reported(self, state: MDState, field: Field, particles: Particles) -> Reported:
        """What ASE gives at this state."""
        del field
        atoms = self._atoms_at(state, particles)
        return Reported(
            potential_eV=float(atoms.get_potential_energy()),
            kinetic_eV=float(atoms.get_kinetic_energy()),
            forces=np.asarray(atoms.get_forces()),
        )

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState:
        """One time step."""
        del field, noise
        atoms = self._atoms_at(state, particles)
        self._dynamics.step()

        def tensor(values: Any) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values)[None], dtype=torch.float64, device=state.positions.device)

        results = atoms.calc.results
        self._held = replace(
            state,
            positions=tensor(atoms.get_positions()),
            momenta=tensor(atoms.get_momenta()),
            forces=tensor(results["forces"]),
            energy=tensor(results["energy"]),
            step=state.step + 1,
        )
        return self._held

    def _atoms_at(self, state: MDState, particles: Particles) -> Atoms:
        if self._dynamics is None:
            self._atoms = self.structure.copy()
            self._atoms.calc = ForceFieldCalculator(self.forcefield, particles)
            self._dynamics = VelocityVerlet(self._atoms, timestep=self.timestep_fs * ase_units.fs)
        if self._held is not state:
            self._atoms.set_positions(state.positions[0].cpu().numpy())
            self._atoms.set_momenta(state.momenta[0].cpu().numpy())
            self._held = state
        return self._atoms
