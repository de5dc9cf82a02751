"""Memory of a run's samples: allocated when needed, and refused where it would not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_fields import WellField, cluster

from ncbench.errors import UsageError
from ncbench.md.series import MOST_BYTES, EnergySeries
from ncbench.md.state import Particles, initial_state


def particles():
    return Particles.from_structures([cluster("H2O", spread=0.05, seed=0)], fix_com=True)


def test_too_many_samples_are_refused_with_a_stride_that_fits():
    with pytest.raises(UsageError, match="GB of memory for samples") as refused:
        EnergySeries(particles(), n_steps=10**9, stride=1, timestep_fs=0.5)
    words = refused.value.hint.split()
    stride = int(words[words.index("--sample-every") + 1])
    # Two species: potential, heat and two kinetic energies of 8 bytes a sample.
    assert (10**9 // stride + 1) * 4 * 8 <= MOST_BYTES * (1 + 1e-8)
    EnergySeries(particles(), n_steps=10**9, stride=stride + 1, timestep_fs=0.5)


def test_memory_grows_with_samples_and_keeps_them():
    field = WellField([cluster("H2O", spread=0.05, seed=0)], k=1.0, kappa=0.0)
    series = EnergySeries(particles(), n_steps=20_000_000, stride=1, timestep_fs=0.5)
    assert len(series.potential) == series._potential.nbytes == 0
    state = initial_state(field, series.particles, torch.zeros((series.particles.n_atoms, 3), dtype=torch.float64))
    for step in range(1500):
        energy = torch.full_like(state.energy, float(step))
        series.sample(replace(state, step=step, energy=energy), np.array([True]))
    assert np.array_equal(series.potential[:, 0], np.arange(1500.0))
    assert series._potential.nbytes <= 2 * 1500 * 8
    again = EnergySeries(series.particles, n_steps=20_000_000, stride=1, timestep_fs=0.5)
    again.restore(series.saved(1200))
    assert np.array_equal(again.potential[:, 0], np.arange(1201.0))
