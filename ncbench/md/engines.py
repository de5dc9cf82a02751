"""The program that integrates a run: our own, or ASE, LAMMPS, i-PI or torch-sim in its place, one structure at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase import Atoms

from ncbench.errors import UnsupportedError
from ncbench.md.integrators import Dynamics
from ncbench.md.reported import ReportingStepper
from ncbench.md.settings import NAMES_OF_ENGINES, Engine
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import ForceField


def external_engine(
    engine: Engine,
    dynamics: Dynamics,
    scheme: Any,
    forcefield: ForceField,
    structures: Sequence[Atoms],
    *,
    seed: int,
    replicas: Sequence[int],
    label: str,
    temperature_K: float,
) -> ReportingStepper:
    """Another program in place of ``dynamics`` with a scheme (:class:`ncbench.md.ensemble.Scheme`), for one structure.

    Raises:
        UnsupportedError: it is not installed, or does not support the requested dynamics.
    """
    if engine == "i-pi":
        from ncbench.md.ipi_engine import ipi_dynamics

        return ipi_dynamics(
            dynamics, scheme, structures, seed=seed, replicas=replicas, label=label, temperature_K=temperature_K
        )
    thermostat = dynamics.thermostat
    if scheme.name != "verlet" or not (thermostat is None or isinstance(thermostat, Langevin)):
        raise UnsupportedError(
            f"{NAMES_OF_ENGINES[engine]} runs velocity Verlet or Langevin dynamics here, without multiple time stepping, rescaling or another thermostat.",
            hint="Use --engine own.",
        )
    (structure,) = structures
    if engine == "ase":
        from ncbench.md.ase_engine import AseDynamics

        return AseDynamics(dynamics.timestep_fs, structure, forcefield, thermostat)
    if engine == "torch-sim":
        from ncbench.md.torch_sim_engine import TorchSimDynamics

        return TorchSimDynamics(dynamics.timestep_fs, structure, thermostat)
    from ncbench.md.lammps_engine import LammpsDynamics

    return LammpsDynamics(dynamics.timestep_fs, thermostat)
