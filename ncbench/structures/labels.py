"""Reference energies and forces of structures, under one pair of names.

ASE's readers store energies and forces of a file in a calculator. That calculator must never reach a model, and its
results must not be lost: they become ``info["energy_dft"]`` (eV) and ``arrays["forces_dft"]`` [N, 3] (eV/Å).
"""

from __future__ import annotations

import hashlib
import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ncbench.errors import StructureWarning, UsageError

ENERGY_LABEL, FORCES_LABEL = "energy_dft", "forces_dft"
NO_FORCES = ("positions", "momenta", "sites", "initial_magmoms", "numbers", "masses")
"""Columns of a structure that are never reference forces."""


def keep_labels(atoms: Atoms, name: str = "a structure") -> None:
    """Remove the calculator and keep its energy and forces as labels.

    Existing labels are kept; the calculator's results are then added as ``energy`` and ``forces``.

    Raises:
        UsageError: an energy that is not a number, or forces of another shape than [N, 3].
    """
    results = {} if atoms.calc is None else atoms.calc.results
    atoms.calc = None
    energy, forces = results.get("energy"), results.get("forces")
    free = results.get("free_energy")
    if free is not None and "free_energy" not in atoms.info:
        atoms.info["free_energy"] = _number(free, f"free energy of {name}")
    if energy is not None:
        if "energy" in atoms.info and atoms.info["energy"] != energy:
            warnings.warn(
                f"{name}: the reference energy is the calculator's ({energy} eV); the entry 'energy' ({atoms.info['energy']}) is another.",
                StructureWarning,
                stacklevel=2,
            )
        atoms.info["energy" if ENERGY_LABEL in atoms.info else ENERGY_LABEL] = _number(energy, f"energy of {name}")
    if forces is not None:
        key = "forces" if FORCES_LABEL in atoms.arrays else FORCES_LABEL
        atoms.set_array(key, _vectors(forces, len(atoms), f"'forces' of {name}"))
    for key, value in atoms.info.items():
        if "force" in str(key).lower() and np.size(value) == 3 * len(atoms):
            raise UsageError(
                f"'{key}' of {name} holds {3 * len(atoms)} numbers in the comment line, where no reader takes them as forces.",
                hint=f"Write them as a column: Properties=species:S:1:pos:R:3:{key}:R:3.",
            )
        # Entries with the name of an energy are checked now, so that text is refused before the run.
        if key == ENERGY_LABEL or (key == "energy" and isinstance(value, str)):
            atoms.info[key] = _number(value, f"{key} of {name}")


def _number(value: Any, name: str) -> float:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            f"The {name} is {value!r}, which is not a number.", hint="Write it in eV, without the unit."
        ) from None
    if np.asarray(value).dtype.kind == "b":
        raise UsageError(f"The {name} is {value!r}, which is not a number.", hint="Write it in eV, without the unit.")
    if array.size != 1:
        raise UsageError(f"The {name} holds {array.size} numbers; an energy must be one.")
    return float(array.reshape(()))


def _vectors(values: Any, n_atoms: int, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{name} contains a value that is not a number.") from None
    if array.shape != (n_atoms, 3):
        raise UsageError(f"{name} is not one force per atom: its shape is {array.shape}, not {(n_atoms, 3)}.")
    return array


def repeat_energy(atoms: Atoms, count: int) -> None:
    """After ``atoms`` was repeated: reference energies are those of ``count`` cells. Forces are repeated with the atoms."""
    if count == 1:
        return
    atoms.info["n_cells"] = count
    for name, value in list(atoms.info.items()):
        if _is_scaled(name) and isinstance(value, numbers.Real):
            atoms.info[name] = count * float(value)


def _is_scaled(name: str) -> bool:
    lowered = name.lower()
    return "energy" in lowered and "per_atom" not in lowered


def reference_energy(atoms: Atoms, key: str) -> float | None:
    """The energy under ``key``, eV, of all cells of a repeated structure; ``energy`` is the file's own even if it was renamed.

    ``None`` if there is none, or it is not finite.

    Raises:
        UsageError: it is not a number.
    """
    name = _energy_name(atoms, key)
    if name not in atoms.info:
        return None
    value = _number(atoms.info[name], f"'{name}'") * (1 if _is_scaled(name) else int(atoms.info.get("n_cells", 1)))
    return value if math.isfinite(value) else None


def reference_forces(atoms: Atoms, key: str) -> NDArray[np.float64] | None:
    """The forces [N, 3] under ``key``, eV/Å, NaN for atoms that have none; ``forces`` is the file's own even if it was renamed.

    Raises:
        UsageError: they have another shape, are not numbers, or ``key`` is a column of another quantity.
    """
    if key in NO_FORCES:
        raise UsageError(f"'{key}' are no forces.", hint="Name the column of the reference forces.")
    name = _forces_name(atoms, key)
    if name not in atoms.arrays:
        return None
    forces = _vectors(atoms.arrays[name], len(atoms), f"'{name}'").copy()
    forces[~np.isfinite(forces).all(axis=1)] = np.nan
    return forces if np.isfinite(forces).any() else None


def energy_is_finite(atoms: Atoms, key: str) -> bool:
    """Whether the energy under ``key`` is finite; true where there is none."""
    return _energy_name(atoms, key) not in atoms.info or reference_energy(atoms, key) is not None


def atoms_without_forces(atoms: Atoms, key: str) -> int:
    """Number of atoms whose reference forces under ``key`` are not finite; 0 where the structure has no reference forces."""
    name = _forces_name(atoms, key)
    return int((~np.isfinite(atoms.arrays[name]).all(axis=1)).sum()) if name in atoms.arrays else 0


def _energy_name(atoms: Atoms, key: str) -> str:
    return key if key in atoms.info or key != "energy" else ENERGY_LABEL


def _forces_name(atoms: Atoms, key: str) -> str:
    return key if key in atoms.arrays or key != "forces" else FORCES_LABEL


def label_names(structures: Sequence[Atoms]) -> tuple[list[str], list[str]]:
    """Entries of ``info`` that may be energies, and arrays [N, 3] that may be forces, under the names that a user may give."""
    energies = {name for atoms in structures for name in atoms.info if "energy" in str(name).lower()}
    forces = {
        name
        for atoms in structures
        for name, values in atoms.arrays.items()
        if values.shape == (len(atoms), 3) and values.dtype.kind == "f" and "force" in name.lower()
    }
    return sorted(energies), sorted(forces)


def labels_hash(atoms: Atoms) -> str:
    """SHA-256 of all reference values of a structure, which are not in its digest.

    Reference values do not affect a model's results, but its errors.
    """
    digest = hashlib.sha256(b"ncbench labels 1")
    labels: list[tuple[str, Any]] = [
        (f"info {name}", value) for name, value in atoms.info.items() if isinstance(value, numbers.Real)
    ]
    labels += [(f"array {name}", values) for name, values in atoms.arrays.items() if values.dtype.kind == "f"]
    for name, values in sorted(labels, key=lambda item: item[0]):
        array = np.ascontiguousarray(values, dtype="<f8")
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
