"""Settings of all runs of molecular dynamics, with their command-line options. Light imports only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from ncbench.errors import UsageError, did_you_mean
from ncbench.md.limits import (
    LEAST_CHAIN_STEPS,
    MOST_TEMPERATURE_K,
    require_positive,
    require_time_constant,
    require_timestep,
)
from ncbench.options import KEYED_IF_SET, Option

Engine = Literal["own", "ase", "lammps", "i-pi", "torch-sim"]
NAMES_OF_ENGINES: dict[str, str] = {
    "own": "ncbench", "ase": "ASE", "lammps": "LAMMPS", "i-pi": "i-PI", "torch-sim": "torch-sim"
}  # fmt: skip
"""Engines by the name that is typed. All but our own run one structure at a time."""
DISTRIBUTIONS = {"own": "ncbench", "ase": "ase", "lammps": "lammps", "i-pi": "ipi", "torch-sim": "torch-sim-atomistic"}
"""Engine → the Python distribution whose version is recorded."""


@dataclass(frozen=True, kw_only=True)
class MdSettings:
    """Time step, length, sampling and initial conditions."""

    timestep_fs: Annotated[
        float,
        Option("Time step, fs; that of the fast forces with multiple time stepping.", flag="--timestep", metavar="FS"),
    ] = 0.5
    duration_fs: Annotated[float, Option("Length of the run, fs.", flag="--duration", metavar="FS")] = 1000.0
    temperature_K: Annotated[
        float,
        Option("Temperature of drawn momenta and of thermostats, K.", flag="--temperature", metavar="K"),
    ] = 300.0
    redraw_momenta: Annotated[bool, Option("Draw new momenta even if the structure has momenta.")] = False
    sample_every: Annotated[int, Option("Steps between samples of the series.", metavar="STEPS")] = 2
    hmr: Annotated[
        float | None,
        Option(
            "Hydrogen mass repartitioning: mass of every hydrogen, u, taken from the atom it is bonded to; 3 is usual.",
            metavar="U",
        ),
    ] = field(default=None, metadata={KEYED_IF_SET: True})
    max_temperature_K: float = MOST_TEMPERATURE_K
    """Temperature above which a structure counts as exploded."""
    fix_com: bool = True
    """Centre of mass at rest: forces and noise are projected, 3N − 3 degrees of freedom (i-PI's default). False for a field that is not
    invariant to translation."""

    def __post_init__(self) -> None:
        require_timestep("timestep_fs", self.timestep_fs)
        for name in ("max_temperature_K", "sample_every"):
            require_positive(name, getattr(self, name))
        for name in ("temperature_K", "duration_fs"):
            require_non_negative(name, getattr(self, name))
        if self.temperature_K >= MOST_TEMPERATURE_K:
            raise UsageError(
                f"temperature_K is {self.temperature_K:g}; above {MOST_TEMPERATURE_K:g} K a run counts as exploded."
            )
        if self.hmr is not None and not (math.isfinite(self.hmr) and self.hmr > 0):
            raise UsageError(f"hmr is {self.hmr}; it must be a positive mass in u.")

    def with_replicas_drawn(self) -> bool:
        """Whether momenta are drawn even if the structures have momenta."""
        return self.redraw_momenta


@dataclass(frozen=True, kw_only=True)
class ReplicaSettings(MdSettings):
    """Further settings: replicas, multiple time stepping, the engine, and trajectories."""

    mts: Annotated[
        int | None,
        Option("Multiple time stepping (r-RESPA): slow (reference) forces every M-th step.", metavar="M"),
    ] = None
    """Slow forces are the model's conservative ones, or the reference model's."""
    replicas: Annotated[int, Option("Runs per structure, each with its own momenta and noise.", metavar="R")] = 1
    engine: Annotated[
        Engine,
        Option(
            "Program that integrates; others than own run one structure at a time. ase, lammps and torch-sim have no multiple time stepping and no thermostat but "
            "langevin. Needs ncbench[i-pi], ncbench[lammps], ncbench[torch-sim].",
            metavar="|".join(NAMES_OF_ENGINES),
        ),
    ] = "own"
    batch: Annotated[
        int | None,
        Option(
            "Structures in one model call; by default all of one size on a GPU, about 256 atoms on a CPU.", metavar="R"
        ),
    ] = None
    trajectory_every: Annotated[
        int,
        Option(
            "Steps between frames of a trajectory, rounded up to a multiple of the sampling stride; 0 writes none.",
            metavar="STEPS",
            minimum=0,
        ),
    ] = 0
    trajectory_precision: Annotated[
        Literal["single", "double"], Option("Precision of the trajectory's numbers.", metavar="single|double")
    ] = "single"
    trajectory_format: Annotated[
        Literal["xyz", "traj"], Option("Extended XYZ (text), or ASE's .traj (binary).", metavar="xyz|traj")
    ] = "xyz"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mts", "replicas", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1.")

    @property
    def stride(self) -> int:
        """M: fast steps per slow-force evaluation; 1 without multiple time stepping."""
        return self.mts or 1

    @property
    def outer_fs(self) -> float:
        """Time between slow-force evaluations, fs; the time step without multiple time stepping."""
        return self.timestep_fs * self.stride

    @property
    def outer_samples(self) -> int:
        """Outer steps between samples."""
        return max(1, self.sample_every // self.stride)

    def with_replicas_drawn(self) -> bool:
        """Several replicas of one structure need different momenta."""
        return self.redraw_momenta or self.replicas > 1


def require_non_negative(name: str, value: float) -> None:
    """Refuse a negative or non-finite value.

    Raises:
        UsageError: the value is negative or not finite.
    """
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{name} is {value}; it must be ≥ 0 and finite.")


THERMOSTATS = ("langevin", "svr", "gle", "nhc", "andersen")
"""Thermostats by name."""


def parse_thermostat(text: str) -> tuple[str, float | None]:
    """``NAME:TAU`` with τ in fs, such as ``langevin:100``, as (name, τ); ``gle`` and ``gle:FILE`` have no τ.

    Raises:
        UsageError: an unknown name, or a τ that is not a number, or out of range (:mod:`ncbench.md.limits`).
    """
    name, _, tau = text.partition(":")
    name = name.strip().lower()
    if name not in THERMOSTATS:
        raise UsageError(
            f"There is no thermostat {name!r}; choose one of {', '.join(THERMOSTATS)}.",
            hint=did_you_mean(name, THERMOSTATS),
        )
    if name == "gle":
        if tau:
            from ncbench.md.gle import read_drift

            read_drift(Path(tau))
        return name, None
    hint = f"Write {name}:100, say."
    if not tau.strip():
        raise UsageError(f"The thermostat {text!r} has no τ in fs after a colon.", hint=hint)
    try:
        tau_fs = float(tau)
    except ValueError:
        raise UsageError(f"τ of the thermostat {text!r} is not a number of fs.", hint=hint) from None
    require_time_constant(f"τ of {name}", tau_fs)
    return name, tau_fs


def require_thermostat(text: str, engine: Engine, step_fs: float) -> None:
    """Refuse a thermostat that the engine does not have, and a Nosé–Hoover chain that is too fast for the time ``step_fs`` between its half steps, fs;
    the other thermostats are exact in theirs.

    Raises:
        UsageError: as :func:`parse_thermostat` and :func:`require_thermostat_of_engine`; or τ of a chain is below
            :data:`~ncbench.md.limits.LEAST_CHAIN_STEPS` steps.
    """
    name, tau_fs = parse_thermostat(text)
    require_thermostat_of_engine(name, engine)
    if name == "nhc" and tau_fs is not None and tau_fs < LEAST_CHAIN_STEPS * step_fs:
        raise UsageError(
            f"The Nosé–Hoover chain of τ = {tau_fs:g} fs is too fast for a time step of {step_fs:g} fs.",
            hint=f"Write nhc:{LEAST_CHAIN_STEPS * step_fs:g} or more (100 steps are usual), or langevin:{tau_fs:g}.",
        )


THERMOSTATS_OF_ENGINES: dict[Engine, tuple[str, ...]] = {
    "own": THERMOSTATS,
    "i-pi": ("langevin", "svr", "gle"),
    "ase": ("langevin",),
    "lammps": ("langevin",),
    "torch-sim": ("langevin",),
}
"""Thermostats that each engine is offered with."""


def require_thermostat_of_engine(name: str, engine: Engine) -> None:
    """Refuse a thermostat that the engine does not have.

    Raises:
        UsageError: the thermostat is not in :data:`THERMOSTATS_OF_ENGINES`.
    """
    offered = THERMOSTATS_OF_ENGINES[engine]
    if name not in offered:
        choices = f"one of {', '.join(offered)}" if len(offered) > 1 else f"{offered[0]}:100, say"
        raise UsageError(
            f"{NAMES_OF_ENGINES[engine]}, which would integrate this run, has no thermostat {name} here.",
            hint=f"Choose {choices}; with nvt, --engine own has {name}.",
        )


LINEAR = ("langevin", "gle")
"""Thermostats whose forces are linear in the momenta with Gaussian noise, which a theory of harmonic modes describes."""


def require_linear(name: str) -> None:
    """Refuse a thermostat without a harmonic prediction.

    Raises:
        UsageError: the thermostat is not in :data:`LINEAR`.
    """
    if name not in LINEAR:
        raise UsageError(
            f"The thermostat {name} is not linear in the velocities, so that there is no harmonic prediction.",
            hint=f"Use ncbench nvt --thermostat {name}:10.",
        )
