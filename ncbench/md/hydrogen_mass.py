"""Hydrogen mass repartitioning: mass moved from the bonded atom to each hydrogen, which slows the fastest vibrations and allows longer time steps.

The total mass and all equilibrium averages of positions are unchanged (Feenstra, Hess & Berendsen, J. Comput. Chem. 20, 786, 1999; Hopkins, Le Grand, Walker &
Roitberg, J. Chem. Theory Comput. 11, 1864, 2015); times are not those of the real masses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from ncbench.errors import UnsupportedError, UsageError
from ncbench.types import Case

LONGEST_BOND_A = 1.5
"""Å; bonds of hydrogen to C, N, O, F are 0.9 to 1.1 Å, to Si, P, S at most 1.5 Å; hydrogen bonds are longer than 1.5 Å."""


def repartitioned(atoms: Atoms, hydrogen_mass_u: float | None) -> Atoms:
    """A copy in which every hydrogen has the mass given; the structure itself for ``None``.

    The difference is taken from the nearest other element within :data:`LONGEST_BOND_A`. Momenta are scaled by √(m'/m) per atom, which keeps the kinetic energy of
    every atom, and a canonical sample one; a run that holds the centre of mass removes its motion afterwards. A second call changes nothing.

    Args:
        atoms: a structure.
        hydrogen_mass_u: mass of hydrogen afterwards, u.

    Raises:
        UnsupportedError: there is no hydrogen, or one without a bonded atom.
        UsageError: the mass is below the present one of a hydrogen, or leaves a bonded atom lighter than that.
    """
    if hydrogen_mass_u is None:
        return atoms
    hydrogens = np.flatnonzero(atoms.numbers == 1)
    if not len(hydrogens):
        raise UnsupportedError("Hydrogen mass repartitioning needs hydrogen, and the structure has none.")
    masses = atoms.get_masses()
    if hydrogen_mass_u < masses[hydrogens].max() - 1e-9:
        raise UsageError(
            f"hmr is {hydrogen_mass_u:g} u, less than the mass of hydrogen in the structure, {masses[hydrogens].max():g} u."
        )
    changed = masses.copy()
    for hydrogen, partner in zip(hydrogens, _bonded(atoms, hydrogens), strict=True):
        changed[partner] -= hydrogen_mass_u - masses[hydrogen]
        changed[hydrogen] = hydrogen_mass_u
    # Equality is allowed up to the rounding of the sums.
    if changed.min() < hydrogen_mass_u - 1e-9:
        lightest = int(changed.argmin())
        raise UsageError(
            f"hmr is {hydrogen_mass_u:g} u, which leaves {changed[lightest]:.3g} u for atom {lightest} ({atoms.symbols[lightest]}).",
            hint="Choose a smaller mass; 3 u is usual.",
        )
    result: Atoms = atoms.copy()
    result.set_masses(changed)
    result.set_momenta(atoms.get_momenta() * np.sqrt(changed / masses)[:, None])
    return result


def repartitioned_cases(cases: Sequence[Case], hydrogen_mass_u: float | None) -> list[Case]:
    """The same structures after :func:`repartitioned`. Raises as it does."""
    return [Case(case.name, repartitioned(case.atoms, hydrogen_mass_u)) for case in cases]


def masses_by_element(atoms: Atoms, hydrogen_mass_u: float | None) -> str | None:
    """Masses in a repartitioned structure by element, u, such as ``H 3, O 12``; a range where they differ; ``None`` without repartitioning."""
    if hydrogen_mass_u is None:
        return None
    masses, symbols = atoms.get_masses(), np.array(atoms.get_chemical_symbols())
    parts = []
    for symbol in sorted(set(symbols.tolist())):
        ends = sorted({f"{mass:.4g}" for mass in masses[symbols == symbol]}, key=float)
        parts.append(f"{symbol} {ends[0]}" + (f" to {ends[-1]}" if len(ends) > 1 else ""))
    return ", ".join(parts)


def _bonded(atoms: Atoms, hydrogens: np.ndarray[tuple[int], np.dtype[np.int_]]) -> list[int]:
    """The nearest atom of another element of each hydrogen."""
    first, second, distances = neighbor_list("ijd", atoms, LONGEST_BOND_A)
    partners = []
    for hydrogen in hydrogens:
        bonds = (first == hydrogen) & (atoms.numbers[second] != 1)
        if not bonds.any():
            raise UnsupportedError(
                f"Hydrogen mass repartitioning: hydrogen {hydrogen} has no atom of another element within {LONGEST_BOND_A:g} Å."
            )
        partners.append(int(second[bonds][distances[bonds].argmin()]))
    return partners
