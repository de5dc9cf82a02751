"""Long runs of ``pet-m:conservative`` on small cells of water, sampled every step: the reference for error bars of short windows.

    python benchmarks/coverage/reference_runs.py FOLDER --ensemble nve --ps 20 --seed 0

Each run starts from a lattice of water molecules at liquid density, melted and equilibrated under a Langevin thermostat; arrays are written every
picosecond, so that a run that is cut off is usable: ``potential``, ``kinetic`` [S, G] by element, ``heat`` (eV), ``degrees`` [G], ``timestep_fs``.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule

from ncbench.md.ensemble import EnsembleRun, run_ensemble
from ncbench.md.integrators import Dynamics
from ncbench.md.settings import MdSettings
from ncbench.md.thermostats import make_thermostat
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest

DENSITY = 0.997
"""g/cm³, of water at 300 K and 1 bar."""
PIECE_FS = 1000.0


class _Memory:
    """A checkpoint without state, since segments are written to disk."""

    def load(self) -> None:
        return None

    def save(self, state: object) -> None:
        del state


def lattice(n_molecules: int, seed: int) -> Atoms:
    """Water molecules with random orientations on a cubic lattice at liquid density; ``n_molecules`` is a cube of a whole number."""
    edge = round(n_molecules ** (1 / 3))
    length = (n_molecules * 18.015 / (0.602214 * DENSITY)) ** (1 / 3)
    rng = np.random.default_rng(seed)
    atoms = Atoms(cell=[length] * 3, pbc=True)
    for place in itertools.product(range(edge), repeat=3):
        water = molecule("H2O")
        water.euler_rotate(*rng.uniform(0, 360, 3), center="COP")
        water.translate(np.array(place) * length / edge - water.get_center_of_mass())
        atoms += water
    return atoms


def main() -> None:
    """Equilibrate, then write pieces until the length is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ensemble", default="nve", help="nve, or a thermostat such as langevin:100")
    parser.add_argument("--ps", type=float, default=20.0)
    parser.add_argument("--equilibration-ps", type=float, default=2.0)
    parser.add_argument("--molecules", type=int, default=27)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    field = load_forcefield(ModelRequest(spec="pet-m:conservative"))
    settings = MdSettings(sample_every=1)
    atoms = lattice(options.molecules, options.seed)
    thermostat = None if options.ensemble == "nve" else make_thermostat(options.ensemble, 300.0)

    def piece(start: Atoms, dynamics: Dynamics, length_fs: float, label: str) -> EnsembleRun:
        return run_ensemble(
            field,
            [start],
            [0],
            dynamics,
            settings,
            n_steps=round(length_fs / dynamics.timestep_fs),
            seed=options.seed,
            label=label,
            checkpoint=_Memory(),
            report=lambda step, note: None,
        )

    def moved(start: Atoms, run: EnsembleRun) -> Atoms:
        after = start.copy()
        after.set_positions(run.result.state.positions[0].numpy())
        after.set_momenta(run.result.state.momenta[0].numpy())
        return after

    # A lattice of random orientations is hot: strong friction first.
    for tau, length in ((5.0, 500.0), (50.0, 1000.0 * options.equilibration_ps)):
        atoms = moved(
            atoms, piece(atoms, Dynamics(0.5, make_thermostat(f"langevin:{tau:g}", 300.0)), length, f"eq{tau}")
        )
    parts: dict[str, list[np.ndarray]] = {"potential": [], "kinetic": [], "heat": []}
    name = f"{options.ensemble.replace(':', '')}-{options.molecules}-{options.seed}.npz"
    heat = 0.0
    for number in range(round(1000.0 * options.ps / PIECE_FS)):
        run = piece(atoms, Dynamics(0.5, thermostat), PIECE_FS, f"piece{number}")
        series = run.series
        # The first sample of a piece is the last of the one before.
        first = 1 if number else 0
        parts["potential"].append(series.potential[first:, 0])
        parts["kinetic"].append(series.species_kinetic[first:, 0])
        parts["heat"].append(heat + series.heat[first:, 0])
        heat += float(series.heat[-1, 0])
        np.savez(
            options.folder / name,
            **{key: np.concatenate(value) for key, value in parts.items()},
            degrees=series.particles.species_degrees_of_freedom()[0].numpy(),
            species=np.array(series.particles.species),
            timestep_fs=0.5,
            n_atoms=len(atoms),
        )
        temperature = float(series.temperature[:, 0].mean())
        print(f"{name}: {number + 1} ps, {temperature:.0f} K", flush=True)
        atoms = moved(atoms, run)


if __name__ == "__main__":
    main()
