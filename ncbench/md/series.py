"""Energies sampled during a run, small enough to stay in memory and in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.md.state import MDState, Particles, species_kinetic_energy
from ncbench.units import KB

FloatArray = NDArray[np.float64]

MOST_BYTES = 1_000_000_000
"""Maximum size of the samples of one run, bytes. The analysis and the writing of a checkpoint need a few arrays of this size."""
_BYTES = 8
_FIRST_SAMPLES = 1024


def require_memory_of_samples(
    n_steps: int, stride: int, bytes_per_sample: float, *, option: str = "--sample-every"
) -> None:
    """Refuse a run whose samples would exceed :data:`MOST_BYTES`.

    Args:
        n_steps: length of the run.
        stride: steps between samples.
        bytes_per_sample: of all replicas.
        option: command-line option that sets the stride; empty if there is none.

    Raises:
        UsageError: they exceed it.
    """
    size = (n_steps // stride + 1) * bytes_per_sample
    if size <= MOST_BYTES:
        return
    least_stride = stride * math.ceil(size / MOST_BYTES)
    raise UsageError(
        f"{n_steps:g} steps with a sample every {stride:g} would need {size / 1e9:.3g} GB of memory for samples; "
        f"the maximum is {MOST_BYTES / 1e9:g} GB.",
        hint=f"Use {option} {least_stride} or more, or fewer steps."
        if option and least_stride < n_steps
        else "Use fewer steps.",
    )


class Observer(Protocol):
    """Samples a run at multiples of its stride; a resumed run restores it.

    ``saved(step)`` is the data needed to resume after ``step``; later samples are dropped, since the run repeats them.
    """

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None: ...

    def saved(self, step: int) -> dict[str, Any]: ...

    def restore(self, saved: Mapping[str, Any]) -> None: ...


class EnergySeries:
    """Potential and kinetic energy and heat at every ``stride``-th step, NaN for a replica that has ended.

    Args:
        particles: the particles.
        n_steps: length of the run.
        stride: steps between samples; step 0 is one.
        timestep_fs: Δt.

    Raises:
        UsageError: the samples of the whole run would exceed :data:`MOST_BYTES`.
    """

    def __init__(self, particles: Particles, *, n_steps: int, stride: int, timestep_fs: float) -> None:
        self.particles = particles
        self.stride = stride
        self.timestep_fs = timestep_fs
        samples = n_steps // stride + 1
        replicas, groups = particles.n_replicas, len(particles.species)
        require_memory_of_samples(n_steps, stride, replicas * (2 + groups) * _BYTES)
        # Grows with the number of samples, so that a run that ends early uses no more memory than it needs.
        self._potential = np.full((0, replicas), np.nan)
        self._heat = np.full((0, replicas), np.nan)
        self._kinetic = np.full((0, replicas, groups), np.nan)
        self._samples = samples
        self._length = 0

    def _reserve(self, length: int) -> None:
        """Allocate ``length`` samples; at least doubled, so that each sample is copied about once in total."""
        present = len(self._potential)
        if length <= present:
            return
        capacity = max(length, min(self._samples, max(2 * present, _FIRST_SAMPLES)))
        self._potential = _grown(self._potential, capacity)
        self._heat = _grown(self._heat, capacity)
        self._kinetic = _grown(self._kinetic, capacity)

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None:
        """Record ``state`` (at a multiple of the stride)."""
        index = state.step // self.stride
        self._reserve(index + 1)
        groups = species_kinetic_energy(state.momenta, self.particles)
        # One transfer from the device instead of three.
        values = torch.cat([state.energy[:, None], state.heat[:, None], groups], dim=1).cpu().numpy()
        values[~alive] = np.nan
        self._potential[index], self._heat[index], self._kinetic[index] = values[:, 0], values[:, 1], values[:, 2:]
        self._length = index + 1

    def saved(self, step: int) -> dict[str, Any]:
        """The samples up to ``step``."""
        length = step // self.stride + 1
        return {
            "potential": self._potential[:length].copy(),
            "heat": self._heat[:length].copy(),
            "kinetic": self._kinetic[:length].copy(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue from :meth:`saved`."""
        length = len(saved["potential"])
        self._reserve(length)
        self._potential[:length] = saved["potential"]
        self._heat[:length] = saved["heat"]
        self._kinetic[:length] = saved["kinetic"]
        self._length = length

    @property
    def times_fs(self) -> FloatArray:
        """[S]"""
        return np.arange(self._length, dtype=np.float64) * np.float64(self.stride * self.timestep_fs)

    @property
    def potential(self) -> FloatArray:
        """[S, R], eV."""
        return self._potential[: self._length]

    @property
    def species_kinetic(self) -> FloatArray:
        """[S, R, G], eV, G species."""
        return self._kinetic[: self._length]

    @property
    def kinetic(self) -> FloatArray:
        """[S, R], eV."""
        return np.asarray(self.species_kinetic.sum(axis=2))

    @property
    def heat(self) -> FloatArray:
        """[S, R], eV: added by the thermostat so far."""
        return self._heat[: self._length]

    @property
    def total(self) -> FloatArray:
        """[S, R], eV: potential + kinetic."""
        return self.potential + self.kinetic

    @property
    def conserved(self) -> FloatArray:
        """[S, R], eV: potential + kinetic − heat, constant for exact dynamics in a conservative field."""
        return self.total - self.heat

    @property
    def temperature(self) -> FloatArray:
        """[S, R], K."""
        return 2.0 * self.kinetic / (self.particles.degrees_of_freedom * KB)

    @property
    def species_temperature(self) -> FloatArray:
        """[S, R, G], K; NaN for a species that the replica does not contain."""
        degrees = self.particles.species_degrees_of_freedom().cpu().numpy()
        # The only species of a replica with fixed centre of mass may have zero degrees of freedom up to rounding.
        degrees = np.where(degrees > 1e-9, degrees, np.nan)
        return np.asarray(2.0 * self.species_kinetic / (degrees * KB))


def _grown(array: FloatArray, capacity: int) -> FloatArray:
    """``array`` with NaN appended up to ``capacity`` rows."""
    grown = np.full((capacity, *array.shape[1:]), np.nan)
    grown[: len(array)] = array
    return grown
