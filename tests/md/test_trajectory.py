"""Frames on disk: read back by ASE, and after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import read
from file_checkpoint import FileCheckpoint
from known_fields import WellField, cluster

from ncbench.errors import StoreError
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.state import Particles, draw_momenta, initial_state
from ncbench.md.thermostats import make_thermostat
from ncbench.md.trajectory import BinaryWriter, TextWriter, file_name, writers
from ncbench.observables.trajectory import read_trajectory

HELPERS = Path(__file__).parents[1] / "helpers"


class Interrupting(WellField):
    stop_at = -1

    def __call__(self, positions):
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return super().__call__(positions)


def structures():
    made = [cluster("H2OH2O", seed=seed, spread=0.05) for seed in range(2)]
    for atoms in made:
        atoms.set_cell([20.0, 21.0, 22.0])
        atoms.pbc = True
    return made


def launch(folder, *, stop_at=-1, checkpoint=None, precision="double", steps=40, kind="xyz", every=4):
    field = Interrupting(structures(), 5.0, 0.1)
    field.stop_at = stop_at
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(1, range(2), label="t")
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
    writer = {"xyz": TextWriter, "traj": BinaryWriter}[kind](
        [folder / f"a.{kind}", folder / f"b.{kind}"],
        field.structures,
        every=every,
        timestep_fs=0.5,
        precision=precision,
    )
    return run_md(
        field,
        particles,
        lambda: initial_state(field, particles, momenta),
        Dynamics(0.5, make_thermostat("langevin:20", 300.0)),
        noise,
        RunSettings(n_steps=steps, sample_every=2),
        observers=[writer],
        checkpoint=checkpoint,
    )


@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_ase_reads_what_was_simulated(kind, tmp_path):
    result = launch(tmp_path, kind=kind)
    frames = read(tmp_path / f"b.{kind}", ":")
    assert len(frames) == 11
    assert [frame.info["time_fs"] for frame in frames] == [2.0 * k for k in range(11)]
    last = frames[-1]
    # 17 significant digits preserve a float64.
    assert np.array_equal(last.positions, result.state.positions[1].numpy())
    assert np.array_equal(last.get_momenta(), result.state.momenta[1].numpy())
    assert last.get_potential_energy() == pytest.approx(float(result.state.energy[1]), rel=1e-10)
    assert np.allclose(last.cell.lengths(), [20.0, 21.0, 22.0])
    assert last.pbc.all()


@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_single_precision_has_the_resolution_of_float32(kind, tmp_path):
    result = launch(tmp_path, precision="single", kind=kind)
    last = read(tmp_path / f"a.{kind}", -1)
    assert np.allclose(last.positions, result.state.positions[0].numpy(), rtol=2**-24, atol=0)
    assert not np.array_equal(last.positions, result.state.positions[0].numpy())


def test_binary_frames_are_small_and_analyse_reads_both_kinds(tmp_path):
    launch(tmp_path, steps=400, kind="traj")
    launch(tmp_path, steps=400, kind="traj", precision="single", every=2)
    launch(tmp_path, steps=400, kind="xyz", every=2)
    small, text = (tmp_path / f"a.{kind}" for kind in ("traj", "xyz"))
    assert small.stat().st_size < 0.6 * text.stat().st_size
    binary, plain = read_trajectory(small), read_trajectory(text)
    assert binary.interval_fs == plain.interval_fs == 1.0
    assert binary.n_frames == plain.n_frames == 201
    assert np.allclose(binary.positions, plain.positions, rtol=2**-24, atol=0)
    assert np.allclose(binary.velocities, plain.velocities, rtol=2**-23, atol=0)
    assert np.array_equal(binary.cells, plain.cells)


# The index of a .traj grows at its 2nd and 43rd frame: with a frame a step, before these and after.
@pytest.mark.parametrize("stop_at", [4, 9, 24, 37, 60])
@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_a_stopped_run_resumes_to_identical_files(stop_at, kind, tmp_path):
    launch(tmp_path / "whole", kind=kind, every=2, steps=100)
    checkpoint = FileCheckpoint(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path / "split", stop_at=stop_at, checkpoint=checkpoint, kind=kind, every=2, steps=100)
    # A partially written frame after the checkpoint, as after a kill.
    with (tmp_path / "split" / f"a.{kind}").open("ab") as file:
        file.write(b"6\nLattice=")
    launch(tmp_path / "split", checkpoint=checkpoint, kind=kind, every=2, steps=100)
    for name in (f"a.{kind}", f"b.{kind}"):
        assert (tmp_path / "split" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("kind", ["xyz", "traj"])
@pytest.mark.parametrize("known", [1, 2, 30, 50])
def test_frames_after_the_checkpoint_are_removed(known, kind, tmp_path):
    """As after ``kill -9``: whole frames were written since the last checkpoint."""
    (atoms,) = structures()[:1]
    field = WellField([atoms], 5.0, 0.0)
    particles = Particles.from_structures([atoms])
    state = initial_state(field, particles, torch.zeros((1, 6, 3), dtype=torch.float64))

    def show(writer, steps):
        for step in steps:
            writer.sample(replace(state, step=step), np.array([True]))

    made = {}
    for name in ("whole", "killed", "on"):
        (made[name],) = writers(
            tmp_path / ("whole" if name == "whole" else "killed"),
            ["x"],
            [atoms],
            every=1,
            stride=1,
            timestep_fs=0.5,
            precision="single",
            label="t",
            kind=kind,
        )
    show(made["whole"], range(60))
    show(made["killed"], range(known))
    saved = made["killed"].saved(known - 1)
    show(made["killed"], range(known, 55))
    made["on"].restore(saved)
    show(made["on"], range(known, 60))
    assert made["on"].paths[0].read_bytes() == made["whole"].paths[0].read_bytes()
    assert [frame.info["time_fs"] for frame in read(made["on"].paths[0], ":")] == [0.5 * k for k in range(60)]


@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_a_frame_after_the_last_checkpoint_is_not_written_twice(kind, tmp_path):
    class Late:
        """Ctrl-C after the writer had its frame and before the step is kept."""

        def sample(self, state, alive):
            if state.step == 20:
                raise KeyboardInterrupt

        def saved(self, step):
            return {}

        def restore(self, saved):
            pass

    field = WellField(structures(), 5.0, 0.1)
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(1, range(2), label="t")
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
    checkpoint = FileCheckpoint(tmp_path / "c")
    for observers, n_steps in ((1, 24), (0, 24)):
        more = writers(
            tmp_path,
            ["a", "b"],
            field.structures,
            every=4,
            stride=4,
            timestep_fs=0.5,
            precision="double",
            label="t",
            kind=kind,
        )
        run = RunSettings(n_steps=n_steps, sample_every=4)
        watching = [*more, Late()] if observers else more
        launched = partial(run_md, field, particles, lambda: initial_state(field, particles, momenta), Dynamics(0.5))
        with pytest.raises(KeyboardInterrupt) if observers else nullcontext():
            launched(noise, run, observers=watching, checkpoint=checkpoint)
    times = [frame.info["time_fs"] for frame in read(tmp_path / f"a.t.{kind}", ":")]
    assert times == [2.0 * k for k in range(7)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_memory_is_constant_over_a_hundred_thousand_steps(kind, tmp_path):
    done = subprocess.run(
        [sys.executable, HELPERS / "long_run.py", tmp_path, kind],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    early, late, frames = json.loads(done.stdout)
    assert frames == 10_001
    # MiB, at a tenth of the run and at its end: allocators add a little; a hundred bytes kept per step would be ten MiB.
    assert late - early < 5.0


def test_lost_frames_are_reported(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, stop_at=30, checkpoint=checkpoint)
    (tmp_path / "b.xyz").unlink()
    with pytest.raises(StoreError, match="shorter than at its checkpoint"):
        launch(tmp_path, checkpoint=checkpoint)


def test_an_exploded_replica_writes_no_more_frames(tmp_path):
    class Losing(WellField):
        def __call__(self, positions):
            output = super().__call__(positions)
            if self.calls > 20:
                output.forces[0] = torch.nan
            return output

    field = Losing(structures(), 5.0, 0.0)
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(1, range(2))
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
    (writer,) = writers(
        tmp_path,
        ["x#0", "x#1"],
        field.structures,
        every=3,
        stride=2,
        timestep_fs=0.5,
        precision="single",
        label="svr:10",
    )
    assert writer.every == 4
    run_md(
        field,
        particles,
        lambda: initial_state(field, particles, momenta),
        Dynamics(0.5),
        noise,
        RunSettings(n_steps=40, sample_every=2),
        observers=[writer],
    )
    assert file_name("x#0", "svr:10") == "x-0.svr-10.xyz"
    assert len(read(tmp_path / "x-0.svr-10.xyz", ":")) < 6
    assert len(read(tmp_path / "x-1.svr-10.xyz", ":")) == 11
    assert writers(None, [], [], every=3, stride=1, timestep_fs=1.0, precision="single", label="") == []


def test_a_full_disk_is_reported_in_one_sentence(tmp_path):
    writer = TextWriter([tmp_path / "folder"], structures()[:1], every=1, timestep_fs=1.0)
    (tmp_path / "folder").mkdir()
    field = WellField(structures()[:1], 5.0, 0.0)
    particles = Particles.from_structures(field.structures)
    with pytest.raises(StoreError, match="cannot be written"):
        writer.sample(initial_state(field, particles, torch.zeros_like(particles.masses)), np.array([True]))
