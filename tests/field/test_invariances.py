"""Each probe measures the size of an artificial defect and reads below its floor on a model without it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from habits import CUTOFF_A, Pairs, triangle, wrapped

from ncbench.consistency.invariances import PROBES, probe, rounding_floor
from ncbench.models.ase_adapter import ASEForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import ModelRequest

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
def test_an_intact_model_reads_below_the_floor(name, kind) -> None:
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
def test_the_size_of_a_defect_is_measured(name) -> None:
    atoms = structures()["slab"]
    result, _ = measured(DEFECTS[name](), atoms, name)
    assert result is not None
    assert 0.05 * SIZE <= result.force <= 20 * SIZE


def test_probes_do_not_change_the_structure() -> None:
    atoms = structures()["slab"]
    before = {key: values.copy() for key, values in atoms.arrays.items()}
    for name in PROBES:
        measured(wrapped(Pairs()), atoms, name)
    assert all(np.array_equal(values, atoms.arrays[key]) for key, values in before.items())


class InsideTheCell(Pairs):
    """Looks for neighbours among the images next to the cell, as if all atoms were inside it. TorchSim/torch-sim 423."""

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        cell, positions = self.atoms.cell.array, self.atoms.positions
        shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
        near = positions[None, None] + (shifts @ cell)[:, None, None] - positions[None, :, None]
        # As many pairs as the complete list has if no atom is outside; the lost part is modelled by a share of the forces.
        counted = int(np.sum(np.linalg.norm(near, axis=-1) < CUTOFF_A)) - len(positions)
        complete = len(neighbor_list("i", self.atoms, CUTOFF_A))
        self.results["forces"] = self.results["forces"] * counted / complete


def test_a_model_that_assumes_wrapped_positions_is_detected() -> None:
    atoms = triangle()
    atoms.wrap()
    forcefield = wrapped(InsideTheCell())
    original = forcefield.evaluate([atoms])[0]
    # With all atoms inside, it is right.
    assert np.allclose(original.forces, wrapped(Pairs()).evaluate([atoms])[0].forces, rtol=0, atol=1e-14)
    rng = np.random.default_rng(0)
    change = probe("images", forcefield, atoms, original, rng)
    assert change is not None
    assert change.force > 1e6 * rounding_floor(forcefield, atoms, original, rng=rng)


@pytest.mark.parametrize("spec", ["analytic-lj", None])
def test_a_coordinate_of_rounding_size_changes_nothing(spec) -> None:
    """Atomistica/atomistica 30: −4e-52 Å instead of 0 made an atom lose its neighbours."""
    forcefield = wrapped(Pairs()) if spec is None else load_forcefield(ModelRequest(spec=spec))
    crystal = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    zero = np.abs(crystal.positions) < 1e-9
    crystal.rattle(0.05, seed=2)
    crystal.positions[zero] = 0.0
    moved = crystal.copy()
    rng = np.random.default_rng(1)
    moved.positions[zero] = rng.choice([-1, 1], zero.sum()) * 10.0 ** rng.uniform(-60, -16, zero.sum())
    before, after = forcefield.evaluate([crystal, moved])
    # Rounding of positions of 10 Å, 1e-15, in some ten forces that change by less than 1 eV/Å².
    assert np.allclose(before.forces, after.forces, rtol=0, atol=1e-13)
    assert after.energy == pytest.approx(before.energy, abs=1e-12)
    assert np.abs(before.forces).max() > 1e-2
