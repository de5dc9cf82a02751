"""Trajectories as arrays, from any file format that ASE reads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ncbench.errors import StructureWarning, UsageError
from ncbench.structures.files import parsed

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """F frames of N atoms at equal intervals."""

    name: str
    symbols: tuple[str, ...]
    masses: FloatArray
    """[N], u."""
    positions: FloatArray
    """[F, N, 3], Å, as in the file: wrapped or not."""
    velocities: FloatArray | None
    """[F, N, 3], Å/fs; ``None`` if the file has none."""
    cells: FloatArray
    """[F, 3, 3], Å."""
    pbc: NDArray[np.bool_]
    """[3]"""
    interval_fs: float | None
    """Time between frames; ``None`` if neither the file nor the caller gives it."""
    held: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 3), dtype=bool))
    """[N, 3]: constrained coordinates; [0, 3] if there are none."""

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.positions)

    def of(self, symbol: str) -> NDArray[np.int64]:
        """Indices of the atoms of an element."""
        return np.flatnonzero(np.array(self.symbols) == symbol)

    def blocks(self, count: int) -> list[slice]:
        """``count`` pieces of equal length, fewer if there are fewer frames; remaining frames at the start are not used."""
        count = max(1, min(count, self.n_frames))
        length = self.n_frames // count
        first = self.n_frames - count * length
        return [slice(first + k * length, first + (k + 1) * length) for k in range(count)]


@dataclass(frozen=True)
class Motion:
    """A trajectory in one cell whose frames have velocities and a known spacing."""

    name: str
    masses: FloatArray
    """[N], u."""
    positions: FloatArray
    """[F, N, 3], Å."""
    velocities: FloatArray
    """[F, N, 3], Å/fs."""
    cell: FloatArray
    """[3, 3], Å."""
    interval_fs: float
    """Between frames."""


def motion_at_constant_volume(trajectory: Trajectory, *, spacing_option: str) -> Motion:
    """What is needed to follow work along a trajectory.

    Args:
        trajectory: as it was read.
        spacing_option: the command-line option that gives the time between frames.

    Raises:
        UsageError: there are no velocities, no time between frames, or the cell changes.
    """
    name = trajectory.name
    if trajectory.velocities is None:
        raise UsageError(f"'{name}' has no momenta.", hint="Write them, as 'momenta' in extended XYZ.")
    if trajectory.interval_fs is None:
        raise UsageError(f"'{name}' does not have the time between frames.", hint=f"Give {spacing_option}, in fs.")
    # Ten digits are what extended XYZ keeps.
    if np.abs(trajectory.cells - trajectory.cells[0]).max() > 1e-8:
        raise UsageError(f"The cell of '{name}' changes.", hint="Use a run at constant volume.")
    return Motion(
        name,
        trajectory.masses,
        trajectory.positions,
        trajectory.velocities,
        trajectory.cells[0],
        trajectory.interval_fs,
    )


def read_trajectory(path: Path, *, interval_fs: float | None = None, skip_fs: float = 0.0) -> Trajectory:
    """Read any trajectory that ASE reads: extended XYZ, .traj, LAMMPS dumps, …

    The time between frames is taken from ``interval_fs``, or from the frames' ``info["time_fs"]``.

    Raises:
        UsageError: no such file, one ASE cannot read, frames of different atoms, masses or periodicity, a cell without volume,
            positions, momenta or times that are not finite numbers, ``interval_fs`` unlike equal intervals of the file,
            or fewer than two frames left after ``skip_fs``.
    """
    if not path.is_file():
        raise UsageError(f"There is no trajectory '{path}'.")
    if not path.stat().st_size:
        raise UsageError(f"The file '{path}' is empty.")
    frames: list[Atoms] = []
    for atoms in parsed(path, slice(None)):
        frames.append(atoms)
        if len(atoms) == 0:
            raise UsageError(f"The frame {len(frames) - 1} of '{path}' has no atoms.")
        if frames[0].get_chemical_symbols() != atoms.get_chemical_symbols():
            raise UsageError(
                f"The atoms of '{path}' change at frame {len(frames) - 1}; all frames of a trajectory must have the same atoms."
            )
    weighed = sum(frame.has("masses") for frame in frames)
    if 0 < weighed < len(frames):
        raise UsageError(f"{weighed} of the {len(frames)} frames of '{path}' have masses; either all have or none.")
    moving = sum(frame.has("momenta") for frame in frames)
    if 0 < moving < len(frames):
        warnings.warn(
            f"{moving} of the {len(frames)} frames of '{path}' have momenta: temperatures and spectra are not computed.",
            StructureWarning,
            stacklevel=2,
        )
    _refuse_changes(frames, path)
    _name_repeated_frames(frames, path)
    interval_fs = _interval([frame.info.get("time_fs") for frame in frames], interval_fs, path)
    if skip_fs > 0:
        if interval_fs is None:
            raise UsageError(f"'{path}' does not say the time between frames.", hint="Give --timestep, in fs.")
        frames = frames[int(np.ceil(skip_fs / interval_fs - 1e-9)) :]
    if len(frames) < 2:
        raise UsageError(
            f"'{path}' has {len(frames)} frame{'' if len(frames) == 1 else 's'} to analyse; at least two are needed."
        )
    return _as_arrays(path.stem, frames, interval_fs)


def _refuse_changes(frames: Sequence[Atoms], path: Path) -> None:
    """Raises UsageError where the periodicity or the masses are not those of the first frame, which stand for all."""
    first = frames[0]
    for number, frame in enumerate(frames):
        if not np.array_equal(frame.pbc, first.pbc):
            raise UsageError(
                f"The periodicity of '{path}' changes at frame {number}; it must be the same in all frames."
            )
        if not np.array_equal(frame.get_masses(), first.get_masses()):
            raise UsageError(f"The masses of '{path}' change at frame {number}; they must be the same in all frames.")


def _name_repeated_frames(frames: Sequence[Atoms], path: Path) -> None:
    """Warn of frames that repeat the one before, as runs that were continued write them: later frames have other times than they seem to."""
    same = [np.array_equal(one.positions, other.positions) for one, other in pairwise(frames)]
    if any(same) and not all(same):
        warnings.warn(
            f"{'1 frame' if sum(same) == 1 else f'{sum(same)} frames'} of '{path}' with the positions of the frame before, frame "
            f"{same.index(True) + 1} is the first: if a continued run wrote a frame twice, remove it.",
            StructureWarning,
            stacklevel=3,
        )


def _interval(recorded: Sequence[Any], requested_fs: float | None, path: Path) -> float | None:
    """Time between frames in fs, from the frames' times or from the caller, where they do not contradict each other."""
    if len(recorded) < 2 or any(time is None for time in recorded):
        return requested_fs
    try:
        times = np.array(recorded, dtype=np.float64)
    except (TypeError, ValueError):
        times = np.array([np.nan])
    if times.ndim != 1 or not np.isfinite(times).all():
        raise UsageError(
            f"A frame of '{path}' has a 'time_fs' that is not a number.",
            hint="Write the time of each frame in fs, or remove 'time_fs' and give the interval.",
        )
    steps = np.diff(times)
    if steps.min() <= 0 or np.ptp(steps) > 1e-6 * steps.mean():
        if requested_fs is None:
            raise UsageError(
                f"The frames of '{path}' are not at equal intervals.", hint="Give --timestep, in fs, if they are."
            )
        return requested_fs
    interval_fs = float(steps.mean())
    # Times are written with at least six digits.
    if requested_fs is not None and abs(requested_fs - interval_fs) > 1e-5 * interval_fs:
        raise UsageError(
            f"The frames of '{path}' are {interval_fs:g} fs apart by their 'time_fs', but {requested_fs:g} fs was given as "
            "the time between frames.",
            hint="Leave the option out, or remove 'time_fs' from the frames if it is wrong.",
        )
    return interval_fs


def _as_arrays(name: str, frames: Sequence[Atoms], interval_fs: float | None) -> Trajectory:
    momenta = [frame.get_momenta() if frame.has("momenta") else None for frame in frames]
    masses = frames[0].get_masses()
    velocities = None
    if all(m is not None for m in momenta):
        velocities = np.array(momenta) / masses[:, None] * units.fs
        if not np.isfinite(velocities).all():
            raise UsageError(f"'{name}' has a momentum that is not a finite number, or an atom without mass.")
    positions = np.array([frame.get_positions() for frame in frames])
    if not np.isfinite(positions).all():
        raise UsageError(f"'{name}' has a position that is not a finite number.")
    cells = np.array([np.asarray(frame.cell) for frame in frames])
    pbc = frames[0].pbc
    if pbc.any() and not np.abs(np.linalg.det(_complete(cells, pbc))).min() > 1e-6:
        raise UsageError(f"'{name}' is periodic, but its cell vectors span no volume.", hint="Check the lattice.")
    return Trajectory(
        name=name,
        symbols=tuple(frames[0].get_chemical_symbols()),
        masses=masses,
        positions=positions,
        velocities=velocities,
        cells=cells,
        pbc=frames[0].pbc.copy(),
        interval_fs=interval_fs,
        held=held_directions(frames[0]),
    )


def held_directions(atoms: Atoms) -> NDArray[np.bool_]:
    """[N, 3]: coordinates fixed by the structure's constraints, from FixAtoms, FixCartesian and FixScaled along cell axes.

    Raises:
        UsageError: constraints of another kind, which do not fix single coordinates.
    """
    held = np.zeros((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        content = constraint.todict()
        indices = content["kwargs"].get("indices", content["kwargs"].get("a"))
        if content["name"] == "FixAtoms":
            held[indices] = True
        elif content["name"] == "FixCartesian":
            held[indices] |= np.asarray(content["kwargs"]["mask"], dtype=bool)
        elif content["name"] != "FixCom":
            raise UsageError(
                f"The trajectory has constraints of kind {content['name']}, whose degrees of freedom are not known.",
                hint="Remove them from the frames, but note that temperatures then include all coordinates.",
            )
    return held


def unwrapped(trajectory: Trajectory) -> FloatArray:
    """Positions [F, N, 3], Å, unwrapped: between two frames an atom is assumed to move by the minimum image."""
    if not trajectory.pbc.any():
        return trajectory.positions
    inverse = np.linalg.inv(_complete(trajectory.cells, trajectory.pbc))
    scaled = np.einsum("fni,fij->fnj", trajectory.positions, inverse)
    jumps = np.round(np.diff(scaled, axis=0)) * trajectory.pbc
    scaled[1:] -= np.cumsum(jumps, axis=0)
    return np.asarray(np.einsum("fni,fij->fnj", scaled, _complete(trajectory.cells, trajectory.pbc)))


def _complete(cells: FloatArray, pbc: NDArray[np.bool_]) -> FloatArray:
    """Missing cell vectors replaced by unit vectors, so that the matrix can be inverted."""
    full = cells.copy()
    for axis in range(3):
        if not pbc[axis] and not full[:, axis].any():
            full[:, axis, axis] = 1.0
    return full
