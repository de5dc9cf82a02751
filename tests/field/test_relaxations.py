"""Relaxations keep fixed atoms in place, batched or not, and refuse other constraints."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixedPlane
from ase.optimize import FIRE, LBFGS
from habits import Pairs, field, triangle, wrapped

from ncbench.errors import UnsupportedError
from ncbench.relaxation.batch import relax, relax_many
from ncbench.relaxation.relaxation import Start, displaced_start

CONSTRAINTS = {
    "no atom": [],
    "one atom": [FixAtoms([0])],
    "a mask": [FixAtoms(mask=[False, True, False])],
    "one direction": [FixCartesian([0, 2], mask=(False, True, False))],
    "a plane": [FixedPlane(1, (0, 0, 1))],
    "two": [FixAtoms([0]), FixCartesian([1], mask=(True, False, False))],
}


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
def test_a_constrained_relaxation_agrees_with_ase(name, optimizer) -> None:
    atoms = triangle(pbc=False)
    atoms.set_constraint(CONSTRAINTS[name])
    result = relax(field(), atoms, optimizer, fmax=1e-4, max_steps=300)
    alone = atoms.copy()
    alone.calc = Pairs()
    dynamics = {"lbfgs": LBFGS, "fire": FIRE}[optimizer](alone, logfile=None)
    dynamics.run(fmax=1e-4, steps=300)
    # The same operations in the same order; sums of the reference's neighbours may differ in the last place, times some 100 steps.
    assert np.abs(result.positions - alone.positions).max() <= 1e-9
    assert result.steps == dynamics.get_number_of_steps()
    assert result.fmax_trace[-1] == pytest.approx(np.linalg.norm(alone.get_forces(), axis=1).max(), abs=1e-9)


def test_fixed_atoms_are_not_displaced() -> None:
    atoms = triangle()
    atoms.set_constraint(FixAtoms([1]))
    start, _ = displaced_start(atoms, 0.3, np.random.default_rng(0))
    assert np.array_equal(start.positions[1], atoms.positions[1])
    assert np.abs(start.positions[[0, 2]] - atoms.positions[[0, 2]]).min() > 0


def test_structures_with_and_without_constraints_relax_in_one_batch() -> None:
    free, held = triangle(), triangle()
    held.set_constraint(FixAtoms([0, 1, 2]))
    results = dict(relax_many(field(), [Start(free, "lbfgs"), Start(held, "lbfgs")], fmax=1e-3, max_steps=100))
    assert results[0].steps > 0
    assert results[1].steps == 0
    assert np.array_equal(results[1].positions, held.positions)


def test_other_kinds_of_constraints_are_refused() -> None:
    atoms = triangle()
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(UnsupportedError, match=r"constraint of kind FixBondLengths?; relaxations support FixAtoms"):
        relax(field(), atoms, "fire", fmax=1e-3, max_steps=10)


def test_relaxation_with_a_caching_calculator_agrees_with_ase() -> None:
    cluster = Octahedron("Cu", 2)
    cluster.rattle(0.1, seed=2)
    cluster.set_constraint(FixAtoms([0]))
    result = relax(wrapped(EMT()), cluster, "lbfgs", fmax=1e-3, max_steps=200)
    alone = cluster.copy()
    alone.calc = EMT()
    LBFGS(alone, logfile=None).run(fmax=1e-3, steps=200)
    assert np.abs(result.positions - alone.positions).max() <= 1e-9
