"""A structure's digest: equal exactly if two structures are equivalent for models, trajectories and optimisers."""

from __future__ import annotations

import hashlib

import numpy as np
from ase import Atoms

from ncbench.structures.content import as_json, constraint_content, visible_arrays, visible_info

_ARRAYS = ("masses", "momenta", "sites")
_INFO = ("charge", "spin")


def content_hash(atoms: Atoms) -> str:
    """SHA-256 of what belongs to the structure (:mod:`ncbench.structures.content`), as 64 hexadecimal digits.

    Species, float64 positions, cell and periodicity are always in it; other entries are included if the structure has them.
    Labels and calculators are not.
    """
    digest = hashlib.sha256(b"ncbench structure 1")

    def add(name: str, values: object, dtype: str) -> None:
        # Adding zero converts −0.0, which is equivalent for force fields, to 0.0.
        array = np.ascontiguousarray(values, dtype=dtype) + np.zeros(1, dtype=dtype)
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(array.tobytes())

    def add_any(name: str, value: object) -> None:
        kind = np.asarray(value).dtype.kind if isinstance(value, bool | int | float | np.ndarray | np.generic) else "O"
        if kind in "biuf":
            add(name, value, "<f8")
        else:
            digest.update(f"{name} text {as_json(value)} ".encode())

    add("numbers", atoms.numbers, "<i8")
    add("positions", atoms.positions, "<f8")
    add("cell", np.asarray(atoms.cell), "<f8")
    add("pbc", atoms.pbc.astype(np.int64), "<i8")
    arrays, info = dict(visible_arrays(atoms)), dict(visible_info(atoms))
    # First, in this order, for compatibility with earlier digests.
    for name in _ARRAYS:
        if name in arrays:
            add_any(name, arrays.pop(name))
    for name in _INFO:
        if name in info:
            add_any(name, info.pop(name))
    for name, values in arrays.items():
        add_any(f"array {name}", values)
    for name, value in info.items():
        add_any(f"info {name}", value)
    for number, content in enumerate(constraint_content(atoms)):
        digest.update(f"constraint {number} {content} ".encode())
    return digest.hexdigest()
