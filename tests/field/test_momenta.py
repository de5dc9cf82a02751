"""Momenta read from files: used, reported at another temperature, and independent of the batch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms
from habits import triangle

from ncbench.errors import StructureWarning, UnsupportedError
from ncbench.md.ensemble import groups_alike
from ncbench.md.state import Particles, momenta_of


def moving(kelvin: float, n: int = 30):
    atoms = triangle().repeat((n // 3, 1, 1))
    rng = np.random.default_rng(0)
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses()[:, None] * units.kB * kelvin)
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


@pytest.mark.parametrize("asked", [3000.0, 900.0, 100.0, 30.0])
def test_momenta_of_another_temperature_are_reported(asked) -> None:
    atoms = moving(300.0)
    with pytest.warns(
        StructureWarning,
        match=rf"has momenta of \d+ K, which are used, not {asked:g} K. --redraw-momenta draws new ones",
    ):
        momenta_of([atoms], Particles.from_structures([atoms]), asked)


def test_momenta_of_the_requested_temperature_are_used_without_a_warning() -> None:
    atoms = moving(300.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert momenta_of([atoms], Particles.from_structures([atoms]), 300.0) is not None
        assert momenta_of([triangle()], Particles.from_structures([triangle()]), 300.0) is None


def test_structures_with_and_without_momenta_share_no_batch() -> None:
    assert groups_alike([moving(300.0), triangle(), moving(300.0), moving(100.0, 3), triangle()]) == [
        [0, 2], [1, 4], [3],
    ]  # fmt: skip


def test_single_and_fixed_atoms_cannot_be_propagated() -> None:
    with pytest.raises(UnsupportedError, match="single atom cannot move"):
        Particles.from_structures([triangle()[:1]])
    held = triangle()
    held.set_constraint(FixAtoms([0]))
    with pytest.raises(UnsupportedError, match="constraints"):
        Particles.from_structures([held])
