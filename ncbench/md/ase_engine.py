"""ASE as engine of a run: its velocity Verlet or Langevin dynamics computes the steps, all else is done by :mod:`ncbench.md.run`.

Forces come through an ASE calculator that evaluates every structure anew, with neighbour lists of its own: a different path into the model
than the bound field of the other engines.

ASE's Langevin dynamics is that of Vanden-Eijnden and Ciccotti (Chem. Phys. Lett. 429, 310, 2006, eq. 23) with the friction 1/τ. Its normal deviates are ncbench's, a function of the step:
a run that was cut in two is the same. A fixed centre of mass is brought to rest after each step.
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
from ase.md.langevin import Langevin as AseLangevin
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from ncbench.errors import StructureError
from ncbench.md.random import NoiseSource
from ncbench.md.reported import Reported, heat_of_step
from ncbench.md.state import MDState, Particles
from ncbench.md.thermostats import Langevin
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


class _Draws:
    """In place of NumPy's generator in ASE's Langevin dynamics, which takes two arrays of normal deviates in each step."""

    def __init__(self) -> None:
        self.normals: NDArray[np.float64] = np.zeros((0, 0, 3))
        """[2, N, 3] of the current step."""

    def standard_normal(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """The next of them.

        Raises:
            IndexError: the step took more than two.
        """
        drawn: NDArray[np.float64] = self.normals[0]
        self.normals = self.normals[1:]
        assert drawn.shape == size
        return drawn


@dataclass
class AseDynamics:
    """A step computed by ASE, in place of :class:`ncbench.md.integrators.Dynamics`. One replica."""

    timestep_fs: float
    structure: Atoms
    forcefield: ForceField
    thermostat: Langevin | None = None
    _dynamics: Any = field(default=None, init=False)
    _atoms: Atoms = field(default_factory=Atoms, init=False)
    _draws: _Draws = field(default_factory=_Draws, init=False)
    _held: MDState | None = field(default=None, init=False)
    """The state that ASE currently holds; any other state must be set first."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state itself: these integrators have no further variables."""
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
        del field
        atoms = self._atoms_at(state, particles)
        self._draws.normals = noise.normals(state.step, (particles.n_atoms, 3))[:, 0].cpu().numpy()
        self._dynamics.step()

        def tensor(values: Any) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values)[None], dtype=torch.float64, device=state.positions.device)

        results = atoms.calc.results
        stepped = replace(
            state,
            positions=tensor(atoms.get_positions()),
            momenta=tensor(atoms.get_momenta()),
            forces=tensor(results["forces"]),
            energy=tensor(results["energy"]),
            step=state.step + 1,
        )
        if self.thermostat is not None:
            stepped = replace(stepped, momenta=particles.at_rest(stepped.momenta))
            atoms.set_momenta(stepped.momenta[0].cpu().numpy())
            stepped = replace(stepped, heat=heat_of_step(state, stepped, particles))
        self._held = stepped
        return stepped

    def _atoms_at(self, state: MDState, particles: Particles) -> Atoms:
        if self._dynamics is None:
            self._atoms = self.structure.copy()
            self._atoms.calc = ForceFieldCalculator(self.forcefield, particles)
            self._dynamics = self._integrator(self._atoms)
        if self._held is not state:
            self._atoms.set_positions(state.positions[0].cpu().numpy())
            self._atoms.set_momenta(state.momenta[0].cpu().numpy())
            self._held = state
        return self._atoms

    def _integrator(self, atoms: Atoms) -> Any:
        timestep = self.timestep_fs * ase_units.fs
        if self.thermostat is None:
            return VelocityVerlet(atoms, timestep=timestep)
        return AseLangevin(
            atoms,
            timestep,
            temperature_K=self.thermostat.temperature_K,
            friction=1.0 / (self.thermostat.tau_fs * ase_units.fs),
            # It is removed after the step: ASE's own removal does not sample the canonical ensemble, as its documentation says.
            fixcm=False,
            rng=self._draws,
        )
