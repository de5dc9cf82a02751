"""Reference energies and forces that structures bring along, under one pair of names.

ASE's readers put what a file says of energies and forces into a calculator. A model must never see that calculator, and what it
held must not be lost: it becomes ``info["energy_dft"]`` (eV) and ``arrays["forces_dft"]`` [N, 3] (eV/Å).
"""

from __future__ import annotations

import hashlib
import numbers
from typing import Any

import numpy as np
from ase import Atoms

ENERGY_LABEL, FORCES_LABEL = "energy_dft", "forces_dft"


def keep_labels(atoms: Atoms) -> None:
    """Take the calculator away and keep its energy and forces as labels. Labels that are there already stay."""
    results = {} if atoms.calc is None else atoms.calc.results
    atoms.calc = None
    energy, forces = results.get("energy"), results.get("forces")
    if energy is not None and ENERGY_LABEL not in atoms.info:
        atoms.info[ENERGY_LABEL] = float(energy)
    if forces is not None and FORCES_LABEL not in atoms.arrays:
        atoms.set_array(FORCES_LABEL, np.asarray(forces, dtype=np.float64))


def repeat_energy(atoms: Atoms, count: int) -> None:
    """Make the energy label that of ``count`` cells; forces are repeated with the atoms."""
    if ENERGY_LABEL in atoms.info:
        atoms.info[ENERGY_LABEL] = count * float(atoms.info[ENERGY_LABEL])


def labels_hash(atoms: Atoms) -> str:
    """SHA-256 of every number that a structure carries beside itself, under whatever name: what its digest leaves out.

    Energies and forces do not decide what a model predicts, but do decide how far off that is.
    """
    digest = hashlib.sha256(b"ncbench labels 1")
    found: list[tuple[str, Any]] = [
        (f"info {name}", value) for name, value in atoms.info.items() if isinstance(value, numbers.Real)
    ]
    found += [(f"array {name}", values) for name, values in atoms.arrays.items() if values.dtype.kind == "f"]
    for name, values in sorted(found, key=lambda item: item[0]):
        array = np.ascontiguousarray(values, dtype="<f8")
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
