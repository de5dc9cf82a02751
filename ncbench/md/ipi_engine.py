"""i-PI as engine of a run: its integrator and thermostats compute the steps, all else is done by :mod:`ncbench.md.run`.

Samples, checkpoints, explosions and trajectories are therefore the same in both engines; they differ in the integration and in the source of the noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.md.gle import GLE
from ncbench.md.integrators import Thermostat
from ncbench.md.ipi_simulation import Driver, Input, IpiSimulation, thermostat_xml
from ncbench.md.random import NoiseSource
from ncbench.md.reported import Reported
from ncbench.md.state import MDState, Particles, kinetic_energy
from ncbench.md.thermostats import Langevin, VelocityRescaling
from ncbench.models.interface import Field, ForceField

FloatArray = NDArray[np.float64]
PREFIX = "ipi."
"""Prefix of i-PI's state variables in :attr:`MDState.extra`."""


@dataclass
class IpiDynamics:
    """A step computed by i-PI, in place of :class:`ncbench.md.integrators.Dynamics`. One replica."""

    timestep_fs: float
    """Time step of the outermost forces, fs."""
    structure: Atoms
    seed: int
    thermostat: Thermostat | None = None
    fast: ForceField | None = None
    """The fast model of multiple time stepping."""
    stride: int = 1
    temperature_K: float = 300.0
    _simulation: IpiSimulation | None = field(default=None, init=False)
    _held: MDState | None = field(default=None, init=False)
    """The state that i-PI currently holds; any other state must be restored first."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state with i-PI's own variables."""
        # Forces are computed in the first step; building the simulation needs none.
        del noise
        built = _simulation_of(self, state, particles, {})
        return replace(state, extra={**state.extra, **_extra(built.saved(), state)})

    def reported(self, state: MDState, field: Field, particles: Particles) -> Reported:
        """What i-PI gives at this state."""
        simulation = self._at(state, field, particles)
        forces = particles.at_rest(_tensor(simulation.forces, state))
        return Reported(potential_eV=simulation.energy, kinetic_eV=simulation.kinetic, forces=forces[0].cpu().numpy())

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState:
        """One outermost time step."""
        del noise
        simulation = self._at(state, field, particles)
        simulation.step()
        stepped = replace(
            state,
            positions=_tensor(simulation.positions, state),
            momenta=_tensor(simulation.momenta, state),
            forces=_tensor(simulation.forces, state),
            energy=_tensor(np.array(simulation.energy), state),
            step=state.step + 1,
            extra=_extra(simulation.saved(), state),
        )
        # i-PI's conserved quantity is energy + kinetic energy − heat from the thermostats.
        heat = stepped.energy + kinetic_energy(stepped.momenta, particles) - simulation.conserved
        self._held = replace(stepped, heat=heat)
        return self._held

    def _at(self, state: MDState, field: Field, particles: Particles) -> IpiSimulation:
        if self._simulation is None:
            self._simulation = _simulation_of(self, state, particles, self._drivers(field))
        if self._held is not state:
            names = [name for name in state.extra if name.startswith(PREFIX)]
            self._simulation.restore({n.removeprefix(PREFIX): state.extra[n][0].cpu().numpy() for n in names})
            self._held = state
        return self._simulation

    def _drivers(self, field: Field) -> dict[str, Driver]:
        no_virial = np.zeros((3, 3))

        def ask(one: Field, positions: FloatArray) -> tuple[float, FloatArray]:
            output = one(torch.as_tensor(positions[None], device=one.device))
            return float(output.energy[0]), output.forces[0].cpu().numpy()

        if self.fast is None:
            return {"field": lambda cell, positions: (*ask(field, positions), no_virial)}
        fast_field = self.fast.bind([self.structure])
        kept: dict[bytes, tuple[float, FloatArray]] = {}

        def fast(_cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            forces = ask(fast_field, positions)
            # The slow force is evaluated at the positions of the last inner step.
            kept.clear()
            kept[positions.tobytes()] = forces
            return (*forces, no_virial)

        def slow(_cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            energy, forces = ask(field, positions)
            known = kept.get(positions.tobytes())
            fast_energy, fast_forces = known if known is not None else ask(fast_field, positions)
            return energy - fast_energy, forces - fast_forces, no_virial

        return {"slow": slow, "fast": fast}


def ipi_dynamics(
    dynamics: Any,
    scheme: Any,
    structures: Sequence[Atoms],
    *,
    seed: int,
    replicas: Sequence[int],
    label: str,
    temperature_K: float,
) -> IpiDynamics:
    """i-PI in place of ``dynamics`` with a scheme (:class:`ncbench.md.ensemble.Scheme`), for one structure.

    Raises:
        UnsupportedError: i-PI is not installed, or rescaling was requested, which it does not support.
    """
    if scheme.rescale:
        raise UnsupportedError("i-PI does not support rescaling to constant energy.", hint="Use --engine own.")
    (structure,), (replica,) = structures, replicas
    # Positive and below 2³¹, one for each replica and label.
    own = zlib.crc32(f"{seed} {replica} {label}".encode()) >> 1
    return IpiDynamics(
        dynamics.timestep_fs,
        structure,
        own,
        thermostat=dynamics.thermostat,
        fast=scheme.fast,
        stride=scheme.stride,
        temperature_K=temperature_K,
    )


def _simulation_of(
    dynamics: IpiDynamics, state: MDState, particles: Particles, drivers: dict[str, Driver]
) -> IpiSimulation:
    simulation_input = Input(
        atoms=dynamics.structure,
        momenta=state.momenta[0].cpu().numpy(),
        mode="nvt" if dynamics.thermostat is not None else "nve",
        temperature_K=dynamics.temperature_K,
        timestep_fs=dynamics.timestep_fs,
        seed=dynamics.seed,
        thermostat=ipi_thermostat(dynamics.thermostat),
        fix_com=particles.fix_com,
        stride=dynamics.stride,
        names=("field",) if dynamics.fast is None else ("slow", "fast"),
    )
    return IpiSimulation(simulation_input, drivers)


def ipi_thermostat(thermostat: Thermostat | None) -> str:
    """The XML of a thermostat; empty without one.

    Raises:
        UnsupportedError: i-PI has no equivalent thermostat.
    """
    match thermostat:
        case None:
            return ""
        case Langevin(tau_fs=tau):
            return thermostat_xml("langevin", tau_fs=tau)
        case VelocityRescaling(tau_fs=tau):
            return thermostat_xml("svr", tau_fs=tau)
        case GLE(drift_per_ps=drift):
            return thermostat_xml("gle", drift_per_ps=np.array(drift))
        case _:
            raise UnsupportedError(f"i-PI has no {type(thermostat).__name__}.")


def _tensor(values: FloatArray, state: MDState) -> torch.Tensor:
    return torch.as_tensor(values[None], dtype=torch.float64, device=state.positions.device)


def _extra(saved: dict[str, FloatArray], state: MDState) -> dict[str, torch.Tensor]:
    return {f"{PREFIX}{name}": _tensor(values, state) for name, values in saved.items()}
