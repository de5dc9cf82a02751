"""Dynamics on a device that is not the CPU: the same trajectory, no tensor left on the host, and no waiting within a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from device_cases import crystal, larger, model
from file_checkpoint import FileCheckpoint
from simulated_device import NAME, Synchronisation, synchronisations

from ncbench.md import run as driver
from ncbench.md.integrators import Dynamics, Propagator, velocity_verlet
from ncbench.md.mts import MultipleTimeStep
from ncbench.md.random import NoiseSource
from ncbench.md.rescaling import rescaled
from ncbench.md.run import RunResult, RunSettings, run_md
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import Evaluation, Field, FieldOutput, ForceField
from ncbench.types import Checkpoint

on_simulated_device = pytest.mark.simulated
THERMOSTATS = ("langevin:50", "svr:50", "nhc:50", "andersen:50", "gle")
STEPS = 24


def crystals() -> list[Atoms]:
    return [crystal(seed) for seed in range(2)]


@dataclass(frozen=True)
class Run:
    """A run of a few steps, and what waited for the device in it."""

    result: RunResult
    series: EnergySeries
    waits: Sequence[Synchronisation]


def run(
    forcefield: ForceField,
    structures: Sequence[Atoms],
    *,
    thermostat: str | None = None,
    propagator: Callable[[], Propagator] = lambda: velocity_verlet,
    fix_com: bool = True,
    sample_every: int = STEPS,
    steps: int = STEPS,
    checkpoint: Checkpoint | None = None,
) -> Run:
    field = forcefield.bind(structures)
    particles = Particles.from_structures(structures, fix_com=fix_com, device=field.device)
    noise = NoiseSource(3, range(len(structures)), label="device", device=field.device)
    momenta = draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), 30.0)
    series = EnergySeries(particles, n_steps=steps, stride=sample_every, timestep_fs=1.0)
    dynamics = Dynamics(1.0, None if thermostat is None else make_thermostat(thermostat, 30.0), propagator())
    with synchronisations() as waits:
        result = run_md(
            field,
            particles,
            lambda: initial_state(field, particles, momenta),
            dynamics,
            noise,
            RunSettings(n_steps=steps, sample_every=sample_every),
            observers=[series],
            checkpoint=checkpoint,
        )
    return Run(result, series, waits)


def same(one: Run, on_cpu: Run) -> None:
    """Bit by bit on the simulated device, which computes with the operations of the CPU.

    On CUDA sums are taken in another order: some ε = 2e-16 in a step, which 24 steps of a stable crystal add up and do not amplify: 1e-12 of the largest entry.
    """
    kind = one.result.state.positions.device.type
    relative = 0.0 if kind == NAME else 1e-12
    for name in ("positions", "momenta", "forces", "energy", "heat"):
        there, here = getattr(one.result.state, name), getattr(on_cpu.result.state, name).numpy()
        assert there.device.type == kind, name
        np.testing.assert_allclose(
            there.cpu().numpy(), here, rtol=0, atol=relative * np.nanmax(np.abs(here), initial=1.0)
        )
    for name, value in one.result.state.extra.items():
        assert value.device.type == kind, name
    size = np.nanmax(np.abs(on_cpu.series.conserved))
    np.testing.assert_allclose(one.series.conserved, on_cpu.series.conserved, rtol=0, atol=relative * size)


@pytest.mark.parametrize("fix_com", [True, False])
@pytest.mark.parametrize("thermostat", [None, *THERMOSTATS])
def test_a_thermostat_gives_the_trajectory_of_the_cpu(thermostat: str | None, fix_com: bool, other_device: str) -> None:
    runs = [
        run(model("analytic-solenoidal", d), crystals(), thermostat=thermostat, fix_com=fix_com)
        for d in (other_device, "cpu")
    ]
    same(*runs)


PROPAGATORS: dict[str, Callable[[str], Callable[[], Propagator]]] = {
    "mts": lambda device: lambda: MultipleTimeStep(model("analytic-solenoidal", device).bind(crystals()), 3),
    "rescaled": lambda device: rescaled,
}


@pytest.mark.parametrize("name", PROPAGATORS)
def test_a_propagator_gives_the_trajectory_of_the_cpu(name: str, other_device: str) -> None:
    runs = [
        run(model("analytic-harmonic", device), crystals(), propagator=PROPAGATORS[name](device))
        for device in (other_device, "cpu")
    ]
    same(*runs)


def test_pairs_within_a_cutoff_give_the_trajectory_of_the_cpu(other_device: str) -> None:
    runs = [run(model("analytic-lj", device), [larger()], steps=10, sample_every=5) for device in (other_device, "cpu")]
    same(*runs)


def _per_step(
    forcefield: ForceField, structures: Sequence[Atoms], *, steps: int, more: int, **options
) -> Sequence[str]:
    """What waits in ``more`` further steps: start and end of a run are the same for both lengths."""
    short = [str(wait) for wait in run(forcefield, structures, steps=steps, sample_every=1000, **options).waits]
    long = [str(wait) for wait in run(forcefield, structures, steps=steps + more, sample_every=1000, **options).waits]
    for wait in short:
        long.remove(wait)
    return long


@pytest.fixture
def no_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the progress notes, which wait for the device twice a second of wall time."""
    monkeypatch.setattr(driver, "_PROGRESS_SECONDS", math.inf)


@on_simulated_device
@pytest.mark.usefixtures("no_notes")
@pytest.mark.parametrize("thermostat", [None, *THERMOSTATS])
def test_the_host_waits_only_for_every_tenth_check(thermostat: str | None) -> None:
    waits = _per_step(model("analytic-solenoidal", NAME), crystals(), steps=20, more=20, thermostat=thermostat)
    assert len(waits) == 2, waits
    assert all("_update_exploded_step" in wait for wait in waits), waits


@on_simulated_device
@pytest.mark.usefixtures("no_notes")
@pytest.mark.parametrize("name", PROPAGATORS)
def test_the_host_waits_for_no_propagator(name: str) -> None:
    field = model("analytic-harmonic", NAME)
    waits = _per_step(field, crystals(), steps=20, more=20, propagator=PROPAGATORS[name](NAME))
    assert len(waits) == 2, waits


@on_simulated_device
@pytest.mark.usefixtures("no_notes")
def test_a_neighbour_list_waits_once_in_a_step() -> None:
    waits = _per_step(model("analytic-lj", NAME), [larger()], steps=10, more=10)
    # The number of pairs is the shape of every tensor of the model.
    assert sum("_kept" in wait for wait in waits) == 10, waits
    assert len(waits) == 10 + 1, waits


class _Breaking(ForceField):
    """The solenoidal field, whose forces become infinite for the second structure at the call given."""

    def __init__(self, device: str, at: int) -> None:
        self._whole = model("analytic-solenoidal", device)
        self.card, self._at = self._whole.card, at

    def _bind(self, structures: Sequence[Atoms]) -> Field:
        field, at, calls = self._whole.bind(structures), self._at, 0
        unbroken = field.__call__

        class _Field(Field):
            def __call__(self, positions: torch.Tensor) -> FieldOutput:
                nonlocal calls
                calls += 1
                output = unbroken(positions)
                output.forces[1] *= math.inf if calls == at else 1.0
                return output

        return _Field(structures, field.device)

    def _evaluate(self, structures: Sequence[Atoms], *, stress: bool) -> list[Evaluation]:
        return self._whole.evaluate(structures, stress=stress)


@pytest.mark.parametrize("thermostat", [None, "langevin:50", "nhc:50"])
def test_a_replica_that_explodes_between_two_checks_ends_as_on_the_cpu(
    thermostat: str | None, other_device: str
) -> None:
    # Two warm-up calls and the one of the start come before the first step.
    runs = [run(_Breaking(device, at=3 + 17), crystals(), thermostat=thermostat) for device in (other_device, "cpu")]
    assert runs[0].result.exploded_step.tolist() == runs[1].result.exploded_step.tolist() == [-1, 17]
    same(*runs)


@pytest.mark.parametrize("thermostat", [None, *THERMOSTATS])
@pytest.mark.parametrize("towards", [True, False], ids=["to the device", "to the CPU"])
def test_a_run_continues_from_its_checkpoint_on_the_other_device(
    thermostat: str | None, towards: bool, other_device: str, tmp_path: Path
) -> None:
    first, second = ("cpu", other_device) if towards else (other_device, "cpu")
    saved = FileCheckpoint(tmp_path / "state.npz")
    run(
        model("analytic-solenoidal", first),
        crystals(),
        thermostat=thermostat,
        steps=13,
        sample_every=4,
        checkpoint=saved,
    )
    continued = run(
        model("analytic-solenoidal", second), crystals(), thermostat=thermostat, sample_every=4, checkpoint=saved
    )
    whole = run(model("analytic-solenoidal", "cpu"), crystals(), thermostat=thermostat, sample_every=4)
    same(continued, whole)


@pytest.mark.gpu
@pytest.mark.parametrize("thermostat", [None, *THERMOSTATS])
def test_cuda_reports_no_synchronisation_in_a_step(thermostat: str | None) -> None:
    structures = crystals()
    field = model("analytic-solenoidal", "cuda").bind(structures)
    particles = Particles.from_structures(structures, device=field.device)
    noise = NoiseSource(3, range(2), label="device", device=field.device)
    momenta = draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), 30.0)
    dynamics = Dynamics(1.0, None if thermostat is None else make_thermostat(thermostat, 30.0))
    state = dynamics.initialise(initial_state(field, particles, momenta), particles, noise)
    state = dynamics.step(state, field, particles, noise)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            state = dynamics.step(state, field, particles, noise)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(state.positions.isfinite().all())
