"""Settings that every run of molecular dynamics has, with their command-line options. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ncbench.errors import UsageError, did_you_mean
from ncbench.options import Option

Engine = Literal["own", "i-pi"]


@dataclass(frozen=True, kw_only=True)
class MdSettings:
    """How long, how finely, and from what start."""

    timestep_fs: Annotated[
        float,
        Option("Time step, fs; that of the fast forces with multiple time stepping.", flag="--timestep", metavar="FS"),
    ] = 0.5
    duration_fs: Annotated[float, Option("Length of the run, fs.", flag="--duration", metavar="FS")] = 1000.0
    temperature_K: Annotated[
        float,
        Option("Temperature of drawn momenta and of thermostats, K.", flag="--temperature", metavar="K"),
    ] = 300.0
    redraw_momenta: Annotated[bool, Option("Draw new momenta even where the structure has some.")] = False
    sample_every: Annotated[int, Option("Steps between samples of the series.", metavar="STEPS")] = 2
    max_temperature_K: float = 1.0e4
    """A structure hotter than this counts as exploded."""
    fix_com: bool = True
    """Centre of mass at rest: forces and noise are projected, 3N − 3 degrees of freedom (i-PI's default). Off for a field that is not
    invariant to translation."""

    def __post_init__(self) -> None:
        for name in ("timestep_fs", "max_temperature_K", "sample_every"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}; it must be positive and finite.")
        for name in ("temperature_K", "duration_fs"):
            require_non_negative(name, getattr(self, name))

    def with_replicas_drawn(self) -> bool:
        """Whether momenta are drawn although the structures have some."""
        return self.redraw_momenta


@dataclass(frozen=True, kw_only=True)
class ReplicaSettings(MdSettings):
    """Also: several runs of a structure, multiple time stepping, the engine, and trajectories."""

    mts: Annotated[
        int | None,
        Option("Multiple time stepping (r-RESPA): slow (reference) forces every M-th step.", metavar="M"),
    ] = None
    """Slow forces are the model's conservative ones, or the reference model's."""
    replicas: Annotated[int, Option("Runs a structure, each with momenta and noise of its own.", metavar="R")] = 1
    engine: Annotated[
        Engine,
        Option(
            "Which program integrates; i-PI takes one structure at a time and needs ncbench[i-pi].",
            metavar="own|i-pi",
        ),
    ] = "own"
    batch: Annotated[
        int | None,
        Option(
            "Structures in one model call; by default all of one size on a GPU, some 256 atoms on a CPU.", metavar="R"
        ),
    ] = None
    trajectory_every: Annotated[
        int,
        Option(
            "Steps between frames of a trajectory, rounded up to whole samples; 0 writes none.",
            metavar="STEPS",
            minimum=0,
        ),
    ] = 0
    trajectory_precision: Annotated[
        Literal["single", "double"], Option("Digits of the trajectory's numbers.", metavar="single|double")
    ] = "single"
    trajectory_format: Annotated[
        Literal["xyz", "traj"], Option("Extended XYZ (text), or ASE's .traj (binary).", metavar="xyz|traj")
    ] = "xyz"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mts", "replicas", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; the least is 1.")

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
        """Several replicas of one structure need momenta of their own."""
        return self.redraw_momenta or self.replicas > 1


def require_non_negative(name: str, value: float) -> None:
    """Refuse a negative or non-finite value.

    Raises:
        UsageError: with the name and the value.
    """
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{name} is {value}; it must be ≥ 0 and finite.")


THERMOSTATS = ("langevin", "svr", "gle")
"""Thermostats by the name they are asked for."""


def parse_thermostat(text: str) -> tuple[str, float | None]:
    """``NAME:TAU`` with τ in fs, such as ``langevin:100``, as (name, τ); ``gle`` and ``gle:FILE`` have no τ.

    Raises:
        UsageError: an unknown name, or a τ that is not a positive number.
    """
    name, _, tau = text.partition(":")
    name = name.strip().lower()
    if name not in THERMOSTATS:
        raise UsageError(
            f"There is no thermostat {name!r}; there are {', '.join(THERMOSTATS)}.",
            hint=did_you_mean(name, THERMOSTATS),
        )
    if name == "gle":
        if tau:
            from ncbench.md.gle import read_drift

            read_drift(Path(tau))
        return name, None
    try:
        tau_fs = float(tau)
    except ValueError:
        tau_fs = math.nan
    if not (math.isfinite(tau_fs) and tau_fs > 0.0):
        raise UsageError(f"The thermostat {text!r} has no τ in fs after the colon.", hint=f"Write {name}:100, say.")
    return name, tau_fs
