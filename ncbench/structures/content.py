"""The content of a structure: everything that a model, a trajectory or an optimiser can read, and nothing else.

The digest of a job's key, copies sent to workers, supercells and warnings about files all follow this list:

- species, positions, cell, periodic boundary conditions;
- per atom: masses (isotopes), momenta, reference sites, initial charges and magnetic moments, tags, any further array;
- of the whole: total charge and spin under any of the names that models read, and any further entry of ``info`` that is plain data;
- constraints.

Reference energies, forces and stresses are labels: they are only compared with, never passed to a model, and have a separate digest
(:func:`ncbench.structures.labels.labels_hash`).
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase import Atoms

from ncbench.errors import StructureWarning

CHARGES = ("charge", "total_charge")
"""Names under which models read the total charge, e."""
SPINS: Mapping[str, float] = {"spin": 1.0, "multiplicity": 1.0, "spin_multiplicity": 1.0, "total_spin": 0.0}
"""Names under which models read the spin, with the value of a closed shell: multiplicity 2S + 1, or 2S."""

LABEL = re.compile(
    r"(^|_)(energy|energies|free_energy|force|forces|stress|stresses|virial|virials)(_|$)", re.IGNORECASE
)
"""Names of reference values: ``energy_dft``, ``REF_energy``, ``forces``, ``dft_stress``."""

BOOKKEEPING = frozenset({"time_index", "spacegroup", "unit_cell", "occupancy", "spacegroup_kinds", "n_cells"})
"""Entries of ``info`` and arrays set by readers and ncbench, which no model reads."""

_ZERO_WHERE_ABSENT = ("initial_charges", "initial_magmoms", "tags")
"""Arrays that are zero by default, so that zeros are equivalent to absence."""


def is_label(name: str) -> bool:
    """Whether an entry of ``info`` or an array of this name is a reference value."""
    return LABEL.search(name) is not None


def visible_info(atoms: Atoms) -> Iterator[tuple[str, Any]]:
    """Entries of ``info`` that a model may read, sorted by name; values are plain data."""
    for name in sorted(key for key in atoms.info if isinstance(key, str)):
        value = atoms.info[name]
        if name not in BOOKKEEPING and not is_label(name) and is_plain(value):
            yield name, value


def visible_arrays(atoms: Atoms) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays besides species and positions that a model may read, sorted by name."""
    for name in sorted(atoms.arrays):
        values = atoms.arrays[name]
        if name in ("numbers", "positions") or name in BOOKKEEPING or is_label(name) or values.dtype.hasobject:
            continue
        if name in _ZERO_WHERE_ABSENT and not values.any():
            continue
        yield name, values


def constraint_content(atoms: Atoms) -> list[str]:
    """Each constraint in effect as canonical JSON, in its order."""
    return [as_json(constraint.todict()) for constraint in constraints_in_effect(atoms)]


def constraints_in_effect(atoms: Atoms) -> list[Any]:
    """The constraints without those that apply to no atom."""
    return [one for one in atoms.constraints if (indices := constrained_atoms(one)) is None or indices.size]


def name_unused_constraints(name: str, atoms: Atoms) -> None:
    """Warn that a calculation which moves all atoms does not hold those that the structure fixes."""
    kinds = sorted({type(one).__name__ for one in constraints_in_effect(atoms)})
    if kinds:
        warnings.warn(
            f"The constraints of {name} ({', '.join(kinds)}) are not used: all of its atoms move.",
            StructureWarning,
            stacklevel=2,
        )


def constrained_atoms(constraint: Any) -> np.ndarray | None:
    """The indices that a constraint names; ``None`` where it names none, as one of the centre of mass."""
    content = constraint.todict() if hasattr(constraint, "todict") else {}
    indices = content.get("kwargs", {}).get("indices")
    return None if indices is None else np.asarray(indices)


def as_json(value: Any) -> str:
    """Canonical JSON of plain data, arrays as lists."""
    return json.dumps(value, default=_as_list, sort_keys=True, separators=(",", ":"))


def is_plain(value: Any) -> bool:
    """Whether a value is data: numbers, text, and lists, mappings and arrays of these."""
    try:
        as_json(value)
    except (TypeError, ValueError):
        return False
    return True


def _as_list(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not plain data")


def total_charge(atoms: Atoms) -> float:
    """The total charge that the structure declares, e; 0 where it declares none."""
    return next((float(atoms.info[name]) for name in CHARGES if name in atoms.info), 0.0)
