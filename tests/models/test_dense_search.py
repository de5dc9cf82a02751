"""The neighbour search by all distances finds the pairs of the search on the host, in the same order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from ncbench.models.dense_search import DenseSearch
from ncbench.models.verlet import VerletList

CPU = torch.device("cpu")


def searches(structures: list[Atoms], cutoff: float) -> tuple[torch.Tensor, torch.Tensor]:
    at = torch.as_tensor(np.stack([atoms.positions for atoms in structures]))
    verlet = VerletList(structures, cutoff, CPU, skin=0.0)
    cells = np.stack([np.asarray(atoms.cell.complete()) for atoms in structures])
    dense = DenseSearch(cells, np.stack([atoms.pbc for atoms in structures]), cutoff, CPU)
    return dense(at), verlet._table(at)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    replicas=st.integers(1, 3),
    atoms=st.integers(1, 6),
    same_periodicity=st.booleans(),
    spread=st.sampled_from([1.0, 30.0]),
)
def test_pairs_are_those_of_the_host(seed, replicas, atoms, same_periodicity, spread):
    rng = np.random.default_rng(seed)
    structures = []
    pbc = rng.random(3) < 0.6
    for _ in range(replicas):
        cell = np.diag(rng.uniform(2.0, 6.0, 3)) + rng.uniform(-1.2, 1.2, (3, 3))
        positions = rng.normal(size=(atoms, 3)) * spread
        pbc = pbc if same_periodicity else rng.random(3) < 0.6
        structures.append(Atoms(f"Ar{atoms}", positions=positions, cell=cell, pbc=pbc))
    dense, host = searches(structures, 3.0)
    torch.testing.assert_close(dense, host, rtol=0, atol=0)


def test_images_of_an_atom_itself_and_a_cell_smaller_than_the_cutoff():
    dense, host = searches([bulk("Al")], 9.0)
    assert len(host) > 100
    torch.testing.assert_close(dense, host, rtol=0, atol=0)


@pytest.mark.parametrize("lost", [np.nan, np.inf, 1e12])
def test_a_replica_that_is_lost_has_no_pairs_and_takes_none_from_others(lost):
    structures = [molecule("H2O", vacuum=3.0) for _ in range(3)]
    structures[1].positions[2, 0] = lost
    dense, host = searches(structures, 4.0)
    torch.testing.assert_close(dense, host, rtol=0, atol=0)
    assert set(dense[:, 5].tolist()) == {0, 2}


def test_replicas_are_searched_in_chunks_that_fit(monkeypatch):
    rng = np.random.default_rng(0)
    structures = [bulk("Cu", cubic=True) for _ in range(5)]
    for atoms in structures:
        atoms.rattle(0.1, rng=rng)
    whole, host = searches(structures, 4.0)
    # One replica has 16 distances to each of 125 or fewer images.
    monkeypatch.setattr("ncbench.models.dense_search.MOST_DISTANCES", 4000)
    parts, _ = searches(structures, 4.0)
    torch.testing.assert_close(whole, host, rtol=0, atol=0)
    torch.testing.assert_close(parts, host, rtol=0, atol=0)


def test_large_structures_do_not_suit():
    search = DenseSearch(np.eye(3)[None] * 30.0, np.ones((1, 3), dtype=bool), 5.0, CPU)
    assert search.suits(1000)
    assert not search.suits(2000)
