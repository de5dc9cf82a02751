"""A small run in a process that kills itself at a given point: ``killable_run.py FOLDER THERMOSTAT KILL_AT``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from file_checkpoint import FileCheckpoint
from known_fields import Well, WellField, cluster

from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat

N_STEPS = 400


class Deadly(WellField):
    kill_at = -1

    def __call__(self, positions):
        if self.calls == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(positions)


def main(folder: Path, thermostat: str, kill_at: int) -> None:
    structures = [cluster("H2O", spread=0.05, seed=seed) for seed in range(3)]
    field = Deadly(structures, Well().k, 0.1)
    field.kill_at = kill_at
    particles = Particles.from_structures(structures)
    noise = NoiseSource(4, range(3), label=thermostat)
    dynamics = Dynamics(0.5, None if thermostat == "none" else make_thermostat(thermostat, 300.0))
    series = EnergySeries(particles, n_steps=N_STEPS, stride=3, timestep_fs=0.5)
    result = run_md(
        field,
        particles,
        lambda: initial_state(field, particles, draw_momenta(particles, noise.initial_normals((3, 3)), 300.0)),
        dynamics,
        noise,
        # Below any time a step takes: a checkpoint every step.
        RunSettings(n_steps=N_STEPS, sample_every=3, checkpoint_seconds=0.0),
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
