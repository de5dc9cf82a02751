"""Runs with a variable cell: i-PI's isotropic barostat after Bussi, Zykova-Timan & Parrinello (J. Chem. Phys. 130, 074101, 2009)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncbench.md.ipi_simulation import Driver, Input, IpiSimulation
from ncbench.types import Checkpoint
from ncbench.units import KB

FloatArray = NDArray[np.float64]
CHECKPOINT_SECONDS = 10.0
_PROGRESS_SECONDS = 0.5
_SERIES = ("volume_A3", "kinetic_eV", "energy_eV", "conserved_eV")


@dataclass
class BoxSeries:
    """Samples of a run at every ``stride``-th step, including step 0."""

    stride: int
    timestep_fs: float
    volume_A3: list[float] = field(default_factory=list)
    kinetic_eV: list[float] = field(default_factory=list)
    energy_eV: list[float] = field(default_factory=list)
    conserved_eV: list[float] = field(default_factory=list)
    """i-PI's: energy + kinetic energy + PV + energy of barostat and thermostats."""

    @property
    def times_fs(self) -> FloatArray:
        """[S]"""
        return np.arange(len(self.volume_A3), dtype=np.float64) * np.float64(self.stride * self.timestep_fs)

    @property
    def length_A(self) -> FloatArray:
        """[S]: cube root of the volume."""
        return np.asarray(np.cbrt(np.array(self.volume_A3, dtype=np.float64)))


@dataclass(frozen=True, kw_only=True)
class BoxRun:
    """Result of a run."""

    series: BoxSeries
    steps: int
    """Made."""
    exploded_step: int | None = None
    unusable: bool = False
    """The forces or the energy at the initial structure were not finite, which is a failure of the model or structure and no explosion."""


class BoxInterrupted(KeyboardInterrupt):
    """Ctrl-C; ``result`` is the state of the run, and its checkpoint has been written, unless no step was completed."""

    def __init__(self, result: BoxRun) -> None:
        super().__init__()
        self.result = result


def run_box(
    simulation_input: Input,
    drivers: dict[str, Driver],
    *,
    n_steps: int,
    sample_every: int,
    max_temperature_K: float,
    max_stretch: float,
    checkpoint: Checkpoint,
    report: Callable[[int, str], None],
) -> BoxRun:
    """Run, or resume from the checkpoint.

    Args:
        simulation_input: the input of i-PI.
        drivers: compute the forces.
        n_steps: outermost steps.
        sample_every: outermost steps between samples.
        max_temperature_K: temperature above which a structure counts as exploded.
        max_stretch: factor by which the cell may grow or shrink in length before the structure counts as exploded.
        checkpoint: of this run.
        report: called about twice a second with the step and a short note.

    Raises:
        BoxInterrupted: on KeyboardInterrupt.
        UnsupportedError: i-PI is not installed.
    """
    run = _Run(simulation_input, IpiSimulation(simulation_input, drivers), sample_every, checkpoint)
    start_length = float(np.cbrt(simulation_input.atoms.get_volume()))
    last_save = last_report = time.monotonic()
    try:
        # The first force call may take as long as many steps (compilation, tuning).
        run.begin()
        while run.step < n_steps and run.exploded is None and not run.unusable:
            run.advance()
            length = float(np.cbrt(abs(np.linalg.det(run.simulation.cell))))
            heat = run.temperature
            if not (heat <= max_temperature_K and start_length / max_stretch <= length <= start_length * max_stretch):
                run.exploded = run.step
            now = time.monotonic()
            if now - last_report > _PROGRESS_SECONDS:
                report(run.step, f"T = {heat:.0f} K, {length:.2f} Å")
                last_report = now
            if now - last_save > CHECKPOINT_SECONDS:
                run.save()
                last_save = time.monotonic()
    except KeyboardInterrupt:
        run.save()
        raise BoxInterrupted(run.result()) from None
    run.save()
    report(n_steps, "")
    return run.result()


class _Run:
    def __init__(self, simulation_input: Input, simulation: IpiSimulation, stride: int, checkpoint: Checkpoint) -> None:
        self.input, self.simulation, self.checkpoint = simulation_input, simulation, checkpoint
        self.series = BoxSeries(stride, simulation_input.timestep_fs)
        self.masses = simulation_input.atoms.get_masses()[:, None]
        self.degrees = 3 * len(simulation_input.atoms) - (3 if simulation_input.fix_com else 0)
        self.step = 0
        self.exploded: int | None = None
        self.unusable = False
        self.kept: dict[str, Any] = {}
        """State of the last complete step; empty before the first."""
        self.length = 0

    def begin(self) -> None:
        saved = self.checkpoint.load()
        if saved is None:
            forces = self.simulation.forces
            self.unusable = not (np.isfinite(forces).all() and np.isfinite(self.simulation.energy))
            self._sample()
            self._keep()
            return
        self.step = int(saved["step"])
        self.exploded = None if int(saved["exploded"]) < 0 else int(saved["exploded"])
        self.unusable = bool(saved.get("unusable", 0))  # earlier versions did not save it
        for name in _SERIES:
            setattr(self.series, name, [float(value) for value in saved[name]])
        # Before i-PI's own state, so that an interrupt in between keeps the earlier saved state.
        of_ipi = {name: value for name, value in saved.items() if name.startswith("ipi.")}
        self.kept, self.length = {**of_ipi, "step": self.step}, len(self.series.volume_A3)
        self.simulation.restore({name.removeprefix("ipi."): value for name, value in of_ipi.items()})

    def advance(self) -> None:
        self.simulation.step()
        self.step += 1
        if self.step % self.series.stride == 0:
            self._sample()
        self._keep()

    @property
    def kinetic(self) -> float:
        return float(0.5 * np.sum(self.simulation.momenta**2 / self.masses))

    @property
    def temperature(self) -> float:
        value = 2.0 * self.kinetic / (self.degrees * KB)
        return value if math.isfinite(value) else math.inf

    def _sample(self) -> None:
        self.series.volume_A3.append(abs(float(np.linalg.det(self.simulation.cell))))
        self.series.kinetic_eV.append(self.kinetic)
        self.series.energy_eV.append(self.simulation.energy)
        self.series.conserved_eV.append(self.simulation.conserved)

    def _keep(self) -> None:
        """The last complete step: a partial step must not be saved."""
        self.kept = {f"ipi.{name}": value for name, value in self.simulation.saved().items()} | {"step": self.step}
        self.length = len(self.series.volume_A3)

    def save(self) -> None:
        if not self.kept:
            return
        series = {name: np.array(getattr(self.series, name)[: self.length]) for name in _SERIES}
        self.checkpoint.save(
            {
                **self.kept,
                **series,
                "exploded": -1 if self.exploded is None else self.exploded,
                "unusable": int(self.unusable),
            }
        )

    def result(self) -> BoxRun:
        for name in _SERIES:
            setattr(self.series, name, getattr(self.series, name)[: self.length])
        return BoxRun(
            series=self.series, steps=int(self.kept.get("step", 0)), exploded_step=self.exploded, unusable=self.unusable
        )
