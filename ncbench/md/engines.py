"""The program that integrates a run: our own, or ASE, LAMMPS or i-PI in its place, one structure at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase import Atoms

from ncbench.errors import UnsupportedError
from ncbench.md.integrators import Dynamics
from ncbench.md.reported import ReportingStepper
from ncbench.md.settings import NAMES_OF_ENGINES, Engine
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
    name = NAMES_OF_ENGINES[engine]
    if scheme.name != "verlet" or dynamics.thermostat is not None:
        raise UnsupportedError(
            f"{name} runs velocity Verlet at constant energy here, without multiple time stepping, rescaling or thermostat.",
            hint="Use --engine own.",
        )
    (structure,) = structures
    if engine == "ase":
        from ncbench.md.ase_engine import AseDynamics

        return AseDynamics(dynamics.timestep_fs, structure, forcefield)
    from ncbench.md.lammps_engine import LammpsDynamics

    return LammpsDynamics(dynamics.timestep_fs)
