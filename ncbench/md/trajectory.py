"""Trajectories streamed to disk, as extended XYZ (text) or ASE's .traj (binary); ``ncbench analyse`` reads both.

The file of a killed run is truncated to its size at the checkpoint and continued, which gives the same bytes as an uninterrupted run.
For extended XYZ only the length matters; .traj also has a frame count and an index, which are restored. AMBER netCDF, which
other programs would read too, cannot be read by ASE without a further dependency.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np
from ase import Atoms
from ase.io import ulm
from ase.io.extxyz import key_val_dict_to_str
from numpy.typing import NDArray

from ncbench.errors import StoreError
from ncbench.md.state import MDState
from ncbench.structures.content import visible_arrays, visible_info

Precision = Literal["single", "double"]
Format = Literal["xyz", "traj"]
FORMATS: tuple[Format, ...] = ("xyz", "traj")
DIGITS: Mapping[Precision, int] = {"single": 8, "double": 16}
"""Decimals in exponent form: the resolution of float32 and float64."""
_Mark = tuple[int, int, int]
"""State of a file: bytes; and for .traj the number of frames and the position of their index."""
_EMPTY: _Mark = (0, 0, 0)
BINARY: Mapping[Precision, type[np.floating[Any]]] = {"single": np.float32, "double": np.float64}


class TrajectoryWriter(ABC):
    """An observer that writes each sampled frame, one file per replica; a replica that has ended writes no further frames.

    Positions in Å, momenta in ASE's unit √(u·eV), energy in eV, ``time_fs`` among each frame's info.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        structures: Sequence[Atoms],
        *,
        every: int,
        timestep_fs: float,
        precision: Precision = "single",
    ) -> None:
        """``every``: steps between frames; the run must sample at least these."""
        self.paths, self.structures = list(paths), list(structures)
        self.every, self.timestep_fs, self.precision = every, timestep_fs, precision
        # After Ctrl-C the last frame may belong to a step that is not saved: the state before it is kept too.
        self._marks = [deque([(-1, _EMPTY)], maxlen=2) for _ in self.paths]
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None:
        """Append a frame of each active replica."""
        if state.step % self.every:
            return
        positions, momenta = state.positions.cpu().numpy(), state.momenta.cpu().numpy()
        energies = state.energy.cpu().numpy()
        for replica in map(int, np.flatnonzero(alive)):
            frame = _Frame(
                positions[replica], momenta[replica], float(energies[replica]), state.step * self.timestep_fs
            )
            try:
                mark = self._append(replica, frame, first=state.step == 0)
            except OSError as error:
                raise StoreError(
                    f"The trajectory {self.paths[replica]} cannot be written: {error.strerror}.",
                    hint="Is the disk full?",
                ) from error
            self._marks[replica].append((state.step, mark))

    def saved(self, step: int) -> dict[str, Any]:
        """State of the files up to ``step``, flushed to disk."""
        for path in self.paths:
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        known = [[mark for at, mark in marks if at <= step][-1] for marks in self._marks]
        return {"marks": np.array(known, dtype=np.int64)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Truncate the files to the saved state.

        Raises:
            StoreError: a file is shorter than its saved size, so that frames are lost.
        """
        self._marks = [deque([(-1, tuple(mark))], maxlen=2) for mark in saved["marks"].tolist()]
        for path, (size, *_) in zip(self.paths, saved["marks"].tolist(), strict=True):
            there = path.stat().st_size if path.exists() else 0
            if there < size:
                raise StoreError(
                    f"The trajectory {path} is shorter than at its checkpoint.",
                    hint="Remove the job's folder to run it from the start.",
                )
            if there > size:
                os.truncate(path, size)

    @abstractmethod
    def _append(self, replica: int, frame: _Frame, *, first: bool) -> _Mark:
        """Append a frame to a replica's file and return the new state; the first frame creates the file."""


@dataclass(frozen=True)
class _Frame:
    """The quantities that change between frames."""

    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    energy: float
    time_fs: float


class TextWriter(TrajectoryWriter):
    """Extended XYZ."""

    @cached_property
    def _heads(self) -> list[_Head]:
        return [_Head(atoms) for atoms in self.structures]

    def _append(self, replica: int, frame: _Frame, *, first: bool) -> _Mark:
        text = self._heads[replica].frame(frame, f"%.{DIGITS[self.precision]}e")
        with self.paths[replica].open("wb" if first else "ab") as file:
            file.write(text.encode())
            return file.tell(), 0, 0


_SHORT = {"tags": "tags", "initial_charges": "charges", "initial_magmoms": "magmoms"}
"""Arrays by their names in a .traj file; masses are in its header."""
_ULM_COUNT = 32
"""Where a .traj file (ASE's ulm format, version 3) stores the number of frames, followed by the position of their index."""


class BinaryWriter(TrajectoryWriter):
    """ASE's .traj through ASE's library, with numbers of 4 or 8 bytes."""

    def _append(self, replica: int, frame: _Frame, *, first: bool) -> _Mark:
        atoms, dtype = self.structures[replica], BINARY[self.precision]
        static = _static(atoms)
        # Opened for each frame, since there may be more replicas than file handles.
        with self.paths[replica].open("wb" if first else "r+b") as file:
            if first:
                out = ulm.Writer(file, "w", tag="ASE-Trajectory")
                out.write(version=1, ase_version=ase.__version__, pbc=atoms.pbc.tolist(), numbers=atoms.numbers)
                if "masses" in static:
                    out.write(masses=static["masses"])
            else:
                out = ulm.Writer(file, "a")
            out.write(
                positions=frame.positions.astype(dtype),
                cell=np.asarray(atoms.cell).tolist(),
                momenta=frame.momenta.astype(dtype),
            )
            for name, short in _SHORT.items():
                if name in static:
                    out.write(**{short: static[name]})
            if np.isfinite(frame.energy):
                out.child("calculator").write(name="unknown", energy=frame.energy)
            out.write(info={**_remarks(atoms), "time_fs": frame.time_fs})
            out.sync()
            return file.tell(), int(out.nitems), int(out.pos0)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Truncate the files to the saved state.

        Raises:
            StoreError: a file is shorter than its saved size, so that frames are lost.
        """
        super().restore(saved)
        for path, (_, count, index) in zip(self.paths, saved["marks"].tolist(), strict=True):
            if count:
                _put_back(path, count, index)


def _put_back(path: Path, count: int, index: int) -> None:
    """Restore the header, and set the index to zero from frame ``count`` on."""
    room = 1
    while room < count:
        room *= ulm.N1
    with path.open("r+b") as file:
        file.seek(_ULM_COUNT)
        file.write(np.array([count, index], dtype="<i8").tobytes())
        file.seek(index + 8 * count)
        file.write(bytes(8 * (room - count)))


_STATIC = ("masses", "tags", "initial_charges", "initial_magmoms")
"""Arrays of the structure that are repeated in every frame; without its masses, momenta of isotopes are velocities of other atoms."""


def _static(atoms: Atoms) -> dict[str, NDArray[Any]]:
    visible = dict(visible_arrays(atoms))
    return {name: visible[name] for name in _STATIC if name in visible}


def _remarks(atoms: Atoms) -> dict[str, float | int | str]:
    """Entries of ``info`` that go into every frame: total charge, spin, and other numbers or text."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in visible_info(atoms)}
    return {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str)}


class _Head:
    """The constant part of a frame's text."""

    def __init__(self, atoms: Atoms) -> None:
        cell = " ".join(f"{value:.10f}" for value in np.asarray(atoms.cell).ravel())
        pbc = " ".join("T" if flag else "F" for flag in atoms.pbc)
        lattice = f'Lattice="{cell}" ' if atoms.cell.rank else ""
        static = _static(atoms)
        columns = "".join(
            f":{name}:{'I' if values.dtype.kind in 'iu' else 'R'}:{values[0].size}" for name, values in static.items()
        )
        info = key_val_dict_to_str(_remarks(atoms))
        self.comment = f'{lattice}Properties=species:S:1:pos:R:3:momenta:R:3{columns} pbc="{pbc}"' + (
            info and f" {info}"
        )
        self.symbols = atoms.get_chemical_symbols()
        # Numbers by repr: a mass is read back exactly.
        self.tails = [
            "".join(f" {number!r}" for values in static.values() for number in np.atleast_1d(values[atom]).tolist())
            for atom in range(len(atoms))
        ]

    def frame(self, frame: _Frame, number: str) -> str:
        out = io.StringIO()
        shown = f" energy={frame.energy:.10e}" if np.isfinite(frame.energy) else ""
        out.write(f"{len(self.symbols)}\n{self.comment} time_fs={frame.time_fs:.6f}{shown}\n")
        line = "%-2s " + " ".join([number] * 6) + "%s\n"
        for symbol, r, p, tail in zip(
            self.symbols, frame.positions.tolist(), frame.momenta.tolist(), self.tails, strict=True
        ):
            out.write(line % (symbol, *r, *p, tail))
        return out.getvalue()


def file_name(structure: str, label: str, kind: Format = "xyz") -> str:
    """A file name for a structure's trajectory: letters, digits, dots and dashes only."""
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in f"{structure}.{label}") + f".{kind}"


def writers(
    folder: Path | None,
    names: Sequence[str],
    structures: Sequence[Atoms],
    *,
    every: int,
    stride: int,
    timestep_fs: float,
    precision: Precision,
    label: str,
    kind: Format = "xyz",
) -> list[TrajectoryWriter]:
    """A writer for these replicas, or ``None`` if no frames are requested or there is no folder.

    ``every`` steps of ``timestep_fs``, rounded up to a multiple of ``stride``, at which a run is sampled.
    """
    if not every or folder is None:
        return []
    rounded = -(-every // stride) * stride
    paths = [folder / file_name(name, label, kind) for name in names]
    writer = TextWriter if kind == "xyz" else BinaryWriter
    return [writer(paths, structures, every=rounded, timestep_fs=timestep_fs, precision=precision)]
