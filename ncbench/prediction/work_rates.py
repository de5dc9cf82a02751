"""The work rate of non-conservative forces, w = v·(f_direct − f_conservative), along runs and along frames of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md, steps_of
from ncbench.md.series import require_memory_of_samples
from ncbench.md.state import (
    MDState,
    Particles,
    draw_momenta,
    initial_state,
    kinetic_energy,
    momenta_of,
    species_kinetic_energy,
    temperature,
)
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import Field, FieldOutput, ForceField
from ncbench.prediction.schemas import EQUILIBRATION_FS
from ncbench.units import FS

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WorkSeries:
    """Samples along one run of one structure, evenly spaced in time."""

    rates: FloatArray
    """[S]: w of the whole structure, eV/fs."""
    spacing_fs: float
    """Time between samples, fs."""
    temperatures_K: dict[str, FloatArray]
    """``all`` and each element → kinetic temperatures [S], K."""
    end: Atoms
    """The structure at the last sample, with momenta."""

    @property
    def duration_fs(self) -> float:
        """From the first sample to the last, fs."""
        return (len(self.rates) - 1) * self.spacing_fs

    @property
    def mean_temperature_K(self) -> float:
        """Mean over samples, of all atoms, K."""
        return float(self.temperatures_K["all"].mean())

    def after(self, time_fs: float) -> WorkSeries:
        """The samples from a time on, fs, such as the end of an equilibration."""
        first = round(time_fs / self.spacing_fs)
        kept = {name: values[first:] for name, values in self.temperatures_K.items()}
        return WorkSeries(self.rates[first:], self.spacing_fs, kept, self.end)


class BlendedForces(Field):
    """f = (1 − s) f_conservative + s f_direct with the conservative energy; the last difference f_direct − f_conservative is kept.

    With s = 0 the dynamics are conservative.
    """

    def __init__(self, conservative: Field, direct: Field | None, direct_share: float = 0.0) -> None:
        super().__init__(conservative.structures, conservative.device)
        self.conservative, self.direct, self.direct_share = conservative, direct, direct_share
        self.difference = torch.zeros((self.n_replicas, self.n_atoms, 3), dtype=torch.float64, device=self.device)

    def __call__(self, positions: torch.Tensor) -> FieldOutput:
        """See :class:`ncbench.models.interface.Field`."""
        both = self.conservative.with_direct_forces(positions) if self.direct is None else None
        if both is not None:
            output, direct = both
        elif self.direct is not None:
            output, direct = self.conservative(positions), self.direct(positions).forces
        else:
            raise UnsupportedError("The model does not give both kinds of forces in one call.")
        self.difference = direct - output.forces
        if self.direct_share == 0.0:
            return output
        return FieldOutput(output.energy, output.forces + self.direct_share * self.difference)


def blended_forces(
    conservative: ForceField, direct: ForceField, atoms: Atoms, direct_share: float = 0.0
) -> BlendedForces:
    """Bind one structure to both kinds of forces, in one call where they are heads of the same weights.

    Args:
        conservative: a conservative model.
        direct: the other one.
        atoms: N atoms.
        direct_share: s.
    """
    field = conservative.bind([atoms])
    same = conservative.card.checkpoint_sha256 == direct.card.checkpoint_sha256 != ""
    one_call = same and field.with_direct_forces(field.initial_positions()) is not None
    return BlendedForces(field, None if one_call else direct.bind([atoms]), direct_share)


class _Samples:
    """w and kinetic temperatures at every sample."""

    def __init__(self, field: BlendedForces, particles: Particles) -> None:
        self.field, self.particles = field, particles
        self.rates: list[float] = []
        self.temperatures: dict[str, list[float]] = {name: [] for name in ("all", *particles.species)}

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None:
        particles = self.particles
        velocities = state.momenta * particles.inverse_masses
        self.rates.append(float((velocities * self.field.difference).sum()) * FS)
        everything = temperature(kinetic_energy(state.momenta, particles), particles.degrees_of_freedom)
        by_species = temperature(
            species_kinetic_energy(state.momenta, particles), particles.species_degrees_of_freedom()
        )
        values = [float(everything[0]), *by_species[0].tolist()]
        for series, value in zip(self.temperatures.values(), values, strict=True):
            series.append(value)

    def saved(self, step: int) -> dict[str, Any]:
        return {}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """These runs are not resumed."""

    def series(self, spacing_fs: float, state: MDState) -> WorkSeries:
        end = self.field.structures[0].copy()
        end.positions[:] = state.positions[0].cpu().numpy()
        end.set_momenta(state.momenta[0].cpu().numpy())
        temperatures = {name: np.array(values) for name, values in self.temperatures.items()}
        return WorkSeries(np.array(self.rates), spacing_fs, temperatures, end)


def work_along_run(
    conservative: ForceField,
    direct: ForceField,
    atoms: Atoms,
    *,
    duration_fs: float,
    timestep_fs: float,
    temperature_K: float,
    seed: int,
    thermostat: str | None = None,
    direct_share: float = 0.0,
    replica: int = 0,
    sample_every: int = 1,
    report: Callable[[int, str], None] = lambda step, note: None,
) -> WorkSeries:
    """Dynamics of blended forces, conservative by default, and the work rate of the direct ones along them.

    Args:
        conservative: moves the atoms, alone where ``direct_share`` is 0.
        direct: its forces are measured; where it is the other head of the same weights, both come from one call.
        atoms: N atoms, equilibrated; momenta are drawn where they have none.
        duration_fs: length.
        timestep_fs: of velocity Verlet.
        temperature_K: of drawn momenta and of the thermostat.
        seed: of drawn momenta and of the thermostat's noise.
        thermostat: such as ``langevin:100``; ``None`` for constant energy.
        direct_share: s of f = (1 − s) f_conservative + s f_direct.
        replica: number of the run among those of this seed.
        sample_every: steps between samples. The integral of w needs several samples in half the shortest period.
        report: progress.

    Returns:
        w of the full difference (not times s) and kinetic temperatures, the start included.

    Raises:
        UnsupportedError: the run diverged.
        UsageError: the run is too long for its samples to be kept.
    """
    n_steps = steps_of(duration_fs, timestep_fs)
    kept = 2 + len(set(atoms.get_chemical_symbols()))
    require_memory_of_samples(n_steps, sample_every, kept * np.dtype(np.float64).itemsize, option="")
    field = blended_forces(conservative, direct, atoms, direct_share)
    particles = Particles.from_structures([atoms], device=field.device)
    noise = NoiseSource(seed, [replica], label="green-kubo", device=field.device)
    given = momenta_of([atoms], particles)
    momenta = (
        draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), temperature_K)
        if given is None
        else given
    )
    samples = _Samples(field, particles)
    result = run_md(
        field,
        particles,
        lambda: initial_state(field, particles, momenta),
        Dynamics(timestep_fs, None if thermostat is None else make_thermostat(thermostat, temperature_K)),
        noise,
        RunSettings(n_steps=n_steps, sample_every=sample_every),
        observers=[samples],
        report=report,
    )
    if not result.alive[0]:
        raise UnsupportedError(f"The run by {conservative.card.label} diverged.")
    return samples.series(sample_every * timestep_fs, result.state)


EQUILIBRATION = "langevin:50"
"""Thermostat of the equilibration."""


def equilibrated_run(
    conservative: ForceField,
    direct: ForceField,
    atoms: Atoms,
    *,
    duration_fs: float,
    timestep_fs: float,
    temperature_K: float,
    seed: int,
    thermostat: str | None = None,
    direct_share: float = 0.0,
    report: Callable[[int, str], None] = lambda step, note: None,
) -> WorkSeries:
    """:func:`work_along_run` after :data:`EQUILIBRATION_FS` of conservative dynamics under :data:`EQUILIBRATION`, of which no sample is kept.

    Arguments and errors are those of :func:`work_along_run`.
    """
    rested = work_along_run(
        conservative,
        direct,
        atoms,
        duration_fs=EQUILIBRATION_FS,
        timestep_fs=timestep_fs,
        temperature_K=temperature_K,
        seed=seed,
        thermostat=EQUILIBRATION,
        report=report,
    )
    done = steps_of(EQUILIBRATION_FS, timestep_fs)
    return work_along_run(
        conservative,
        direct,
        rested.end,
        duration_fs=duration_fs,
        timestep_fs=timestep_fs,
        temperature_K=temperature_K,
        seed=seed + 1,
        thermostat=thermostat,
        direct_share=direct_share,
        report=lambda step, note: report(done + step, note),
    )


def work_along_frames(
    conservative: ForceField,
    direct: ForceField,
    atoms: Atoms,
    positions: FloatArray,
    velocities_A_per_fs: FloatArray,
    spacing_fs: float,
    *,
    cell: FloatArray | None = None,
    masses: FloatArray | None = None,
    report: Callable[[int, str], None] = lambda frame, note: None,
) -> WorkSeries:
    """The work rate on the frames of a trajectory that the conservative model has run.

    Args:
        conservative: the model that moved the atoms.
        direct: its forces less the conservative ones do the work.
        atoms: N atoms, for their elements.
        positions: [F, N, 3], Å.
        velocities_A_per_fs: [F, N, 3], Å/fs.
        spacing_fs: between frames, fs.
        cell: [3, 3], Å, of all frames; by default that of ``atoms``.
        masses: [N], u; by default those of ``atoms``.
        report: progress.

    Raises:
        UsageError: no frames, or shapes that do not fit.
    """
    if not len(positions):
        raise UsageError("There are no frames.")
    frames = atoms.copy()
    if cell is not None:
        frames.set_cell(cell)
    if masses is not None:
        frames.set_masses(masses)
    if positions.shape != velocities_A_per_fs.shape or positions.shape[1:] != (len(frames), 3):
        raise UsageError(
            f"Positions {positions.shape} and velocities {velocities_A_per_fs.shape} are not those of {len(frames)} atoms."
        )
    frames.positions[:] = positions[0]
    field = blended_forces(conservative, direct, frames)
    particles = Particles.from_structures([frames], device=field.device)
    samples = _Samples(field, particles)
    alive = np.ones(1, dtype=np.bool_)
    for index, (at, velocity) in enumerate(zip(positions, velocities_A_per_fs, strict=True)):
        moved = torch.as_tensor(at[None], dtype=torch.float64, device=field.device)
        output = field(moved)
        momenta = torch.as_tensor(velocity[None] / FS, dtype=torch.float64, device=field.device) * particles.masses
        state = MDState(
            positions=moved,
            momenta=particles.at_rest(momenta),
            forces=output.forces,
            energy=output.energy,
            heat=torch.zeros_like(output.energy),
            step=index,
        )
        samples.sample(state, alive)
        report(index + 1, "")
    return samples.series(spacing_fs, state)
