"""A structure's digest: equal exactly where a force field and a trajectory cannot tell two structures apart."""

from __future__ import annotations

import hashlib

import numpy as np
from ase import Atoms

_ARRAYS = ("masses", "momenta", "sites")
_INFO = ("charge", "spin")


def content_hash(atoms: Atoms) -> str:
    """SHA-256 of species, float64 positions, cell and periodicity, as 64 hexadecimal digits.

    What else a result may depend on is digested where the structure carries it: masses that are not the element's,
    momenta, reference sites, total charge and spin. Labels, calculators and other arrays are not.
    """
    digest = hashlib.sha256(b"ncbench structure 1")

    def add(name: str, values: object, dtype: str) -> None:
        # Adding zero turns −0.0, which no force field sees, into 0.0.
        array = np.ascontiguousarray(values, dtype=dtype) + np.zeros(1, dtype=dtype)
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(array.tobytes())

    add("numbers", atoms.numbers, "<i8")
    add("positions", atoms.positions, "<f8")
    add("cell", np.asarray(atoms.cell), "<f8")
    add("pbc", atoms.pbc.astype(np.int64), "<i8")
    for name in _ARRAYS:
        if name in atoms.arrays:
            add(name, atoms.arrays[name], "<f8")
    for name in _INFO:
        if name in atoms.info:
            add(name, atoms.info[name], "<f8")
    return digest.hexdigest()
