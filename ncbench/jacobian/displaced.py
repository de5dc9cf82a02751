"""λ from files of displaced structures with forces, such as the outputs of ml-peg's benchmark of the Jacobian's symmetry, with an error and a floor.

The format (ddmms/ml-peg, ``ml_peg/calcs/physicality/jacobian_symmetry/calc_jacobian_symmetry.py``, commit eb6572e): extended XYZ, two frames for each degree of freedom, with forces,
``dof`` (3 · atom + axis) and ``sign`` (1 or −1) in the comment line.

The files do not say how accurate their forces are. Two things bound it from below: the printed digits, and J T = 0 for rigid translations T, which holds for every model of relative
positions, conservative or not. The rows' sums over atoms are therefore sums of N errors each; truncation of the differences is part of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from ncbench.errors import UsageError
from ncbench.jacobian.asymmetry import asymmetry, noise_floor
from ncbench.jacobian.methods import resolved
from ncbench.jacobian.schemas import DISPLACED
from ncbench.types import Status

FloatArray = NDArray[np.float64]

PRINTED_eV_per_A = 1e-8
"""Last digit of forces in ASE's extended XYZ."""
NOT_FINITE = "a force is not finite"


def displaced_row(path: Path) -> dict[str, Any]:
    """λ of one file, as a row of the table ``lambda-displaced``.

    Raises:
        UsageError: the file cannot be read, or lacks frames, forces, ``dof`` or ``sign``.
    """
    try:
        frames: list[Atoms] = read(path, index=":")  # type: ignore[assignment]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"'{path}' cannot be read as extended XYZ: {error}.") from error
    matrix, step = jacobian_of(frames, str(path))
    where = {"structure": path.stem, "n_atoms": len(frames[0]), "step_A": step, "force_calls": len(frames)}
    if not np.isfinite(matrix).all():
        return DISPLACED.row(**where, status=Status.FAILED, reason=NOT_FINITE)
    noise = noise_of(matrix, step)
    floor = noise_floor(matrix, noise)
    value = asymmetry(matrix).whole
    # As for every λ by differences, the error is the norm of the error matrix.
    bounds = {
        "lambda": value,
        "lambda_se": floor,
        "lambda_low": max(0.0, value - floor),
        "lambda_high": min(1.0, value + floor),
    }
    values = bounds | {"lambda_floor": floor, "jacobian_norm_eV_per_A2": float(np.linalg.norm(matrix))}
    verdict = resolved(values, value - 3.0 * floor)
    return DISPLACED.row(
        **where, **values, resolved=verdict, above_floor=verdict == "nonzero", status=Status.OK, reason=""
    )


def jacobian_of(frames: Sequence[Atoms], name: str) -> tuple[FloatArray, float]:
    """(J [3N, 3N] in eV/Å², step in Å) by central differences of the frames.

    Raises:
        UsageError: frames, forces, ``dof`` or ``sign`` are missing, or a frame is not displaced along its degree of freedom.
    """
    size = 3 * len(frames[0])
    ends: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}
    for frame in frames:
        forces = _forces(frame)
        if forces is None or not {"dof", "sign"} <= frame.info.keys() or 3 * len(frame) != size:
            raise UsageError(f"'{name}' has a frame without forces, dof or sign, or of another size.")
        ends[int(frame.info["dof"]), int(frame.info["sign"])] = forces, frame.positions.reshape(-1)
    matrix, steps = np.empty((size, size)), np.empty(size)
    for dof in range(size):
        if (dof, 1) not in ends or (dof, -1) not in ends:
            raise UsageError(f"'{name}' lacks a displacement of degree of freedom {dof} of {size}.")
        (plus, forward), (minus, backward) = ends[dof, 1], ends[dof, -1]
        steps[dof] = 0.5 * (forward - backward)[dof]
        if not steps[dof] > 0.0:
            raise UsageError(f"'{name}': the frames of degree of freedom {dof} are not displaced along it.")
        matrix[:, dof] = (plus - minus) / (2.0 * steps[dof])
    return matrix, float(steps.mean())


def noise_of(matrix: FloatArray, step_A: float) -> float:
    """Root-mean-square error of an entry of J, eV/Å²: the larger of that of the printed digits and that of the translations.

    Args:
        matrix: [3N, 3N], J.
        step_A: step of the differences.
    """
    printed = PRINTED_eV_per_A / math.sqrt(12.0) * math.sqrt(2.0) / (2.0 * step_A)
    n_atoms = len(matrix) // 3
    sums = matrix.reshape(len(matrix), n_atoms, 3).sum(axis=1)
    return max(printed, float(np.sqrt(np.mean(sums**2) / n_atoms)))


def _forces(frame: Atoms) -> FloatArray | None:
    results: dict[str, Any] = frame.calc.results if frame.calc is not None else {}
    forces = results.get("forces", frame.arrays.get("forces"))
    return None if forces is None else np.asarray(forces, dtype=np.float64).reshape(-1)
