"""HDF5 trajectories that are damaged end as a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ncbench.errors import UsageError
from ncbench.logs.hdf5 import read_hdf5
from ncbench.logs.log import LogOptions

h5py = pytest.importorskip("h5py")
ENERGY = np.linspace(0.0, 1.0, 20)
STEPS = np.arange(20)


@pytest.mark.parametrize(
    ("values", "steps", "words"),
    [
        (ENERGY, None, "step of each"),
        (ENERGY, STEPS[:5], "step of each"),
        (ENERGY, STEPS[::-1], "ascending"),
        (ENERGY, np.full(20, np.nan), "ascending"),
        (np.array([b"x"] * 20), STEPS, "no numbers"),
    ],
)
def test_damaged_arrays_are_refused(tmp_path: Path, values: np.ndarray, steps: np.ndarray | None, words: str) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as stream:
        stream["data/potential_energy"] = values
        stream.create_group("steps")
        if steps is not None:
            stream["steps/potential_energy"] = steps
    with pytest.raises(UsageError, match=words):
        read_hdf5(path, LogOptions(timestep_fs=1.0, n_atoms=3))


def test_arrays_in_place_of_groups_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "run.h5", "w") as stream:
        stream["data"], stream["steps"] = ENERGY, STEPS
    with pytest.raises(UsageError, match="not of torch-sim"):
        read_hdf5(tmp_path / "run.h5", LogOptions(timestep_fs=1.0, n_atoms=3))


def test_quantities_without_a_common_step_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "run.h5", "w") as stream:
        for name, first in (("potential_energy", 0), ("kinetic_energy", 1)):
            stream[f"data/{name}"], stream[f"steps/{name}"] = ENERGY, 2 * STEPS + first
    with pytest.raises(UsageError, match="no step"):
        read_hdf5(tmp_path / "run.h5", LogOptions(timestep_fs=1.0, n_atoms=3))
