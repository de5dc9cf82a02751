from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.constraints import FixAtoms
from known_fields import cluster

from ncbench.errors import UnsupportedError
from ncbench.md.random import NoiseSource
from ncbench.md.state import (
    Particles,
    draw_momenta,
    kinetic_energy,
    momenta_of,
    species_kinetic_energy,
    temperature,
)


def test_kinetic_energy_is_the_sum_over_species_and_equals_that_of_ase():
    atoms = cluster("H2OCl")
    atoms.set_momenta(np.random.default_rng(0).normal(size=(4, 3)))
    particles = Particles.from_structures([atoms, atoms], fix_com=False)
    momenta = momenta_of([atoms, atoms], particles)
    # Sums of 12 terms in another order: a few roundings of 1.1e-16.
    whole = kinetic_energy(momenta, particles)
    torch.testing.assert_close(
        whole, torch.full((2,), atoms.get_kinetic_energy(), dtype=torch.float64), rtol=1e-14, atol=0
    )
    torch.testing.assert_close(species_kinetic_energy(momenta, particles).sum(1), whole, rtol=1e-14, atol=0)
    assert particles.species == ("Cl", "H", "O")


@pytest.mark.parametrize("fix_com", [True, False])
def test_drawn_momenta_have_the_temperature_for_every_species(fix_com):
    structures = [cluster("H2OH2OH2O")] * 4000
    particles = Particles.from_structures(structures, fix_com=fix_com)
    normals = NoiseSource(3, range(4000)).initial_normals((9, 3))
    momenta = draw_momenta(particles, normals, 300.0)
    degrees = particles.species_degrees_of_freedom()
    assert float(degrees[0].sum()) == pytest.approx(particles.degrees_of_freedom, rel=1e-14)
    whole = temperature(kinetic_energy(momenta, particles), particles.degrees_of_freedom)
    species = temperature(species_kinetic_energy(momenta, particles), degrees)
    # var(T) = 2T²/n_dof for each draw; 4 standard errors. Without the com's share the oxygens would read 30 % low.
    for values, n_dof in [(whole, particles.degrees_of_freedom), *zip(species.T, degrees[0].tolist(), strict=True)]:
        assert float(values.mean()) == pytest.approx(300.0, abs=4 * 300 * np.sqrt(2 / n_dof / 4000))


def test_the_centre_of_mass_is_at_rest():
    particles = Particles.from_structures([cluster("H2OCl")] * 3)
    momenta = draw_momenta(particles, NoiseSource(3, range(3)).initial_normals((4, 3)), 300.0)
    assert float(momenta.abs().max()) > 0.1
    # Momenta of order 1, a sum of 4: a few units of rounding.
    assert float(momenta.sum(1).abs().max()) < 1e-14


def test_momenta_are_used_only_if_every_structure_has_them():
    still, moving = cluster("H2O"), cluster("H2O")
    moving.set_momenta(np.ones((3, 3)) * [[1.0], [2.0], [-1.0]])
    particles = Particles.from_structures([still, moving], fix_com=False)
    assert momenta_of([still, moving], particles) is None
    assert torch.equal(momenta_of([moving, moving], particles)[1], torch.as_tensor(moving.get_momenta()))


def test_constraints_are_refused():
    atoms = cluster("H2O")
    atoms.set_constraint(FixAtoms([0]))
    with pytest.raises(UnsupportedError, match="constraints"):
        Particles.from_structures([atoms])


def test_a_single_atom_with_its_centre_of_mass_fixed_is_refused():
    with pytest.raises(UnsupportedError, match="centre of mass is fixed"):
        Particles.from_structures([cluster("H")])
    assert Particles.from_structures([cluster("H")], fix_com=False).degrees_of_freedom == 3


def test_ended_replicas_do_not_move_and_have_no_kinetic_energy():
    particles = Particles.from_structures([cluster("H2O")] * 2).without(torch.tensor([True, False]))
    momenta = torch.ones(2, 3, 3, dtype=torch.float64)
    assert kinetic_energy(momenta, particles)[0] == 0.0
    assert kinetic_energy(momenta, particles)[1] > 0.0
