"""Large structures in pieces: forces, energies and Jacobian products are those of the whole structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import read

from ncbench import memory, structures
from ncbench.models.loading import load_forcefield
from ncbench.models.netforce import remove_net_force
from ncbench.models.pieces import FEWEST_CENTRAL, PiecewiseLinearization, divide, energy_and_forces
from ncbench.models.verlet import VerletList
from ncbench.types import ModelRequest

pieces_of_pet = pytest.importorskip("ncbench.models.families.pet.pieces")


@pytest.fixture(scope="module")
def long_box() -> Atoms:
    """768 atoms, 50 Å along x: results of pet-m depend on atoms up to 10.5 Å away."""
    atoms = read(Path(structures.__file__).parent / "data" / "water64.xyz", 0)
    assert isinstance(atoms, Atoms)
    atoms = atoms.repeat((4, 1, 1))
    atoms.rattle(0.02, seed=1)
    # Not wrapped, and away from the origin.
    atoms.positions[::3] += atoms.cell[0]
    atoms.positions += [3.0, -4.0, 55.0]
    return atoms


@pytest.mark.parametrize("spec", ["pet-m:direct", "pet-m:conservative"])
def test_pieces_give_forces_and_products_of_the_whole_structure(spec, long_box):
    forcefield = load_forcefield(ModelRequest(spec=spec, dtype="float64"))
    field = forcefield.bind([long_box])
    at = field.initial_positions()
    whole, products = field(at), field.linearize(at)
    models = list(pieces_of_pet.pieces_of(field, at, 600))
    assert len(models) >= 3
    assert max(len(model.piece.atoms) for model in models) <= 600
    energy, forces = field._finished(at, *energy_and_forces(models, at))
    # float64: rounding of 1e-16 of coordinates of 100 Å times force constants of 1e2 eV/Å² is 1e-12 eV/Å a pair, and a hundred of them add up; energies
    # of 1e5 eV are rounded to 1e-11, a thousand times.
    torch.testing.assert_close(forces, whole.forces, rtol=0, atol=1e-8)
    torch.testing.assert_close(energy, whole.energy, rtol=0, atol=1e-7)
    project = remove_net_force if forcefield.card.net_force_removed else torch.clone
    in_pieces = PiecewiseLinearization(models, at, forces, project)
    vectors = torch.as_tensor(np.random.default_rng(2).normal(size=at.shape))
    for name in ("vjp", "jvp"):
        expected = getattr(products, name)(vectors)
        assert expected.abs().max() > 10
        torch.testing.assert_close(getattr(in_pieces, name)(vectors), expected, rtol=0, atol=1e-6)


def test_an_edge_less_is_not_enough(long_box, monkeypatch):
    """The readout of an edge uses the reverse message: without the last edge, results of the central atoms are wrong."""
    field = load_forcefield(ModelRequest(spec="pet-m:direct", dtype="float64")).bind([long_box])
    at = field.initial_positions()
    monkeypatch.setattr(pieces_of_pet, "divide", lambda pairs, near, hops, most: divide(pairs, near, hops - 1, most))
    _, forces = field._finished(at, *energy_and_forces(list(pieces_of_pet.pieces_of(field, at, 400)), at))
    assert (forces - field(at).forces).abs().max() > 1e-5


@pytest.mark.parametrize("spec", ["pet-m:direct", "pet-m:conservative"])
def test_a_structure_that_exceeds_memory_is_evaluated_in_pieces(spec, long_box, monkeypatch):
    forcefield = load_forcefield(ModelRequest(spec=spec, dtype="float64"))
    field = forcefield.bind([long_box, long_box])
    at = field.initial_positions()
    whole = field(at)
    assert field.piece_models(at, 1) is None
    monkeypatch.setattr(pieces_of_pet, "SMALLEST", 500)
    monkeypatch.setattr(pieces_of_pet, "TRIAL_ATOMS", 500)
    monkeypatch.setattr(memory, "total", lambda device: 10**8)
    models = field.piece_models(at, 1)
    assert models is not None
    assert {model.piece.replica for model in models} == {0, 1}
    out = field(at)
    torch.testing.assert_close(out.forces, whole.forces, rtol=0, atol=1e-8)
    torch.testing.assert_close(out.energy, whole.energy, rtol=0, atol=1e-7)
    assert isinstance(field.linearize(at), PiecewiseLinearization)
    assert field.with_direct_forces(at) is None


def test_pieces_do_not_depend_on_where_a_run_was_resumed(long_box, monkeypatch):
    monkeypatch.setattr(pieces_of_pet, "SMALLEST", 500)
    monkeypatch.setattr(pieces_of_pet, "TRIAL_ATOMS", 500)
    monkeypatch.setattr(memory, "total", lambda device: 10**8)
    forcefield = load_forcefield(ModelRequest(spec="pet-m:direct"))
    through, resumed = forcefield.bind([long_box]), forcefield.bind([long_box])
    start = through.initial_positions()
    through(start)
    later = start + 0.3
    assert torch.equal(through(later).forces, resumed(later).forces)


def test_a_piece_holds_what_its_edges_reach():
    """Against distances in the graph by repeated multiplication of the adjacency matrix."""
    rng = np.random.default_rng(3)
    # A chain in a periodic box, and 40 atoms without neighbours.
    chain = np.column_stack([np.arange(200) * 1.0, rng.normal(0, 0.1, (200, 2))])
    apart = np.column_stack([np.arange(40) * 5.0, np.full(40, 20.0), np.full(40, 20.0)])
    atoms = Atoms("Ar240", positions=np.vstack([chain, apart]), cell=[200, 40, 40], pbc=True)
    at = torch.as_tensor(atoms.positions)[None]
    pairs = VerletList([atoms], 1.5, torch.device("cpu"))(at)
    pieces = list(divide(pairs, at, 3, 100))
    assert sorted(torch.cat([piece.central for piece in pieces]).tolist()) == list(range(240))
    adjacency = np.eye(240, dtype=int)
    adjacency[pairs.first.numpy(), pairs.second.numpy()] = 1
    reach = np.linalg.matrix_power(adjacency, 3) > 0
    for piece in pieces:
        expected = np.flatnonzero(reach[piece.central.numpy()].any(0))
        assert sorted(piece.atoms.tolist()) == expected.tolist()
        assert len(piece.atoms) <= 100 or piece.n_central < 2 * FEWEST_CENTRAL
        places, first, second = piece.inside(pairs, 240)
        assert torch.equal(piece.atoms[first], pairs.first[places])
        assert torch.equal(piece.atoms[second], pairs.second[places])
