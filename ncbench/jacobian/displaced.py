"""λ from files of displaced structures with forces, such as the outputs of ml-peg's benchmark of the Jacobian's symmetry, with an error and a floor.

The format (ddmms/ml-peg, ``ml_peg/calcs/physicality/jacobian_symmetry/calc_jacobian_symmetry.py``, commit eb6572e): extended XYZ, two frames for each degree of freedom, with forces,
``dof`` (3 · atom + axis) and ``sign`` (1 or −1) in the comment line.

The files do not say how accurate their forces are. The floor of λ is the larger of two estimates.

**Rounding.** A force is rounded to the printed digits, q, with the standard deviation q/√12, and by the model: most compute in float32, and a file cannot exclude it, so that
ε·max|f| with the ε of float32 counts as a standard error always. A central difference of two forces with independent errors σ has the error σ/(√2 h). Forces of f(+h) = −f(−h),
which symmetric structures have, are rounded alike, and the error of their difference is σ/h. A float32 model rounds positions too, to ε|r|, so that column j of J has another step than
it seems: J_ij is wrong by J_ij δ_j.

**Translations.** J T = 0 holds for rigid translations T in every model of relative positions, conservative or not: the rows' sums over atoms are sums of N errors each. Truncation of
the differences is part of them, but symmetry cancels errors in these sums, so that they alone may show too little.

**Interval.** With N the antisymmetric part of the error, |‖A + N‖ − ‖A‖| ≤ ‖N‖, whether or not N depends on A (an A that is smaller than the printed digits is lost). ‖N‖² over its
estimate follows the F distribution with n(n − 1)/2 and 9N degrees of freedom, the numbers of its entries and of sums. Noise adds to λ in quadrature, so that a λ that is not resolved has
a lower end of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from ncbench.errors import UsageError
from ncbench.jacobian.asymmetry import asymmetry, noise_floor
from ncbench.jacobian.methods import bounded, resolved
from ncbench.jacobian.schemas import DISPLACED
from ncbench.statistics.rounding import printed_unit
from ncbench.types import Status

FloatArray = NDArray[np.float64]

NOT_FINITE = "a force is not finite"
NO_JACOBIAN = "no force changes in the printed digits, so that λ is not defined"
SINGLE = float(np.finfo(np.float32).eps)
"""Relative rounding error of float32."""
EQUAL_STEPS = 0.01
"""Steps that scatter by less than this share of their mean are meant to be equal, and their scatter is that of printed positions."""

MOST_SIDEWAYS = 0.1
"""Largest difference of other coordinates over the displacement: printed digits make it some percent, other structures more than one."""


@dataclass(frozen=True)
class Differences:
    """Forces and positions of structures displaced forwards and backwards along each degree of freedom."""

    forwards: FloatArray
    """[3N, 3N]: forces, eV/Å, row = component, column = degree of freedom."""
    backwards: FloatArray
    """[3N, 3N]."""
    steps: FloatArray
    """[3N]: half the distance of both, Å."""
    positions: FloatArray
    """[3N]: the middle of both, Å."""

    @property
    def jacobian(self) -> FloatArray:
        """J [3N, 3N] by central differences, eV/Å²."""
        return (self.forwards - self.backwards) / (2.0 * self.steps)


def displaced_row(path: Path) -> dict[str, Any]:
    """λ of one file, as a row of the table ``lambda-displaced``.

    Raises:
        UsageError: the file cannot be read, or lacks frames, forces, ``dof`` or ``sign``.
    """
    try:
        frames: list[Atoms] = read(path, index=":")  # type: ignore[assignment]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"'{path}' cannot be read as extended XYZ: {error}.") from error
    differences = differences_of(frames, str(path))
    matrix = differences.jacobian
    where = {
        "structure": path.stem,
        "n_atoms": len(frames[0]),
        "step_A": float(differences.steps.mean()),
        "force_calls": len(frames),
    }
    if not np.isfinite(matrix).all():
        return DISPLACED.row(**where, status=Status.FAILED, reason=NOT_FINITE)
    if not matrix.any():
        return DISPLACED.row(**where, status=Status.FAILED, reason=NO_JACOBIAN)
    floor = floor_of(differences)
    values, low = bounded(asymmetry(matrix).whole, floor * tail(len(matrix)))
    values |= {
        "lambda_se": floor,
        "lambda_floor": floor,
        "jacobian_norm_eV_per_A2": float(np.linalg.norm(matrix)),
    }
    verdict = resolved(values, low)
    if verdict != "nonzero":
        values["lambda_low"] = 0.0
    return DISPLACED.row(
        **where, **values, resolved=verdict, above_floor=verdict == "nonzero", status=Status.OK, reason=""
    )


def differences_of(frames: Sequence[Atoms], name: str) -> Differences:
    """Forces and positions of the frames, by degree of freedom.

    Raises:
        UsageError: frames, forces, ``dof`` or ``sign`` are missing, or a frame is not displaced along its degree of freedom.
    """
    size, species = 3 * len(frames[0]), frames[0].get_chemical_symbols()
    ends: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}
    for frame in frames:
        forces = _forces(frame)
        if forces is None or not {"dof", "sign"} <= frame.info.keys() or 3 * len(frame) != size:
            raise UsageError(f"'{name}' has a frame without forces, dof or sign, or of another size.")
        if frame.get_chemical_symbols() != species:
            raise UsageError(f"'{name}' has frames of other elements than its first frame's.")
        place = int(frame.info["dof"]), int(frame.info["sign"])
        if place in ends:
            raise UsageError(
                f"'{name}' has two frames with dof={place[0]} and sign={place[1]}.",
                hint="Remove the repeated frames; each structure needs a file of its own.",
            )
        ends[place] = forces, frame.positions.reshape(-1)
    forwards, backwards = np.empty((size, size)), np.empty((size, size))
    steps, middle = np.empty(size), np.empty(size)
    for dof in range(size):
        if (dof, 1) not in ends or (dof, -1) not in ends:
            raise UsageError(f"'{name}' lacks a displacement of degree of freedom {dof} of {size}.")
        (forwards[:, dof], ahead), (backwards[:, dof], behind) = ends[dof, 1], ends[dof, -1]
        steps[dof] = 0.5 * (ahead - behind)[dof]
        middle[dof] = 0.5 * (ahead + behind)[dof]
        sideways = np.abs(np.delete(ahead - behind, dof)).max(initial=0.0)
        if not steps[dof] > 0.0 or sideways > MOST_SIDEWAYS * 2.0 * steps[dof]:
            raise UsageError(f"'{name}': the frames of degree of freedom {dof} are not displaced along it alone.")
    return Differences(forwards, backwards, steps, middle)


def floor_of(differences: Differences) -> float:
    """λ expected of exactly conservative forces: of rounded forces and steps, or of the sums over rigid translations where these show more."""
    matrix = differences.jacobian
    rounding = math.hypot(noise_floor(matrix, rounding_noise(differences)), step_floor(differences))
    return max(rounding, noise_floor(matrix, translation_noise(matrix)))


def rounding_noise(differences: Differences) -> float:
    """Root-mean-square error of an entry of J by the rounding of forces, eV/Å²: of printed digits or of float32, whichever is larger."""
    forces = np.stack([differences.forwards, differences.backwards])
    alike = float(np.mean(differences.forwards == -differences.backwards))
    printed = printed_unit(forces) / math.sqrt(12.0) * math.sqrt(1.0 + alike)
    single = SINGLE * float(np.abs(forces).max())
    return max(printed, single) * float(np.sqrt(np.mean(0.5 / differences.steps**2)))


def step_floor(differences: Differences) -> float:
    """λ of a symmetric J whose columns have steps that are wrong by the relative errors δ: ‖N‖² = Σ_{i≠j} J_ij² ⟨δ_j²⟩/2.

    Errors of the steps are those of positions in float32, and the scatter of the steps where they are meant to be equal.
    """
    steps, matrix = differences.steps, differences.jacobian
    relative = SINGLE * np.abs(differences.positions) / (math.sqrt(2.0) * steps)
    scatter = float(steps.std() / steps.mean())
    if scatter < EQUAL_STEPS:
        relative = np.hypot(relative, scatter)
    off_diagonal = matrix * ~np.eye(len(matrix), dtype=bool)
    return float(np.linalg.norm(off_diagonal * relative) / (math.sqrt(2.0) * np.linalg.norm(matrix)))


def translation_noise(matrix: FloatArray) -> float:
    """Root-mean-square error of an entry of J [3N, 3N] by J T = 0 for rigid translations T, eV/Å²."""
    n_atoms = len(matrix) // 3
    sums = matrix.reshape(len(matrix), n_atoms, 3).sum(axis=1)
    return float(np.sqrt(np.mean(sums**2) / n_atoms))


def tail(size: int) -> float:
    """What ‖N‖ over its estimate does not exceed with a probability of 97.5 %, for J of this size."""
    return float(np.sqrt(f_distribution.ppf(0.975, size * (size - 1) // 2, 3 * size)))


def _forces(frame: Atoms) -> FloatArray | None:
    results: dict[str, Any] = frame.calc.results if frame.calc is not None else {}
    forces = results.get("forces", frame.arrays.get("forces"))
    return None if forces is None else np.asarray(forces, dtype=np.float64).reshape(-1)
