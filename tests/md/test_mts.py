"""Multiple time stepping and velocity rescaling in their limiting cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from file_checkpoint import FileCheckpoint
from known_fields import Well, WellField, card, cluster

from ncbench.errors import UnsupportedError, UsageError
from ncbench.md.ensemble import fast_and_slow, in_batches, with_room
from ncbench.md.integrators import Dynamics, velocity_verlet
from ncbench.md.mts import MultipleTimeStep
from ncbench.md.random import NoiseSource
from ncbench.md.rescaling import rescaled
from ncbench.md.run import RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state, kinetic_energy
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.types import ForceMode, ModelRequest
from ncbench.units import FS

K = 5.0


def structures(n: int = 2):
    return [cluster("H2OH2O", seed=seed, spread=0.05) for seed in range(n)]


def trajectory(field, propagate, *, dt_fs: float, steps: int, thermostat=None):
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(5, range(field.n_replicas), label="mts")
    momenta = draw_momenta(particles, noise.initial_normals((field.n_atoms, 3)), 300.0)
    dynamics = Dynamics(dt_fs, thermostat, propagate)
    state = dynamics.initialise(initial_state(field, particles, momenta), particles, noise)
    states = [state]
    for _ in range(steps):
        state = dynamics.step(state, field, particles, noise)
        states.append(state)
    return states, particles


def test_without_a_slow_part_it_equals_velocity_verlet():
    field = WellField(structures(), K, 0.3)
    split, _ = trajectory(field, MultipleTimeStep(WellField(structures(), K, 0.3), 4), dt_fs=2.0, steps=50)
    plain, _ = trajectory(field, velocity_verlet, dt_fs=0.5, steps=200)
    # The slow kick is an exact zero; the remaining difference is the rounding of four steps of Δt/4.
    assert torch.allclose(split[-1].positions, plain[-1].positions, rtol=0, atol=1e-11)


def test_with_one_inner_step_it_equals_velocity_verlet_with_slow_forces():
    field = WellField(structures(), K, 0.0)
    split, _ = trajectory(field, MultipleTimeStep(WellField(structures(), 4.0, 0.5), 1), dt_fs=0.5, steps=200)
    plain, _ = trajectory(field, velocity_verlet, dt_fs=0.5, steps=200)
    # (f − g)Δt/2 + gΔt/2 against fΔt/2: rounding, in a stable linear map.
    assert torch.allclose(split[-1].positions, plain[-1].positions, rtol=0, atol=1e-11)


def test_curl_of_the_fast_forces_is_corrected():
    right, curly = WellField(structures(8), K, 0.0), WellField(structures(8), K, 0.5)
    split, particles = trajectory(right, MultipleTimeStep(curly, 4), dt_fs=2.0, steps=500)
    alone, _ = trajectory(curly, velocity_verlet, dt_fs=0.5, steps=2000)

    def drift(states):
        energy = np.array([float((s.energy + kinetic_energy(s.momenta, particles)).mean()) for s in states])
        return np.polyfit(np.arange(len(energy)) / len(energy), energy, 1)[0]

    # Over 1 ps the curl alone feeds in a sizeable energy; corrected every fourth step, almost none.
    assert drift(alone) > 0.1
    assert abs(drift(split)) < 0.02 * drift(alone)


def test_heating_power_of_a_curl_equals_the_closed_form():
    """A curl κ turns the modes of a well k into ones that grow as exp(±κt/2√(km)): E doubles at the rate κ/√(km) each."""
    kappa, atoms = 0.02, [cluster("Ar6", seed=s, spread=0.08) for s in range(64)]
    field = WellField(atoms, K, kappa)
    particles = Particles.from_structures(atoms, fix_com=False)
    noise = NoiseSource(2, range(64), label="power")
    state = initial_state(field, particles, draw_momenta(particles, noise.initial_normals((6, 3)), 300.0))
    h = 2.0 * FS
    force = np.array([[-K, -kappa, 0], [kappa, -K, 0], [0, 0, -K]])
    one, zero = np.eye(3), np.zeros((3, 3))
    kick, mass = np.block([[one, zero], [0.5 * h * force, one]]), float(particles.masses[0, 0, 0])
    step = np.linalg.matrix_power(kick @ np.block([[one, h / mass * one], [zero, one]]) @ kick, 400)
    sites = np.stack([a.arrays["sites"] for a in atoms])
    start = np.concatenate([state.positions.numpy() - sites, state.momenta.numpy()], axis=2)
    end = start @ step.T
    dynamics = Dynamics(2.0)
    first = state
    for _ in range(400):
        state = dynamics.step(state, field, particles, noise)
    assert np.allclose(state.momenta.numpy(), end[..., 3:], rtol=0, atol=1e-9)  # 400 steps of a linear map
    gained = float((state.energy + kinetic_energy(state.momenta, particles) - first.energy).sum()) - float(
        kinetic_energy(first.momenta, particles).sum()
    )
    energy = lambda x: np.sum(K * x[..., :3] ** 2 + x[..., 3:] ** 2 / mass) / 2  # noqa: E731
    assert gained == pytest.approx(energy(end) - energy(start), rel=1e-9)


@pytest.mark.parametrize("scheme", ["mts", "rescaled", "mts+langevin:50", "mts+gle"])
def test_a_resumed_run_equals_an_uninterrupted_one(scheme, tmp_path):
    kind, _, thermostat = scheme.partition("+")

    def launch(n_steps, checkpoint):
        field = WellField(structures(), K, 0.1)
        propagate = rescaled() if kind == "rescaled" else MultipleTimeStep(WellField(structures(), K, 0.4), 4)
        particles = Particles.from_structures(field.structures)
        noise = NoiseSource(5, range(2), label=scheme)
        series = EnergySeries(particles, n_steps=40, stride=2, timestep_fs=2.0)
        momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
        return run_md(
            field,
            particles,
            lambda: initial_state(field, particles, momenta),
            Dynamics(2.0, make_thermostat(thermostat, 300.0) if thermostat else None, propagate),
            noise,
            RunSettings(n_steps=n_steps, sample_every=2),
            observers=[series],
            checkpoint=checkpoint,
        ), series

    whole, series = launch(40, None)
    checkpoint = FileCheckpoint(tmp_path / "c")
    launch(13, checkpoint)
    split, again = launch(40, checkpoint)
    assert torch.equal(whole.state.positions, split.state.positions)
    assert torch.equal(whole.state.heat, split.state.heat)
    assert np.array_equal(series.conserved, again.conserved)


def test_energy_rescaling_keeps_the_energy_and_records_the_heat():
    field = WellField(structures(8), K, 0.5)
    states, particles = trajectory(field, rescaled(), dt_fs=0.5, steps=1000)
    total = torch.stack([s.energy + kinetic_energy(s.momenta, particles) for s in states])
    assert torch.allclose(total, total[:1].expand_as(total), rtol=1e-12)
    alone, _ = trajectory(field, velocity_verlet, dt_fs=0.5, steps=20)
    gained = (alone[-1].energy + kinetic_energy(alone[-1].momenta, particles) - total[0]).sum()
    # Over a few steps the removed energy equals the work of the curl, to first order in the change.
    assert float(-states[20].heat.sum()) == pytest.approx(float(gained), rel=0.05)
    assert float(states[-1].heat.sum()) < 0


def test_an_exploded_replica_does_not_change_the_others():
    class Losing(WellField):
        def __call__(self, positions):
            output = super().__call__(positions)
            self.calls += 0
            if self.calls > 20:
                output.forces[0] = torch.nan
            return output

    field = Losing(structures(), K, 0.0)
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(5, range(2), label="x")
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
    result = run_md(
        field,
        particles,
        lambda: initial_state(field, particles, momenta),
        Dynamics(2.0, propagate=MultipleTimeStep(Losing(structures(), K, 0.2), 4)),
        noise,
        RunSettings(n_steps=40),
    )
    assert result.alive.tolist() == [False, True]
    assert bool(torch.isfinite(result.state.positions[1]).all())


@pytest.mark.models
def test_one_call_for_both_forces_equals_two_calls():
    pytest.importorskip("metatomic.torch")
    from ncbench.structures.water import water_box

    atoms = water_box(8)
    right = load_forcefield(ModelRequest(spec="pet-m", dtype="float64"))
    both = right.bind([atoms]).with_direct_forces(right.bind([atoms]).initial_positions())
    assert both is not None
    output, direct = both
    alone = right.evaluate([atoms])[0]
    head = right.sibling(ForceMode.DIRECT).evaluate([atoms])[0]
    # float64 arithmetic on forces of eV/Å.
    assert np.allclose(output.forces[0].numpy(), alone.forces, rtol=0, atol=1e-10)
    assert np.allclose(direct[0].numpy(), head.forces, rtol=0, atol=1e-10)
    assert float(output.energy[0]) == pytest.approx(alone.energy, abs=1e-9)
    lost = right.bind([atoms]).with_direct_forces(right.bind([atoms]).initial_positions() * torch.nan)
    assert lost is not None
    assert bool(lost[0].forces.isnan().all())


def test_fast_and_slow_forces_are_found_or_an_error_is_raised():
    well, other = Well(), Well()
    assert fast_and_slow(well, other) == (well, other)
    with pytest.raises(UnsupportedError, match="offers no conservative forces"):
        fast_and_slow(well, None)
    with pytest.raises(UsageError, match="M = 0"):
        MultipleTimeStep(WellField(structures(), K, 0.0), 0)


def test_a_batch_too_large_for_the_memory_is_halved():
    assert in_batches([[0, 1, 2], [3]], 2) == [[0, 1], [2], [3]]
    assert in_batches([[0, 1, 2], [3]], None) == [[0, 1, 2], [3]]
    tried = []

    def run(group):
        tried.append(list(group))
        if len(group) > 2:
            raise torch.OutOfMemoryError
        return tuple(group)

    assert with_room([0, 1, 2, 3, 4], run) == [([0, 1], (0, 1)), ([2], (2,)), ([3, 4], (3, 4))]
    assert tried[0] == [0, 1, 2, 3, 4]
    with pytest.raises(torch.OutOfMemoryError):
        with_room([0], lambda group: run([0, 1, 2]))


def test_cards_of_known_fields_have_no_sibling():
    field: ForceField = Well()
    field.card = dataclasses.replace(card("x"), force_mode=ForceMode.CONSERVATIVE)
    assert field.sibling(ForceMode.CONSERVATIVE) is field


def test_an_outer_step_is_the_product_of_its_kicks_and_drifts():
    right, fast, stride, dt = WellField(structures(1), K, 0.0), WellField(structures(1), 4.0, 0.5), 4, 0.5 * FS
    states, particles = trajectory(right, MultipleTimeStep(fast, stride), dt_fs=0.5 * stride, steps=20)
    mass = particles.masses
    r, p = states[0].positions, states[0].momenta

    def force(field):
        return particles.at_rest(field(r).forces)

    for state in states[1:]:
        p = p + 0.5 * stride * dt * (force(right) - force(fast))
        for _ in range(stride):
            p = p + 0.5 * dt * force(fast)
            r = r + dt * p / mass
            p = p + 0.5 * dt * force(fast)
        p = p + 0.5 * stride * dt * (force(right) - force(fast))
        # The same sums in another order, 80 steps of a stable linear map.
        assert torch.allclose(state.positions, r, rtol=0, atol=1e-11)
        assert torch.allclose(state.momenta, p, rtol=0, atol=1e-11)
