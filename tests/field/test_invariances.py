"""Each probe finds the defect that is dialled in, at its size, and reads below its floor on a model without it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from habits import Pairs, triangle, wrapped

from ncbench.consistency.invariances import PROBES, probe, rounding_floor
from ncbench.models.ase_adapter import ASEForceField

SIZE = 1e-3
"""Of every defect, eV/Å (or a share of the forces): far above float64's floor of some 1e-15, far below a bond's force."""


def structures() -> dict[str, Atoms]:
    slab = triangle()
    slab.set_cell([7.0, 7.1, 30.0])
    slab.pbc = (True, True, False)
    return {"crystal": triangle(), "slab": slab, "molecule": triangle(pbc=False)}


def _wall(results, atoms) -> None:
    results["forces"] = results["forces"] + SIZE * np.sin(atoms.positions)


def _blind_to_images(results, atoms) -> None:
    results["forces"] = results["forces"] + SIZE * np.sin(atoms.positions - atoms.positions.mean(axis=0))


def _counts_atoms(results, atoms) -> None:
    results["forces"] = results["forces"] * (1 + SIZE * len(atoms))


def _numbers_atoms(results, atoms) -> None:
    results["forces"] = results["forces"] + SIZE * (np.arange(len(atoms)) % 3)[:, None]


class Remembers(Pairs):
    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] + SIZE * (self.calls % 7)


class Crowded(ASEForceField):
    def _evaluate(self, structures, *, stress):
        results = super()._evaluate(structures, stress=stress)
        for result in results:
            result.forces[:] += SIZE * (len(structures) - 1)
        return results


def crowded() -> ASEForceField:
    plain = wrapped(Pairs())
    return Crowded(plain.calculator, plain.card)


DEFECTS = {
    "translation": lambda: wrapped(Pairs(_wall)),
    "images": lambda: wrapped(Pairs(_blind_to_images)),
    "supercell": lambda: wrapped(Pairs(_counts_atoms)),
    "ghost": lambda: wrapped(Pairs(_counts_atoms)),
    "permutation": lambda: wrapped(Pairs(_numbers_atoms)),
    "repetition": lambda: wrapped(Remembers()),
    "company": crowded,
}


def measured(forcefield, atoms: Atoms, name: str):
    rng = np.random.default_rng(3)
    current = forcefield.evaluate([atoms])[0]
    return probe(name, forcefield, atoms, current, rng), rounding_floor(forcefield, atoms, current, rng=rng)


@pytest.mark.parametrize("kind", structures())
@pytest.mark.parametrize("name", PROBES)
def test_a_model_without_a_defect_reads_below_the_floor(name, kind) -> None:
    atoms = structures()[kind]
    result, floor = measured(wrapped(Pairs()), atoms, name)
    if result is None:
        assert (name, kind) in {("images", "molecule"), ("supercell", "molecule"), ("ghost", "crystal")}
        return
    assert result.force <= 3 * floor
    # An energy of some eV keeps 1e-15.
    assert result.energy_per_atom <= 1e-13
    assert floor < 1e-12


@pytest.mark.parametrize("name", PROBES)
def test_a_defect_is_found_at_its_size(name) -> None:
    atoms = structures()["slab"]
    result, _ = measured(DEFECTS[name](), atoms, name)
    assert result is not None
    assert 0.05 * SIZE <= result.force <= 20 * SIZE


def test_a_probe_leaves_the_structure_as_it_was() -> None:
    atoms = structures()["slab"]
    before = {key: values.copy() for key, values in atoms.arrays.items()}
    for name in PROBES:
        measured(wrapped(Pairs()), atoms, name)
    assert all(np.array_equal(values, atoms.arrays[key]) for key, values in before.items())
