"""Make the `water64` system: independent snapshots of 64 H2O at 300 K under the bundled conservative model.

    python benchmarks/structures/make_water64.py --out ncbench/structures/data/water64.xyz

The shipped file took 8 ps of its 10 ps of equilibration from a checkpoint of the model 15 epochs before the last.

A packed box is quenched and then equilibrated by Langevin dynamics in which mass is moved from oxygen to hydrogen (10 and
4 u), so that 2 fs is a fine time step. Masses do not enter the distribution of positions, so the snapshots are those of the
real water; before each is taken it runs with its real masses at 0.5 fs for a while, which gives it momenta too and removes
what little the large step distorts the O-H bonds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read, write
from ase.optimize import FIRE

from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

TEMPERATURE_K = 300.0
HEAVY = {"O": 10.0, "H": 4.0}


def main() -> None:
    """Read the options and write the snapshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="pet-m:conservative")
    parser.add_argument("--start", type=Path, help="go on from the last frame of this file instead of a packed box")
    parser.add_argument("--equilibrate-ps", type=float, default=10.0)
    parser.add_argument("--spacing-ps", type=float, default=2.5)
    parser.add_argument("--snapshots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    forcefield = load_forcefield(ModelRequest(spec=options.model))
    atoms = read(options.start, "-1") if options.start else _quench(forcefield, water_box(64, seed=options.seed))
    atoms = _run(forcefield, atoms, options.equilibrate_ps, heavy=True, seed=options.seed)
    frames = []
    for number in range(options.snapshots):
        if number:
            atoms = _run(forcefield, atoms, options.spacing_ps, heavy=True, seed=options.seed + 10 * number)
        frame = _run(forcefield, atoms, 0.25, heavy=False, seed=options.seed + 10 * number + 1)
        frame.info = {"snapshot": number, "model": forcefield.card.checkpoint_sha256[:16] or forcefield.card.name}
        frames.append(frame)
        write(options.out, frames, format="extxyz", columns=["symbols", "positions", "momenta"])
        print(f"snapshot {number} written to {options.out}", flush=True)


def _quench(forcefield: ForceField, atoms: Atoms) -> Atoms:
    atoms.calc = forcefield.ase_calculator()
    FIRE(atoms, logfile=None).run(fmax=0.5, steps=200)
    print(f"quenched: largest force {np.linalg.norm(atoms.get_forces(), axis=1).max():.2f} eV/Å", flush=True)
    return Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)


def _run(forcefield: ForceField, atoms: Atoms, duration_ps: float, *, heavy: bool, seed: int) -> Atoms:
    """Langevin dynamics; returns positions wrapped molecule by molecule and, with real masses, momenta."""
    work = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    timestep, tau = (2.0, 200.0) if heavy else (0.5, 100.0)
    if heavy:
        work.set_masses([HEAVY[symbol] for symbol in work.symbols])
    field = forcefield.bind([work])
    particles = Particles.from_structures([work])
    noise = NoiseSource(seed, [0], label="water64", device=field.device)
    steps = round(1000 * duration_ps / timestep)
    series = EnergySeries(particles, n_steps=steps, stride=min(50, steps), timestep_fs=timestep)

    def start() -> object:
        return initial_state(
            field, particles, draw_momenta(particles, noise.initial_normals((len(work), 3)), TEMPERATURE_K)
        )

    def report(step: int, note: str) -> None:
        if step % 500 < 3:
            print(f"  {step}/{steps} {note}", flush=True)

    result = run_md(
        field,
        particles,
        start,
        Dynamics(timestep, Langevin(TEMPERATURE_K, tau)),
        noise,
        RunSettings(n_steps=steps, sample_every=min(50, steps)),
        observers=[series],
        report=report,
    )
    assert result.alive.all(), "the run exploded"
    final = Atoms(atoms.symbols, positions=result.state.positions[0].numpy(), cell=atoms.cell, pbc=True)
    if not heavy:
        final.set_momenta(result.state.momenta[0].numpy())
    length = final.cell[0, 0]
    # O, H, H follow one another: a molecule is moved back as a whole, so that it is not torn by the boundary.
    final.positions -= np.repeat(np.floor(final.positions[::3] / length) * length, 3, axis=0)
    return final


if __name__ == "__main__":
    main()
