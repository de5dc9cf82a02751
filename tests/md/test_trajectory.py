"""Frames on disk: what ASE reads back, and what a kill leaves behind."""

from __future__ import annotations

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
from ncbench.md.trajectory import TrajectoryWriter, file_name, writers


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


def launch(folder, *, stop_at=-1, checkpoint=None, precision="double", steps=40):
    field = Interrupting(structures(), 5.0, 0.1)
    field.stop_at = stop_at
    particles = Particles.from_structures(field.structures)
    noise = NoiseSource(1, range(2), label="t")
    momenta = draw_momenta(particles, noise.initial_normals((6, 3)), 300.0)
    writer = TrajectoryWriter(
        [folder / "a.xyz", folder / "b.xyz"], field.structures, every=4, timestep_fs=0.5, precision=precision
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


def test_ase_reads_what_was_simulated(tmp_path):
    result = launch(tmp_path)
    frames = read(tmp_path / "b.xyz", ":")
    assert len(frames) == 11
    assert [frame.info["time_fs"] for frame in frames] == [2.0 * k for k in range(11)]
    last = frames[-1]
    # 17 significant digits bring back a float64 as it was.
    assert np.array_equal(last.positions, result.state.positions[1].numpy())
    assert np.array_equal(last.get_momenta(), result.state.momenta[1].numpy())
    assert last.get_potential_energy() == pytest.approx(float(result.state.energy[1]), rel=1e-10)
    assert np.allclose(last.cell.lengths(), [20.0, 21.0, 22.0])
    assert last.pbc.all()


def test_single_precision_is_what_float32_tells_apart(tmp_path):
    result = launch(tmp_path, precision="single")
    last = read(tmp_path / "a.xyz", -1)
    assert np.allclose(last.positions, result.state.positions[0].numpy(), rtol=2**-24, atol=0)
    assert not np.array_equal(last.positions, result.state.positions[0].numpy())


@pytest.mark.parametrize("stop_at", [9, 24, 37])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(stop_at, tmp_path):
    launch(tmp_path / "whole")
    checkpoint = FileCheckpoint(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path / "split", stop_at=stop_at, checkpoint=checkpoint)
    # A frame that the checkpoint does not know of, half of it on the disk, as a kill would leave it.
    with (tmp_path / "split" / "a.xyz").open("ab") as file:
        file.write(b"6\nLattice=")
    launch(tmp_path / "split", checkpoint=checkpoint)
    for name in ("a.xyz", "b.xyz"):
        assert (tmp_path / "split" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_lost_frames_are_said(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, stop_at=30, checkpoint=checkpoint)
    (tmp_path / "b.xyz").unlink()
    with pytest.raises(StoreError, match="shorter than its run left it"):
        launch(tmp_path, checkpoint=checkpoint)


def test_a_replica_that_ended_writes_no_more(tmp_path):
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


def test_a_full_disk_is_a_sentence(tmp_path):
    writer = TrajectoryWriter([tmp_path / "folder"], structures()[:1], every=1, timestep_fs=1.0)
    (tmp_path / "folder").mkdir()
    field = WellField(structures()[:1], 5.0, 0.0)
    particles = Particles.from_structures(field.structures)
    with pytest.raises(StoreError, match="cannot be written"):
        writer.sample(initial_state(field, particles, torch.zeros_like(particles.masses)), np.array([True]))
