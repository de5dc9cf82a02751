"""A hundred thousand steps with a trajectory: ``long_run.py FOLDER KIND`` prints [MiB at a tenth, MiB at the end, frames]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ase.io import read
from known_fields import Well, WellField, cluster

from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.md.trajectory import Format, writers
from ncbench.store.checkpoint import FileCheckpoint

N_STEPS, EVERY = 100_000, 10


def resident_mib() -> float:
    """Resident memory of this process now (not the peak)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


class Scale:
    """Records the memory in use."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}

    def sample(self, state, alive):
        if state.step in {N_STEPS // 10, N_STEPS}:
            self.seen[state.step] = resident_mib()

    def saved(self, step):
        return {}

    def restore(self, saved):
        pass


def main(folder: Path, kind: Format) -> None:
    atoms = cluster("H2O", spread=0.05)
    field = WellField([atoms], Well().k, 0.0)
    particles = Particles.from_structures([atoms])
    noise = NoiseSource(0, [0], label="long")
    series = EnergySeries(particles, n_steps=N_STEPS, stride=EVERY, timestep_fs=0.5)
    # Write to all pages, since memory is only allocated when it is written.
    series.restore({name: np.zeros_like(value) for name, value in series.saved(N_STEPS).items()})
    scale = Scale()
    frames = writers(
        folder,
        ["a"],
        [atoms],
        every=EVERY,
        stride=EVERY,
        timestep_fs=0.5,
        precision="single",
        label="long",
        kind=kind,
    )
    run_md(
        field,
        particles,
        lambda: initial_state(field, particles, draw_momenta(particles, noise.initial_normals((3, 3)), 300.0)),
        Dynamics(0.5, make_thermostat("langevin:100", 300.0)),
        noise,
        RunSettings(n_steps=N_STEPS, sample_every=EVERY, checkpoint_seconds=1.0),
        observers=[series, *frames, scale],
        checkpoint=FileCheckpoint(folder / "checkpoint.bin"),
    )
    count = len(read(frames[0].paths[0], ":"))
    sys.stdout.write(json.dumps([scale.seen[N_STEPS // 10], scale.seen[N_STEPS], count]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "traj" if sys.argv[2] == "traj" else "xyz")
