"""``analyse`` reads trajectories as written: masses, fixed atoms, and frames that cannot be identified."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.constraints import FixAtoms, FixBondLength, FixCartesian
from ase.io import read, write
from habits import field, triangle

from ncbench.errors import StructureWarning, UsageError
from ncbench.md.integrators import Dynamics
from ncbench.md.random import NoiseSource
from ncbench.md.run import RunSettings, run_md
from ncbench.md.state import Particles, draw_momenta, initial_state, kinetic_energy, temperature
from ncbench.md.trajectory import BinaryWriter, TextWriter
from ncbench.observables.analysis import analyse, what_there_is
from ncbench.observables.motion import temperatures
from ncbench.observables.trajectory import read_trajectory


@pytest.mark.parametrize("kind", ["xyz", "traj"])
def test_temperature_of_isotopes_is_read_back(tmp_path, kind) -> None:
    atoms = triangle(charge=1)
    atoms.set_masses([18.0, 2.014, 400.0])
    atoms.set_tags([0, 1, 2])
    atoms.set_initial_magnetic_moments([0.0, 1.5, 0.0])
    bound, particles, noise = field().bind([atoms]), Particles.from_structures([atoms]), NoiseSource(1, [0])
    momenta = draw_momenta(particles, noise.initial_normals((3, 3)), 300.0)
    writer = {"xyz": TextWriter, "traj": BinaryWriter}[kind](
        [tmp_path / f"a.{kind}"], [atoms], every=1, timestep_fs=0.2, precision="double"
    )
    seen = []

    class Watch:
        def sample(self, state, alive) -> None:
            seen.append(float(temperature(kinetic_energy(state.momenta, particles), particles.degrees_of_freedom)[0]))

        def saved(self, step):
            return {}

        def restore(self, saved) -> None:
            pass

    run_md(
        bound, particles, lambda: initial_state(bound, particles, momenta), Dynamics(0.2), noise,
        RunSettings(n_steps=4, sample_every=1), observers=[writer, Watch()],
    )  # fmt: skip
    trajectory = read_trajectory(tmp_path / f"a.{kind}")
    assert trajectory.masses.tolist() == [18.0, 2.014, 400.0]
    # The constants of the two sides are given to nine digits.
    assert temperatures(trajectory, None) == pytest.approx(seen, rel=1e-8)
    frame = read(tmp_path / f"a.{kind}", 2)
    assert frame.info["charge"] == 1
    assert frame.get_tags().tolist() == [0, 1, 2]
    assert frame.get_initial_magnetic_moments().tolist() == [0.0, 1.5, 0.0]


def canonical(constraint, n_frames: int, seed: int = 0) -> list[Atoms]:
    """Frames of 30 argon atoms whose free coordinates have Maxwell-Boltzmann momenta of 300 K."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = Atoms("Ar30", positions=rng.uniform(0, 20, (30, 3)), cell=[20, 20, 20], pbc=True)
        atoms.set_constraint(constraint)
        momenta = rng.normal(size=(30, 3)) * np.sqrt(atoms.get_masses()[:, None] * units.kB * 300.0)
        atoms.set_momenta(momenta)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize(
    "constraint", [FixAtoms(range(15)), FixCartesian(range(10), mask=(True, False, True))], ids=["atoms", "directions"]
)
def test_a_fixed_coordinate_is_not_a_degree_of_freedom(tmp_path, constraint) -> None:
    write(tmp_path / "held.traj", canonical(constraint, 400))
    values = temperatures(read_trajectory(tmp_path / "held.traj", interval_fs=1.0), None)
    degrees = 45 if isinstance(constraint, FixAtoms) else 70
    # T √(2/n_dof) a frame; five standard errors.
    assert values.mean() == pytest.approx(300.0, abs=5 * 300.0 * np.sqrt(2 / degrees / 400))


def test_constraints_with_unknown_degrees_of_freedom_are_refused(tmp_path) -> None:
    write(tmp_path / "bond.traj", canonical(FixBondLength(0, 1), 3))
    with pytest.raises(UsageError, match="constraints of kind FixBondLength"):
        read_trajectory(tmp_path / "bond.traj", interval_fs=1.0)


def _text(path, content) -> None:
    path.write_text(content)


def moving(momentum: float) -> Atoms:
    atoms = triangle()
    atoms.set_momenta(np.full((3, 3), momentum))
    return atoms


REFUSED = [
    ("empty.xyz", lambda path: _text(path, ""), "is empty"),
    ("unknown.bar", lambda path: _text(path, "nothing\n"), "does not know the format"),
    ("one.xyz", lambda path: write(path, triangle()), "has 1 frame to analyse"),
    ("nan.traj", lambda path: write(path, [moving(1.0), moving(np.nan)]), "has a momentum that is not a finite number"),
    ("none.xyz", lambda path: _text(path, "0\n\n0\n\n"), "has no atoms"),
    ("change.xyz", lambda path: write(path, [triangle(), Atoms("Ar3", np.eye(3) * 4)]), "change at frame 1"),
    ("blank.xyz", lambda path: _text(path, "1\n\nAr 0 0 0\n\n1\n\nAr 0 0 0\n"), "blank line between its frames"),
    ("plane.xyz", lambda path: _text(path, 2 * '1\nLattice="7 0 0 7 0 0 0 0 7"\nAr 0 0 0\n'), "span no volume"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "sentence"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_trajectory_that_cannot_be_read_whole_is_refused(tmp_path, name, make, sentence) -> None:
    make(tmp_path / name)
    with pytest.raises(UsageError, match=sentence):
        read_trajectory(tmp_path / name)


def test_file_names_may_contain_an_at_sign(tmp_path) -> None:
    write(tmp_path / "run@300K.traj", canonical([], 3))
    assert read_trajectory(tmp_path / "run@300K.traj", interval_fs=1.0).n_frames == 3


def test_momenta_in_only_some_frames_are_reported(tmp_path) -> None:
    frames = canonical([], 3)
    del frames[2].arrays["momenta"]
    write(tmp_path / "some.traj", frames)
    with pytest.warns(StructureWarning, match="2 of the 3 frames .* have momenta"):
        assert read_trajectory(tmp_path / "some.traj", interval_fs=1.0).velocities is None


def test_a_short_trajectory_gives_the_observables_it_allows(tmp_path) -> None:
    write(tmp_path / "short.traj", canonical([], 12))
    trajectory = read_trajectory(tmp_path / "short.traj", interval_fs=1.0)
    with pytest.warns(StructureWarning, match="has 12 frames, too few for spectrum and msd in 5 blocks"):
        names = what_there_is([trajectory], 5)
    assert names == ["temperature", "rdf"]
    assert analyse([trajectory], names)[""][0]["temperature_K"] == pytest.approx(300.0, abs=60.0)
    with pytest.raises(UsageError, match=r"12 frames; a diffusion coefficient in 5 blocks needs 40. Ask for fewer"):
        analyse([trajectory], ["msd"])
    with pytest.raises(UsageError, match=r"12 frames; a diffusion coefficient in 2 blocks needs 16"):
        analyse([trajectory], ["msd"], blocks=2)


def test_vibrating_atoms_have_no_negative_diffusion_coefficient(tmp_path) -> None:
    # Einstein oscillators of one frequency: the displacement oscillates without decay, with the same phase in every block.
    rng = np.random.default_rng(4)
    amplitude, phase = rng.normal(scale=0.2, size=(2, 40, 3))
    times = np.arange(400.0)
    frames = []
    for t in times:
        atoms = Atoms("Ar40", positions=rng.uniform(0, 1e-9, (40, 3)) + 10.0, cell=[20, 20, 20], pbc=True)
        atoms.positions += amplitude * np.cos(2 * np.pi * t / 61.0 + 20 * phase)
        atoms.info["time_fs"] = t
        frames.append(atoms)
    write(tmp_path / "solid.traj", frames)
    (row,) = [r for r in analyse([read_trajectory(tmp_path / "solid.traj")], ["msd"])[""] if r["species"] == "Ar"]
    assert abs(row["diffusion_A2_per_ps"]) <= 3 * row["diffusion_A2_per_ps_se"]
    assert torch.tensor(row["diffusion_A2_per_ps_se"]).isfinite()


def lammps_dump(frames, orders) -> str:
    """A dump with ids, types, elements and velocities (Å/ps) whose lines are in another order in each frame."""
    kinds = {"Ar": 1, "Kr": 2}
    text = "ITEM: UNITS\nmetal\n"
    for step, (frame, order) in enumerate(zip(frames, orders, strict=True)):
        velocities = frame.get_velocities() * units.fs * 1e3
        text += f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(frame)}\nITEM: BOX BOUNDS pp pp pp\n"
        text += "".join(f"0 {length}\n" for length in frame.cell.lengths())
        text += "ITEM: ATOMS id type element x y z vx vy vz\n"
        for at in order:
            numbers = " ".join(f"{x:.10f}" for x in [*frame.positions[at], *velocities[at]])
            text += f"{at + 1} {kinds[frame.symbols[at]]} {frame.symbols[at]} {numbers}\n"
    return text


def test_a_dump_whose_lines_change_their_order_is_sorted_by_id(tmp_path) -> None:
    """deepmodeling/dpdata 375, molstar PR 1873: LAMMPS writes atoms in any order, with another type first in each frame."""
    rng = np.random.default_rng(5)
    frames = []
    for _ in range(4):
        frame = Atoms("ArKrArKr", rng.uniform(0, 9, (4, 3)), cell=[10.0, 11.0, 12.0], pbc=True)
        frame.set_momenta(rng.normal(size=(4, 3)))
        frames.append(frame)
    (tmp_path / "a.lammpstrj").write_text(lammps_dump(frames, [rng.permutation(4) for _ in frames]))
    trajectory = read_trajectory(tmp_path / "a.lammpstrj", interval_fs=1.0)
    write(tmp_path / "b.traj", frames)
    truth = read_trajectory(tmp_path / "b.traj", interval_fs=1.0)
    # Ten decimals in the dump.
    assert np.allclose(trajectory.positions, truth.positions, rtol=0, atol=1e-9)
    assert np.allclose(trajectory.velocities, truth.velocities, rtol=1e-7, atol=1e-9)
    assert trajectory.masses.tolist() == truth.masses.tolist()


def test_a_dump_without_ids_whose_species_change_places_is_refused(tmp_path) -> None:
    frames = [Atoms("ArKr", np.eye(3)[:2] * k, cell=[9.0] * 3, pbc=True) for k in (1, 2)]
    write(tmp_path / "swapped.xyz", [frames[0], frames[1][[1, 0]]])
    with pytest.raises(UsageError, match="change at frame 1"):
        read_trajectory(tmp_path / "swapped.xyz", interval_fs=1.0)


def timed(count: int = 4, interval_fs: float = 20.0) -> list[Atoms]:
    """Frames with momenta and the time at which each was written."""
    frames = canonical([], count)
    for number, frame in enumerate(frames):
        frame.info["time_fs"] = interval_fs * number
    return frames


def test_an_interval_that_contradicts_the_times_of_the_frames_is_refused(tmp_path) -> None:
    """kinisi 81, MDAnalysis 1819: the integrator's time step given for the time between frames."""
    write(tmp_path / "run.xyz", timed())
    with pytest.raises(UsageError, match="are 20 fs apart by their 'time_fs', but 1 fs was given"):
        read_trajectory(tmp_path / "run.xyz", interval_fs=1.0)
    # The frames' own interval, with the rounding of what a user types.
    assert read_trajectory(tmp_path / "run.xyz", interval_fs=20.0001).interval_fs == 20.0
    assert read_trajectory(tmp_path / "run.xyz").interval_fs == 20.0


def test_an_interval_given_for_frames_whose_clock_starts_again_is_used(tmp_path) -> None:
    frames = timed(3) + timed(3)
    write(tmp_path / "restarted.xyz", frames)
    with pytest.raises(UsageError, match=r"not at equal intervals. Give --timestep"):
        read_trajectory(tmp_path / "restarted.xyz")
    assert read_trajectory(tmp_path / "restarted.xyz", interval_fs=20.0).interval_fs == 20.0


def _text_time(frames: list[Atoms]) -> None:
    frames[1].info["time_fs"] = "20 fs"


def _nan_time(frames: list[Atoms]) -> None:
    frames[1].info["time_fs"] = np.nan


def _two_times(frames: list[Atoms]) -> None:
    for frame in frames:
        frame.info["time_fs"] = [frame.info["time_fs"], 1.0]


def _nan_momentum(frames: list[Atoms]) -> None:
    frames[2].arrays["momenta"][0, 1] = np.nan


def _other_periodicity(frames: list[Atoms]) -> None:
    frames[3].pbc = not frames[3].pbc[0]


def _other_masses(frames: list[Atoms]) -> None:
    for number, frame in enumerate(frames):
        frame.set_masses([18.0 + number] * len(frame))


DAMAGED = [
    (_text_time, "'time_fs' that is not a number"),
    (_nan_time, "'time_fs' that is not a number"),
    (_two_times, "'time_fs' that is not a number"),
    (_nan_momentum, "a momentum that is not a finite number"),
    (_other_periodicity, "The periodicity of .* changes at frame 3"),
    (_other_masses, "The masses of .* change at frame 1"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGED, ids=[row[0].__name__.strip("_") for row in DAMAGED])
def test_a_trajectory_with_values_that_cannot_be_used_is_refused(tmp_path, damage, sentence) -> None:
    frames = timed()
    damage(frames)
    write(tmp_path / "run.xyz", frames)
    with pytest.raises(UsageError, match=sentence):
        read_trajectory(tmp_path / "run.xyz")
