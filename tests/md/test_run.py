from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import killable_run
import numpy as np
import pytest
import torch
from file_checkpoint import FileCheckpoint
from known_fields import WellField, cluster

from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import WARM_UP_CALLS, RunSettings, run_md, steps_of
from ncbench.md.series import EnergySeries
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.models.interface import FieldOutput

THERMOSTATS = ["none", "langevin:20", "svr:10", "gle", "nhc:20", "andersen:20"]


def launch(
    field,
    thermostat,
    *,
    replicas=None,
    n_steps=60,
    stride=2,
    checkpoint=None,
    fix_com=True,
    temperature=300.0,
    **settings,
):
    particles = Particles.from_structures(field.structures, fix_com=fix_com)
    noise = NoiseSource(4, replicas or range(field.n_replicas), label=thermostat)
    series = EnergySeries(particles, n_steps=n_steps, stride=stride, timestep_fs=0.5)
    result = run_md(
        field,
        particles,
        lambda: initial_state(
            field, particles, draw_momenta(particles, noise.initial_normals((particles.n_atoms, 3)), temperature)
        ),
        Dynamics(0.5, None if thermostat == "none" else make_thermostat(thermostat, 300.0)),
        noise,
        RunSettings(n_steps=n_steps, sample_every=stride, **settings),
        observers=[series],
        checkpoint=checkpoint,
    )
    return result, series


def structures(n, symbols="H2OH2OH2O"):
    return [cluster(symbols, spread=0.05, seed=seed) for seed in range(n)]


@pytest.mark.parametrize("thermostat", THERMOSTATS)
@pytest.mark.parametrize("n_atoms", [9, 192])
def test_a_trajectory_does_not_depend_on_its_batch(thermostat, n_atoms):
    many = structures(4, "H2O" * (n_atoms // 3))
    together, series = launch(WellField(many, 5.0, 0.1), thermostat)
    alone, own = launch(WellField(many[3:], 5.0, 0.1), thermostat, replicas=[3])
    assert torch.equal(together.state.positions[3], alone.state.positions[0])
    assert torch.equal(together.state.momenta[3], alone.state.momenta[0])
    assert torch.equal(together.state.heat[3], alone.state.heat[0])
    assert np.array_equal(series.conserved[:, 3], own.conserved[:, 0])
    assert not torch.equal(together.state.positions[2], together.state.positions[3])


class Interrupting(WellField):
    """Ctrl-C in the middle of the n-th force call."""

    interrupt_at = -1

    def __call__(self, positions):
        if self.calls == self.interrupt_at + WARM_UP_CALLS:
            self.interrupt_at = -1
            raise KeyboardInterrupt
        return super().__call__(positions)


def test_a_checkpoint_of_a_version_without_unusable_replicas_is_continued(tmp_path):
    whole, _ = launch(WellField(structures(2), 5.0, 0.1), "none")
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    field = Interrupting(structures(2), 5.0, 0.1)
    field.interrupt_at = 17
    with pytest.raises(KeyboardInterrupt):
        launch(field, "none", checkpoint=checkpoint)
    checkpoint.save({name: value for name, value in checkpoint.load().items() if name != "unusable"})
    resumed, _ = launch(WellField(structures(2), 5.0, 0.1), "none", checkpoint=checkpoint)
    assert torch.equal(whole.state.positions, resumed.state.positions)
    assert resumed.unusable.tolist() == [False, False]


@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_an_interrupted_run_resumes_to_identical_results(thermostat, tmp_path):
    whole, series = launch(WellField(structures(2), 5.0, 0.1), thermostat)
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    for interrupt_at in (17, 23):
        field = Interrupting(structures(2), 5.0, 0.1)
        field.interrupt_at = interrupt_at
        with pytest.raises(KeyboardInterrupt):
            launch(field, thermostat, checkpoint=checkpoint)
    # 16 steps, then 23 more calls that were 23 steps: 39 done, and the start's force call was not repeated.
    assert checkpoint.load()["step"] == 39
    last = WellField(structures(2), 5.0, 0.1)
    resumed, again = launch(last, thermostat, checkpoint=checkpoint)
    assert last.calls == 60 - 39 + WARM_UP_CALLS
    assert torch.equal(whole.state.positions, resumed.state.positions)
    assert torch.equal(whole.state.momenta, resumed.state.momenta)
    assert np.array_equal(series.conserved, again.conserved)
    assert np.array_equal(series.species_temperature, again.species_temperature)
    assert whole.force_calls == resumed.force_calls == 61


def test_a_finished_run_is_not_repeated(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    first, series = launch(WellField(structures(2), 5.0, 0.1), "svr:10", checkpoint=checkpoint)
    field = WellField(structures(2), 5.0, 0.1)
    second, again = launch(field, "svr:10", checkpoint=checkpoint)
    assert field.calls == 0
    assert torch.equal(first.state.positions, second.state.positions)
    assert np.array_equal(series.conserved, again.conserved)


@pytest.mark.slow
@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_a_run_killed_by_sigkill_resumes_to_identical_results(thermostat, tmp_path):
    def start(folder: Path, kill_at: int) -> int:
        folder.mkdir(exist_ok=True)
        root = Path(__file__).parents[2]
        script = Path(killable_run.__file__)
        paths = os.pathsep.join([str(root), str(script.parent), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, str(script), str(folder), thermostat, str(kill_at)]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, timeout=120, check=False).returncode

    assert start(tmp_path / "whole", -1) == 0
    assert start(tmp_path / "killed", 150) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "end.npz").exists()
    assert start(tmp_path / "killed", 100) == -signal.SIGKILL
    assert start(tmp_path / "killed", -1) == 0
    whole, killed = (np.load(tmp_path / name / "end.npz") for name in ("whole", "killed"))
    assert killed["calls"] < whole["calls"] - 200  # it went on, and did not begin again
    for name in ("positions", "momenta", "potential", "kinetic", "heat"):
        assert np.array_equal(whole[name], killed[name]), name


class Breaking(WellField):
    """Forces of replica 1 become NaN at a force call, or diverge."""

    break_at = 21
    force = float("nan")

    def __call__(self, positions):
        output = super().__call__(positions)
        if self.calls > self.break_at + WARM_UP_CALLS:
            output.forces[1, 0, 0] = self.force
        assert torch.isfinite(positions).all()
        return FieldOutput(output.energy, output.forces)


@pytest.mark.parametrize("force", [float("nan"), float("inf"), 1e8])
@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_an_exploded_replica_ends_with_its_time_and_others_are_unchanged(thermostat, force, tmp_path):
    whole, series = launch(WellField(structures(3), 5.0, 0.1), thermostat)
    field = Breaking(structures(3), 5.0, 0.1)
    field.force = force
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    broken, its = launch(field, thermostat, checkpoint=checkpoint)
    # The call at the start is the first: the 22nd belongs to step 21.
    assert broken.exploded_step.tolist() == [-1, 21, -1]
    assert broken.exploded_fs(1, 0.5) == 10.5
    assert broken.exploded_fs(0, 0.5) is None
    assert broken.alive.tolist() == [True, False, True]
    assert torch.equal(broken.state.positions[[0, 2]], whole.state.positions[[0, 2]])
    assert np.array_equal(its.conserved[:, [0, 2]], series.conserved[:, [0, 2]])
    assert np.array_equal(its.total[:11, 1], series.total[:11, 1])
    assert np.isnan(its.total[11:, 1]).all()
    assert np.isnan(its.temperature[11:, 1]).all()
    assert all(np.isfinite(checkpoint.load()[name]).all() for name in ("positions", "momenta", "forces", "heat"))


def test_an_explosion_survives_an_interrupt(tmp_path):
    class Both(Interrupting, Breaking):
        pass

    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    field = Both(structures(3), 5.0, 0.1)
    field.interrupt_at = 40
    with pytest.raises(KeyboardInterrupt):
        launch(field, "langevin:20", checkpoint=checkpoint)
    resumed, its = launch(WellField(structures(3), 5.0, 0.1), "langevin:20", checkpoint=checkpoint)
    whole, series = launch(Breaking(structures(3), 5.0, 0.1), "langevin:20")
    assert resumed.exploded_step.tolist() == [-1, 21, -1]
    np.testing.assert_array_equal(its.conserved, series.conserved)
    assert torch.equal(resumed.state.positions[0], whole.state.positions[0])


def test_a_run_stops_when_all_replicas_have_exploded():
    field = Breaking(structures(2)[:1] * 2, 5.0, 0.1)
    field.break_at = 0
    result, _series = launch(field, "none", max_temperature_K=1e-3)
    assert result.exploded_step.tolist() == [0, 0]
    assert field.calls == 1 + WARM_UP_CALLS
    assert not result.alive.any()


def test_the_temperature_limit_is_a_setting():
    result, _series = launch(WellField(structures(2), 5.0, 0.0), "none", max_temperature_K=100.0, temperature=300.0)
    assert (result.exploded_step >= 0).all()
    result, _series = launch(WellField(structures(2), 5.0, 0.0), "none", max_temperature_K=3000.0, temperature=300.0)
    assert (result.exploded_step < 0).all()


@pytest.mark.parametrize("thermostat", ["langevin:50", "svr:20"])
def test_conserved_quantity_changes_only_by_the_verlet_error(thermostat):
    _result, series = launch(WellField(structures(4), 5.0, 0.0), thermostat, n_steps=4000, stride=5)
    # (ωΔt)²/8 of the energy, ω Δt = 0.11 for hydrogen: 1.5e-3 of what fluctuates.
    assert np.ptp(series.conserved, axis=0).max() < 4e-3 * np.ptp(series.total, axis=0).max()
    assert np.ptp(series.total, axis=0).min() > 0.2


def test_series_have_the_expected_shapes_and_times():
    _result, series = launch(WellField(structures(2), 5.0, 0.0), "none", n_steps=61, stride=7)
    assert series.times_fs.tolist() == [3.5 * i for i in range(9)]
    assert series.total.shape == (9, 2)
    assert series.species_temperature.shape == (9, 2, 2)
    degrees = series.particles.species_degrees_of_freedom().numpy()
    whole = (series.species_temperature * degrees).sum(2) / degrees.sum(1)
    np.testing.assert_allclose(whole, series.temperature, rtol=1e-13)


def test_duration_is_converted_to_steps():
    assert steps_of(100.0, 0.5) == 200
    assert steps_of(0.1, 0.5) == 1
    assert steps_of(0.3 * 10, 0.1) == 30
