"""Make the `amorphous-carbon` system: a melt quenched with a classical potential, then brought to 300 K with SevenNet-0.

    python benchmarks/structures/make_amorphous_carbon.py --out ncbench/structures/data/amorphous-carbon.xyz

128 atoms start on a body-centred lattice at 3.0 g/cm³, far from any carbon that exists, and melt at once. They stay 5 ps at
8000 K, are cooled to 300 K in 40 ps, both under Tersoff's potential, which costs milliseconds, and are then run at 300 K with
the model, whose bonds are not quite Tersoff's: 0.1 ps with a strong thermostat that takes up the heat of the change, 0.3 ps with
a weak one. The last frame is kept with its momenta.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.io import write

from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import Langevin
from ncbench.models.interface import Field, ForceField, ModelCard
from ncbench.models.loading import load_forcefield
from ncbench.models.torch_field import TorchField, TorchForceField
from ncbench.models.verlet import VerletList
from ncbench.types import ForceMode, ModelRequest

DENSITY_G_CM3 = 3.0
MELT_K, ROOM_K = 8000.0, 300.0
MELT_PS, COOL_PS = 5.0, 40.0
STAGES = 78
"""Steps of temperature on the way down, 100 K each at the end: 8000, 7900, … 300 K."""

A, B = 1393.6, 346.74
"""eV. These and the following: carbon, Tersoff, Phys. Rev. Lett. 61, 2879 (1988)."""
LAMBDA, MU = 3.4879, 2.2119
"""1/Å, of the repulsion and of the attraction."""
BETA, N, C, D, H = 1.5724e-7, 0.72751, 38049.0, 4.3484, -0.57058
INNER, OUTER = 1.8, 2.1
"""The bond fades between these distances, Å."""


class Tersoff(TorchForceField):
    """Tersoff's carbon."""

    def __init__(self) -> None:
        self.card = ModelCard(
            name="tersoff-carbon",
            family="analytic",
            force_mode=ForceMode.CONSERVATIVE,
            force_modes=(ForceMode.CONSERVATIVE,),
            elements=frozenset({6}),
            cutoff_A=OUTER,
            receptive_A=2 * OUTER,
            dtype="float64",
            device="cpu",
        )

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        return _TersoffField(structures, self.card)


class _TersoffField(TorchField):
    """V = ½ Σ f_c(r) (A e^{−λr} − b_ij B e^{−μr}), b_ij = (1 + βⁿ ζ_ijⁿ)^{−1/2n}, ζ_ij = Σ_k f_c(r_ik) g(θ_ijk)."""

    def __init__(self, structures: Sequence[Atoms], card: ModelCard) -> None:
        super().__init__(structures, card)
        self.pairs = VerletList(self.structures, OUTER, self.device)

    def compute(self, positions: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        pairs = self.pairs(positions, cells)
        total = self.n_replicas * self.n_atoms
        counts = torch.bincount(pairs.first, minlength=total)
        most = max(1, int(counts.max()))
        # Pairs are ordered by their first atom: the place of each among its own.
        place = torch.arange(len(pairs.first)) - (counts.cumsum(0) - counts)[pairs.first]
        # Missing neighbours are placed beyond the cutoff, where they have no bonds.
        vectors = positions.new_tensor([OUTER + 1.0, 0.0, 0.0]).repeat(total, most, 1)
        vectors = vectors.index_put((pairs.first, place), pairs.vectors)
        r = vectors.norm(dim=-1)
        fade = torch.where(r < INNER, 1.0, 0.5 + 0.5 * torch.cos(torch.pi * (r - INNER) / (OUTER - INNER)))
        fade = torch.where(r < OUTER, fade, 0.0)
        units_ = vectors / r[..., None]
        cosines = torch.einsum("ija,ika->ijk", units_, units_)
        angular = 1.0 + (C / D) ** 2 - C**2 / (D**2 + (H - cosines) ** 2)
        others = 1.0 - torch.eye(most, dtype=torch.float64)
        zeta = (fade[:, None, :] * angular * others).sum(dim=2)
        # The derivative of ζⁿ at zero is infinite: an atom with one bond has b = 1.
        order = (1.0 + (BETA * zeta.clamp(min=1e-12)) ** N) ** (-0.5 / N)
        energies = 0.5 * fade * (A * torch.exp(-LAMBDA * r) - order * B * torch.exp(-MU * r))
        return energies.sum(dim=1).reshape(self.n_replicas, self.n_atoms).sum(dim=1), None


def start() -> Atoms:
    """128 atoms on a body-centred cubic lattice at the density."""
    volume = 12.011 / (DENSITY_G_CM3 * 1e-24 * units.mol)
    lattice: Atoms = bulk("C", "bcc", a=float((2 * volume) ** (1 / 3)), cubic=True).repeat(4)
    return lattice


def run(
    forcefield: ForceField, atoms: Atoms, steps: int, *, T: float, timestep_fs: float, tau_fs: float, seed: int
) -> Atoms:
    """Langevin dynamics, momenta drawn where the structure has none; returns positions and momenta."""
    field = forcefield.bind([atoms])
    particles = Particles.from_structures([atoms])
    noise = NoiseSource(seed, [0], label="amorphous-carbon", device=field.device)
    given = torch.as_tensor(atoms.get_momenta())[None]
    if not bool(given.any()):
        given = draw_momenta(particles, noise.initial_normals((len(atoms), 3)), T)
    result = run_md(
        field,
        particles,
        lambda: initial_state(field, particles, given),
        Dynamics(timestep_fs, Langevin(T, tau_fs)),
        noise,
        RunSettings(n_steps=steps, sample_every=steps, max_temperature_K=1e5),
        observers=[],
    )
    assert result.alive.all(), "the run exploded"
    final: Atoms = atoms.copy()
    final.set_positions(result.state.positions[0].numpy())
    final.set_momenta(result.state.momenta[0].numpy())
    return final


def neighbours(atoms: Atoms) -> dict[int, float]:
    """Share of atoms by number of neighbours within 1.85 Å, the first minimum of g(r)."""
    from ase.neighborlist import neighbor_list

    counts = np.bincount(neighbor_list("i", atoms, 1.85), minlength=len(atoms))
    return {int(k): round(float(np.mean(counts == k)), 3) for k in np.unique(counts)}


def quenched(scale: float, seed: int) -> Atoms:
    """Melt and quench under Tersoff's potential; ``scale`` shortens both."""
    tersoff, atoms = Tersoff(), start()
    per_fs = 2  # steps of 0.5 fs
    atoms = run(
        tersoff, atoms, round(scale * 1000 * MELT_PS * per_fs), T=MELT_K, timestep_fs=0.5, tau_fs=100.0, seed=seed
    )
    print(f"melt: neighbours {neighbours(atoms)}", flush=True)
    for stage, T in enumerate(np.linspace(MELT_K, ROOM_K, STAGES)):
        steps = max(1, round(scale * 1000 * COOL_PS * per_fs / STAGES))
        atoms = run(tersoff, atoms, steps, T=float(T), timestep_fs=0.5, tau_fs=100.0, seed=seed + 1 + stage)
    print(f"glass: neighbours {neighbours(atoms)}", flush=True)
    return atoms


def main() -> None:
    """Read the options and write the structure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="sevennet-0")
    parser.add_argument("--scale", type=float, default=1.0, help="shortens every stage, to try the script")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    atoms = quenched(options.scale, options.seed)
    forcefield = load_forcefield(ModelRequest(spec=options.model))
    for number, (length, tau_fs) in enumerate(((100, 10.0), (300, 100.0))):
        steps = max(1, round(options.scale * length))
        atoms = run(
            forcefield, atoms, steps, T=ROOM_K, timestep_fs=1.0, tau_fs=tau_fs, seed=options.seed + 1000 + number
        )
        T = 2 * atoms.get_kinetic_energy() / (3 * (len(atoms) - 1) * units.kB)
        print(f"{forcefield.card.name}: {steps} fs, {T:.0f} K, neighbours {neighbours(atoms)}", flush=True)
    momenta = atoms.get_momenta()
    atoms.wrap()
    atoms.set_momenta(momenta)
    atoms.info = {"model": forcefield.card.checkpoint_sha256[:16] or forcefield.card.name}
    write(options.out, atoms, format="extxyz", columns=["symbols", "positions", "momenta"])
    print(f"written to {options.out}", flush=True)


if __name__ == "__main__":
    main()
