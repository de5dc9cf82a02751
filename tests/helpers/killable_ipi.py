"""A small run by i-PI in a process that kills itself at a given point: ``killable_ipi.py FOLDER KIND KILL_AT``.

KIND is a thermostat, ``mts`` (with a Langevin thermostat) or ``npt``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from file_checkpoint import FileCheckpoint
from known_fields import Well, WellField, cluster

from ncbench.md import ipi_box
from ncbench.md.ensemble import Scheme
from ncbench.md.integrators import Dynamics
from ncbench.md.ipi_engine import ipi_dynamics
from ncbench.md.ipi_simulation import Input, thermostat_xml
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.units import GPA

STEPS = 150


def die_at(calls: int, kill_at: int) -> None:
    if calls == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


class Deadly(WellField):
    kill_at = -1

    def __call__(self, positions):
        die_at(self.calls, self.kill_at)
        return super().__call__(positions)


def at_constant_volume(folder: Path, kind: str, kill_at: int) -> None:
    atoms = cluster("H2OH2O", spread=0.05)
    field = Deadly([atoms], 5.0, 0.1)
    field.kill_at = kill_at
    particles = Particles.from_structures([atoms])
    noise = NoiseSource(4, [0], label=kind)
    scheme = Scheme(fast=Well(4.0, 0.3), stride=3) if kind == "mts" else Scheme()
    thermostat = make_thermostat("langevin:30" if kind == "mts" else kind, 300.0)
    dynamics = ipi_dynamics(
        Dynamics(0.5 * scheme.stride, thermostat),
        scheme,
        [atoms],
        seed=4,
        replicas=[0],
        label=kind,
        temperature_K=300.0,
    )
    series = EnergySeries(particles, n_steps=STEPS, stride=3, timestep_fs=0.5 * scheme.stride)
    result = run_md(
        field,
        particles,
        lambda: initial_state(field, particles, draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)),
        dynamics,
        noise,
        # Below any time a step takes: a checkpoint every step.
        RunSettings(n_steps=STEPS, sample_every=3, checkpoint_seconds=0.0),
        observers=[series],
        checkpoint=FileCheckpoint(folder / "checkpoint"),
    )
    np.savez(
        folder / "end.npz",
        calls=field.calls,
        positions=result.state.positions.numpy(),
        momenta=result.state.momenta.numpy(),
        potential=series.potential,
        kinetic=series.species_kinetic,
        heat=series.heat,
    )


def at_constant_pressure(folder: Path, kill_at: int) -> None:
    ipi_box.CHECKPOINT_SECONDS = 0.0
    fractions = np.stack(np.meshgrid(*3 * [[0.25, 0.75]]), axis=-1).reshape(-1, 3)
    atoms = Atoms("Ar8", positions=10.0 * fractions, cell=3 * [10.0], pbc=True)
    calls = 0

    def driver(cell, positions):
        nonlocal calls
        die_at(calls, kill_at)
        calls += 1
        u, swollen = positions - fractions @ cell, np.linalg.det(cell) - 1000.0
        bulk = 2.0 * GPA
        energy = 0.5 * np.sum(u * u) + 0.5 * bulk * swollen**2 / 1000.0
        return energy, -u, -u.T @ u - bulk * swollen * (1.0 + swollen / 1000.0) * np.eye(3)

    reported = Input(
        atoms=atoms,
        momenta=draw_momenta(Particles.from_structures([atoms]), NoiseSource(4, [0]).initial_normals((8, 3)), 300.0)[
            0
        ].numpy(),
        mode="npt",
        temperature_K=300.0,
        timestep_fs=1.0,
        seed=9,
        thermostat=thermostat_xml("langevin", tau_fs=50.0),
        pressure_eV_per_A3=0.1 * GPA,
        barostat_tau_fs=50.0,
    )
    result = ipi_box.run_box(
        reported,
        {"field": driver},
        n_steps=STEPS,
        sample_every=3,
        max_temperature_K=1e4,
        max_stretch=2.0,
        checkpoint=FileCheckpoint(folder / "checkpoint"),
        report=lambda step, note: None,
    )
    series = {name: np.array(getattr(result.series, name)) for name in ipi_box._SERIES}  # all there is
    np.savez(folder / "end.npz", calls=calls, **series)


if __name__ == "__main__":
    if sys.argv[2] == "npt":
        at_constant_pressure(Path(sys.argv[1]), int(sys.argv[3]))
    else:
        at_constant_volume(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
