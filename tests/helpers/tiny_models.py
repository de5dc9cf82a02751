"""Tiny checkpoints of the model families, made by the scripts in tests/tiny_checkpoints in this interpreter's environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule

from ncbench.models import conformance
from ncbench.models.interface import ForceField
from ncbench.models.loading import load_forcefield
from ncbench.structures.water import water_box
from ncbench.types import ModelRequest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "tiny_checkpoints"
FLOOR = {"float32": 1e-5, "float64": 1e-10}
"""λ of a gradient: rounding of some 1e-6 eV/Å² (1e-14) in a Jacobian of some eV/Å², with room for thousands of terms."""


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Removed when the tests end."""
    return tempfile.TemporaryDirectory(prefix="ncbench-tiny-")


@cache
def checkpoint(script: str, *arguments: str, name: str) -> str:
    """Path of what ``script OUT ARGUMENTS`` writes, made once per session in a separate process."""
    out = Path(folder().name) / name
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / script), str(out), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return str(out)


def water() -> list[Atoms]:
    """A periodic box of eight molecules and one that is isolated."""
    single = molecule("H2O")
    single.positions += np.random.default_rng(2).normal(scale=0.02, size=(3, 3))
    return [water_box(8, density_g_cm3=0.8, seed=1), single]


def load(spec: str, path: str, *, trust: bool = True, dtype: str | None = None, **options: str) -> ForceField:
    """Load with the loader used for weights of users."""
    named = tuple(sorted((key.replace("_", "-"), value) for key, value in options.items()))
    return load_forcefield(ModelRequest(spec=spec, checkpoint=path, trust_checkpoint=trust, dtype=dtype, options=named))


def load_file(path: str, mode: str) -> ForceField:
    """A file named as itself, in a force mode."""
    return load_forcefield(ModelRequest(spec=f"{path}:{mode}"))


def asymmetry(forcefield: ForceField, atoms: Atoms) -> float:
    """λ = ‖(J − Jᵀ)/2‖ / ‖J‖ by all vector-Jacobian products, or by central differences where there are none."""
    count = 3 * len(atoms)
    unit = torch.eye(count, dtype=torch.float64).reshape(count, len(atoms), 3)
    field = forcefield.bind([atoms] * count)
    at = field.initial_positions()
    if forcefield.card.differentiable:
        jacobian = field.linearize(at).vjp(unit).reshape(count, count)
    else:
        step = conformance.STEP_A[forcefield.card.dtype]
        difference = field(at + step * unit).forces - field(at - step * unit).forces
        jacobian = difference.reshape(count, count) / (2 * step)
    return float((jacobian - jacobian.T).norm() / 2 / jacobian.norm())


def agrees_with_own_calculator(forcefield: ForceField, atoms: Atoms, *, force_tolerance: float = 1e-5) -> None:
    """Energy, forces and stress equal those of the family's own ASE calculator, except for a net force that ncbench removes.

    Two orders of summation in float32, and of coordinates that the library rounds to float32 first.
    """
    other = atoms.copy()
    other.calc = forcefield.ase_calculator()
    reference = other.get_forces()
    if forcefield.card.net_force_removed:
        reference = reference - reference.mean(axis=0)
    computed = forcefield.evaluate([atoms], stress=forcefield.card.has_stress and bool(atoms.pbc.all()))[0]
    np.testing.assert_allclose(computed.forces, reference, atol=force_tolerance)
    assert abs(computed.energy - other.get_potential_energy()) < 1e-6 * len(atoms) + 3e-7 * abs(computed.energy)
    if computed.stress is not None:
        np.testing.assert_allclose(computed.stress, other.get_stress(voigt=False), atol=1e-6)
