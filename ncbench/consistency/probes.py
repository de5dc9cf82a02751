"""Comparisons of a model's energies, forces and stresses with each other: the measurements of the diagnostic ``consistency``.

Lengths Å, energies eV, forces eV/Å, stresses eV/Å³.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from ncbench.models.interface import Evaluation, ForceField
from ncbench.statistics.rounding import is_single, rounding_error

FloatArray = NDArray[np.float64]

STEP_A = {"float32": 1.0e-2, "float64": 2.0e-3}
"""Displacement of each coordinate in a difference quotient of energies. At sixth order its truncation is far below 1e-5
of a bond's force at 0.01 Å; the rounding of an energy of 1e3 eV in float32, 1e-4 eV, would dominate at a shorter step."""
STRAIN = {"float32": 5.0e-3, "float64": 1.0e-3}
"""The same for strains: 0.005 moves neighbours 2 Å apart by 0.01 Å."""
_HINT_RAD = 1.0e-5
_MULTIPLES = np.array([-3, -2, -1, 1, 2, 3])
_SIXTH = np.array([-1, 9, -45, 45, -9, 1]) / 60
_FOURTH = np.array([0, 1, -8, 8, -1, 0]) / 12
"""Multiples of h, and weights of the central first derivatives of sixth and fourth order (Fornberg, Math. Comput. 51, 699, 1988). Their
difference estimates the error of the fourth order, an upper bound for that of the sixth, which is used."""


@dataclass(frozen=True)
class Gap:
    """Root-mean-square difference between a derivative of the energy and the model's forces or stresses."""

    rms: float
    """Of one component, after subtracting the part expected from numerical noise."""
    standard_error: float
    floor: float
    """Value expected from numerical error alone."""
    scale: float
    """Rms component of the energy's derivative."""
    force_calls: int


@dataclass(frozen=True)
class RotationError:
    """Change of forces and energy when everything is rotated."""

    force: float
    """Rms component, eV/Å."""
    energy_per_atom: float
    """Rms, eV; NaN without an energy."""
    floor: float
    """Rms change of a component under a rotation by about 1e-5 rad, which is almost only rounding, eV/Å."""
    force_calls: int


@dataclass(frozen=True)
class Jump:
    """Largest energy step on a path in excess of the work of the forces."""

    largest: float
    floor: float
    force_calls: int


def net_force_and_torque(atoms: Atoms, forces: FloatArray) -> tuple[float, float | None]:
    """|Σf|/N in eV/Å and |Σ(r − r̄)×f|/N in eV; the torque is not defined for periodic structures."""
    force = float(np.linalg.norm(forces.sum(axis=0)) / len(atoms))
    if atoms.pbc.any():
        return force, None
    arms = atoms.get_positions() - atoms.get_positions().mean(axis=0)
    return force, float(np.linalg.norm(np.cross(arms, forces).sum(axis=0)) / len(atoms))


def rotation_error(
    forcefield: ForceField, atoms: Atoms, original: Evaluation, *, rotations: int, rng: np.random.Generator
) -> RotationError:
    """Forces of rotated copies, rotated back, compared with ``original``; cells are rotated with their atoms."""
    hints = Rotation.from_rotvec(_HINT_RAD * rng.normal(size=(2, 3))).as_matrix()
    turns = np.concatenate([Rotation.random(rotations, rng=rng).as_matrix(), hints])
    results = forcefield.evaluate([_turned(atoms, turn) for turn in turns])
    back = np.array([result.forces @ turn for result, turn in zip(results, turns, strict=True)])
    energies = np.array([result.energy for result in results[:rotations]])
    return RotationError(
        force=_rms(back[:rotations] - original.forces),
        energy_per_atom=_rms(energies - original.energy) / len(atoms),
        floor=_rms(back[rotations:] - original.forces),
        force_calls=len(turns),
    )


def energy_force_gap(
    forcefield: ForceField, atoms: Atoms, original: Evaluation, *, directions: int, rng: np.random.Generator
) -> Gap:
    """‖∂V/∂r + f‖ from random directions.

    An energy that jumps within the displacements (a limit of neighbours) has no derivative there: the jump raises the floor, by its sixth differences,
    and not the gap, which is that of the smooth pieces. :func:`energy_jump` measures it. For 64 waters and 20 neighbours an atom the floor
    was 0.26 eV/Å against 0.003 without the limit.

    For v of independent ±1, E((∂V/∂r + f)·v)² = ‖∂V/∂r + f‖² (Hutchinson 1989); the derivative along v is a difference of energies.
    """
    signs: FloatArray = rng.integers(0, 2, size=(directions, len(atoms), 3)).astype(np.float64) * 2.0 - 1.0
    along = -np.einsum("kia,ia->k", signs, original.forces)
    return _best(
        lambda sign, by: _displaced(atoms, by * sign),
        forcefield,
        signs,
        along,
        original.energy,
        STEP_A,
        3 * len(atoms),
        1.0,
    )


def stress_gap(forcefield: ForceField, atoms: Atoms, *, directions: int, rng: np.random.Generator) -> Gap:
    """The same for σ = (1/V) ∂E/∂ε: random symmetric strains, positions and cell strained together.

    Six orthogonal strains span all of them: six directions or more show every difference, such as interchanged components.
    """
    original = forcefield.evaluate([atoms], stress=True)[0]
    assert original.stress is not None
    volume = atoms.get_volume()
    strains = _strains(directions, rng)
    along = np.einsum("kab,ab->k", strains, original.stress)
    # Its value is not used: a calculator that answers with the stress of an earlier structure is refused here.
    forcefield.evaluate([_strained(atoms, STRAIN[forcefield.card.dtype] * strains[0])], stress=True)
    gap = _best(
        lambda strain, by: _strained(atoms, by * strain), forcefield, strains, along, original.energy, STRAIN, 9, volume
    )
    return replace(gap, force_calls=gap.force_calls + 2)


def _strains(count: int, rng: np.random.Generator) -> FloatArray:
    """Random symmetric strains e [count, 3, 3] with E(D:e)² = ‖D‖² for any symmetric D, six by six orthogonal to each other, ‖e‖² = 6."""
    basis = np.zeros((6, 3, 3))
    for row, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        # 1/√2 off the diagonal, where an entry counts twice.
        basis[row, a, b] = basis[row, b, a] = 1.0 if a == b else 1.0 / np.sqrt(2.0)
    turns = [np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(-(-count // 6))]
    return np.asarray(np.sqrt(6.0) * np.einsum("kr,rab->kab", np.concatenate(turns)[:count], basis))


def energy_jump(forcefield: ForceField, atoms: Atoms, *, points: int, path_A: float, rng: np.random.Generator) -> Jump:
    """Steps of V + ∫f·dr along a straight path from half its length behind the structure, minus the cubic through their neighbours.

    From behind it, since the first and the last two steps are left out: a pair that is just inside the cutoff would cross it there.

    For forces that are the gradient each step is quadrature error, for others it is the work of the non-conservative part: both
    smooth along the path. A neighbour that enters or leaves with a finite contribution makes one step stand out.
    """
    direction = rng.normal(size=(len(atoms), 3))
    direction *= path_A / _rms(direction)
    at = np.linspace(-0.5, 1.0, points + points // 2 + 1)
    results = forcefield.evaluate([_displaced(atoms, s * direction) for s in at])
    energies = np.array([result.energy for result in results])
    slopes = np.array([np.sum(result.forces * direction) for result in results])
    if not np.isfinite(slopes).all():
        return Jump(np.nan, np.nan, len(at))
    work = np.diff(CubicSpline(at, slopes).antiderivative()(at))
    steps = np.diff(energies) + work
    smooth = (4.0 * (steps[1:-3] + steps[3:-1]) - (steps[:-4] + steps[4:])) / 6.0
    # The median, which one jump does not move; of a Gaussian it is 0.6745 standard deviations.
    rounding = float(np.maximum(np.median(np.abs(_sixth_differences(energies))) / 0.6745, rounding_error(energies)))
    # Variances: two energies a step, and 1 + 34/36 of a step in its difference to the cubic; the largest of n Gaussian draws is
    # about √(2 ln n) of them.
    floor = rounding * np.sqrt(2.0 * 70.0 / 36.0) * np.sqrt(2.0 * np.log(len(at))) + _quadrature(
        float(at[1] - at[0]), slopes
    )
    # A spline is less accurate at its ends.
    return Jump(float(np.abs(steps[2:-2] - smooth)[2:-2].max()), float(floor), len(at))


def _quadrature(width: float, slopes: FloatArray) -> float:
    """Size of a spline's error over one step, from fourth differences of the slopes: h⁵f⁗/720."""
    return float(width * np.abs(np.diff(slopes, 4)).max() / 720)


def _best(
    moved: Callable[[FloatArray, float], Atoms],
    forcefield: ForceField,
    directions: FloatArray,
    given: FloatArray,
    original: float,
    steps: Mapping[str, float],
    components: int,
    volume: float,
) -> Gap:
    """The gap at the dtype's step or at thrice that, whichever tells more: how an energy rounds depends on its size, too.

    Energies that are float32 numbers are taken as such, whatever dtype a calculator is declared to have.
    """
    gaps = []
    shortest = steps["float32" if original != 0 and is_single(original) else forcefield.card.dtype]
    for step in (shortest, 3.0 * shortest):
        structures = [moved(direction, m * step) for direction in directions for m in _MULTIPLES]
        energies = np.array([result.energy for result in forcefield.evaluate(structures)]).reshape(len(directions), -1)
        unit = step * volume
        resolution = rounding_error(np.append(energies, original)) / unit
        gaps.append(_gap(energies / unit, given, original / unit, resolution, components, 2 * len(structures)))
    return min(gaps, key=lambda gap: gap.floor)


def _gap(
    energies: FloatArray, given: FloatArray, original: float, resolution: float, components: int, calls: int
) -> Gap:
    """``energies`` [directions, 6] at the multiples and ``original`` in the middle, over h; ``given`` [directions]: the model's derivatives.

    ``resolution`` is the standard deviation of the rounding of an energy, over h.
    """
    slopes = energies @ _SIXTH
    rounding = np.maximum(_rms(_sixth_differences(np.insert(energies, 3, original, axis=1))), resolution)
    noise = float(np.hypot(np.linalg.norm(_SIXTH) * rounding, _rms(slopes - energies @ _FOURTH)))
    squares = np.square(slopes - given)
    # np.maximum propagates NaN, which max() would hide.
    square = float(np.maximum(0.0, squares.mean() - noise**2))
    spread = float(squares.std(ddof=1) / np.sqrt(len(squares)))
    rms = np.sqrt(square / components)
    floor = noise / np.sqrt(components)
    # d√x = dx/2√x is not defined at zero: there the error is that of the floor.
    error = spread / (2.0 * np.sqrt(square * components)) if square > 0 else floor
    return Gap(float(rms), float(error), float(floor), float(_rms(slopes) / np.sqrt(components)), calls)


def _sixth_differences(energies: FloatArray) -> FloatArray:
    """Sixth differences along the last axis normalised such that independent errors keep their size.

    For a smooth function they are negligible, h⁶V⁽⁶⁾, so that they measure rounding: Σ C(6,k)² = 924 variances.
    """
    differences: FloatArray = np.diff(energies, 6, axis=-1) / np.sqrt(924.0)
    return differences


def _displaced(atoms: Atoms, by: FloatArray) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.positions += by
    return moved


def _strained(atoms: Atoms, strain: FloatArray) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def _turned(atoms: Atoms, matrix: FloatArray) -> Atoms:
    moved: Atoms = atoms.copy()
    moved.set_cell(atoms.cell @ matrix.T)
    moved.positions = atoms.positions @ matrix.T
    if "sites" in moved.arrays:
        moved.arrays["sites"] = moved.arrays["sites"] @ matrix.T
    return moved


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
