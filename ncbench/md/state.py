"""The state of molecular dynamics, and the constant properties of its particles.

Internal units: Å, eV, u, hence time in Å·√(u/eV) and momenta in √(u·eV), as in ASE. Shapes: R replicas of N atoms each.
All tensors are float64 on the device of the field.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import chi2

from ncbench.errors import StructureWarning, UnsupportedError
from ncbench.models.interface import Field
from ncbench.structures.content import constraints_in_effect
from ncbench.units import KB

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MDState:
    """State of R trajectories at one step. It is immutable: a step returns a new one."""

    positions: torch.Tensor
    """[R, N, 3], Å, unwrapped."""
    momenta: torch.Tensor
    """[R, N, 3], √(u·eV)."""
    forces: torch.Tensor
    """[R, N, 3], eV/Å, without the net force if the centre of mass is fixed."""
    energy: torch.Tensor
    """[R], eV; NaN for a model without an energy."""
    heat: torch.Tensor
    """[R], eV: kinetic energy added by the thermostat, so that energy + kinetic energy − heat is conserved."""
    step: int = 0
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Further variables of an integrator or thermostat, [R, …] each."""


@dataclass(frozen=True)
class Particles:
    """Quantities that are constant along R trajectories."""

    masses: torch.Tensor
    """[R, N, 3], u, each mass repeated three times: elementwise products without broadcasting are several times faster."""
    inverse_masses: torch.Tensor
    """[R, N, 3], 1/u; zero in a replica that has ended, which freezes it and sets its kinetic energy to zero."""
    sqrt_masses: torch.Tensor
    """[R, N, 3]"""
    mass_shares: torch.Tensor
    """[R, N, 3], each mass over the replica's total."""
    species: tuple[str, ...]
    """Chemical symbols, in the order of the group axis S."""
    membership: torch.Tensor
    """[R, S, N], 1 where the atom is of the species."""
    fix_com: bool
    """The centre of mass stays at rest: momenta, noise and forces are projected (as i-PI's ``fixcom``)."""

    @classmethod
    def from_structures(
        cls, structures: Sequence[Atoms], *, fix_com: bool = True, device: torch.device | str = "cpu"
    ) -> Particles:
        """Particles of R structures of equal size.

        Raises:
            UnsupportedError: a structure has constraints, which the integrators do not support, or is a single atom, which has no degrees
                of freedom with a fixed centre of mass.
        """
        kinds = {type(one).__name__: None for atoms in structures for one in constraints_in_effect(atoms)}
        if kinds:
            raise UnsupportedError(
                f"The structure has constraints ({', '.join(kinds)}), which the integrators do not support.",
                hint="Remove them from the structure.",
            )
        if fix_com and len(structures[0]) == 1:
            raise UnsupportedError(
                "A single atom cannot move if the centre of mass is fixed.", hint="Use at least two atoms."
            )
        masses = np.repeat(np.stack([atoms.get_masses() for atoms in structures])[:, :, None], 3, axis=2)
        symbols = np.array([atoms.get_chemical_symbols() for atoms in structures])
        species = tuple(sorted(set(symbols.ravel().tolist())))
        membership = np.stack([symbols == name for name in species], axis=1).astype(np.float64)

        def tensor(array: FloatArray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float64, device=device)

        return cls(
            masses=tensor(masses),
            inverse_masses=tensor(1.0 / masses),
            sqrt_masses=tensor(np.sqrt(masses)),
            mass_shares=tensor(masses / masses.sum(axis=1, keepdims=True)),
            species=species,
            membership=tensor(membership),
            fix_com=fix_com,
        )

    @property
    def n_replicas(self) -> int:
        """R."""
        return int(self.masses.shape[0])

    @property
    def n_atoms(self) -> int:
        """N."""
        return int(self.masses.shape[1])

    @property
    def degrees_of_freedom(self) -> int:
        """3N, or 3N − 3 with the centre of mass fixed."""
        return 3 * self.n_atoms - (3 if self.fix_com else 0)

    def species_degrees_of_freedom(self) -> torch.Tensor:
        """[R, S]: 3N_s, minus the species' share by mass of three if the centre of mass is fixed.

        With the centre of mass at rest the momenta have the covariance m_i kT (δ_ij − m_j/M), so that
        ⟨2K_s⟩ = kT (3N_s − 3M_s/M). For liquid water the oxygens hold 89 % of the mass: 3N_s would give a temperature 4 K too low for 64 molecules.
        """
        counts = 3.0 * self.membership.sum(dim=2)
        if not self.fix_com:
            return counts
        return counts - 3.0 * torch.bmm(self.membership, self.mass_shares[:, :, :1])[:, :, 0]

    def without(self, ended: torch.Tensor) -> Particles:
        """The same with the replicas of the mask ``ended`` [R] frozen."""
        return replace(self, inverse_masses=torch.where(ended[:, None, None], 0.0, self.inverse_masses))

    def at_rest(self, vectors: torch.Tensor) -> torch.Tensor:
        """Momenta or forces [R, N, 3] without the motion of the centre of mass, if that is fixed."""
        if not self.fix_com:
            return vectors
        # Summed over atoms first, [R, 3] remain: the order of additions then depends neither on R nor on threads.
        return torch.addcmul(vectors, self.mass_shares, vectors.sum(dim=1, keepdim=True), value=-1.0)


def kinetic_energy(momenta: torch.Tensor, particles: Particles) -> torch.Tensor:
    """K = Σ p²/2m of each replica, [R], eV."""
    return 0.5 * (momenta * momenta * particles.inverse_masses).sum(dim=1).sum(dim=1)


def species_kinetic_energy(momenta: torch.Tensor, particles: Particles) -> torch.Tensor:
    """K of each species, [R, S], eV."""
    per_atom = (momenta * momenta * particles.inverse_masses).sum(dim=2, keepdim=True)
    return 0.5 * torch.bmm(particles.membership, per_atom)[:, :, 0]


def temperature(kinetic: torch.Tensor, degrees_of_freedom: torch.Tensor | int) -> torch.Tensor:
    """T = 2K / (n_dof k_B), K.

    The paper's 2K/(3N k_B) if the centre of mass is free. With a fixed centre of mass its three degrees have no energy, and 3N − 3
    makes the average equal to the bath's temperature (i-PI adds k_B T/2 for each of the three instead: the same average).
    """
    return 2.0 * kinetic / (degrees_of_freedom * KB)


def draw_momenta(particles: Particles, normals: torch.Tensor, temperature_K: float) -> torch.Tensor:
    """Maxwell-Boltzmann momenta [R, N, 3] from standard normals of that shape.

    Not rescaled to the exact temperature: a rescaled draw is not a sample of the canonical ensemble.
    """
    return particles.at_rest((KB * temperature_K) ** 0.5 * particles.sqrt_masses * normals)


def momenta_of(
    structures: Sequence[Atoms], particles: Particles, temperature_K: float | None = None
) -> torch.Tensor | None:
    """Momenta of the structures, [R, N, 3]; ``None`` unless all of them have momenta.

    A warning is issued if their temperature is not compatible with ``temperature_K``, which is then not used.
    """
    momenta = np.stack([atoms.get_momenta() for atoms in structures])
    if not momenta.any(axis=(1, 2)).all():
        return None
    brought = particles.at_rest(torch.as_tensor(momenta, dtype=torch.float64, device=particles.masses.device))
    if temperature_K is not None:
        _name_other_temperature(kinetic_energy(brought, particles).tolist(), particles, temperature_K)
    return brought


_TAIL = 1e-2
"""Probability of the kinetic energy in the canonical ensemble below which a structure's momenta count as those of another temperature."""


def _name_other_temperature(kinetic: Sequence[float], particles: Particles, temperature_K: float) -> None:
    degrees = particles.degrees_of_freedom
    for energy in kinetic:
        if temperature_K == 0.0 and 2.0 * energy < 0.5 * KB * degrees:
            # At rest but for the rounding of the centre of mass's motion, which was removed.
            continue
        # 2K/kT of a canonical draw is chi-squared.
        score = 2.0 * energy / (KB * temperature_K) if temperature_K > 0 else np.inf
        if min(chi2.cdf(score, degrees), chi2.sf(score, degrees)) < _TAIL:
            warnings.warn(
                f"The structure has momenta of {2.0 * energy / (degrees * KB):.0f} K, which are used, not "
                f"{temperature_K:g} K. --redraw-momenta draws new ones.",
                StructureWarning,
                stacklevel=3,
            )
            return


def bring_momenta(atoms: Atoms) -> bool:
    """Whether a structure has momenta that are not all zero."""
    return bool(atoms.get_momenta().any())


def initial_state(field: Field, particles: Particles, momenta: torch.Tensor) -> MDState:
    """State at the bound structures' positions."""
    positions = field.initial_positions()
    output = field(positions)
    return MDState(
        positions=positions,
        momenta=momenta,
        forces=particles.at_rest(output.forces),
        energy=output.energy,
        heat=torch.zeros_like(output.energy),
    )
