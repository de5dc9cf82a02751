"""torch-sim as engine of a run: its ``nve_step`` or ``nvt_langevin_step`` computes the steps, all else is done by :mod:`ncbench.md.run`.

torch-sim (Cohen et al., AI Sci. 1, 025003, 2025) gets the forces through its model interface, in which ncbench's bound field is wrapped. Both programs use Å, eV and u, hence
momenta in √(u·eV) and times in Å·√(u/eV). Its Langevin dynamics is BAOAB (Leimkuhler & Matthews, Appl. Math. Res. Express 2013, 34) with the friction 1/τ. Its generator is
seeded anew for every step, so that a run that was cut in two is the same; a fixed centre of mass is brought to rest after each step.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ase import Atoms

from ncbench.errors import UnsupportedError
from ncbench.md.random import NoiseSource
from ncbench.md.reported import Reported, heat_of_step
from ncbench.md.state import MDState, Particles
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import Field
from ncbench.units import FS, KB

_SEEDS = 2.0**53


@dataclass
class TorchSimDynamics:
    """A step computed by torch-sim, in place of :class:`ncbench.md.integrators.Dynamics`. One replica."""

    timestep_fs: float
    structure: Atoms
    thermostat: Langevin | None = None
    _model: Any = field(default=None, init=False)
    _state: Any = field(default=None, init=False)
    """torch-sim's ``MDState``."""
    _held: MDState | None = field(default=None, init=False)
    """The state that torch-sim currently holds; any other state must be set first."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state itself: these integrators have no further variables.

        Raises:
            UnsupportedError: torch-sim is not installed.
        """
        del particles, noise
        _load()
        return state

    def reported(self, state: MDState, field: Field, particles: Particles) -> Reported:
        """What torch-sim gives at this state."""
        from torch_sim.quantities import calc_kinetic_energy

        held = self._state_at(state, field, particles)
        output = self._model(held)
        kinetic = calc_kinetic_energy(masses=held.masses, momenta=held.momenta, system_idx=held.system_idx)
        return Reported(
            potential_eV=float(output["energy"][0]),
            kinetic_eV=float(kinetic[0]),
            forces=output["forces"].cpu().numpy(),
        )

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState:
        """One time step."""
        ts = _load()
        held = self._state_at(state, field, particles)
        timestep = self.timestep_fs * FS
        if self.thermostat is None:
            held = ts.nve_step(held, self._model, dt=timestep)
        else:
            held.rng.manual_seed(int(_SEEDS * float(noise.uniforms(state.step, ())[0, 0])))
            bath = self.thermostat
            held = ts.nvt_langevin_step(
                held, self._model, dt=timestep, kT=KB * bath.temperature_K, gamma=1.0 / (bath.tau_fs * FS)
            )
        # torch-sim replaces its tensors in each step; a tensor of a state that was returned is never written to.
        stepped = replace(
            state,
            positions=held.positions[None],
            momenta=held.momenta[None],
            forces=held.forces[None],
            energy=held.energy,
            step=state.step + 1,
        )
        if self.thermostat is not None:
            stepped = replace(stepped, momenta=particles.at_rest(stepped.momenta))
            held.momenta = stepped.momenta[0]
            stepped = replace(stepped, heat=heat_of_step(state, stepped, particles))
        self._state, self._held = held, stepped
        return stepped

    def _state_at(self, state: MDState, field: Field, particles: Particles) -> Any:
        if self._model is None:
            self._model = _wrapped(field, particles)
        if self._held is not state:
            ts = _load()
            start = ts.io.atoms_to_state(self.structure, device=state.positions.device, dtype=torch.float64)
            start.positions = state.positions[0]
            self._state = ts.integrators.md.MDState.from_state(
                start, momenta=state.momenta[0], forces=state.forces[0], energy=state.energy
            )
            self._held = state
        return self._state


def _wrapped(field: Field, particles: Particles) -> Any:
    """The bound field as a model of torch-sim: energy [1], eV, and forces [N, 3], eV/Å, without the net force if the centre of mass is fixed."""
    from torch_sim.models.interface import ModelInterface

    class BoundField(ModelInterface):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self._device, self._dtype = torch.device(field.device), torch.float64
            self._compute_stress, self._compute_forces = False, True

        def forward(self, state: Any, **_options: Any) -> dict[str, torch.Tensor]:
            output = field(state.positions[None])
            return {"energy": output.energy, "forces": particles.at_rest(output.forces)[0]}

    return BoundField()


def _load() -> Any:
    """torch-sim's package.

    Raises:
        UnsupportedError: it is not installed, or Python is too old for it.
    """
    try:
        import torch_sim
    except ImportError:
        hint = "pip install 'ncbench[torch-sim]'"
        if sys.version_info < (3, 12):
            hint = f"It needs Python 3.12 or later: {hint} there."
        raise UnsupportedError(
            "The engine torch-sim needs the package torch-sim-atomistic, which is not installed.", hint=hint
        ) from None
    return torch_sim
