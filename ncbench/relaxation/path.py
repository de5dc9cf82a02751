"""The path of a relaxation: its configurations as a file, and as points in the space of averaged SOAP descriptors (Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

from ncbench.relaxation.relaxation import FloatArray
from ncbench.relaxation.schemas import PATH
from ncbench.structures.content import visible_arrays, visible_info

SOAP_PACKAGE = "featomic"
"""BSD-3-Clause, in the extra ``soap``. (DScribe is an alternative that also needs scikit-learn, sparse and numba.)"""
SOAP = {
    "cutoff": {"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
    "density": {"type": "Gaussian", "width": 0.3},
    "basis": {"type": "TensorProduct", "max_angular": 4, "radial": {"type": "Gto", "max_radial": 3}},
}
"""Hyperparameters, Å. The paper does not give its own, and reports that the map is insensitive to them."""


def averaged_soap(structures: Sequence[Atoms]) -> FloatArray | None:
    """SOAP power spectra averaged over atoms, [F, D], of structures of one composition; ``None`` if featomic is not installed.

    Bartók, Kondor & Csányi, Phys. Rev. B 87, 184115 (2013). The D components are those of all pairs of neighbour species,
    averaged over the centres of every species.
    """
    if find_spec(SOAP_PACKAGE) is None:
        return None
    from featomic import SoapPowerSpectrum

    spectrum = SoapPowerSpectrum(**SOAP).compute(list(structures))
    block = spectrum.keys_to_samples("center_type").keys_to_properties(["neighbor_1_type", "neighbor_2_type"]).block()
    of: NDArray[np.int64] = np.asarray(block.samples["system"], dtype=np.int64)
    sums = np.zeros((len(structures), block.values.shape[1]))
    np.add.at(sums, of, block.values)
    return np.asarray(sums / np.bincount(of, minlength=len(structures))[:, None], dtype=np.float64)


def frames_of(atoms: Atoms, path: FloatArray) -> list[Atoms]:
    """Structures at the positions [F, N, 3]; frames with non-finite positions are omitted."""
    frames = []
    for positions in path:
        if np.isfinite(positions).all():
            frame: Atoms = atoms.copy()
            frame.set_constraint()
            frame.positions = positions
            frames.append(frame)
    return frames


def path_rows(
    record: Mapping[str, Any], atoms: Atoms, steps: NDArray[np.int64], path: FloatArray, file: str | None
) -> list[dict[str, Any]]:
    """Rows of :data:`PATH` for one relaxation."""
    common = {name: record[name] for name in ("set", "structure", "n_atoms", "optimizer", "start", "status", "reason")}
    finite = np.isfinite(path).all(axis=(1, 2))
    spectra = averaged_soap(frames_of(atoms, path[finite]))
    rows = []
    for index, (step, positions) in enumerate(zip(steps[finite].tolist(), path[finite], strict=True)):
        rows.append(
            PATH.row(
                **common,
                step=step,
                distance_A=float(np.sqrt(((positions - path[0]) ** 2).sum(axis=1).mean())),
                soap=None if spectra is None else " ".join(f"{value:.6g}" for value in spectra[index]),
                file=file,
            )
        )
    return rows


def write_path(folder: Path, name: str, atoms: Atoms, steps: NDArray[np.int64], path: FloatArray) -> str:
    """Write the configurations as extended XYZ, each with its step; returns the path relative to the results folder."""
    frames = []
    for step, positions in zip(steps.tolist(), path, strict=True):
        if np.isfinite(positions).all():
            frame = Atoms(atoms.numbers, positions=positions, cell=atoms.cell, pbc=atoms.pbc)
            frame.info["step"] = step
            frame.set_constraint(atoms.constraints)
            for key, values in visible_arrays(atoms):
                if key not in ("momenta", "sites"):
                    frame.set_array(key, values)
            for key, value in visible_info(atoms):
                frame.info.setdefault(key, value)
            frames.append(frame)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / name, frames, format="extxyz")
    return f"jobs/{folder.name}/{name}"
