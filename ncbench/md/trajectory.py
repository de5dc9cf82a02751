"""Trajectories streamed to disk as extended XYZ, which ASE, OVITO and ``ncbench analyse`` read.

A frame is a piece of text of its own, so that a file of a killed run is cut back to the byte where its checkpoint left it, and goes on to
the same bytes as a run that was not killed. (ASE's .traj keeps its index at the end, and netCDF and HDF5 need libraries beside the base
dependencies; neither is cut back so simply.)
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import StoreError
from ncbench.md.state import MDState

DIGITS = {"single": 8, "double": 16}
"""Decimals after the point in exponent form: what float32 and float64 can tell apart."""


class TrajectoryWriter:
    """An observer that writes every frame it is shown, a file a replica; a replica that has ended writes no more.

    Positions in Å, momenta in ASE's unit √(u·eV), energy in eV, ``time_fs`` in the comment line.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        structures: Sequence[Atoms],
        *,
        every: int,
        timestep_fs: float,
        precision: str = "single",
    ) -> None:
        """``every``: steps between frames; the run must show at least these."""
        self.paths = list(paths)
        self.every, self.timestep_fs = every, timestep_fs
        self.format = f"%.{DIGITS[precision]}e"
        self._heads = [_Head(atoms) for atoms in structures]
        self._sizes = [0] * len(self.paths)
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def sample(self, state: MDState, alive: NDArray[np.bool_]) -> None:
        """Append a frame of each living replica."""
        if state.step % self.every:
            return
        positions, momenta = state.positions.cpu().numpy(), state.momenta.cpu().numpy()
        energies = state.energy.cpu().numpy()
        for replica in np.flatnonzero(alive):
            text = self._heads[replica].frame(
                positions[replica],
                momenta[replica],
                float(energies[replica]),
                state.step * self.timestep_fs,
                self.format,
            )
            self._append(int(replica), text.encode(), first=state.step == 0)

    def saved(self, step: int) -> dict[str, Any]:
        """Bytes written so far, on the disk when this returns."""
        for path in self.paths:
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        return {"sizes": np.array(self._sizes, dtype=np.int64)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Cut the files back to what was saved.

        Raises:
            StoreError: a file is shorter than it was, so that frames are lost.
        """
        self._sizes = [int(size) for size in saved["sizes"]]
        for path, size in zip(self.paths, self._sizes, strict=True):
            there = path.stat().st_size if path.exists() else 0
            if there < size:
                raise StoreError(
                    f"The trajectory {path} is shorter than its run left it.",
                    hint="Remove the job's folder to run it from the start.",
                )
            if there > size:
                os.truncate(path, size)

    def _append(self, replica: int, content: bytes, *, first: bool) -> None:
        path = self.paths[replica]
        try:
            with path.open("wb" if first else "ab") as file:
                file.write(content)
        except OSError as error:
            raise StoreError(
                f"The trajectory {path} cannot be written: {error.strerror}.", hint="Is the disk full?"
            ) from error
        self._sizes[replica] = len(content) if first else self._sizes[replica] + len(content)


class _Head:
    """What of a frame's text stays the same."""

    def __init__(self, atoms: Atoms) -> None:
        cell = " ".join(f"{value:.10f}" for value in np.asarray(atoms.cell).ravel())
        pbc = " ".join("T" if flag else "F" for flag in atoms.pbc)
        lattice = f'Lattice="{cell}" ' if atoms.cell.rank else ""
        self.comment = f'{lattice}Properties=species:S:1:pos:R:3:momenta:R:3 pbc="{pbc}"'
        self.symbols = atoms.get_chemical_symbols()

    def frame(
        self,
        positions: NDArray[np.float64],
        momenta: NDArray[np.float64],
        energy: float,
        time_fs: float,
        number: str,
    ) -> str:
        out = io.StringIO()
        shown = f" energy={energy:.10e}" if np.isfinite(energy) else ""
        out.write(f"{len(self.symbols)}\n{self.comment} time_fs={time_fs:.6f}{shown}\n")
        line = "%-2s " + " ".join([number] * 6) + "\n"
        for symbol, r, p in zip(self.symbols, positions.tolist(), momenta.tolist(), strict=True):
            out.write(line % (symbol, *r, *p))
        return out.getvalue()


def file_name(structure: str, label: str) -> str:
    """A file name for a structure's trajectory: letters, digits, dots and dashes alone."""
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in f"{structure}.{label}") + ".xyz"


def writers(
    folder: Path | None,
    names: Sequence[str],
    structures: Sequence[Atoms],
    *,
    every: int,
    stride: int,
    timestep_fs: float,
    precision: str,
    label: str,
) -> list[TrajectoryWriter]:
    """A writer for these replicas, or none where no frames are asked for or there is no folder.

    ``every`` steps of ``timestep_fs``, rounded up to whole ``stride``, at which a run shows itself.
    """
    if not every or folder is None:
        return []
    rounded = -(-every // stride) * stride
    paths = [folder / file_name(name, label) for name in names]
    return [TrajectoryWriter(paths, structures, every=rounded, timestep_fs=timestep_fs, precision=precision)]
