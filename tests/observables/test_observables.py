"""Observables against closed forms and second implementations."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from ase.io import write

from ncbench.errors import UsageError
from ncbench.observables.averages import Curve
from ncbench.observables.motion import MASS, diffusion, temperatures, velocity_spectrum
from ncbench.observables.structure import (
    orientational_correlation,
    orientations,
    pair_correlation,
    radial_edges,
)
from ncbench.observables.trajectory import Trajectory, read_trajectory, unwrapped
from ncbench.structures.water import water_box
from ncbench.units import KB

RNG = np.random.default_rng


def trajectory(positions, *, symbols=None, cell=10.0, velocities=None, interval=1.0) -> Trajectory:
    n = positions.shape[1]
    symbols = symbols or ("Ar",) * n
    return Trajectory(
        "t",
        tuple(symbols),
        Atoms(symbols).get_masses(),
        positions,
        velocities,
        np.tile(np.eye(3) * cell, (len(positions), 1, 1)),
        np.ones(3, dtype=bool),
        interval,
    )


def test_an_ideal_gas_is_uncorrelated():
    gas = trajectory(RNG(0).uniform(0, 10, size=(60, 80, 3)), symbols=("O", "H") * 40)
    edges = radial_edges([gas], width_A=0.5)
    assert edges[-1] == 5.0
    for pair in (("O", "O"), ("O", "H")):
        result = pair_correlation([gas], *pair, edges_A=edges, blocks=10)
        # Bins beyond 1 Å hold hundreds of pairs; t of nine degrees, some eight bins.
        late = result.x > 1
        assert np.all(np.abs(result.value[late] - 1) < 5 * result.error[late])
        assert result.error[-1] < 0.05


def test_pair_correlation_of_a_crystal_has_its_shells():
    atoms = bulk("Al", "fcc", a=4.0, cubic=True).repeat(3)
    still = trajectory(np.array([atoms.positions] * 2), symbols=atoms.get_chemical_symbols(), cell=12.0)
    edges = radial_edges([still], width_A=0.1)
    result = pair_correlation([still], "Al", "Al", edges_A=edges, blocks=1)
    density = (len(atoms) - 1) / 12.0**3
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    neighbours = result.value * shells * density
    # 12 neighbours at a/√2, 6 at a, 24 at a√(3/2).
    for distance, count in ((4 / np.sqrt(2), 12), (4.0, 6), (4 * np.sqrt(1.5), 24)):
        near = np.abs(result.x - distance) < 0.11
        assert neighbours[near].sum() == pytest.approx(count, rel=1e-9)


@pytest.mark.parametrize("skewed", [False, True])
def test_pair_correlation_equals_that_of_ase(skewed):
    atoms = bulk("Ar", "fcc", a=5.0, cubic=True).repeat(3)
    atoms.positions += RNG(1).normal(scale=0.4, size=atoms.positions.shape)
    if skewed:
        atoms.set_cell(atoms.cell @ np.array([[1, 0, 0], [0.2, 1, 0], [0.1, 0, 1]]), scale_atoms=True)
    one = Trajectory(
        "t",
        tuple(atoms.symbols),
        atoms.get_masses(),
        atoms.positions[None],
        None,
        np.array([atoms.cell]),
        atoms.pbc,
        None,
    )
    edges = np.linspace(0, 6.0, 31)
    reference, _ = get_rdf(atoms, 6.0, 30)
    own = pair_correlation([one], "Ar", "Ar", edges_A=edges, blocks=1).value
    # ASE divides by N, we by the N − 1 other atoms.
    assert np.allclose(own, reference * len(atoms) / (len(atoms) - 1), atol=1e-9)


def test_aligned_waters_are_correlated():
    atoms = water_box(27)
    for k in range(27):
        oxygen = atoms.positions[3 * k]
        atoms.positions[3 * k + 1] = oxygen + np.array([0.76, 0.0, 0.59])
        atoms.positions[3 * k + 2] = oxygen + np.array([-0.76, 0.0, 0.59])
    box = float(atoms.cell[0, 0])
    aligned = trajectory(np.array([atoms.positions % box] * 4), symbols=atoms.get_chemical_symbols(), cell=box)
    oxygens, axes = orientations(aligned, 0)
    assert len(oxygens) == 27
    assert np.allclose(axes, [0, 0, 1], atol=1e-12)
    result = orientational_correlation([aligned], edges_A=np.linspace(2.5, box / 2, 4), blocks=2)
    assert np.allclose(result.value[np.isfinite(result.value)], 1.0, atol=1e-12)
    atoms.positions[1] += [3.0, 0, 0]
    apart = trajectory(np.array([atoms.positions] * 2), symbols=atoms.get_chemical_symbols(), cell=box)
    with pytest.raises(UsageError, match="a dissociated water molecule"):
        orientations(apart, 0)
    with pytest.raises(UsageError, match="is not water"):
        orientations(trajectory(np.zeros((2, 2, 3))), 0)


def test_random_orientations_are_uncorrelated():
    atoms = water_box(64)
    frames = []
    rng = RNG(3)
    for _ in range(20):
        frame = atoms.positions.copy()
        for k in range(64):
            axis = rng.normal(size=3)
            axis /= np.linalg.norm(axis)
            side = np.cross(axis, rng.normal(size=3))
            side /= np.linalg.norm(side)
            frame[3 * k + 1] = frame[3 * k] + 0.59 * axis + 0.76 * side
            frame[3 * k + 2] = frame[3 * k] + 0.59 * axis - 0.76 * side
        frames.append(frame)
    box = float(atoms.cell[0, 0])
    result = orientational_correlation(
        [trajectory(np.array(frames), symbols=atoms.get_chemical_symbols(), cell=box)],
        edges_A=np.linspace(3, box / 2, 4),
        blocks=10,
    )
    assert np.all(np.abs(result.value) < 5 * result.error)
    assert np.all(result.error < 0.03)


def oscillator(temperature: float, per_cm: float, frames: int = 4096, interval: float = 0.5) -> Trajectory:
    n, rng = 40, RNG(4)
    omega = 2 * np.pi * per_cm * 2.99792458e-5
    masses = Atoms(f"H{n}").get_masses()
    width = np.sqrt(KB * temperature / (masses[:, None] * MASS))
    a, b = rng.normal(size=(2, n, 3)) * width
    t = np.arange(frames)[:, None, None] * interval
    velocities = a * np.cos(omega * t) + b * np.sin(omega * t)
    return trajectory(np.zeros((frames, n, 3)), symbols=("H",) * n, velocities=velocities, interval=interval)


def test_spectrum_of_an_oscillator_has_one_line_with_the_area_of_the_temperature():
    one = oscillator(300.0, 1500.0)
    result = velocity_spectrum([one], "H", blocks=2)
    assert abs(result.x[np.argmax(result.value)] - 1500.0) <= result.x[1]
    area = float(np.sum(result.value) * result.x[1])
    kinetic = temperatures(one, "H").mean()
    # A Hann window weights the middle of a block more than its ends; the energy of an oscillator's velocity oscillates with twice its frequency.
    assert area == pytest.approx(kinetic, rel=0.02)
    # 120 components of one degree each: √(2/120) of 300 K, four of these.
    assert kinetic == pytest.approx(300.0, rel=4 * np.sqrt(2 / 120))


@pytest.mark.parametrize("frames", [256, 257])
def test_spectrum_of_white_velocities_is_flat_at_all_frequencies(frames):
    atoms = 400
    velocities = RNG(8).normal(size=(4 * frames, atoms, 3))
    one = trajectory(np.zeros_like(velocities), symbols=("H",) * atoms, velocities=velocities)
    result = velocity_spectrum([one], "H", blocks=4)
    middle = np.median(result.value[5:-5])
    # 4800 periodograms of one real value each at the ends: √(2/4800) = 2 %. Hann's window mixes ω = 0 and the highest frequency with their neighbours,
    # whose phases are then not independent: three halves of it at most.
    assert result.value[0] == pytest.approx(middle, rel=0.12)
    assert result.value[-1] == pytest.approx(middle, rel=0.12)
    area = float(np.trapezoid(result.value, result.x))
    assert area == pytest.approx(temperatures(one, "H").mean(), rel=0.02)


def test_intervals_from_few_blocks_cover_95_percent():
    rng = RNG(9)
    for blocks in (3, 5):
        curve = Curve.of(np.arange(4000.0), rng.normal(size=(blocks, 4000)))
        # Binomial standard error of 4000 points: 0.35 %.
        assert np.mean(np.abs(curve.value) < 1.96 * curve.error) == pytest.approx(0.95, abs=0.012)


def test_random_walk_has_its_diffusion_coefficient():
    rng, d, interval = RNG(5), 0.3, 10.0  # Å²/ps, fs
    steps = rng.normal(scale=np.sqrt(2 * d * interval / 1000), size=(2000, 200, 3))
    walk = np.cumsum(steps, axis=0) % 10.0
    value, error = diffusion([trajectory(walk, interval=interval)], "Ar", blocks=10)
    # Without the drift of the centre of mass an atom keeps (1 − 1/N) of its motion.
    assert abs(value - d * (1 - 1 / 200)) < 4 * error
    assert error < 0.05 * d


def test_unwrapping_undoes_wrapping():
    rng = RNG(6)
    path = np.cumsum(rng.normal(scale=0.4, size=(200, 5, 3)), axis=0)
    wrapped = trajectory(path % 10.0)
    assert np.allclose(unwrapped(wrapped) - unwrapped(wrapped)[:1], path - path[:1], atol=1e-10)


def test_trajectory_files_are_read_as_arrays(tmp_path):
    frames = []
    for k in range(6):
        atoms = water_box(4)
        atoms.set_momenta(RNG(k).normal(size=(12, 3)))
        atoms.info["time_fs"] = 2.0 * k
        frames.append(atoms)
    path = tmp_path / "w.xyz"
    write(path, frames)
    result = read_trajectory(path)
    assert result.interval_fs == 2.0
    assert result.n_frames == 6
    assert np.allclose(result.velocities[3], frames[3].get_velocities() * units.fs, rtol=1e-7)
    expected = frames[3].get_temperature()
    assert temperatures(result, None)[3] == pytest.approx(expected, rel=1e-5)
    assert read_trajectory(path, skip_fs=3.0).n_frames == 4
    with pytest.raises(UsageError, match="There is no trajectory"):
        read_trajectory(tmp_path / "none.xyz")
    with pytest.raises(UsageError, match="at least two are needed"):
        read_trajectory(path, skip_fs=100.0)
    (tmp_path / "bad.xyz").write_text("nonsense", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read as a structure"):
        read_trajectory(tmp_path / "bad.xyz")
    write(tmp_path / "mixed.xyz", [water_box(2), water_box(3)])
    with pytest.raises(UsageError, match="change at frame 1"):
        read_trajectory(tmp_path / "mixed.xyz")


def test_differences_add_their_errors():
    x = np.arange(3.0)
    one, other = Curve.of(x, RNG(0).normal(size=(5, 3))), Curve.of(x, RNG(1).normal(size=(5, 3)))
    both = one.minus(other)
    assert np.allclose(both.error, np.sqrt(one.error**2 + other.error**2))
    assert np.isnan(Curve.of(x, np.zeros((1, 3))).error).all()


def test_observables_that_cannot_be_computed_are_reported():
    still = trajectory(np.zeros((4, 2, 3)), interval=None)
    with pytest.raises(UsageError, match="no velocities"):
        temperatures(still, None)
    with pytest.raises(UsageError, match="time between frames"):
        diffusion([still], "Ar")
    with pytest.raises(UsageError, match="no pair"):
        pair_correlation([still], "Ar", "O", edges_A=np.linspace(0, 5, 3))
    free = Trajectory(
        "f", still.symbols, still.masses, still.positions, None, still.cells, np.zeros(3, dtype=bool), None
    )
    with pytest.raises(UsageError, match="periodic in three"):
        radial_edges([free], width_A=0.1)
