"""Selects the structures of a set with the requested reference values, and warns about the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ncbench.errors import StructureWarning, UsageError, did_you_mean
from ncbench.structures.labels import (
    ENERGY_LABEL,
    FORCES_LABEL,
    atoms_without_forces,
    energy_is_finite,
    label_names,
    reference_energy,
    reference_forces,
)
from ncbench.types import Case


def labelled(cases: Sequence[Case], energy_key: str, forces_key: str) -> list[Case]:
    """The cases with an energy or forces under these keys, in their order; warnings name omitted structures and mixed labels.

    Raises:
        UsageError: no structure has either, or no structure has a given key.
    """
    energies = [reference_energy(case.atoms, energy_key) is not None for case in cases]
    forces = [reference_forces(case.atoms, forces_key) is not None for case in cases]
    energy_names, force_names = label_names([case.atoms for case in cases])
    for values, key, default, what, names, option in (
        (energies, energy_key, ENERGY_LABEL, "energy", energy_names, "--energy-key"),
        (forces, forces_key, FORCES_LABEL, "forces", force_names, "--forces-key"),
    ):
        if any(values):
            continue
        others = [name for name in names if name not in (key, default)]
        if key != default:
            raise UsageError(f"No structure has an {what} '{key}'." if what == "energy" else f"No structure has {what} '{key}'.",
                             hint=did_you_mean(key, names) or _there_are(names))  # fmt: skip
        if others and any(energies + forces):
            _warn(f"There is no '{key}', but '{others[0]}': {option} {others[0]} uses it.")
    if not any(energies + forces):
        raise UsageError(
            f"No structure has reference values: {cases[0].name} has neither an energy '{energy_key}' nor forces '{forces_key}'.",
            hint="Use --system water-dft or mptrj, a --structure file with energies and forces, or --energy-key and --forces-key. "
            + _there_are([*energy_names, *force_names]),
        )
    if any(energies) and any(forces) and (energy_key == ENERGY_LABEL) != (forces_key == FORCES_LABEL):
        missing = "--forces-key" if forces_key == FORCES_LABEL else "--energy-key"
        _warn(
            f"Energies are '{energy_key}' and forces '{forces_key}', possibly of two levels of theory; {missing} selects the matching one."
        )
    _warn_of_not_finite(cases, energy_key, forces_key)
    there = [energy or force for energy, force in zip(energies, forces, strict=True)]
    if not all(there):
        first = next(case.name for case, known in zip(cases, there, strict=True) if not known)
        _warn(
            f"{there.count(False)} of {len(cases)} structures have no numeric reference value and are left out, {first} is the first."
        )
    return [case for case, known in zip(cases, there, strict=True) if known]


def _warn_of_not_finite(cases: Sequence[Case], energy_key: str, forces_key: str) -> None:
    """Name the reference values that are not compared because they are not finite, which are gaps or calculations that failed."""
    energies = [case for case in cases if not energy_is_finite(case.atoms, energy_key)]
    if energies:
        _warn(
            f"{len(energies)} of {len(cases)} reference energies are not finite and are left out, that of {energies[0].name} is the first."
        )
    atoms = [(case, atoms_without_forces(case.atoms, forces_key)) for case in cases]
    affected = [(case, count) for case, count in atoms if count]
    if affected:
        _warn(
            f"The reference forces of {sum(count for _, count in affected)} atoms in {len(affected)} of {len(cases)} structures are not finite "
            f"and are left out, those of {affected[0][0].name} are the first."
        )


def _there_are(names: Sequence[str]) -> str:
    return f"The structures have {', '.join(names)}." if names else "They have no labels at all."


def _warn(text: str) -> None:
    warnings.warn(text, StructureWarning, stacklevel=3)
